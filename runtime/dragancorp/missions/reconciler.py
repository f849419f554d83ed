"""The one reconciler: notices what nobody reports, and asks the registry to decide.

It holds nothing that its own death would leave: what it has seen of heartbeats and of running attempts is only a reason
to wait a while longer after a restart. Any number of planes may run one; every command is conditional on what was read.

Deadlines, windows and the expiry of decisions are times that somebody named, so they are wall time. How long a lease
was silent and how long an attempt has run is counted on the observer's own monotonic clock, from when it first saw
them: a wall clock that jumps expires nothing.
"""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from dragancorp.clock import Clock
from dragancorp.errors import DraganError, ErrorCode
from dragancorp.lifecycle.commands import By, MissionCommand, SessionCommand
from dragancorp.lifecycle.facts import LanePolicy
from dragancorp.lifecycle.rows import MissionRow, SessionRow
from dragancorp.registry.operations import StepMission, StepSession
from dragancorp.registry.port import Store
from dragancorp.registry.queries import LaneRecord, ListLanes, ListOverdue
from dragancorp_contracts.lifecycle import (
    Actor,
    Holder,
    MissionState,
    MissionTrigger,
    ReasonCode,
    SessionState,
    SessionTrigger,
)

RECONCILER = By(kind=Actor.RECONCILER, name="reconciler")
TICK_SECONDS = 0.5
# What another process may decide first; then there is nothing left to do.
OVERTAKEN = frozenset(
    {
        ErrorCode.STALE_EPOCH,
        ErrorCode.MISSION_TERMINAL,
        ErrorCode.TRANSITION_REFUSED,
        ErrorCode.MISSION_UNKNOWN,
        ErrorCode.LANE_RETIRED,
    }
)

log = structlog.get_logger("dragancorp.missions")


@dataclass(frozen=True)
class Sighting:
    """A heartbeat as first seen, on the observer's own monotonic clock."""

    epoch: int
    beat: int
    seen_at: float


@dataclass(frozen=True)
class Stretch:
    """A stretch of running as first seen: which one it is, and when that was on the observer's own monotonic clock."""

    attempt: int
    started_at: datetime | None
    seen_at: float


class Reconciler:
    """Runs `tick` again and again; `run` ends when it is cancelled, and a tick that fails is only logged."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._sightings: dict[str, Sighting] = {}
        self._running: dict[str, Stretch] = {}

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            try:
                await self.tick()
            except DraganError as error:
                log.warning("a tick failed", action="reconciler.tick_failed", code=error.code.value, error=str(error))
            except Exception:
                # Nobody else would notice a dead worker: a defect must not end the loop, and must not be silent.
                log.exception("a tick failed", action="reconciler.tick_failed")
            await self._clock.sleep(TICK_SECONDS)

    async def tick(self) -> int:
        """Look once at every lane and at every mission that may be overdue; answers how many steps were taken."""
        steps = 0
        for lane in await self._store.read(ListLanes()):
            steps += await self._look_at(lane)
        now = self._clock.wall()
        looked_at = await self._store.read(ListOverdue(now=now))
        self._running = dict(self._stretches(overdue.row for overdue in looked_at))
        for overdue in looked_at:
            command = overdue_command(overdue.row, overdue.policy, now, self._seconds_running(overdue.row))
            if command is not None:
                steps += await self._try(StepMission(mission_id=overdue.row.mission_id, command=command))
        return steps

    def _stretches(self, rows: Iterable[MissionRow]) -> Iterator[tuple[str, Stretch]]:
        """What runs now, each stretch as it was first seen."""
        now = self._clock.monotonic()
        for row in rows:
            if row.state is MissionState.RUNNING:
                known = self._running.get(row.mission_id)
                if known is None or (known.attempt, known.started_at) != (row.attempt, row.attempt_started_at):
                    known = Stretch(row.attempt, row.attempt_started_at, now)
                yield row.mission_id, known

    def _seconds_running(self, row: MissionRow) -> float:
        stretch = self._running.get(row.mission_id)
        return 0.0 if stretch is None else self._clock.monotonic() - stretch.seen_at

    async def declare_dead(self, lane: LaneRecord) -> None:
        """Take the lease of a holder that is known to have ended, without waiting for its TTL."""
        await self._try(_lease_lost(lane.row))

    async def _look_at(self, lane: LaneRecord) -> int:
        row = lane.row
        if not row.held:
            self._sightings.pop(row.vp_id, None)
            return 0
        sighting = self._sightings.get(row.vp_id)
        now = self._clock.monotonic()
        if sighting is None or (sighting.epoch, sighting.beat) != (row.lease_epoch, row.beat):
            self._sightings[row.vp_id] = Sighting(row.lease_epoch, row.beat, now)
            return 0
        silent = now - sighting.seen_at
        if silent >= lane.policy.lease_ttl:
            return await self._try(_lease_lost(row))
        late = silent >= 1.5 * lane.policy.heartbeat_interval
        if late and row.status in (SessionState.ACTIVE, SessionState.RECOVERING):
            return await self._try(_late(row, silent))
        return 0

    async def _try(self, operation: StepMission | StepSession) -> int:
        try:
            await self._store.execute(operation)
        except DraganError as refused:
            if refused.entry.retryable:
                raise
            if refused.code not in OVERTAKEN:  # one that cannot be decided holds up no other
                log.error("a step was refused", action="reconciler.refused", step=str(operation), error=str(refused))
            return 0
        return 1


def _lease_lost(row: SessionRow) -> StepSession:
    return StepSession(
        vp_id=row.vp_id,
        command=SessionCommand(trigger=SessionTrigger.LEASE_LOST, by=RECONCILER, owner=row.lease_owner),
        observed_expired=True,
        epoch_as_read=row.lease_epoch,
        beat_as_read=row.beat,
    )


def _late(row: SessionRow, silent: float) -> StepSession:
    return StepSession(
        vp_id=row.vp_id,
        command=SessionCommand(trigger=SessionTrigger.DEGRADE, by=RECONCILER, error=f"no heartbeat for {silent:.1f} s"),
        epoch_as_read=row.lease_epoch,
        beat_as_read=row.beat,
    )


def overdue_command(
    row: MissionRow, policy: LanePolicy, now: datetime, seconds_running: float
) -> MissionCommand | None:
    """What has come due for a mission at `now`, the life cycle's order of precedence kept; None: nothing. Pure.

    `seconds_running` is how long the present stretch of running has lasted, by a clock that does not jump.
    """
    for trigger, reason in _due(row, policy, now, seconds_running):
        return MissionCommand(trigger=trigger, by=RECONCILER, reason=reason, attempt_as_read=row.attempt)
    return None


def _due(
    row: MissionRow, policy: LanePolicy, now: datetime, seconds_running: float
) -> Iterator[tuple[MissionTrigger, ReasonCode | None]]:
    asked = row.cancel_requested_at
    if asked is not None:
        if now >= asked + timedelta(seconds=policy.cancel_deadline):
            yield MissionTrigger.CANCEL_DEADLINE, None
        return
    if row.deadline_at is not None and now >= row.deadline_at:
        yield MissionTrigger.TIME_OVER, ReasonCode.DEADLINE_PASSED
    if row.window_end_at is not None and now >= row.window_end_at:
        yield MissionTrigger.TIME_OVER, ReasonCode.WINDOW_CLOSED
    if row.state is MissionState.RUNNING:
        yield from _running_too_long(row, policy, seconds_running)
    held_out = row.hold_expires_at is not None and now >= row.hold_expires_at
    if row.state is MissionState.BLOCKED:
        if row.reason_code is ReasonCode.AWAITING_FALLBACK:
            if held_out:
                yield MissionTrigger.FALLBACK_EXPIRED, None
        elif row.approval_expires_at is not None and now >= row.approval_expires_at:
            yield MissionTrigger.APPROVAL_EXPIRED, None
        elif held_out and row.holder is not Holder.NONE:
            yield MissionTrigger.SUSPEND, None
    elif held_out and row.holder is Holder.PRIMARY:
        yield MissionTrigger.HOLD_EXPIRED, None


def _running_too_long(
    row: MissionRow, policy: LanePolicy, seconds_running: float
) -> Iterator[tuple[MissionTrigger, ReasonCode | None]]:
    if row.max_runtime_seconds is not None and row.runtime_seconds + seconds_running >= row.max_runtime_seconds:
        yield MissionTrigger.TIME_OVER, ReasonCode.MAX_RUNTIME_EXCEEDED
    if seconds_running >= policy.backstop:
        yield MissionTrigger.TIME_OVER, ReasonCode.BACKSTOP_REACHED


async def stop(task: "asyncio.Task[None]") -> None:
    """Cancel a loop's task and wait for its end; a failure of the loop itself comes out here."""
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        if not task.cancelled():
            raise
