"""Comparisons of shadow missions with what the primary path answered: stored once, kept with the mission."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, insert, select
from sqlalchemy.engine import Connection

from dragancorp.jsonio import canonical, loads
from dragancorp.registry.operations import Operation
from dragancorp.registry.queries import Query
from dragancorp.registry.tables import COMPARISONS
from dragancorp.registry.transaction import Transaction

COMPARISON = select(COMPARISONS.c.document).where(COMPARISONS.c.mission_id == bindparam("mission_id"))
INSERT_COMPARISON = insert(COMPARISONS)


@dataclass(frozen=True, kw_only=True)
class StoreComparison(Operation[None]):
    """Keep a comparison (`$defs/shadow_comparison` of `specs/gateway-turn`); a second one of a mission changes nothing.

    Errors: `mission_unknown`.
    """

    mission_id: str
    document: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class GetComparison(Query[Mapping[str, Any] | None]):
    """The comparison of a shadow mission; None: not compared."""

    mission_id: str


def store_comparison(tx: Transaction, operation: StoreComparison) -> None:
    """Insert it, once."""
    mission = {"mission_id": tx.mission(operation.mission_id).row.mission_id}
    if tx.connection.execute(COMPARISON, mission).first() is None:
        tx.connection.execute(INSERT_COMPARISON, {**mission, "document": canonical(dict(operation.document))})


def get_comparison(connection: Connection, query: GetComparison) -> Mapping[str, Any] | None:
    """The stored document."""
    found = connection.execute(COMPARISON, {"mission_id": query.mission_id}).scalar()
    return None if found is None else loads(found)
