"""Between records of the database and rows of the life cycles."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from dragancorp.jsonio import loads
from dragancorp.lifecycle.facts import LanePolicy
from dragancorp.lifecycle.ledger_entry import utc_text
from dragancorp.lifecycle.rows import MissionRow, SessionRow
from dragancorp.registry.operations import HeldMission, Stored
from dragancorp.registry.tables import MISSIONS, SESSIONS

MISSION_FIELDS = tuple(field.name for field in fields(MissionRow))
SESSION_FIELDS = tuple(field.name for field in fields(SessionRow))
STORED_COLUMNS = (
    *(MISSIONS.c[name] for name in MISSION_FIELDS),
    MISSIONS.c.position,
    MISSIONS.c.document,
    MISSIONS.c.assigned,
    MISSIONS.c.contract,
)
SESSION_COLUMNS = (*(SESSIONS.c[name] for name in SESSION_FIELDS), SESSIONS.c.policy)
NO_DEADLINE = datetime.max.replace(tzinfo=UTC)


def stored_from(record: Sequence[Any]) -> Stored:
    """A mission from a record of `STORED_COLUMNS`."""
    *facts, position, document, assigned, contract = tuple(record)
    row = MissionRow(**dict(zip(MISSION_FIELDS, facts, strict=True)))
    return Stored(position=position, row=row, document=document, assigned=assigned, contract=contract)


def session_from(record: Sequence[Any]) -> tuple[SessionRow, LanePolicy]:
    """A lane session and its policy from a record of `SESSION_COLUMNS`."""
    *facts, policy = tuple(record)
    return SessionRow(**dict(zip(SESSION_FIELDS, facts, strict=True))), LanePolicy(**policy)


def held_from(record: Sequence[Any]) -> HeldMission:
    """A mission in a lane's hands from a record of `statements.HELD_BY_LANE`."""
    mission_id, attempt, state, asked, resumed = record
    return HeldMission(
        mission_id=mission_id,
        attempt=attempt,
        state=state.value,
        cancel_asked=asked is not None,
        decision=None if resumed is None else decision_in(loads(resumed)),
    )


def decision_in(resumed: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a holder is told of the entry that lets its mission go on."""
    return {**resumed.get("decision", {}), "sequence": resumed["sequence"]}


def claim_key(row: MissionRow) -> str:
    """The order of a lane's queue as one text: urgency, then deadline; arrival breaks the tie."""
    return f"{row.priority_rank}:{utc_text(row.deadline_at or NO_DEADLINE)}"


def ends_at(row: MissionRow) -> datetime | None:
    """The earlier of deadline and window end."""
    ends = [moment for moment in (row.deadline_at, row.window_end_at) if moment is not None]
    return min(ends) if ends else None
