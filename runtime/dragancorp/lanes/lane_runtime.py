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
from dragancorp.lanes.agent_session import AgentSession
from dragancorp.lanes.execution import sweep_below
from dragancorp.lanes.guarded import Guard
from dragancorp.lanes.hands import Hands
from dragancorp.lanes.keeper import Keeper
from dragancorp.lanes.link import Claimed, Grant, LaneLink, Report
from dragancorp.lanes.mission_run import REPORT_PAUSE_SECONDS, MissionRun
from dragancorp.lanes.questions import HOLD_SECONDS, waits_for_people
from dragancorp.registry.identifiers import new_id
from dragancorp_contracts.lifecycle import MissionTrigger, ReasonCode

CLAIM_WAIT_SECONDS = 10.0  # how long one claim waits for work before it is asked anew
CLAIM_PAUSE_SECONDS = 0.5  # between claims that were refused: the heartbeat will say more
ACQUIRE_PAUSE_SECONDS = 0.5
RELEASE_TRIES = 20  # at REPORT_PAUSE_SECONDS: a plane that restarts may take that long
FIRST_SETUP_PAUSE_SECONDS = 1.0
MAX_SETUP_PAUSE_SECONDS = 30.0
# Somebody else has the word: cancelled, timed out or taken over meanwhile.
OUT_OF_HAND = frozenset({ErrorCode.STALE_EPOCH, ErrorCode.MISSION_TERMINAL, ErrorCode.MISSION_UNKNOWN})
# What no waiting mends, when the lease was never given: whoever started the worker must hear of it.
HOPELESS = frozenset({ErrorCode.UNAUTHENTICATED, ErrorCode.SCOPE_MISSING, ErrorCode.LANE_UNKNOWN})

log = structlog.get_logger("dragancorp.lanes")


@dataclass(frozen=True, kw_only=True)
class LaneSetup:
    """A lane as its worker needs it: `root` is the folder of workspace, artifacts and receipts.

    The policy (times, parallel missions) is not here: it comes with the lease, so that worker and plane agree.
    """

    vp_id: str
    executor: Callable[[], Executor]
    executor_config: Mapping[str, Any]
    workspace: Mapping[str, Any]
    root: Path


class LaneRuntime:
    """Serves one lane until it is told to stop. A lost lease ends the work at hand; it begins anew with the next."""

    def __init__(self, setup: LaneSetup, link: LaneLink, clock: Clock, *, vp_runtime_id: str) -> None:
        self._setup = setup
        self._link = link
        self._clock = clock
        self._vp_runtime_id = vp_runtime_id
        self._owner = self._new_owner()
        self._held_once = False
        self._waiting: ErrorCode | None = None
        self._session: AgentSession | None = None
        self._stopping = asyncio.Event()  # no new claims
        self._drain = asyncio.Event()  # hand back what is running

    async def run(self) -> None:
        """Serve the lane; returns when it was told to stop, or when the lane is retired.

        Raises what makes serving hopeless before it has begun: `unauthenticated`, `scope_missing`, `lane_unknown`.
        """
        while not self._stopping.is_set():
            asked_at = self._clock.monotonic()
            try:
                grant = await self._link.acquire(self._setup.vp_id, self._owner, self._vp_runtime_id)
            except DraganError as error:
                if error.code is ErrorCode.LANE_RETIRED:
                    log.warning("the lane is retired", action="lane.retired", vp_id=self._setup.vp_id)
                    return
                if error.code in HOPELESS and not self._held_once:
                    raise
                self._say_waiting(error)
                await self._pause(ACQUIRE_PAUSE_SECONDS)
                continue
            except Exception:
                await self._begin_anew()
                continue
            self._note_grant(grant)
            keeper = Keeper(self._link, grant, self._clock, acquired_at=asked_at)
            try:
                await self._serve(keeper, grant)
            except Exception:
                await self._begin_anew()

    async def _begin_anew(self) -> None:
        """A lane must not go dark for one defect: loudly, after a pause.

        Missions it still holds are taken from it when its heartbeat stays away.
        """
        log.exception("the lane's worker failed", action="lane.worker_failed", vp_id=self._setup.vp_id)
        await self._pause(ACQUIRE_PAUSE_SECONDS)

    def _say_waiting(self, error: DraganError) -> None:
        """Once for each reason: a worker may wait for days."""
        if error.code is not self._waiting:
            self._waiting = error.code
            why = {"code": error.code.value, "reason": error.detail}
            log.info("waiting for the lease", action="lane.waiting", vp_id=self._setup.vp_id, **why)

    def _note_grant(self, grant: Grant) -> None:
        # The name stayed the same while no answer came, so that a lease whose answer was lost is found again.
        self._owner = self._new_owner()
        self._held_once, self._waiting = True, None
        log.info("holding the lease", action="lane.acquired", vp_id=self._setup.vp_id, epoch=grant.lease.epoch)

    @staticmethod
    def _new_owner() -> str:
        return new_id("o") + f"@{os.getpid()}"

    def stop_claims(self) -> None:
        """Claim nothing more."""
        self._stopping.set()

    def hand_back(self) -> None:
        """Claim nothing more, and give back what is running."""
        self._stopping.set()
        self._drain.set()

    async def _serve(self, keeper: Keeper, grant: Grant) -> None:
        """Work under one lease: until it is lost, or until the worker stops; then let go of it."""
        beating = asyncio.create_task(keeper.run(), name=f"heartbeat {self._setup.vp_id}")
        working = asyncio.create_task(self._work(keeper, grant), name=f"lane {self._setup.vp_id}")
        try:
            await asyncio.wait({beating, working}, return_when=asyncio.FIRST_COMPLETED)
            for task in (working, beating):
                if task.done():
                    task.result()
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            if not keeper.lost.is_set():
                await self._release(keeper)
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)

    async def _release(self, keeper: Keeper) -> None:
        """Give the lease back. Ends by itself after some tries: what cannot be given back expires."""
        for _ in range(RELEASE_TRIES):
            try:
                await self._link.release(keeper.lease)
            except DraganError as refused:
                if keeper.lost.is_set() or not refused.entry.retryable:
                    return  # somebody took the lease meanwhile; it is let go either way
                if refused.code is ErrorCode.LANE_BUSY:
                    with contextlib.suppress(DraganError):
                        await keeper.hand_back_all()  # claimed in the moment of leaving
                await self._clock.sleep(REPORT_PAUSE_SECONDS)
            else:
                return

    async def _work(self, keeper: Keeper, grant: Grant) -> None:
        executors = [self._setup.executor() for _ in range(keeper.policy.parallel_missions)]
        try:
            workspace = await self._set_up_patiently(keeper, grant, executors)
            if self._stopping.is_set():
                return
            async with asyncio.TaskGroup() as slots:
                for executor in executors:
                    slots.create_task(self._slot(keeper, executor, workspace))
        finally:
            for executor in executors:
                await executor.close()

    async def _set_up_patiently(self, keeper: Keeper, grant: Grant, executors: list[Executor]) -> Workspace | None:
        """Set up; tried again and again while it fails, the lane degraded meanwhile."""
        pause = FIRST_SETUP_PAUSE_SECONDS
        failed = False
        while not self._stopping.is_set():
            try:
                workspace = await self._set_up(keeper, grant, executors)
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

    async def _set_up(self, keeper: Keeper, grant: Grant, executors: list[Executor]) -> Workspace | None:
        """Prepare the lane's workspace (None: each mission has its own) and open the executor's session."""
        setup = self._setup
        # A worker and its guard that were killed at one moment may have left something; the lease is ours now.
        for problem in await asyncio.to_thread(sweep_below, str(setup.root.absolute())):
            log.warning("strays of a killed guard stay", action="lane.strays", vp_id=setup.vp_id, error=problem)
        workspace: Workspace | None = None
        if setup.workspace.get("scope", "lane") == "lane":
            workspace = await asyncio.to_thread(prepare, setup.root, setup.vp_id, setup.workspace)
        path = setup.root if workspace is None else workspace.path
        context = SessionContext(
            vp_id=setup.vp_id,
            vp_session_id=grant.vp_session_id,
            executor_session_id=grant.executor_session_id,
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
                self._session = AgentSession(self._link, keeper, opened.executor_session_id, str(path))
        return workspace

    async def _slot(self, keeper: Keeper, executor: Executor, workspace: Workspace | None) -> None:
        """One mission after another, until the worker stops or the lease is lost.

        The latter is asked for too: whoever swallows a cancellation (an executor is somebody else's code) must not
        leave a slot that claims in vain for ever, and a lane that nobody serves.
        """
        claimed: Claimed | None = None
        async with contextlib.AsyncExitStack() as stack:
            guard: Guard | None = None
            if workspace is not None:
                guard = await stack.enter_async_context(self._guard(workspace, keeper))
            while not keeper.lost.is_set() and not (self._stopping.is_set() and claimed is None):
                if claimed is None:
                    claimed = await self._unless_stopping(self._claim(keeper))
                elif workspace is not None and guard is not None and not claimed.shadow:
                    guard.change_ttl(keeper.policy.lease_ttl)
                    claimed = await self._mission(keeper, executor, workspace, guard, claimed)
                else:
                    claimed = await self._mission_apart(keeper, executor, claimed)

    def _guard(self, workspace: Workspace, keeper: Keeper) -> Guard:
        return Guard(lock_path=workspace.lock_path, ttl_seconds=keeper.policy.lease_ttl)

    async def _claim(self, keeper: Keeper) -> Claimed:
        """Claim one mission; cancel it to stop waiting. A claim keeps its key until it was answered."""
        key = new_id("claim")
        while True:
            try:
                found = await self._link.claim(keeper.lease, key=key, wait=CLAIM_WAIT_SECONDS)
            except DraganError as error:
                waits = error.code in (ErrorCode.LANE_PAUSED, ErrorCode.STALE_EPOCH) or error.entry.retryable
                if not waits:
                    raise
                await self._clock.sleep(CLAIM_PAUSE_SECONDS)  # paused, or the heartbeat will say that the lease is lost
                continue
            if found:
                keeper.take(found[0])
                return found[0]
            key = new_id("claim")

    async def _mission_apart(self, keeper: Keeper, executor: Executor, claimed: Claimed) -> Claimed | None:
        """Run one mission in a workspace of its own."""
        setup, mission_id = self._setup, claimed.mission_id
        try:
            apart = {**setup.workspace, "scope": "mission"}  # a shadow has its own also where the others share one
            workspace = await asyncio.to_thread(prepare, setup.root, setup.vp_id, apart, mission_id=mission_id)
        except DraganError as error:
            # The mission's own workspace, so the mission's own failure: the lane goes on.
            key = f"{claimed.attempt}-workspace"
            summary = {"summary": error.detail[:8000]}
            ending = Report(trigger=MissionTrigger.FAIL, key=key, reason=ReasonCode.EXECUTOR_ERROR, content=summary)
            return await self._end(keeper, claimed, ending)
        async with self._guard(workspace, keeper) as guard:
            return await self._mission(keeper, executor, workspace, guard, claimed)

    async def _mission(
        self, keeper: Keeper, executor: Executor, workspace: Workspace, guard: Guard, claimed: Claimed
    ) -> Claimed | None:
        """Run one mission and report its end; answers the next one, claimed in the same step."""
        log.info("claimed", action="mission.claimed", mission_id=claimed.mission_id, attempt=claimed.attempt)
        hands = Hands(
            link=self._link,
            keeper=keeper,
            executor=executor,
            processes=guard,
            workspace=workspace,
            clock=self._clock,
            session=None if claimed.shadow else self._session,
        )
        ending = await MissionRun(hands, claimed, drain=self._drain).run()
        if ending is None:
            keeper.let_go(claimed)
            return None
        return await self._end(keeper, claimed, ending)

    async def _end(self, keeper: Keeper, claimed: Claimed, ending: Report) -> Claimed | None:
        """Send the last report until the registry has taken or refused it."""
        while True:
            try:
                following: tuple[Claimed, ...] = ()
                if self._stopping.is_set():
                    await self._link.report(keeper.lease, claimed, ending)
                else:
                    following = await self._link.report_and_claim(keeper.lease, claimed, ending)
                keeper.let_go(claimed)
                if not following:
                    return None
                keeper.take(following[0])
                return following[0]
            except DraganError as error:
                if not error.entry.retryable:
                    log.info(
                        "the last report was refused",
                        action="mission.report_refused",
                        mission_id=claimed.mission_id,
                        code=error.code.value,
                    )
                    if waits_for_people(error):
                        if not await self._decided(keeper, claimed):
                            ending = Report(trigger=MissionTrigger.SUSPEND, key=f"{ending.key}-suspended")
                        continue
                    if error.code in OUT_OF_HAND:
                        keeper.let_go(claimed)
                        return None
                    if ending.trigger is MissionTrigger.FAIL:
                        return None  # what refuses even that is no stray to run again; the reconciler ends it
                    # Still ours, so it must not stay as if it ran: without an end it would hold the slot for hours.
                    ending = ending.failed_instead(error)
                    continue
            await self._clock.sleep(REPORT_PAUSE_SECONDS)

    async def _decided(self, keeper: Keeper, claimed: Claimed) -> bool:
        """Wait until a mission that has ended at its budget may say so; False when its slot is to be given up before.

        Its receipt is written: whoever takes it up again once that is decided finishes from it.
        """
        decided = asyncio.ensure_future(keeper.wait_while_blocked(claimed.mission_id, claimed.attempt))
        waits = {decided, asyncio.ensure_future(self._drain.wait())}
        try:
            await asyncio.wait(waits, timeout=HOLD_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            in_time = decided.done()
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        await self._clock.sleep(REPORT_PAUSE_SECONDS)  # what the keeper has heard may be older than the refusal
        return in_time

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _unless_stopping(self, claiming: Coroutine[Any, Any, Claimed]) -> Claimed | None:
        """Wait for a claim, but not for longer than until the worker is told to stop."""
        claim, stop = asyncio.ensure_future(claiming), asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({claim, stop}, return_when=asyncio.FIRST_COMPLETED)
            return claim.result() if claim.done() else None
        finally:
            claim.cancel()
            stop.cancel()
            await asyncio.gather(claim, stop, return_exceptions=True)
