"""The writer's statements, built once: building an expression costs more than running it."""

import re
from enum import IntEnum, StrEnum
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Select, Update, and_, bindparam, func, insert, literal_column, or_, select, update

from dragancorp.registry.rows import SESSION_COLUMNS, STORED_COLUMNS
from dragancorp.registry.tables import (
    ARCHIVED_MISSIONS,
    ARTIFACTS,
    COUNTERS,
    ENVELOPE,
    MISSION_EVENTS,
    MISSIONS,
    OUTBOX,
    RECEIPTS,
    SESSION_EVENTS,
    SESSIONS,
    TURN_MINUTES,
)
from dragancorp_contracts.lifecycle import EventType, Holder, MissionState

CONTRACT_NAME = re.compile(r"[a-z][a-z0-9-]{0,63}/v[0-9]{1,4}")


def word(member: StrEnum) -> ColumnElement[Any]:
    """A word written into the statement: a partial index serves only a condition the planner can read beforehand."""
    return literal_column(f"'{member.value}'")


_m, _s, _e = MISSIONS.c, SESSIONS.c, MISSION_EVENTS.c

# Locks are words of PostgreSQL's; SQLite's compiler leaves them out, since there nobody else writes.
_mission = select(*STORED_COLUMNS).where(_m.mission_id == bindparam("mission_id"))
MISSION_TO_CHANGE = _mission.with_for_update(key_share=True)
MISSION_TO_RELY_ON = _mission.with_for_update(read=True)
MISSION_BY_KEY = select(*STORED_COLUMNS).where(
    _m.source_instance_id == bindparam("source"), _m.idempotency_key == bindparam("key")
)
CHILDREN = select(*STORED_COLUMNS).where(_m.parent_mission_id == bindparam("mission_id"))
PARENT_OF = select(_m.parent_mission_id).where(_m.mission_id == bindparam("mission_id"))
USAGE_OF_CHILDREN = select(_m.mission_id, _m.usage).where(_m.parent_mission_id == bindparam("mission_id"))
_RESUMED = _e.type == word(EventType.MISSION_RESUMED)
HELD_BY_LANE = (
    select(_m.mission_id, _m.attempt, _m.state, _m.cancel_requested_at, _e.document)
    .select_from(MISSIONS)
    .outerjoin(MISSION_EVENTS, and_(_e.mission_id == _m.mission_id, _e.sequence == _m.last_sequence, _RESUMED))
    .where(_m.vp_id == bindparam("vp_id"), _m.holder == word(Holder.LANE))
    .order_by(_m.position)
)
_CANDIDATES = (
    select(*STORED_COLUMNS)
    .where(
        _m.vp_id == bindparam("vp_id"),
        _m.state == word(MissionState.QUEUED),
        or_(
            _m.not_before.is_(None), _m.not_before <= bindparam("now"), _m.updated_at > bindparam("wrong_clocks_after")
        ),
        or_(_m.window_start_at.is_(None), _m.window_start_at <= bindparam("now")),
        or_(_m.ends_at.is_(None), _m.ends_at > bindparam("now")),
    )
    .order_by(_m.claim_key, _m.position)
    .limit(bindparam("how_many"))
    .with_for_update(key_share=True, skip_locked=True)
)
# Those that the worker does not read stand in nobody's way: they are not among the first that are looked at.
_UNREADABLE = (
    select(_m.mission_id).where(_m.vp_id == bindparam("vp_id"), _m.state == word(MissionState.QUEUED)).limit(1)
)
CLAIMS_SINCE = (
    select(func.count())
    .select_from(MISSION_EVENTS)
    .where(
        _e.vp_id == bindparam("vp_id"), _e.type == word(EventType.MISSION_ACCEPTED), _e.emitted_at > bindparam("since")
    )
)
ARCHIVED_BY_ID = select(ARCHIVED_MISSIONS.c.archive).where(ARCHIVED_MISSIONS.c.mission_id == bindparam("mission_id"))
INSERT_MISSION = insert(MISSIONS)
INSERT_MISSION_EVENT = insert(MISSION_EVENTS)
RESUMED_AT = select(_e.document).where(
    _e.mission_id == bindparam("mission_id"), _e.sequence == bindparam("sequence"), _RESUMED
)
EVENT_BY_KEY = select(_e.document, _e.report_digest).where(
    _e.mission_id == bindparam("mission_id"), _e.idempotency_key == bindparam("key")
)
INSERT_OUTBOX = insert(OUTBOX)
RENEW_HOLD = (
    update(MISSIONS)
    .where(_m.mission_id == bindparam("of_mission"), _m.attempt == bindparam("of_attempt"))
    .values(hold_expires_at=bindparam("until"))
)


class LaneLock(IntEnum):
    """How much of a lane's row an operation needs for itself, the weakest first."""

    SHARED = 1
    """The lane stays what it is: beats and claims go on, and any number of others share it."""
    CHANGE = 2
    """Nobody else claims, beats or changes the lane."""
    ALONE = 3
    """Nobody else does anything with the lane's missions that its rules depend on."""


_session = select(*SESSION_COLUMNS).where(_s.vp_id == bindparam("vp_id"))
SESSION_BY_ID = {
    LaneLock.SHARED: _session.with_for_update(read=True, key_share=True),
    LaneLock.CHANGE: _session.with_for_update(key_share=True),
    LaneLock.ALONE: _session.with_for_update(),
}
_lane_of_mission = select(_m.vp_id).where(_m.mission_id == bindparam("mission_id")).scalar_subquery()
SESSION_OF_MISSION = {
    LaneLock.SHARED: select(*SESSION_COLUMNS)
    .where(_s.vp_id == _lane_of_mission)
    .with_for_update(read=True, key_share=True),
    LaneLock.ALONE: select(*SESSION_COLUMNS).where(_s.vp_id == _lane_of_mission).with_for_update(),
}
HOLDER_READS = select(_s.holder_reads).where(_s.vp_id == bindparam("vp_id"))
NOTE_HOLDER_READS = (
    update(SESSIONS).where(_s.vp_id == bindparam("of_lane")).values(holder_reads=bindparam("new_holder_reads"))
)
INSERT_SESSION = insert(SESSIONS)
INSERT_SESSION_EVENT = insert(SESSION_EVENTS)
UPDATE_POLICY = update(SESSIONS).where(_s.vp_id == bindparam("of_lane")).values(policy=bindparam("new_policy"))

ARTIFACTS_OF = (
    select(ARTIFACTS.c.document).where(ARTIFACTS.c.mission_id == bindparam("mission_id")).order_by(ARTIFACTS.c.name)
)
INSERT_ARTIFACT = insert(ARTIFACTS)
UPDATE_ARTIFACT = (
    update(ARTIFACTS)
    .where(ARTIFACTS.c.mission_id == bindparam("of_mission"), ARTIFACTS.c.name == bindparam("of_name"))
    .values(attempt=bindparam("new_attempt"), document=bindparam("new_document"))
)
RECEIPT_OF = select(RECEIPTS.c.attempt).where(RECEIPTS.c.mission_id == bindparam("mission_id"))
INSERT_RECEIPT = insert(RECEIPTS)
UPDATE_RECEIPT = (
    update(RECEIPTS)
    .where(RECEIPTS.c.mission_id == bindparam("of_mission"))
    .values(attempt=bindparam("new_attempt"), document=bindparam("new_document"))
)

_counter = (
    COUNTERS.c.vp_id == bindparam("of_lane"),
    COUNTERS.c.kind == bindparam("of_kind"),
    COUNTERS.c.name == bindparam("of_name"),
)
COUNTER_VALUE = select(func.sum(COUNTERS.c.value)).where(*_counter)
ADD_TO_COUNTER = (
    update(COUNTERS)
    .where(*_counter, COUNTERS.c.slot == bindparam("of_slot"))
    .values(value=COUNTERS.c.value + bindparam("by"))
)
INSERT_COUNTER = insert(COUNTERS)
ADD_TO_MINUTE = (
    update(TURN_MINUTES)
    .where(
        TURN_MINUTES.c.vp_id == bindparam("of_lane"),
        TURN_MINUTES.c.reason == bindparam("of_reason"),
        TURN_MINUTES.c.minute == bindparam("of_minute"),
    )
    .values(count=TURN_MINUTES.c["count"] + bindparam("by"))
)
INSERT_MINUTE = insert(TURN_MINUTES)


@cache
def candidates(reads: frozenset[str]) -> Select[Any]:
    """The first missions of a lane's queue that are due and that a worker who reads these contracts can take."""
    return _CANDIDATES.where(_m.contract.in_([literal_column(f"'{_plain(name)}'") for name in sorted(reads)]))


@cache
def unreadable(reads: frozenset[str]) -> Select[Any]:
    """One that waits and that such a worker cannot take."""
    found = _UNREADABLE
    if ENVELOPE in reads:  # as its partial index has it: an idle worker asks again and again
        found = found.where(_m.contract != literal_column(f"'{ENVELOPE}'"))
    return found.where(_m.contract.not_in([literal_column(f"'{_plain(name)}'") for name in sorted(reads)]))


def _plain(contract: str) -> str:
    """The name of a contract, once it is known to be fit to stand in a statement; another one is nobody's."""
    return contract if CONTRACT_NAME.fullmatch(contract) else "none"


@cache
def update_mission(columns: tuple[str, ...]) -> Update:
    """Set these columns (as `new_<column>`), conditional on the row being as it was read (`was_<column>`)."""
    read = ("mission_id", "attempt", "state", "holder", "lease_epoch", "last_sequence")
    return (
        update(MISSIONS)
        .where(*(_m[name] == bindparam(f"was_{name}", type_=_m[name].type) for name in read))
        .values({name: bindparam(f"new_{name}", type_=_m[name].type) for name in columns})
    )


@cache
def update_session(columns: tuple[str, ...]) -> Update:
    """Set these columns (as `new_<column>`), conditional on the row being as it was read (`was_<column>`)."""
    read = ("vp_id", "status", "lease_epoch", "beat", "last_sequence")
    return (
        update(SESSIONS)
        .where(*(_s[name] == bindparam(f"was_{name}", type_=_s[name].type) for name in read))
        .values({name: bindparam(f"new_{name}", type_=_s[name].type) for name in columns})
    )
