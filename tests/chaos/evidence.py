"""All that the oracle reads: the registry as it stands, and everything that was recorded outside of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.engine import Connection

from dragancorp.jsonio import loads
from dragancorp.registry.tables import MISSION_EVENTS, MISSIONS, OUTBOX, SESSION_EVENTS, SESSIONS

from .effect_log import Effect
from .journal import Journal

Entry = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class MissionRecord:
    """One mission: its row by column, its ledger in the order of writing, its callbacks."""

    row: Entry
    events: Sequence[Entry]
    outbox: Sequence[Entry]

    @property
    def steps(self) -> int:
        """How many commands its envelope has."""
        extensions = loads(self.row["document"]).get("extensions", ())
        return sum(len(extension["value"]["steps"]) for extension in extensions)


@dataclass(frozen=True, kw_only=True)
class LaneRecord:
    """One lane: its row by column (with `policy`) and its ledger."""

    row: Entry
    events: Sequence[Entry]

    @property
    def ttl(self) -> float:
        """Its lease time in seconds."""
        return float(self.row["policy"]["lease_ttl"])


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """`left` describes processes that live after everything was stopped; `replay` is what the ledger's replay found."""

    missions: Mapping[str, MissionRecord]
    lanes: Mapping[str, LaneRecord]
    journal: Journal
    effects: Sequence[Effect] = ()
    left: Sequence[str] = ()
    replay: Sequence[tuple[str, str]] = ()


def read_registry(connection: Connection) -> tuple[dict[str, MissionRecord], dict[str, LaneRecord]]:
    """Every mission and every lane, from one connection to either database."""
    events = _by_key(connection.execute(select(MISSION_EVENTS).order_by(MISSION_EVENTS.c.position)), "mission_id")
    outbox = _by_key(connection.execute(select(OUTBOX).order_by(OUTBOX.c.position)), "mission_id")
    told = _by_key(connection.execute(select(SESSION_EVENTS).order_by(SESSION_EVENTS.c.position)), "vp_id")
    missions = {
        row["mission_id"]: MissionRecord(
            row=row,
            events=[loads(entry["document"]) for entry in events.get(row["mission_id"], ())],
            outbox=outbox.get(row["mission_id"], ()),
        )
        for row in connection.execute(select(MISSIONS)).mappings()
    }
    lanes = {
        row["vp_id"]: LaneRecord(row=row, events=[loads(entry["document"]) for entry in told.get(row["vp_id"], ())])
        for row in connection.execute(select(SESSIONS)).mappings()
    }
    return missions, lanes


def _by_key(records: Any, column: str) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = {}
    rows: Iterable[Entry] = records.mappings()
    for row in rows:
        found.setdefault(row[column], []).append(row)
    return found
