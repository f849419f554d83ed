"""Delegating one turn: the lane's events while it works, the primary path when it cannot, one recorded outcome.

Whatever happens to the caller, no mission is left running: leaving the iteration, at any point, cancels the mission.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic

import structlog

from dragancorp.clock import Clock
from dragancorp.errors import DraganError, ErrorCode
from dragancorp.gateway.routing import Route
from dragancorp.gateway.turn_envelope import delegated_envelope
from dragancorp.gateway.turns import DelegationRefusedError, EventT, Primary, Turn, closing, error_text
from dragancorp.lifecycle.commands import By, Fence, MissionCommand
from dragancorp.lifecycle.facts import LanePolicy
from dragancorp.missions.commands import Missions, Requester
from dragancorp.registry.operations import RenewHold, StepMission, Stepped
from dragancorp.registry.port import Store
from dragancorp.registry.queries import GetLane, GetMission
from dragancorp_contracts.lifecycle import (
    Actor,
    EventType,
    Holder,
    MissionKind,
    MissionState,
    MissionTrigger,
    ReasonCode,
    SessionState,
)
from dragancorp_contracts.models.gateway_turn_v1 import TurnEvent

PRIMARY_HOLD_SECONDS = 300.0  # the life cycle's hold of the primary path, renewed at a third
LEDGER_WAIT_SECONDS = 10.0
WRITE_PAUSE_SECONDS = 0.25  # between tries when the registry is busy
WRITE_PATIENCE_SECONDS = 30.0
# What says that the lane takes nothing just now, told before anything is stored.
# What the caller hears before the fallback, by why the lane could not finish: kind, and the end of the type.
SAID_BEFORE = {
    ReasonCode.EXECUTOR_ERROR: ("log", "error"),
    ReasonCode.EXECUTOR_CRASHED: ("exception", "exception"),
    ReasonCode.LEASE_LOST: ("lease_degraded", "lease_degraded"),
}
TAKES_NOTHING = frozenset({ErrorCode.QUEUE_FULL, ErrorCode.LANE_RETIRED})

log = structlog.get_logger("dragancorp.gateway")


@dataclass(frozen=True, kw_only=True)
class Desk:
    """What a delegation works with."""

    store: Store
    missions: Missions
    clock: Clock
    gateway: By


class Delegation(Generic[EventT]):
    """One delegated turn. Iterate `events` to its end, or leave it early."""

    def __init__(self, desk: Desk, route: Route, policy: LanePolicy, turn: Turn, primary: Primary[EventT]) -> None:
        self._desk = desk
        self._route = route
        self._policy = policy
        self._turn = turn
        self._primary = primary
        self._mission_id: str | None = None
        self._seen = 0  # the last ledger sequence passed on
        self._attempt = 0
        self._fence: Fence | None = None  # while the primary path holds the mission
        self._over = False

    async def events(self) -> AsyncGenerator[TurnEvent | EventT, None]:
        """The turn's events: `TurnEvent` for the lane's part, the primary's own as they are."""
        try:
            async with closing(self._events()) as inner:
                async for event in inner:
                    yield event
        finally:
            if not self._over:
                await self._leave()

    async def _events(self) -> AsyncIterator[TurnEvent | EventT]:
        record = await self._desk.store.read(GetLane(vp_id=self._route.vp_id))
        if record is None or not record.row.held or record.row.status is SessionState.RETIRED:
            async with closing(self._fall_back_at_once("no runtime holds the lane's lease")) as inner:
                async for event in inner:
                    yield event
            return
        try:
            await self._dispatch()
        except DraganError as refused:
            if refused.code not in TAKES_NOTHING:
                raise
            async with closing(self._fall_back_at_once(refused.detail)) as inner:
                async for event in inner:
                    yield event
            return
        yield self._event("delegated", f"delegated_to_{self._route.label}")
        if record.row.status is SessionState.PAUSED and await self._take_over_queued(ReasonCode.LANE_DRAINING):
            async with closing(self._fall_back(ReasonCode.LANE_DRAINING, "the lane is draining")) as inner:
                async for event in inner:
                    yield event
            return
        async with closing(self._follow()) as inner:
            async for event in inner:
                yield event

    async def _fall_back_at_once(self, why: str) -> AsyncIterator[TurnEvent | EventT]:
        """The lane cannot start: the primary path's answer, and no mission."""
        self._over = True
        yield self._event("bootstrap_fallback", f"{self._route.label}_bootstrap_fallback", message=why)
        async with closing(self._primary(self._turn)) as inner:
            async for event in inner:
                yield event

    async def _dispatch(self) -> None:
        """Store the mission, so that even a caller cancelled meanwhile knows which one to end."""
        requester = Requester(by=self._desk.gateway)
        try:
            envelope = delegated_envelope(self._turn, self._route.vp_id)
            self._mission_id = envelope["mission_id"]
            dispatched = await self._desk.missions.dispatch(envelope, requester, kind=MissionKind.DELEGATED)
        except (DraganError, UnicodeEncodeError) as error:
            self._mission_id = None  # refused: nothing was stored, and the id may be somebody else's
            if isinstance(error, UnicodeEncodeError):
                raise DraganError(ErrorCode.JSON_INVALID, "the turn holds half of a surrogate pair") from error
            raise
        # The same turn again is the same mission, whatever id was made up for it here.
        self._mission_id = dispatched.mission.row.mission_id

    async def _follow(self) -> AsyncIterator[TurnEvent | EventT]:
        """Pass on the lane's events until the mission ends or the primary path must take over."""
        desk, requester = self._desk, Requester(by=self._desk.gateway)
        give_up_at: float | None = desk.clock.monotonic() + self._policy.start_timeout  # None: not waiting for a claim
        while True:
            wait = LEDGER_WAIT_SECONDS if give_up_at is None else max(0.0, give_up_at - desk.clock.monotonic())
            part = await desk.missions.ledger(self.mission_id, requester, after=self._seen, wait=wait)
            for entry in part.events:
                self._seen, self._attempt = entry["sequence"], entry["attempt"]
                if entry["status"] != MissionState.QUEUED:
                    give_up_at = None
                elif give_up_at is None:  # approved: from now on the lane has its time to claim it
                    give_up_at = desk.clock.monotonic() + self._policy.start_timeout
                async with closing(self._pass_on(entry)) as inner:
                    async for event in inner:
                        yield event
                if self._over:
                    return
            if part.terminal and not part.events:
                await self._raise_ended()
            if give_up_at is not None and desk.clock.monotonic() >= give_up_at:
                if await self._take_over_queued(ReasonCode.START_TIMEOUT):
                    why = f"not claimed within {self._policy.start_timeout:g} s"
                    async with closing(self._fall_back(ReasonCode.START_TIMEOUT, why)) as inner:
                        async for event in inner:
                            yield event
                    return
                give_up_at = None  # claimed, or ended, in this very moment: the ledger will tell

    async def _pass_on(self, entry: Mapping[str, Any]) -> AsyncIterator[TurnEvent | EventT]:
        label = self._route.label
        match entry["status"], entry["type"]:
            case MissionState.BLOCKED, EventType.MISSION_BLOCKED:
                if entry.get("reason_code") != ReasonCode.AWAITING_FALLBACK:
                    reason = ReasonCode(entry["reason_code"])
                    yield self._event("mission_blocked", "mission_blocked", entry=entry, reason=reason)
                    return
                async with closing(self._take_fallback(entry)) as inner:
                    async for event in inner:
                        yield event
            case MissionState.COMPLETED, _:
                self._over = True
                yield self._event("lane_event", f"{label}_completed", entry=entry)
            case (MissionState.FAILED | MissionState.CANCELLED | MissionState.TIMED_OUT) as state, _:
                self._over = True
                code = entry.get("reason_code")
                raise DelegationRefusedError(self.mission_id, state, ReasonCode(code) if code else None)
            case _, (EventType.MISSION_ACCEPTED | EventType.MISSION_PROGRESS | EventType.MISSION_ARTIFACT):
                yield self._event("lane_event", f"{label}_progress", entry=entry)

    async def _raise_ended(self) -> None:
        """The mission had ended before this turn began to follow it: a repeated turn, already answered."""
        self._over = True
        stored = await self._desk.store.read(GetMission(mission_id=self.mission_id))
        if stored is not None and stored.row.state is not MissionState.COMPLETED:
            raise DelegationRefusedError(self.mission_id, stored.row.state.value, stored.row.reason_code)

    async def _take_fallback(self, entry: Mapping[str, Any]) -> AsyncIterator[TurnEvent | EventT]:
        """F1: the primary path takes over what the lane could not finish."""
        cause = ReasonCode(entry.get("cause") or ReasonCode.EXECUTOR_ERROR)
        error = entry.get("summary", "")
        # Before anything is said: it is on offer for a moment only, and a caller may read slowly.
        taken = await self._take_over(MissionTrigger.TAKE_FALLBACK, cause, error)
        said: list[TurnEvent] = []
        if cause in SAID_BEFORE:
            kind, ending = SAID_BEFORE[cause]
            said = [self._event(kind, f"{self._route.label}_{ending}", message=error, reason=cause)]
        if not taken:
            for one in said:
                yield one
            return
        async with closing(self._fall_back(cause, error, said)) as inner:
            async for event in inner:
                yield event

    async def _take_over_queued(self, reason: ReasonCode) -> bool:
        """F2; False when the lane claimed it, or it ended, in the same moment."""
        return await self._take_over(MissionTrigger.START_TIMEOUT, reason, "")

    async def _take_over(self, trigger: MissionTrigger, reason: ReasonCode, error: str) -> bool:
        command = MissionCommand(
            trigger=trigger,
            by=self._desk.gateway,
            attempt_as_read=self._attempt,
            reason=reason,
            content={"path": self._route.fallback_path, "error": error[:8000]},
        )
        # Known before the answer: cancelled between the two, this turn is the holder and has to say that it stopped.
        self._fence = Fence(attempt=self._attempt + 1, holder=Holder.PRIMARY)
        try:
            await self._step_patiently(command)
        except DraganError as refused:
            self._fence = None
            if refused.code in (ErrorCode.STALE_EPOCH, ErrorCode.TRANSITION_REFUSED, ErrorCode.MISSION_TERMINAL):
                return False
            raise
        return True

    async def _fall_back(
        self, reason: ReasonCode, why: str, said: Sequence[TurnEvent] = ()
    ) -> AsyncIterator[TurnEvent | EventT]:
        """F3: the primary path's answer, under a hold that is renewed while it speaks. `said` comes first."""
        label, path = self._route.label, self._route.fallback_path
        holding = asyncio.create_task(self._hold(), name=f"hold {self.mission_id}")
        try:
            for one in said:
                yield one
            yield self._event("fallback", f"{label}_fallback", message=why, reason=reason, path=path)
            async with closing(self._primary(self._turn)) as inner:
                async for event in inner:
                    yield event
        except Exception as error:
            await self._end(MissionTrigger.FAIL, {"summary": error_text(error)})
            raise
        else:
            await self._end(MissionTrigger.COMPLETE, {"summary": f"answered by {path}"})
        finally:
            holding.cancel()
            await asyncio.gather(holding, return_exceptions=True)

    async def _hold(self) -> None:
        """Keep the primary's hold alive until cancelled; a busy registry is tried again in time."""
        fence = self._fence
        while fence is not None:
            await self._desk.clock.sleep(PRIMARY_HOLD_SECONDS / 3)
            renewal = RenewHold(mission_id=self.mission_id, attempt=fence.attempt, seconds=PRIMARY_HOLD_SECONDS)
            try:
                await self._desk.store.execute(renewal)
            except DraganError as error:
                if not error.entry.retryable:
                    return

    async def _end(self, trigger: MissionTrigger, content: Mapping[str, Any]) -> None:
        """Record how the primary path ended. Refused: the registry knows better by now (cancelled, say).

        Only then is the turn over: cancelled in here, it still has a mission to end.
        """
        reason = ReasonCode.FALLBACK_FAILED if trigger is MissionTrigger.FAIL else None
        command = MissionCommand(
            trigger=trigger,
            by=By(kind=Actor.PRIMARY, name=self._desk.gateway.name, way="gateway"),
            fence=self._fence,
            reason=reason,
            content=content,
        )
        try:
            await self._step_patiently(command)
        except DraganError as refused:
            log.warning(
                "the fallback's end was refused",
                action="delegation.end_refused",
                mission_id=self.mission_id,
                code=refused.code.value,
            )
        self._over = True

    async def _leave(self) -> None:
        """The caller is gone: end the mission, whatever it is doing, even while this task is being cancelled."""
        self._over = True
        if self._mission_id is None:
            return
        leaving = asyncio.create_task(self._cancel(), name=f"leave {self._mission_id}")
        cancelled: asyncio.CancelledError | None = None
        while not leaving.done():
            try:
                # The wait is what a cancellation ends, not the leaving: the mission still has to be ended first.
                await asyncio.wait({leaving})
            except asyncio.CancelledError as error:
                cancelled = error
        if not leaving.cancelled() and (failure := leaving.exception()) is not None:
            log.warning("the mission could not be ended", action="delegation.leave_failed", error=str(failure))
        if cancelled is not None:
            raise cancelled  # asked for while leaving: it must not be lost

    async def _cancel(self) -> None:
        command = MissionCommand(trigger=MissionTrigger.CANCEL, by=self._desk.gateway, reason=ReasonCode.CALLER_GONE)
        try:
            asked = await self._step_patiently(command)
        except DraganError as refused:
            if refused.code in (ErrorCode.MISSION_UNKNOWN, ErrorCode.MISSION_TERMINAL):
                return  # never dispatched, or over already
            raise
        if self._fence is not None and not asked.row.terminal:
            # The holder is this very turn: it says itself that it stopped.
            stopped = MissionCommand(
                trigger=MissionTrigger.STOPPED,
                by=By(kind=Actor.PRIMARY, name=self._desk.gateway.name, way="gateway"),
                fence=self._fence,
            )
            await self._step_patiently(stopped)

    @property
    def mission_id(self) -> str:
        """The mission; only after the dispatch."""
        if self._mission_id is None:
            raise RuntimeError("nothing has been dispatched yet")
        return self._mission_id

    async def _step(self, command: MissionCommand) -> Stepped:
        return await self._desk.store.execute(StepMission(mission_id=self.mission_id, command=command))

    async def _step_patiently(self, command: MissionCommand) -> Stepped:
        """Try again while the registry is busy: what ends a mission must not be lost over a moment."""
        clock = self._desk.clock
        give_up_at = clock.monotonic() + WRITE_PATIENCE_SECONDS
        while True:
            try:
                return await self._step(command)
            except DraganError as error:
                closing_down = error.code is ErrorCode.SHUTTING_DOWN
                if not error.entry.retryable or closing_down or clock.monotonic() >= give_up_at:
                    raise
            await clock.sleep(WRITE_PAUSE_SECONDS)

    def _event(
        self,
        kind: str,
        event_type: str,
        *,
        message: str | None = None,
        entry: Mapping[str, Any] | None = None,
        reason: ReasonCode | None = None,
        path: str | None = None,
    ) -> TurnEvent:
        members: dict[str, Any] = {
            "type": event_type,
            "kind": kind,
            "vp_id": self._route.vp_id,
            "mission_id": self._mission_id,
            "session_id": self._turn.session_id[:500] or None,
            "message": message,
            "reason_code": None if reason is None else reason.value,
            "path": path,
            "event": None if entry is None else dict(entry),
        }
        return TurnEvent.model_validate({name: value for name, value in members.items() if value is not None})
