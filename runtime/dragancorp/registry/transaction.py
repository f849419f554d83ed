"""One transaction on the registry: rows in, rows, ledger entries, callbacks and counts out.

Nothing here decides; what a `Change` says is written, conditional on the row being as it was read.

Where others write at the same time, what a decision stands on is locked, always in this order: the lane, whose row
stands for its quotas and its queue too; missions, a parent before its children; counts. Most operations share the
lane. Those whose rule is about all of its missions at once (drain, lease lost, reset, release, retire; a dispatch near
the queue's limit; any step in a lane that drains) have it alone.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select

from dragancorp.errors import DraganError, ErrorCode
from dragancorp.jsonio import canonical, loads
from dragancorp.lifecycle.change import Change, Refusal
from dragancorp.lifecycle.facts import LanePolicy
from dragancorp.lifecycle.rows import MissionRow, SessionRow
from dragancorp.registry import statements
from dragancorp.registry.operations import HeldMission, Stored
from dragancorp.registry.port import Scheduler, lane_topic, mission_topic
from dragancorp.registry.prepared import Counts, LaneAloneNeeded, PreparedConnection
from dragancorp.registry.rows import (
    MISSION_FIELDS,
    SESSION_FIELDS,
    claim_key,
    decision_in,
    ends_at,
    held_from,
    session_from,
    stored_from,
)
from dragancorp.registry.statements import LaneLock
from dragancorp.registry.stopwatch import Stopwatch
from dragancorp.registry.tables import ENVELOPE
from dragancorp_contracts.lifecycle import Actor, EventType, MissionState


def report_digest(trigger: str, reason: str | None, content: Mapping[str, Any]) -> str:
    """What makes a repeated report the same report."""
    return hashlib.sha256(
        canonical({"trigger": trigger, "reason": reason, "content": dict(content)}).encode()
    ).hexdigest()


def is_orphan_signal(event: Mapping[str, Any]) -> bool:
    """Whether an entry tells that a mission lost its worker."""
    return event.get("reason_code") == "lease_lost" or event.get("cause") == "lease_lost"


MAY_DISPATCH_AT_ONCE = 200
"""Dispatches that may be under way in one lane before they take turns: above any sensible number of connections."""


class Batch:
    """What the operations of one transaction share: counts to write before the commit, and rows read before.

    Nobody else writes meanwhile, or what was read is locked; so it holds until an operation changes it or is undone.
    """

    def __init__(self) -> None:
        self.counts: Counts = Counts()
        self.counted: dict[tuple[str, str, str], int] = {}
        self.sessions: dict[str, tuple[SessionRow, LanePolicy]] = {}
        self.locks: dict[str, LaneLock] = {}

    def undone(self) -> None:
        """An operation was rolled back: forget what it may have left here."""
        self.sessions.clear()


class Transaction:
    """One operation's part of an open transaction.

    `topics` collects what subscribers must hear of after the commit, `counts` what is to be counted with it; `batch` is
    what operations before it in the same transaction have left; `stopwatch` times what runs. `lanes_alone` asks for
    lanes alone that are otherwise shared, after `LaneAloneNeeded`. `may_have_raced`: a row found in the way may be
    another transaction's that did the very same, and the next attempt will see it.
    """

    def __init__(
        self,
        connection: PreparedConnection,
        now: datetime,
        scheduler: Scheduler,
        batch: "Batch | None" = None,
        *,
        stopwatch: Stopwatch,
        lanes_alone: bool = False,
        may_have_raced: bool = False,
    ) -> None:
        self.connection = connection
        self.now = now
        self.scheduler = scheduler
        self.may_have_raced = may_have_raced
        self.stopwatch = stopwatch
        self.topics: set[str] = set()
        self.counts: Counts = Counts()
        self._batch = Batch() if batch is None else batch
        self._least = LaneLock.ALONE if lanes_alone else LaneLock.SHARED

    # -- reading

    def mission(self, mission_id: str) -> Stored:
        """The mission, to be changed. Raises `mission_unknown`."""
        return self._mission(statements.MISSION_TO_CHANGE, mission_id)

    def parent(self, mission_id: str) -> Stored:
        """A mission that must stay as it is until the commit; others may rely on it too. Raises `mission_unknown`."""
        return self._mission(statements.MISSION_TO_RELY_ON, mission_id)

    def _mission(self, statement: Select[Any], mission_id: str) -> Stored:
        record = self.connection.execute(statement, {"mission_id": mission_id}).first()
        if record is None:
            raise DraganError(ErrorCode.MISSION_UNKNOWN, f"there is no mission {mission_id!r}")
        return stored_from(record)

    def mission_in_lane(self, mission_id: str, *, above: Sequence[str] = ()) -> tuple[Stored, SessionRow, LanePolicy]:
        """The mission, to be changed, with its lane, shared; `above` are ancestors that may change too, from the top.

        Raises `mission_unknown`.
        """
        if self.connection.locks_rows:  # the lane before the mission, which alone knows its lane
            lock = LaneLock.ALONE if self._least is LaneLock.ALONE else LaneLock.SHARED
            record = self.connection.execute(statements.SESSION_OF_MISSION[lock], {"mission_id": mission_id}).first()
            if record is not None:
                self._keep_session(record, lock)
        if self.connection.locks_rows:
            for ancestor in above:
                self.mission(ancestor)
        stored = self.mission(mission_id)
        return stored, *self.session(stored.row.vp_id)

    def session(self, vp_id: str, lock: LaneLock = LaneLock.SHARED) -> tuple[SessionRow, LanePolicy]:
        """The lane session and its policy. Raises `lane_unknown`."""
        lock = max(lock, self._least)
        known = self._batch.sessions.get(vp_id)
        if known is not None and (not self.connection.locks_rows or self._batch.locks[vp_id] >= lock):
            return known
        record = self.connection.execute(statements.SESSION_BY_ID[lock], {"vp_id": vp_id}).first()
        if record is None:
            raise DraganError(ErrorCode.LANE_UNKNOWN, f"there is no lane {vp_id!r}")
        return self._keep_session(record, lock)

    def _keep_session(self, record: Sequence[Any], lock: LaneLock) -> tuple[SessionRow, LanePolicy]:
        found = session_from(record)
        row = found[0]
        if row.drain_open and lock is LaneLock.SHARED and self.connection.locks_rows:
            raise LaneAloneNeeded  # the last of two steps that end at one moment must see the other's end
        self._batch.sessions[row.vp_id] = found
        self._batch.locks[row.vp_id] = max(lock, self._batch.locks.get(row.vp_id, lock))
        return found

    def queued(self, vp_id: str, limit: int) -> int:
        """How many missions wait in a lane, which is locked; near `limit` it must be alone, so that the limit holds."""
        waiting = self.counted(vp_id, "mission_state", MissionState.QUEUED.value)
        shared = self.connection.locks_rows and self._batch.locks[vp_id] is LaneLock.SHARED
        if shared and waiting + MAY_DISPATCH_AT_ONCE > limit:
            raise LaneAloneNeeded
        return waiting

    def held_by(self, vp_id: str) -> list[HeldMission]:
        """The missions a lane holds, oldest first."""
        records = self.connection.execute(statements.HELD_BY_LANE, {"vp_id": vp_id}).all()
        return [held_from(record) for record in records]

    def decision_before(self, mission_id: str, claim: int) -> Mapping[str, Any] | None:
        """What let a mission go on, in the entry before that of its claim; None: something else stands there."""
        at = {"mission_id": mission_id, "sequence": claim - 1}
        resumed = self.connection.execute(statements.RESUMED_AT, at).first()
        return None if resumed is None else decision_in(loads(resumed[0]))

    def counted(self, vp_id: str, kind: str, name: str) -> int:
        """A count kept by the writer, with what this transaction has added so far."""
        place = (vp_id, kind, name)
        if place not in self._batch.counted:
            key = {"of_lane": vp_id, "of_kind": kind, "of_name": name}
            self._batch.counted[place] = int(self.connection.execute(statements.COUNTER_VALUE, key).scalar() or 0)
        return self._batch.counted[place] + self._batch.counts[place] + self.counts[place]

    # -- writing

    def insert_mission(self, change: Change[MissionRow], document: str, assigned: Mapping[str, Any]) -> int:
        """Store a new mission with its first ledger entry; answers its position."""
        row = change.row
        values = {name: getattr(row, name) for name in MISSION_FIELDS}
        values |= {"document": document, "assigned": assigned, "claim_key": claim_key(row), "ends_at": ends_at(row)}
        values["contract"] = ENVELOPE
        position = self.connection.insert_positioned(statements.INSERT_MISSION, values)
        self.count(row.vp_id, "mission_state", row.state.value)
        self._append(change)
        return position

    def save_mission(self, before: MissionRow, change: Change[MissionRow], *, digest: str | None = None) -> None:
        """Store a step, conditional on the row being as it was read; otherwise `stale_epoch`."""
        after = change.row
        changed = tuple(name for name in MISSION_FIELDS if getattr(after, name) != getattr(before, name))
        if changed:
            values = {f"new_{name}": getattr(after, name) for name in changed} | {
                "was_mission_id": before.mission_id,
                "was_attempt": before.attempt,
                "was_state": before.state,
                "was_holder": before.holder,
                "was_lease_epoch": before.lease_epoch,
                "was_last_sequence": before.last_sequence,
            }
            if self.connection.execute(statements.update_mission(changed), values).rowcount != 1:
                raise DraganError(ErrorCode.STALE_EPOCH, f"the mission {before.mission_id!r} moved meanwhile")
        self.stopwatch.moved(before, after)
        if after.state is not before.state:
            self.count(after.vp_id, "mission_state", before.state.value, -1)
            self.count(after.vp_id, "mission_state", after.state.value)
        self._append(change, digest)

    def _append(self, change: Change[MissionRow], digest: str | None = None) -> None:
        row = change.row
        for event in change.events:
            self.connection.execute(
                statements.INSERT_MISSION_EVENT,
                {
                    "mission_id": row.mission_id,
                    "vp_id": row.vp_id,
                    "sequence": event["sequence"],
                    "type": event["type"],
                    "emitted_at": self.now,
                    "idempotency_key": event.get("idempotency_key"),
                    "report_digest": digest,
                    "document": canonical(event),
                },
            )
            self.count(row.vp_id, "mission_event", event["type"])
            if is_orphan_signal(event):
                self.count(row.vp_id, "orphan_signal", "missions")
        for entry in change.outbox:
            self.connection.execute(
                statements.INSERT_OUTBOX,
                {
                    "status": "undelivered",
                    "attempts": 0,
                    "mission_id": entry.mission_id,
                    "endpoint": entry.endpoint,
                    "sequence": entry.sequence,
                    "next_attempt_at": self.now,
                    "body": canonical(entry.body),
                    "created_at": self.now,
                },
            )
        if change.events:
            self.topics.add(mission_topic(row.mission_id))
            self._tell_lane(row.vp_id, change.events)

    def insert_session(self, change: Change[SessionRow], policy: Mapping[str, Any]) -> None:
        """Store a new lane session with its first ledger entry."""
        values = {name: getattr(change.row, name) for name in SESSION_FIELDS}
        self.connection.execute(statements.INSERT_SESSION, {**values, "policy": policy})
        self.forget_session(change.row.vp_id)
        self._append_session(change)

    def forget_session(self, vp_id: str) -> None:
        """The lane's row was changed: the next who asks reads it anew."""
        self._batch.sessions.pop(vp_id, None)

    def save_session(self, before: SessionRow, change: Change[SessionRow]) -> None:
        """Store a step, conditional on the row being as it was read; otherwise `stale_epoch`."""
        after = change.row
        changed = tuple(name for name in SESSION_FIELDS if getattr(after, name) != getattr(before, name))
        if changed:
            values = {f"new_{name}": getattr(after, name) for name in changed} | {
                "was_vp_id": before.vp_id,
                "was_status": before.status,
                "was_lease_epoch": before.lease_epoch,
                "was_beat": before.beat,
                "was_last_sequence": before.last_sequence,
            }
            if self.connection.execute(statements.update_session(changed), values).rowcount != 1:
                raise DraganError(ErrorCode.STALE_EPOCH, f"the lane {before.vp_id!r} moved meanwhile")
            self.forget_session(before.vp_id)
        self._append_session(change)

    def _append_session(self, change: Change[SessionRow]) -> None:
        row = change.row
        for event in change.events:
            self.connection.execute(
                statements.INSERT_SESSION_EVENT,
                {
                    "vp_id": row.vp_id,
                    "sequence": event["sequence"],
                    "type": event["type"],
                    "emitted_at": self.now,
                    "document": canonical(event),
                },
            )
            self.count(row.vp_id, "session_event", event["type"])
        self._tell_lane(row.vp_id, change.events)

    def _tell_lane(self, vp_id: str, events: Sequence[Mapping[str, Any]]) -> None:
        """Wake the lane's worker for what others did, and for its claims: its heartbeat has to hear of them."""
        if any(event["actor"]["kind"] != Actor.LANE or event["type"] == EventType.MISSION_ACCEPTED for event in events):
            self.topics.add(lane_topic(vp_id))

    # -- counting

    def count(self, vp_id: str, kind: str, name: str, by: int = 1) -> None:
        """Add to a count; written with the others before the commit."""
        self.counts[(vp_id, kind, name)] += by


def required(decision: Change[Any] | Refusal) -> Change[Any]:
    """The change, or the refusal raised as the error it names."""
    if isinstance(decision, Refusal):
        raise DraganError(decision.code, decision.detail, facts=decision.facts)
    return decision


UNFINISHED = (MissionState.QUEUED, MissionState.RUNNING, MissionState.BLOCKED)
