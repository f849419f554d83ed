"""Taking archived missions out of the database: all of a mission or nothing, and only what has settled."""

from collections import Counter

from sqlalchemy import BindParameter, bindparam, delete, func, insert, or_, select

from dragancorp.errors import DraganError, ErrorCode
from dragancorp.jsonio import loads
from dragancorp.registry.archive import DropArchived, DropTurnMinutes
from dragancorp.registry.operations import Stored
from dragancorp.registry.statements import word
from dragancorp.registry.tables import (
    ARCHIVED_MISSIONS,
    ARTIFACTS,
    COMPARISONS,
    MISSION_EVENTS,
    MISSIONS,
    OUTBOX,
    RECEIPTS,
    TURN_MINUTES,
)
from dragancorp.registry.transaction import UNFINISHED, Transaction, is_orphan_signal

_of_mission: BindParameter[str] = bindparam("of_mission")
DOCUMENTS = select(MISSION_EVENTS.c.document).where(MISSION_EVENTS.c.mission_id == _of_mission)
UNDELIVERED = (
    select(func.count()).select_from(OUTBOX).where(OUTBOX.c.mission_id == _of_mission, OUTBOX.c.status == "undelivered")
)
UNFINISHED_RELATIVES = (
    select(func.count())
    .select_from(MISSIONS)
    .where(
        or_(
            MISSIONS.c.parent_mission_id == _of_mission,
            MISSIONS.c.retry_of == _of_mission,
            MISSIONS.c.mission_id == bindparam("of_parent"),
        ),
        MISSIONS.c.state.in_([word(state) for state in UNFINISHED]),
    )
)
# In this order, so that nothing is left that refers to what is gone.
DELETES = tuple(
    delete(table).where(table.c.mission_id == _of_mission)
    for table in (OUTBOX, RECEIPTS, ARTIFACTS, COMPARISONS, MISSION_EVENTS, MISSIONS)
)
INSERT_ARCHIVED = insert(ARCHIVED_MISSIONS)


DROP_MINUTES = delete(TURN_MINUTES).where(TURN_MINUTES.c.minute < bindparam("before", type_=TURN_MINUTES.c.minute.type))


def drop_turn_minutes(tx: Transaction, operation: DropTurnMinutes) -> int:
    """Take out counts of single minutes."""
    return tx.connection.execute(DROP_MINUTES, {"before": operation.before}).rowcount


def drop_archived(tx: Transaction, operation: DropArchived) -> tuple[str, ...]:
    """Take out each mission that is still as it was written to the archive; answers which were."""
    dropped: list[str] = []
    for mission_id, last_digest in operation.missions:
        try:
            stored = tx.mission(mission_id)
        except DraganError as gone:
            if gone.code is not ErrorCode.MISSION_UNKNOWN:
                raise
            continue  # another plane, or the run before this one, was quicker
        if stored.row.terminal and stored.row.last_digest == last_digest and _settled(tx, stored):
            _drop(tx, stored, operation.archive)
            dropped.append(mission_id)
    return tuple(dropped)


def _settled(tx: Transaction, stored: Stored) -> bool:
    """Whether nobody waits for anything of it: no callback, no parent, child or retry that goes on."""
    key = {"of_mission": stored.row.mission_id}
    if tx.connection.execute(UNDELIVERED, key).scalar():
        return False
    return not tx.connection.execute(
        UNFINISHED_RELATIVES, {**key, "of_parent": stored.row.parent_mission_id or ""}
    ).scalar()


def _drop(tx: Transaction, stored: Stored, archive: str) -> None:
    row = stored.row
    key = {"of_mission": row.mission_id}
    events = [loads(document) for document in tx.connection.execute(DOCUMENTS, key).scalars()]
    for statement in DELETES:
        tx.connection.execute(statement, key)
    tx.connection.execute(
        INSERT_ARCHIVED,
        {
            "mission_id": row.mission_id,
            "vp_id": row.vp_id,
            "position": stored.position,
            "state": row.state,
            "finished_at": row.finished_at,
            "last_sequence": row.last_sequence,
            "last_digest": row.last_digest,
            "archive": archive,
            "archived_at": tx.now,
        },
    )
    # Counts are totals and stay. What is out of the database is counted too, so that a recount still comes out.
    tx.count(row.vp_id, "archived_mission_state", row.state.value)
    for event_type, count in Counter(event["type"] for event in events).items():
        tx.count(row.vp_id, "archived_mission_event", event_type, count)
    tx.count(row.vp_id, "archived_orphan_signal", "missions", sum(map(is_orphan_signal, events)))
