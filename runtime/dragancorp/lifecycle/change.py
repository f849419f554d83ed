"""What a decision answers: a `Change` to store, or a `Refusal` to hand on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from dragancorp.lifecycle.rows import MissionRow, SessionRow
from dragancorp_contracts.errors import ErrorCode

RowT = TypeVar("RowT", MissionRow, SessionRow)


@dataclass(frozen=True, kw_only=True)
class OutboxEntry:
    """One callback to send: event `sequence` of a mission to an endpoint."""

    mission_id: str
    sequence: int
    endpoint: str
    body: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Change(Generic[RowT]):
    """The new row, the ledger entries and the callbacks: stored in one transaction or not at all."""

    row: RowT
    events: tuple[Mapping[str, Any], ...] = ()
    outbox: tuple[OutboxEntry, ...] = ()
    transition: str


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why not: a code of the catalogue, a sentence, and the facts that decided."""

    code: ErrorCode
    detail: str
    facts: Mapping[str, Any] = field(default_factory=dict)
