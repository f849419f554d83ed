"""Broken in what workers do, shown with real workers, guards and commands, in seconds of real time."""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

from dragancorp.clock import SystemClock
from dragancorp.errors import DraganError, ErrorCode
from dragancorp.executors import automation_run, receipts
from dragancorp.executors.catalogue import make_executor
from dragancorp.executors.protocol import ProcessEvent, ProcessExited, ProcessStarted
from dragancorp.lanes import lane_runtime
from dragancorp.lanes.lane_runtime import LaneRuntime, LaneSetup
from dragancorp.lanes.link import Report
from dragancorp.lanes.store_link import StoreLink
from dragancorp.missions.reconciler import stop
from dragancorp.registry.queries import GetLane
from dragancorp_contracts.lifecycle import MissionTrigger

from .. import side_effect
from ..bench import LANE, Bench, bench_in
from ..effect_log import read_effects
from ..evidence import Evidence
from ..processes import end_all, living_below
from . import Scenario, breaks

SCRIPT = str(Path(side_effect.__file__))
PATIENCE_SECONDS = 30.0


class Link(StoreLink):
    """A link that can be cut: nothing gets through any more. With `cut_at_the_end` a first end does that itself."""

    cut = False
    cut_at_the_end = False

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name in ("acquire", "renew", "claim", "report", "release") and super().__getattribute__("cut"):
            return _unreachable
        return found

    async def report_and_claim(self, lease: Any, claimed: Any, report: Report) -> Any:
        if self.cut_at_the_end and report.trigger is MissionTrigger.COMPLETE:
            self.cut, self.cut_at_the_end = True, False
        if self.cut:
            await _unreachable()
        return await super().report_and_claim(lease, claimed, report)


async def _unreachable(*said: Any, **more: Any) -> Any:
    raise DraganError(ErrorCode.SERVER_UNREACHABLE, "the cable is cut")


class Worker:
    """A real worker of the bench's lane, in this process."""

    def __init__(self, bench: Bench, policy: Any) -> None:
        self.link = Link(bench.store)
        config = {"type": "automation", "allow": [sys.executable], "cancel_grace_seconds": 0.1}
        setup = LaneSetup(
            vp_id=policy.vp_id,
            executor=lambda: make_executor(config),
            executor_config=config,
            workspace={},
            root=bench.folder / "lane",
        )
        self.runtime = LaneRuntime(setup, self.link, bench.clock, vp_runtime_id="worker")
        self.task = asyncio.create_task(self.runtime.run())

    async def dismiss(self) -> None:
        """Told to stop: what runs is handed back."""
        self.runtime.hand_back()
        await self.task

    async def die(self) -> None:
        """At once, as its process' death would: nothing it still says gets through."""
        self.link.cut = True
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


def real_history(told: Callable[[Bench, Any], Awaitable[None]]) -> Scenario:
    """A scenario in real time, with a reconciler at work and a lease of a second."""

    @wraps(told)
    async def scenario(folder: Path) -> Evidence:
        async with bench_in(folder, SystemClock()) as bench, reconciled(bench):
            policy = await bench.lane(lease_ttl=1.0, heartbeat_interval=0.2, parallel_missions=1, cancel_deadline=2.0)
            try:
                await told(bench, policy)
                left = [str(process) for process in living_below(folder)]
            finally:
                end_all(living_below(folder))
            return await bench.evidence(left=left)

    return scenario


@asynccontextmanager
async def reconciled(bench: Bench) -> AsyncIterator[None]:
    """With a reconciler at work."""
    task = asyncio.create_task(bench.reconciler.run())
    try:
        yield
    finally:
        await stop(task)


def step(bench: Bench, number: int, behaviour: str, seconds: float = 0.0) -> Mapping[str, Any]:
    """One command of a mission."""
    return {"run": [sys.executable, "-ISE", SCRIPT, str(bench.folder), str(number), behaviour, str(seconds)]}


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until it is so."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not await holds():
        assert time.monotonic() < end, "it did not come to pass"
        await asyncio.sleep(0.02)


async def begun(bench: Bench, what: str = "start", runs: int = 1) -> None:
    """Wait until so many runs are on record."""

    async def so() -> bool:
        return sum(one.what == what for one in read_effects(bench.folder / side_effect.LOG)) >= runs

    await until(so)


async def over(bench: Bench, mission_id: str) -> None:
    """Wait until the mission has ended."""

    async def so() -> bool:
        return (await bench.row(mission_id)).terminal

    await until(so)


async def unheld(bench: Bench) -> None:
    """Wait until nobody holds the lane."""

    async def so() -> bool:
        lane = await bench.store.read(GetLane(vp_id=LANE))
        return lane is not None and not lane.row.held

    await until(so)


@real_history
async def lost_after_the_receipt(bench: Bench, policy: Any) -> None:
    """A worker has done the work and cannot report it; the mission comes to it again."""
    worker = Worker(bench, policy)
    worker.link.cut_at_the_end = True
    mission_id = await bench.dispatch(steps=[step(bench, 1, "work")])
    await begun(bench, "end")
    await unheld(bench)
    worker.link.cut = False
    await over(bench, mission_id)
    await worker.dismiss()


@real_history
async def stopped_at_work(bench: Bench, policy: Any) -> None:
    """A worker is told to stop in the middle of a mission, which is then cancelled."""
    worker = Worker(bench, policy)
    mission_id = await bench.dispatch(steps=[step(bench, 1, "hang")])
    await begun(bench)
    await worker.dismiss()
    with contextlib.suppress(DraganError):
        await bench.cancel(mission_id)


@real_history
async def grandchild(bench: Bench, policy: Any) -> None:
    """A command leaves a process behind that no polite signal ends."""
    worker = Worker(bench, policy)
    await over(bench, await bench.dispatch(steps=[step(bench, 1, "grandchild")]))
    await worker.dismiss()


@real_history
async def worker_dies_at_work(bench: Bench, policy: Any) -> None:
    """A worker dies while its command runs, and another takes the mission in the same workspace."""
    first = Worker(bench, policy)
    mission_id = await bench.dispatch(steps=[step(bench, 1, "hang")])
    await begun(bench)
    await first.die()
    second = Worker(bench, policy)
    await begun(bench, runs=2)
    await bench.cancel(mission_id)
    await over(bench, mission_id)
    await second.dismiss()


@breaks("receipt-honoured", scenario=lost_after_the_receipt)
def receipt_ignored(patch: pytest.MonkeyPatch) -> None:
    """Nobody looks for a receipt before running a mission, nor for the steps that are done."""
    patch.setattr(receipts, "read", lambda path, mission_id: receipts.Found())
    patch.setattr(automation_run.StepJournal, "read", lambda journal: [])


@breaks("completed-means-done", scenario=stopped_at_work)
def cancellation_swallowed(patch: pytest.MonkeyPatch) -> None:
    """An executor that was cancelled says that it has completed."""
    ending = automation_run.AutomationRun._ending

    def cheerful(run: Any) -> Any:
        told = ending(run)
        return {**told, "type": "completed", "summary": "done"} if told["type"] == "cancelled" else told

    patch.setattr(automation_run.AutomationRun, "_ending", cheerful)


class Unguarded:
    """A runner of processes that forgets about them when it is left."""

    def __init__(self, **_ignored: Any) -> None:
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> "Unguarded":
        return self

    async def __aexit__(self, *_ignored: object) -> None: ...

    async def run(self, argv: Any, *, cwd: Path, env: Any, **_ignored: Any) -> AsyncGenerator[ProcessEvent, None]:
        quiet = asyncio.subprocess.DEVNULL
        self._process = await asyncio.create_subprocess_exec(*argv, cwd=cwd, env=env, stdout=quiet, stderr=quiet)
        yield ProcessStarted(pid=self._process.pid)
        yield ProcessExited(exit_code=await self._process.wait(), duration_seconds=0.0)

    def change_ttl(self, ttl_seconds: float) -> None:
        """It watches over nothing."""

    async def kill(self, grace_seconds: float = 0.0) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


def _unguarded(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(lane_runtime, "Guard", Unguarded)


@breaks("nothing-left", scenario=grandchild)
def guard_missing(patch: pytest.MonkeyPatch) -> None:
    """Commands run without a guard: what they leave behind stays."""
    _unguarded(patch)


@breaks("no-overlap", "nothing-left", scenario=worker_dies_at_work)
def guard_missing_when_a_worker_dies(patch: pytest.MonkeyPatch) -> None:
    """Commands run without a guard: they outlive their worker, and the successor's run beside them."""
    _unguarded(patch)

    async def gone(self: Any) -> None:
        """A dead worker closes nothing."""

    patch.setattr("dragancorp.executors.automation.AutomationExecutor.close", gone)
