"""A house for one lane in a test: a real registry, a reconciler, workers with real guards, and executors to order."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from processes import alive

from dragancorp.clock import Clock
from dragancorp.errors import DraganError
from dragancorp.executors.catalogue import make_executor
from dragancorp.executors.protocol import Capabilities, Executor, MissionContext, SessionContext, SessionOpened, Stop
from dragancorp.executors.unfit import Unfit
from dragancorp.lanes.lane_runtime import LaneRuntime, LaneSetup
from dragancorp.lanes.link import Holding, LaneLink, Lease
from dragancorp.lanes.store_link import StoreLink
from dragancorp.lifecycle.commands import By, MissionCommand, SessionCommand
from dragancorp.lifecycle.facts import LanePolicy
from dragancorp.lifecycle.rows import MissionRow, SessionRow
from dragancorp.missions.commands import Missions, Requester
from dragancorp.missions.reconciler import Reconciler, stop
from dragancorp.registry.operations import ConfigureLane, StepMission, StepSession
from dragancorp.registry.port import Store
from dragancorp.registry.queries import GetLane, GetMission, ReadLedger, ReadSessionLedger
from dragancorp_contracts.errors import ErrorCode
from dragancorp_contracts.lifecycle import Actor, MissionTrigger, SessionState, SessionTrigger

from .served import link_to, served

LANE = "vp.coder.primary"
both_links = pytest.mark.parametrize("link_kind", ["store", "http"])
"""The worker is one, whatever lies between it and the registry."""
AUTOMATION = "https://dragancorp.dev/specs/automation-mission/v1/schema.json"
CALLER = Requester(by=By(kind=Actor.CALLER, name="simone"))
OPERATOR = By(kind=Actor.OPERATOR, name="ops", reason="a test", way="cli")
COMMANDS = {"type": "automation", "allow": ["sh", "sleep", "true", "false"], "cancel_grace_seconds": 0.2}
Event = Mapping[str, Any]
Work = Callable[["Scripted", Event, MissionContext], AsyncGenerator[Event, None]]

DONE: Event = {"type": "completed", "summary": "done", "recommended_next_action": "Nothing.", "result": {}}


async def nothing_to_do(agent: "Scripted", envelope: Event, context: MissionContext) -> AsyncGenerator[Event, None]:
    """The least an executor can do."""
    yield DONE


class Scripted:
    """An `Executor` that does what a test says. `asked_to_stop` is set by `cancel`."""

    capabilities = Capabilities(resume_session=True, suspend=False, approvals=True, usage=True, stop=Stop.FENCED)

    def __init__(
        self, work: Work = nothing_to_do, *, opening: Callable[[SessionContext], Awaitable[None]] | None = None
    ) -> None:
        self.work = work
        self.opening = opening
        self.sessions: list[SessionContext] = []
        self.envelopes: list[Event] = []
        self.contexts: list[MissionContext] = []
        self.asked_to_stop = asyncio.Event()
        self.closed = 0

    async def open(self, session: SessionContext) -> SessionOpened:
        self.sessions.append(session)
        if self.opening is not None:
            await self.opening(session)
        if session.executor_session_id is not None:
            return SessionOpened(executor_session_id=session.executor_session_id, outcome="resumed")
        return SessionOpened(executor_session_id="agent-1", outcome="opened")

    def refuse(self, envelope: Event) -> Sequence[Unfit]:
        return ()

    def run(self, envelope: Event, context: MissionContext) -> AsyncGenerator[Event, None]:
        self.asked_to_stop.clear()
        self.envelopes.append(envelope)
        self.contexts.append(context)
        return self.work(self, envelope, context)

    async def answer(self, request_id: str, answer: Event) -> None:
        raise AssertionError("nobody asked")

    async def cancel(self) -> None:
        self.asked_to_stop.set()

    async def suspend(self) -> None:
        raise AssertionError("nobody is suspended here")

    async def close(self) -> None:
        self.closed += 1


class FlakyLink:
    """A link that can be cut (`cut`: every renewal fails) or go silent (`silent`: none is ever answered)."""

    def __init__(self, link: LaneLink) -> None:
        self._link = link
        self.cut = False
        self.silent = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._link, name)

    async def renew(self, lease: Lease, *, wait: float = 0.0, seen: str | None = None) -> Holding:
        if self.cut:
            raise DraganError(ErrorCode.SERVER_UNREACHABLE, "the cable is cut")
        if self.silent:
            await asyncio.Event().wait()
        return await self._link.renew(lease, wait=wait, seen=seen)


@dataclass
class House:
    """A registry with one lane and whoever works for it."""

    store: Store
    clock: Clock
    root: Path
    link: LaneLink
    serving: dict[LaneRuntime, "asyncio.Task[None]"] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.missions = Missions(self.store, self.clock, instance_id="house", refusers={LANE: lambda envelope: ()})
        self.reconciler = Reconciler(self.store, self.clock)

    # -- the lane

    async def configure(self, **policy: Any) -> LanePolicy:
        """Make the lane known with these numbers."""
        ttl = policy.setdefault("lease_ttl", 10.0)
        policy.setdefault("heartbeat_interval", ttl / 4)
        configured = LanePolicy(vp_id=LANE, **policy)
        by = By(kind=Actor.CONTROL_PLANE, name="house")
        await self.store.execute(ConfigureLane(policy=configured, by=by))
        return configured

    async def serve(
        self,
        executor: Executor | Callable[[], Executor] | Mapping[str, Any] = COMMANDS,
        *,
        link: LaneLink | None = None,
        workspace: Mapping[str, Any] | None = None,
        wait: bool = True,
        **policy: Any,
    ) -> LaneRuntime:
        """A worker for the lane; `executor` is one, a factory, or an `executor` configuration."""
        await self.configure(**policy)
        config = executor if isinstance(executor, Mapping) else {"type": "scripted"}
        if isinstance(executor, Mapping):
            made: Callable[[], Executor] = lambda: make_executor(config)  # noqa: E731
        elif isinstance(executor, Scripted):
            made = lambda: executor  # noqa: E731
        else:
            made = executor  # type: ignore[assignment]
        setup = LaneSetup(vp_id=LANE, executor=made, executor_config=config, workspace=workspace or {}, root=self.root)
        runtime = LaneRuntime(setup, link or self.link, self.clock, vp_runtime_id="rt-1")
        self.serving[runtime] = asyncio.create_task(runtime.run())
        if wait:
            await self.session_is(SessionState.ACTIVE, opened=True)
        return runtime

    async def dismiss(self, runtime: LaneRuntime) -> None:
        """Stop a worker in order: what runs is handed back."""
        runtime.hand_back()
        await self.serving.pop(runtime)

    async def kill(self, runtime: LaneRuntime) -> None:
        """Stop a worker at once, as its process' death would; nothing is handed back or released."""
        task = self.serving.pop(runtime)
        runtime._link = DeadLink()  # type: ignore[assignment]
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def session(self) -> SessionRow:
        record = await self.store.read(GetLane(vp_id=LANE))
        assert record is not None
        return record.row

    async def session_is(self, status: SessionState, *, opened: bool = False, seconds: float = 30) -> SessionRow:
        """Wait until the lane is in a state (`opened`: with a holder whose executor session is open)."""

        async def so() -> bool:
            row = await self.session()
            return row.status is status and (not opened or (row.held and row.executor_session_id is not None))

        await eventually(so, seconds)
        return await self.session()

    async def session_events(self) -> list[str]:
        events = await self.store.read(ReadSessionLedger(vp_id=LANE, limit=1000))
        return [event["type"].removeprefix("vp.session.") for event in events]

    async def operate(self, trigger: SessionTrigger) -> None:
        """One trigger for the lane by the operator."""
        await self.store.execute(StepSession(vp_id=LANE, command=SessionCommand(trigger=trigger, by=OPERATOR)))

    # -- missions

    async def dispatch_to_nobody(self) -> str:
        """A mission for a lane that nobody serves yet."""
        await self.configure()
        return await self.dispatch()

    async def dispatch(self, *commands: Sequence[str], **members: Any) -> str:
        """A mission, of these commands where the lane runs any; answers its id."""
        envelope: dict[str, Any] = {
            "vp_id": LANE,
            "mission_type": "automation",
            "objective": "do it",
            "idempotency_key": f"key-{time.monotonic_ns()}",
        }
        if commands:
            steps = [{"run": list(command)} for command in commands]
            envelope["extensions"] = [{"uri": AUTOMATION, "required": True, "value": {"steps": steps}}]
        dispatched = await self.missions.dispatch(envelope | members, CALLER)
        return dispatched.mission.row.mission_id

    async def row(self, mission_id: str) -> MissionRow:
        stored = await self.store.read(GetMission(mission_id=mission_id))
        assert stored is not None
        return stored.row

    async def ledger(self, mission_id: str) -> list[Event]:
        part = await self.store.read(ReadLedger(mission_id=mission_id, limit=10_000))
        assert part is not None
        return list(part.events)

    async def event_types(self, mission_id: str) -> list[str]:
        return [event["type"].removeprefix("vp.mission.") for event in await self.ledger(mission_id)]

    async def state_is(self, mission_id: str, *states: str, seconds: float = 30) -> MissionRow:
        """Wait until the mission is in one of these states."""

        async def so() -> bool:
            return (await self.row(mission_id)).state in states

        await eventually(so, seconds)
        return await self.row(mission_id)

    async def ended(self, mission_id: str, seconds: float = 30) -> MissionRow:
        return await self.state_is(mission_id, "completed", "failed", "cancelled", "timed_out", seconds=seconds)

    async def working(self, mission_id: str) -> MissionRow:
        """Wait until the mission runs and has said something."""

        async def so() -> bool:
            return "progress" in await self.event_types(mission_id)

        await eventually(so)
        return await self.row(mission_id)

    async def cancel(self, mission_id: str) -> None:
        await self.missions.cancel(mission_id, CALLER)

    async def step(self, mission_id: str, trigger: MissionTrigger, by: By = OPERATOR, **said: Any) -> None:
        command = MissionCommand(trigger=trigger, by=by, **said)
        await self.store.execute(StepMission(mission_id=mission_id, command=command))


class DeadLink:
    """The link of a process that is no more: nothing gets through."""

    def __getattr__(self, name: str) -> Any:
        def dead(*said: Any, **more: Any) -> Any:
            raise DraganError(ErrorCode.INTERNAL_ERROR, "dead")

        return dead


@asynccontextmanager
async def house_of(store: Store, clock: Clock, root: Path, link_kind: str = "store") -> AsyncIterator[House]:
    """A house whose reconciler runs, with workers inside or over HTTP; everybody is dismissed at the end."""
    async with AsyncExitStack() as opened:
        link: LaneLink = StoreLink(store)
        if link_kind == "http":
            url = await opened.enter_async_context(served(store, clock, LANE, root.parent / "plane"))
            link = link_to(url)
            opened.push_async_callback(link.aclose)
        house = House(store, clock, root, link)
        reconciling = asyncio.create_task(house.reconciler.run())
        try:
            yield house
        finally:
            for runtime in house.serving:
                runtime.hand_back()
            await asyncio.gather(*house.serving.values(), return_exceptions=True)
            await stop(reconciling)


async def eventually(holds: Callable[[], Awaitable[bool]], seconds: float = 30) -> None:
    """Wait until `holds()` answers true; fails after `seconds`."""
    until = time.monotonic() + seconds
    while not await holds():
        assert time.monotonic() < until, f"it did not come to pass within {seconds} s"
        await asyncio.sleep(0.02)


def guards() -> list[psutil.Process]:
    """The guard processes of this test's workers."""
    children = psutil.Process().children()
    return [child for child in children if "dragancorp.lanes.guard" in child.cmdline()]


async def gone(word: str, seconds: float = 20) -> None:
    """Wait until no process with this word lives."""

    async def so() -> bool:
        return not alive(word)

    await eventually(so, seconds)


async def up(word: str, seconds: float = 20) -> None:
    """Wait until a process with this word lives."""

    async def so() -> bool:
        return bool(alive(word))

    await eventually(so, seconds)
