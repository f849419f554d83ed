"""The worker of one lane: takes the lease, opens the executor's session, works through the queue, lets go."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import structlog

from dragancorp.clock import Clock
from dragancorp.errors import DraganError, ErrorCode
from dragancorp.executors.protocol import Executor, SessionContext
from dragancorp.executors.workspace import Workspace, prepare
from dragancorp.lanes.guarded import Guard
from dragancorp.lanes.keeper import Keeper
from dragancorp.lanes.link import Claimed, LaneLink, Report
from dragancorp.lanes.mission_run import REPORT_PAUSE_SECONDS, Hands, MissionRun, failed_instead
from dragancorp.lifecycle.facts import LanePolicy
from dragancorp.lifecycle.rows import SessionRow
from dragancorp.registry.identifiers import new_id
from dragancorp_contracts.lifecycle import MissionTrigger, ReasonCode

CLAIM_PAUSE_SECONDS = 1.0  # the safety net under the wake-ups: what becomes due by the clock alone
ACQUIRE_PAUSE_SECONDS = 0.5
FIRST_SETUP_PAUSE_SECONDS = 1.0
MAX_SETUP_PAUSE_SECONDS = 30.0
# Somebody else has the word: cancelled, timed out or taken over meanwhile.
OUT_OF_HAND = frozenset({ErrorCode.STALE_EPOCH, ErrorCode.MISSION_TERMINAL, ErrorCode.MISSION_UNKNOWN})

log = structlog.get_logger("dragancorp.lanes")


@dataclass(frozen=True, kw_only=True)
class LaneSetup:
    """A lane as its worker needs it: `root` is the folder of workspace, artifacts and receipts."""

    policy: LanePolicy
    executor: Callable[[], Executor]
    executor_config: Mapping[str, Any]
    workspace: Mapping[str, Any]
    root: Path

    @property
    def vp_id(self) -> str:
        """The lane."""
        return self.policy.vp_id


class LaneRuntime:
    """Serves one lane until it is told to stop. A lost lease ends the work at hand; it begins anew with the next."""

    def __init__(self, setup: LaneSetup, link: LaneLink, clock: Clock, *, vp_runtime_id: str) -> None:
        self._setup = setup
        self._link = link
        self._clock = clock
        self._vp_runtime_id = vp_runtime_id
        self._stopping = asyncio.Event()  # no new claims
        self._drain = asyncio.Event()  # hand back what is running

    async def run(self) -> None:
        """Serve the lane; returns when it was told to stop, or when the lane is retired."""
        while not self._stopping.is_set():
            asked_at = self._clock.monotonic()
            try:
                lease, session = await self._link.acquire(
                    self._setup.vp_id, new_id("o") + f"@{os.getpid()}", self._vp_runtime_id
                )
            except DraganError as error:
                if error.code is ErrorCode.LANE_RETIRED:
                    log.warning("the lane is retired", action="lane.retired", vp_id=self._setup.vp_id)
                    return
                await self._pause(ACQUIRE_PAUSE_SECONDS)
                continue
            keeper = Keeper(self._link, lease, self._setup.policy, self._clock, acquired_at=asked_at)
            try:
                await self._serve(keeper, session)
            except Exception:
                # A lane must not go dark for one defect: begin anew, loudly. Missions it still holds are taken from
                # it when its heartbeat stays away.
                log.exception("the lane's worker failed", action="lane.worker_failed", vp_id=self._setup.vp_id)
                await self._pause(ACQUIRE_PAUSE_SECONDS)

    def stop_claims(self) -> None:
        """Claim nothing more."""
        self._stopping.set()

    def hand_back(self) -> None:
        """Claim nothing more, and give back what is running."""
        self._stopping.set()
        self._drain.set()

    async def _serve(self, keeper: Keeper, session: SessionRow) -> None:
        """Work under one lease: until it is lost, or until the worker stops; then let go of it."""
        beating = asyncio.create_task(keeper.run(), name=f"heartbeat {self._setup.vp_id}")
        working = asyncio.create_task(self._work(keeper, session), name=f"lane {self._setup.vp_id}")
        try:
            await asyncio.wait({beating, working}, return_when=asyncio.FIRST_COMPLETED)
            for task in (working, beating):
                if task.done():
                    task.result()
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            if not keeper.lost.is_set():
                with contextlib.suppress(DraganError):
                    # Refused means somebody took the lease meanwhile; it is let go either way.
                    await self._link.release(keeper.lease)
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)

    async def _work(self, keeper: Keeper, session: SessionRow) -> None:
        executors = [self._setup.executor() for _ in range(self._setup.policy.parallel_missions)]
        try:
            workspace = await self._set_up_patiently(keeper, session, executors)
            if self._stopping.is_set():
                return
            async with asyncio.TaskGroup() as slots:
                for executor in executors:
                    slots.create_task(self._slot(keeper, executor, workspace))
        finally:
            for executor in executors:
                await executor.close()

    async def _set_up_patiently(
        self, keeper: Keeper, session: SessionRow, executors: list[Executor]
    ) -> Workspace | None:
        """Set up; tried again and again while it fails, the lane degraded meanwhile."""
        pause = FIRST_SETUP_PAUSE_SECONDS
        failed = False
        while not self._stopping.is_set():
            try:
                workspace = await self._set_up(keeper, session, executors)
            except Exception as error:
                # Executors are somebody else's code: whatever opening one raises, the lane says so and tries again.
                if isinstance(error, DraganError) and error.code is ErrorCode.STALE_EPOCH:
                    raise
                failed = True
                await self._degrade(keeper, error)
            else:
                keeper.healthy = True
                if failed:
                    with contextlib.suppress(DraganError):
                        # Not degraded any more: it was drained meanwhile, say. The heartbeat sees to the rest.
                        await self._link.recover(keeper.lease)
                return workspace
            await self._pause(pause)
            pause = min(pause * 2, MAX_SETUP_PAUSE_SECONDS)
        return None

    async def _degrade(self, keeper: Keeper, error: Exception) -> None:
        why = error.detail if isinstance(error, DraganError) else f"{type(error).__name__}: {error}"
        log.error("set-up failed", action="lane.setup_failed", vp_id=self._setup.vp_id, error=why)
        with contextlib.suppress(DraganError):
            # Degraded already: the error stands in the row from the first time.
            await self._link.degrade(keeper.lease, why[:8000])

    async def _set_up(self, keeper: Keeper, session: SessionRow, executors: list[Executor]) -> Workspace | None:
        """Prepare the lane's workspace (None: each mission has its own) and open the executor's session."""
        setup = self._setup
        workspace: Workspace | None = None
        if setup.workspace.get("scope", "lane") == "lane":
            workspace = await asyncio.to_thread(prepare, setup.root, setup.vp_id, setup.workspace)
        path = setup.root if workspace is None else workspace.path
        context = SessionContext(
            vp_id=session.vp_id,
            vp_session_id=session.vp_session_id,
            executor_session_id=session.executor_session_id,
            workspace=path,
            config=setup.executor_config,
        )
        for executor in executors:
            opened = await executor.open(context)
            # Further slots join the session that the first one opened.
            context = replace(context, executor_session_id=opened.executor_session_id)
            if executor is executors[0]:
                await self._link.ready(
                    keeper.lease,
                    executor_session_id=opened.executor_session_id,
                    outcome=opened.outcome,
                    workspace=str(path),
                )
        return workspace

    async def _slot(self, keeper: Keeper, executor: Executor, workspace: Workspace | None) -> None:
        """One mission after another, until the worker stops."""
        claimed: Claimed | None = None
        async with contextlib.AsyncExitStack() as stack:
            changes = stack.enter_context(self._link.watch(self._setup.vp_id))
            guard: Guard | None = None
            if workspace is not None:
                guard = await stack.enter_async_context(self._guard(workspace))
            while not (self._stopping.is_set() and claimed is None):
                if claimed is None:
                    claimed = await self._claim(keeper)
                if claimed is None:
                    await self._unless_stopping(changes.wait(CLAIM_PAUSE_SECONDS))
                elif workspace is not None and guard is not None:
                    claimed = await self._mission(keeper, executor, workspace, guard, claimed)
                else:
                    claimed = await self._mission_apart(keeper, executor, claimed)

    def _guard(self, workspace: Workspace) -> Guard:
        return Guard(lock_path=workspace.lock_path, ttl_seconds=self._setup.policy.lease_ttl)

    async def _claim(self, keeper: Keeper) -> Claimed | None:
        try:
            found = await self._link.claim(keeper.lease)
        except DraganError as error:
            if error.code in (ErrorCode.LANE_PAUSED, ErrorCode.STALE_EPOCH) or error.entry.retryable:
                return None  # paused, or the heartbeat will say that the lease is lost
            raise
        return found[0] if found else None

    async def _mission_apart(self, keeper: Keeper, executor: Executor, claimed: Claimed) -> Claimed | None:
        """Run one mission in a workspace of its own."""
        setup, mission_id = self._setup, claimed.row.mission_id
        try:
            workspace = await asyncio.to_thread(
                prepare, setup.root, setup.vp_id, setup.workspace, mission_id=mission_id
            )
        except DraganError as error:
            # The mission's own workspace, so the mission's own failure: the lane goes on.
            key = f"{claimed.row.attempt}-workspace"
            summary = {"summary": error.detail[:8000]}
            ending = Report(trigger=MissionTrigger.FAIL, key=key, reason=ReasonCode.EXECUTOR_ERROR, content=summary)
            return await self._end(keeper, claimed, ending)
        async with self._guard(workspace) as guard:
            return await self._mission(keeper, executor, workspace, guard, claimed)

    async def _mission(
        self, keeper: Keeper, executor: Executor, workspace: Workspace, guard: Guard, claimed: Claimed
    ) -> Claimed | None:
        """Run one mission and report its end; answers the next one, claimed in the same step."""
        log.info("claimed", action="mission.claimed", mission_id=claimed.row.mission_id, attempt=claimed.row.attempt)
        hands = Hands(
            link=self._link,
            keeper=keeper,
            executor=executor,
            processes=guard,
            workspace=workspace,
            policy=self._setup.policy,
            clock=self._clock,
        )
        ending = await MissionRun(hands, claimed, drain=self._drain).run()
        if ending is None:
            return None
        return await self._end(keeper, claimed, ending)

    async def _end(self, keeper: Keeper, claimed: Claimed, ending: Report) -> Claimed | None:
        """Send the last report until the registry has taken or refused it."""
        while True:
            try:
                if self._stopping.is_set():
                    await self._link.report(keeper.lease, claimed, ending)
                    return None
                _, following = await self._link.report_and_claim(keeper.lease, claimed, ending)
                return following[0] if following else None
            except DraganError as error:
                if not error.entry.retryable:
                    log.info(
                        "the last report was refused",
                        action="mission.report_refused",
                        mission_id=claimed.row.mission_id,
                        code=error.code.value,
                    )
                    if error.code in OUT_OF_HAND or ending.trigger is MissionTrigger.FAIL:
                        return None
                    # Still ours, so it must not stay as if it ran: without an end it would hold the slot for hours.
                    ending = failed_instead(ending, error)
                    continue
            await self._clock.sleep(REPORT_PAUSE_SECONDS)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _unless_stopping(self, waiting: Coroutine[Any, Any, object]) -> None:
        """Wait, but not for longer than until the worker is told to stop."""
        waits = {asyncio.ensure_future(waiting), asyncio.ensure_future(self._stopping.wait())}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
