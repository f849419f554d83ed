"""One mission in a worker's hands: from the claim to the last report."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import structlog

from dragancorp.errors import DraganError, ErrorCode
from dragancorp.executors import receipts
from dragancorp.executors.protocol import FINAL, MissionContext
from dragancorp.lanes.hands import Hands
from dragancorp.lanes.keeper import Unwanted
from dragancorp.lanes.link import Claimed, Report
from dragancorp.lanes.mission_environment import mission_environment
from dragancorp.lanes.outputs import Outputs
from dragancorp.lanes.questions import EARLY_SECONDS, WANTED_REASON, Question, asked, waits_for_people
from dragancorp_contracts.lifecycle import MissionTrigger, ReasonCode

Event = Mapping[str, Any]
# What budgets are judged by is reported at once; the rest goes with the end.
APPROVED: Mapping[str, Any] = {"approved": True}  # the answer where nothing more was said
HOLD_CHECK_SECONDS = 1.0
JUDGED_USAGE = frozenset({"llm_calls", "cost_microusd"})
BUSY_PATIENCE_SECONDS = 20.0  # an earlier guard ends what it runs well within this
BUSY_PAUSE_SECONDS = 0.2
REPORT_PAUSE_SECONDS = 0.25  # between tries when the registry is busy

log = structlog.get_logger("dragancorp.lanes")


class MissionRun:
    """Runs one claimed mission; `run` answers its last report, still to be sent, or None when there is none to send.

    A receipt found beside the workspace means the work was done before: it is reported again and nothing is run.
    """

    def __init__(self, hands: Hands, claimed: Claimed, *, drain: asyncio.Event) -> None:
        self._hands = hands
        self._claimed = claimed
        self._drain = drain
        self._claimed_at = hands.clock.monotonic()
        self._numbers = itertools.count(1)
        self._heard_at = self._claimed_at
        self._tools: set[str] = set()
        self._session: str | None = None  # the agent's, as it was given
        self._usage: dict[str, Any] = {}
        self._question: Question | None = None  # what it waits for from a person
        self._held_up = False  # it is our own report that waits, and not the executor
        self._mission_id = claimed.mission_id
        self._outputs = Outputs(hands.link, hands.keeper, hands.workspace, hands.clock, claimed)

    async def run(self) -> Report | None:
        """See the class. A failure of the executor is an answer, not an exception."""
        try:
            done = await asyncio.to_thread(self._receipt)
        except (DraganError, OSError) as error:
            return self._crashed(error)
        if done is not None:
            log.info("the work was done before", action="mission.receipt_found", mission_id=self._mission_id)
            return self._from_receipt(done)
        work = asyncio.create_task(self._work(), name=f"mission {self._mission_id}")
        watchers = {
            asyncio.create_task(self._until_unwanted()): "unwanted",
            asyncio.create_task(self._until_idle()): "idle",
            asyncio.create_task(self._until_hold_over()): "suspended",
            asyncio.create_task(self._hand_on_answers()): "unanswerable",
            asyncio.create_task(self._drain.wait()): "drain",
        }
        try:
            await asyncio.wait({work, *watchers}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            stopped = next(task for task in watchers if task.done())
            return await self._stop(work, watchers[stopped], stopped.result())
        finally:
            for task in (work, *watchers):
                task.cancel()
            await asyncio.gather(work, *watchers, return_exceptions=True)

    async def _stop(self, work: "asyncio.Task[Report | None]", why: str, detail: Any) -> Report | None:
        log.info("stopping", action="mission.stopping", mission_id=self._mission_id, why=why)
        ending: Report | None = None
        suspended = self._question is not None and (
            why in ("suspended", "drain")
            or (detail is Unwanted.GONE and self._question.seconds_left(self._hands.clock) < EARLY_SECONDS)
        )
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._hands.keeper.policy.cancel_deadline):
                if suspended:
                    await self._ask_to_suspend()
                else:
                    await self._ask_to_stop()
                if self._held_up:
                    work.cancel()
                # The executor's own last word comes first: it may have finished in the same moment.
                await asyncio.wait({work})
                ending = None if work.cancelled() else work.result()
        if why == "unwanted" and detail is Unwanted.GONE:
            return None
        if ending is not None and ending.trigger is MissionTrigger.COMPLETE:
            return ending
        if suspended:
            return self._report(MissionTrigger.SUSPEND, content={"summary": "the slot is given up meanwhile"})
        match why:
            case "unanswerable":
                return self._crashed(detail)
            case "unwanted":
                return self._report(MissionTrigger.STOPPED, content={"summary": "stopped as asked"})
            case "idle":
                return self._report(MissionTrigger.IDLE, reason=ReasonCode.IDLE_TIMEOUT)
        return self._report(MissionTrigger.HAND_BACK, content={"summary": "the lane is stopping"})

    async def _ask_to_stop(self) -> None:
        await self._ask("cancel", self._hands.executor.cancel)

    async def _ask_to_suspend(self) -> None:
        executor = self._hands.executor
        if not (executor.capabilities.suspend and await self._ask("suspend", executor.suspend)):
            await self._ask_to_stop()

    async def _ask(self, what: str, ask: Callable[[], Awaitable[None]]) -> bool:
        try:
            await ask()
        except Exception as error:
            # Somebody else's code again; what does not stop by itself is closed, and its processes are killed.
            log.warning(
                "the executor does not do as it is asked",
                action=f"mission.{what}_failed",
                mission_id=self._mission_id,
                error=str(error),
            )
            return False
        return True

    async def _work(self) -> Report | None:
        final: Event | None = None
        try:
            async for event in self._events():
                self._heard(event)
                if event["type"] in FINAL:
                    final = event
                    break
                await self._pass_on(event)
            return await self._ending(final)
        except DraganError as error:
            if error.code in (ErrorCode.STALE_EPOCH, ErrorCode.MISSION_TERMINAL):
                return None  # somebody else has the word
            return self._crashed(error)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Nobody cancelled this task: something inside the executor was cancelled, and what it did is not done.
            return self._crashed(error)
        except Exception as error:
            # An executor is somebody else's code, and a disk may be full: whatever it is, it is the mission's end,
            # not the worker's.
            return self._crashed(error)

    async def _events(self) -> AsyncIterator[Event]:
        """The executor's events; waits while an earlier guard still holds the workspace and nothing has begun."""
        hands, claimed = self._hands, self._claimed
        patience = hands.clock.monotonic() + BUSY_PATIENCE_SECONDS
        while True:
            session = None if hands.session is None else hands.session.name
            self._session = session
            context = MissionContext(
                mission_id=claimed.mission_id,
                attempt=claimed.attempt,
                lease_epoch=claimed.lease_epoch,
                resume=claimed.resume,
                workspace=hands.workspace.path,
                artifacts=hands.workspace.artifacts_dir(claimed.mission_id),
                processes=hands.processes,
                clock=hands.clock,
                decision=claimed.decision,
                environment=mission_environment(
                    claimed, hands.workspace, hands.clock.wall(), hands.keeper.policy.backstop, session
                ),
                agent_session=session,
            )
            begun = False
            try:
                async with contextlib.aclosing(hands.executor.run(self._claimed.envelope, context)) as events:
                    async for event in events:
                        begun = True
                        yield event
            except DraganError as error:
                waited_enough = hands.clock.monotonic() >= patience
                if error.code is not ErrorCode.WORKSPACE_BUSY or begun or waited_enough:
                    raise
                await hands.clock.sleep(BUSY_PAUSE_SECONDS)
                continue
            return

    def _heard(self, event: Event) -> None:
        self._heard_at = self._hands.clock.monotonic()
        self._question = asked(event, self._hands.clock) or self._question
        match event["type"]:
            case "tool_started":
                self._tools.add(event["call_id"])
            case "tool_finished":
                self._tools.discard(event["call_id"])

    async def _pass_on(self, event: Event) -> None:
        match event["type"]:
            case "progress":
                await self._send(self._report(MissionTrigger.REPORT, content={"summary": event["message"]}))
            case "tool_started":
                summary = event.get("message") or f"{event['tool']} started"
                await self._send(self._report(MissionTrigger.REPORT, content={"summary": summary}))
            case "tool_finished":
                outcome = "done" if event["ok"] else f"failed (exit {event.get('exit_code', '?')})"
                seconds = event.get("duration_seconds", 0.0)
                summary = event.get("message") or f"{event['tool']}: {outcome} in {seconds:.1f} s"
                await self._send(self._report(MissionTrigger.REPORT, content={"summary": summary}))
            case "usage":
                self._usage = self._cumulative(event)
                if JUDGED_USAGE & event["usage"].keys():
                    await self._send(self._report(MissionTrigger.REPORT, content={"usage": self._usage}))
            case "artifact":
                await self._pass_on_artifact(event)
            case "session" if self._hands.session is not None:
                await self._hands.session.named(event["executor_session_id"], given=self._session)
            case "approval_wanted" | "input_wanted" | "login_wanted" as wanted:
                content = {"summary": event.get("message", ""), "wanted": {"kind": wanted, **event}}
                await self._send(self._report(MissionTrigger.BLOCK, reason=WANTED_REASON[wanted], content=content))

    def _cumulative(self, event: Event) -> dict[str, Any]:
        """Usage over all attempts: an executor knows only its own run, the claim told what came before."""
        before = self._claimed.usage
        return {name: value + before.get(name, 0) for name, value in event["usage"].items()}

    async def _pass_on_artifact(self, event: Event) -> None:
        known = await self._outputs.named(event["path"])
        if known:
            content = {"summary": event.get("description", ""), "artifact_refs": known}
            await self._send(self._report(MissionTrigger.REPORT, content=content, references=known))

    async def _send(self, report: Report) -> None:
        """Send a report until the registry has taken or refused it; a busy registry is no reason to lose it."""
        hands = self._hands
        while True:
            try:
                await hands.link.report(hands.keeper.lease, self._claimed, report)
            except DraganError as error:
                if waits_for_people(error):
                    await self._until_decided()
                elif not error.entry.retryable:
                    raise
                await hands.clock.sleep(REPORT_PAUSE_SECONDS)
            else:
                return

    async def _until_decided(self) -> None:
        """Blocked under the executor's hands, at its budget: what it says next waits, and so does it."""
        keeper, clock = self._hands.keeper, self._hands.clock
        waiting = Question(asked_at=clock.monotonic())
        self._question, self._held_up = self._question or waiting, True
        try:
            await keeper.wait_while_blocked(self._mission_id, self._claimed.attempt)
        finally:
            self._held_up, self._heard_at = False, clock.monotonic()
            if self._question is waiting:
                self._question = None

    async def _ending(self, final: Event | None) -> Report | None:
        if final is None:
            return self._crashed(RuntimeError("the executor ended without a result"))
        match final["type"]:
            case "completed":
                return await self._completed(final)
            case "cancelled":
                return self._report(MissionTrigger.STOPPED, content=self._content(final))
        if final.get("reason_code") == ReasonCode.SESSION_UNRESUMABLE and self._hands.session is not None:
            self._hands.session.lost()
        content = self._content(final)
        index = await self._outputs.everything()
        return self._report(
            MissionTrigger.FAIL, reason=_reason(final.get("reason_code")), content=content, references=index
        )

    def _content(self, final: Event) -> dict[str, Any]:
        """What an executor's last event says, as a report says it."""
        content = {name: final[name] for name in ("result", "recommended_next_action") if name in final}
        content["summary"] = final.get("summary") or final.get("message", "")
        if self._usage:
            content["usage"] = self._usage
        return content

    async def _completed(self, final: Event) -> Report:
        content = self._content(final)
        index = await self._outputs.everything()
        receipt = receipts.Receipt(
            mission_id=self._mission_id,
            attempt=self._claimed.attempt,
            outcome="completed",
            event=content,
            artifacts=index,
            written_at=self._hands.clock.wall(),
        )
        path = self._hands.workspace.receipt_path(self._mission_id)
        await asyncio.to_thread(receipts.write, path, receipt)
        return self._from_receipt(receipt)

    def _from_receipt(self, receipt: receipts.Receipt) -> Report:
        return self._report(
            MissionTrigger.COMPLETE,
            content=dict(receipt.event),
            references=[dict(reference) for reference in receipt.artifacts],
            receipt=receipt.as_json(),
        )

    def _receipt(self) -> receipts.Receipt | None:
        found = receipts.read(self._hands.workspace.receipt_path(self._mission_id), self._mission_id)
        if found.reason is not None:
            log.warning("no use in this receipt", action="mission.receipt_unusable", reason=found.reason)
        return found.receipt

    def _crashed(self, error: BaseException) -> Report:
        log.warning(
            "the executor crashed", action="mission.executor_crashed", mission_id=self._mission_id, error=str(error)
        )
        return self._report(
            MissionTrigger.FAIL,
            reason=ReasonCode.EXECUTOR_CRASHED,
            content={"summary": f"{type(error).__name__}: {error}"[:8000]},
        )

    def _report(
        self,
        trigger: MissionTrigger,
        *,
        reason: ReasonCode | None = None,
        content: Mapping[str, Any] | None = None,
        references: list[dict[str, Any]] | None = None,
        receipt: Mapping[str, Any] | None = None,
    ) -> Report:
        return Report(
            trigger=trigger,
            key=f"{self._claimed.attempt}-{next(self._numbers)}",
            reason=reason,
            content=content,
            artifacts=references or (),
            receipt=receipt,
        )

    async def _until_unwanted(self) -> Unwanted:
        claimed = self._claimed
        return await self._hands.keeper.wait_until_unwanted(claimed.mission_id, claimed.attempt, self._claimed_at)

    async def _until_hold_over(self) -> None:
        """Return when what is waited for was not decided while the slot is kept."""
        clock = self._hands.clock
        while self._question is None or (left := self._question.seconds_left(clock)) > 0:
            await clock.sleep(HOLD_CHECK_SECONDS if self._question is None else min(left, HOLD_CHECK_SECONDS))

    async def _hand_on_answers(self) -> Exception:
        """Give the executor every answer it waits for; return what it made of one, when that is an error."""
        executor, heard = self._hands.executor, 0
        while True:
            decision = await self._hands.keeper.wait_for_decision(self._mission_id, self._claimed.attempt, heard)
            heard = decision["sequence"]
            question = self._question
            if question is None or question.request_id is None:
                continue  # a raised budget: nobody asked
            self._question, self._heard_at = None, self._hands.clock.monotonic()
            try:
                await executor.answer(question.request_id, decision.get("answer", APPROVED))
            except Exception as error:
                return error

    async def _until_idle(self) -> None:
        clock = self._hands.clock
        while True:
            limit = self._hands.keeper.policy.idle_limit
            left = self._heard_at + limit - clock.monotonic()
            if self._tools or self._question is not None:
                left = limit  # a running tool may be silent, and so may a person; the mission's own limits hold
            elif left <= 0:
                return
            await clock.sleep(max(left, 0.05))


def _reason(code: str | None) -> ReasonCode:
    try:
        return ReasonCode(code or "")
    except ValueError:
        return ReasonCode.EXECUTOR_ERROR
