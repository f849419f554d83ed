"""For the tests of a gateway: a lane that does as it is told, and a primary that does.

The plane is real, and so is everything between them: leases, claims, ledger, fallback. Only the work is not.

    plane = await ControlPlane.open("sqlite:///state.db", lanes="lanes.yaml", serve_lanes=False)
    async with FakeLane(plane, "vp.coder.primary") as lane:
        lane.then(Fails("no model left"))
        primary = FakePrimary("my own answer")
        async for event in plane.delegate(turn, primary=primary):
            ...
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Self, TypeVar

from dragancorp.control_plane import ControlPlane
from dragancorp.errors import DraganError, ErrorCode
from dragancorp.gateway.turns import Turn
from dragancorp.lanes.link import Claimed, Lease, Report
from dragancorp.lanes.store_link import StoreLink
from dragancorp.lifecycle.commands import By, SessionCommand
from dragancorp.missions.reconciler import stop
from dragancorp.registry.identifiers import new_id
from dragancorp.registry.operations import StepSession
from dragancorp_contracts.lifecycle import Actor, MissionTrigger, ReasonCode, SessionTrigger

EventT = TypeVar("EventT")


@dataclass(frozen=True)
class Completes:
    """The mission is completed with this summary, after these words of progress."""

    summary: str = "done"
    progress: Sequence[str] = ()


@dataclass(frozen=True)
class Fails:
    """The lane reports an error."""

    error: str = "it failed"


@dataclass(frozen=True)
class Crashes:
    """What does the work dies under it."""

    error: str = "it crashed"


@dataclass(frozen=True)
class LosesLease:
    """The lane loses its lease while it works, and takes it again."""


@dataclass(frozen=True)
class Hangs:
    """The lane works on and on, until the mission is cancelled."""


Behaviour = Completes | Fails | Crashes | LosesLease | Hangs


class FakeLane:
    """Serves a lane of an open plane that serves none itself (`serve_lanes=False`), while `async with` lasts.

    Each mission gets the next behaviour that `then` named, and `Completes()` when none is left. `missions` are those it
    claimed, oldest first. Raises at the end what went wrong in it.
    """

    def __init__(self, plane: ControlPlane, vp_id: str) -> None:
        self.missions: list[Claimed] = []
        self._plane = plane
        self._vp_id = vp_id
        self._link = StoreLink(plane.store, embedded=True, clock=plane.clock)
        self._behaviours: deque[Behaviour] = deque()
        self._beat = plane.lanes[vp_id].policy.heartbeat_interval
        self._lease: Lease | None = None
        self._working = False
        self._serving: asyncio.Task[None] | None = None

    def then(self, *behaviours: Behaviour) -> Self:
        """What it does with the missions that come next, one each."""
        self._behaviours.extend(behaviours)
        return self

    async def __aenter__(self) -> Self:
        lease = await self._acquire()
        self._serving = asyncio.create_task(self._serve(lease), name=f"fake lane {self._vp_id}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        serving = self._serving
        if serving is None or self._lease is None:
            return
        if serving.done():
            serving.result()
        await stop(serving)
        if self._working:
            await self._lose_lease("the fake lane ends")
        else:
            await self._link.release(self._lease)

    async def _acquire(self) -> Lease:
        grant = await self._link.acquire(self._vp_id, new_id("o"), new_id("r"))
        await self._link.ready(grant.lease, executor_session_id="fake", outcome="opened", workspace=None)
        self._lease = grant.lease
        return grant.lease

    async def _serve(self, lease: Lease) -> None:
        """Claim and do as told, until cancelled."""
        while True:
            try:
                found = await self._link.claim(lease, wait=self._beat)
            except DraganError as refused:
                if refused.code is not ErrorCode.LANE_PAUSED:
                    raise
                found = ()
            for claimed in found:
                self._working = True
                self.missions.append(claimed)
                await self._do(lease, claimed, self._behaviours.popleft() if self._behaviours else Completes())
                self._working = False
            if lease is not self._lease and self._lease is not None:
                lease = self._lease
            await self._link.renew(lease)

    async def _do(self, lease: Lease, claimed: Claimed, behaviour: Behaviour) -> None:
        match behaviour:
            case Completes(summary, progress):
                for number, said in enumerate(progress):
                    await self._say(lease, claimed, MissionTrigger.REPORT, said, key=f"progress-{number}")
                await self._say(lease, claimed, MissionTrigger.COMPLETE, summary)
            case Fails(error):
                await self._say(lease, claimed, MissionTrigger.FAIL, error, reason=ReasonCode.EXECUTOR_ERROR)
            case Crashes(error):
                await self._say(lease, claimed, MissionTrigger.FAIL, error, reason=ReasonCode.EXECUTOR_CRASHED)
            case LosesLease():
                await self._lose_lease("the fake lane was told to lose it")
                await self._acquire()
            case Hangs():
                await self._hang(lease, claimed)

    async def _hang(self, lease: Lease, claimed: Claimed) -> None:
        seen: str | None = None
        while True:
            holding = await self._link.renew(lease, wait=self._beat, seen=seen)
            seen = holding.mark
            held = [one for one in holding.held if one.mission_id == claimed.mission_id]
            if not held:
                return
            if held[0].cancel_asked:
                await self._say(lease, claimed, MissionTrigger.STOPPED, "stopped")
                return

    async def _say(
        self,
        lease: Lease,
        claimed: Claimed,
        trigger: MissionTrigger,
        summary: str,
        *,
        reason: ReasonCode | None = None,
        key: str = "end",
    ) -> None:
        receipt = {"mission_id": claimed.mission_id, "attempt": claimed.attempt, "outcome": "completed"}
        report = Report(
            trigger=trigger,
            key=f"{claimed.attempt}-{key}",
            reason=reason,
            content={"summary": summary},
            receipt=receipt if trigger is MissionTrigger.COMPLETE else None,
        )
        try:
            await self._link.report(lease, claimed, report)
        except DraganError as refused:
            # Cancelled or timed out meanwhile: the registry knows better, as it does with any worker.
            if refused.code not in (ErrorCode.MISSION_TERMINAL, ErrorCode.STALE_EPOCH, ErrorCode.TRANSITION_REFUSED):
                raise

    async def _lose_lease(self, why: str) -> None:
        by = By(kind=Actor.OPERATOR, name="fake lane", reason=why, way="test")
        command = SessionCommand(trigger=SessionTrigger.RESET, by=by)
        await self._plane.store.execute(StepSession(vp_id=self._vp_id, command=command))


class FakePrimary(Generic[EventT]):
    """A primary path that says its events, then raises `error` or, with `endless`, says nothing more for ever.

    `turns` are those it was asked; `finished` counts answers that were heard to their end, `closed` all that ended.
    """

    def __init__(self, *events: EventT, error: Exception | None = None, endless: bool = False) -> None:
        self.turns: list[Turn] = []
        self.finished = 0
        self.closed = 0
        self._events = events
        self._error = error
        self._endless = endless

    async def __call__(self, turn: Turn) -> AsyncIterator[EventT]:
        self.turns.append(turn)
        try:
            for event in self._events:
                yield event
            if self._error is not None:
                raise self._error
            if self._endless:
                await asyncio.get_running_loop().create_future()
            self.finished += 1
        finally:
            self.closed += 1
