"""A caller that hangs up, at any moment, leaves no mission running, no process, no false end and no warning."""

import asyncio
import gc
import logging
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import aclosing
from typing import Any

import pytest
from processes import alive

from dragancorp.errors import DraganError, ErrorCode
from dragancorp.gateway.turns import Turn
from dragancorp.registry.operations import StepMission
from dragancorp_contracts.lifecycle import MissionState, MissionTrigger, SessionTrigger

from .conftest import Opener
from .gateway import LANE, Agent, Gateway, Heard, eventually, turn

pytestmark = pytest.mark.anyio

WORKING = turn(["sh", "-c", "echo up; sleep 20.005"], ["true"])
FALLING = turn(["sh", "-c", "exit 3"])
DONE = turn()


@pytest.fixture(autouse=True)
def _nothing_is_complained_of(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No "Task was destroyed", no exception that nobody retrieved."""
    yield
    gc.collect()
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


async def settled(gateway: Gateway) -> None:
    """Every mission ends soon; nothing is left behind; only what was answered in full stands as completed."""
    for row in await gateway.missions():
        ended = await gateway.ended(row.mission_id)
        assert ended.state in (MissionState.CANCELLED, MissionState.COMPLETED), ended

    async def gone() -> bool:
        return not alive("20.005")

    await eventually(gone)
    rows = await gateway.missions()
    by_primary = [row for row in rows if row.completed_via == "primary"]
    assert len(by_primary) <= gateway.agent.finished
    others = {task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith(("leave", "hold"))}
    assert others == set()


def heard_last(heard: Heard) -> Callable[[], Awaitable[bool]]:
    async def holds() -> bool:
        return bool(heard.events[-1] == "last")

    return holds


async def leave_after_each(gateway: Gateway, asked: Turn, *, most: int) -> list[Heard]:
    """Ask again and again, leaving after 0, 1, 2... events, until an answer ends before the caller leaves."""
    answers = []
    for count in range(most):
        heard = await gateway.ask(asked, leave_after=count)
        answers.append(heard)
        if len(heard.events) < count:
            break
    return answers


async def test_leaving_after_any_event_of_a_working_lane_cancels_the_mission(gateway: Gateway) -> None:
    answers = await leave_after_each(gateway, WORKING, most=5)  # then it is silent for 20 s
    assert [len(heard.events) for heard in answers] == [0, 1, 2, 3, 4]
    await settled(gateway)
    rows = await gateway.missions()
    assert {row.state for row in rows} == {MissionState.CANCELLED}
    assert len(rows) == 4  # leaving before the first event is never having asked
    assert gateway.agent.turns == []


async def test_leaving_after_any_event_while_the_primary_speaks_cancels_the_mission(open_gateway: Opener) -> None:
    gateway = await open_gateway(agent=Agent("one", "two", "three"))
    answers = await leave_after_each(gateway, FALLING, most=40)
    assert answers[-1].names[-1] == "three"
    await settled(gateway)
    rows = await gateway.missions()
    # The last answer was heard to its end, the one before left at the last word.
    assert [row.state for row in rows] == [MissionState.CANCELLED] * (len(rows) - 1) + [MissionState.COMPLETED]


async def test_leaving_after_any_event_of_a_mission_that_succeeds_never_makes_a_false_end(gateway: Gateway) -> None:
    answers = await leave_after_each(gateway, DONE, most=40)
    assert answers[-1].names[-1] == "coder_vp_completed"
    await settled(gateway)
    assert (await gateway.missions())[-1].completed_via == "lane"


@pytest.mark.parametrize("asked", [WORKING, FALLING, DONE], ids=["working", "falling back", "quickly done"])
async def test_a_task_cancelled_at_any_moment_leaves_nothing_running(open_gateway: Opener, asked: Turn) -> None:
    gateway = await open_gateway(agent=Agent("one", "two", "three", pause=0.01))
    delays = [0, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.008, 0.012, 0.02, 0.035, 0.06, 0.1, 0.13, 0.16, 0.2, 0.25]
    for delay in delays:
        listening = asyncio.create_task(gateway.ask(asked))
        await asyncio.sleep(delay)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
    await settled(gateway)
    assert (await gateway.ask(DONE)).names[-1] == "coder_vp_completed"


class CancelledAt:
    """Awaits a coroutine, and has its task cancelled when that is suspended for the n-th time."""

    def __init__(self, inner: Coroutine[Any, Any, Any], number: int) -> None:
        self._inner = inner
        self._number = number
        self.suspensions = 0

    def __await__(self) -> Generator[Any, Any, Any]:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None
        steps = self._inner.__await__()
        given, thrown = None, None
        while True:
            try:
                awaited = steps.send(given) if thrown is None else steps.throw(thrown)
            except StopIteration as done:
                return done.value
            self.suspensions += 1
            if self.suspensions == self._number:
                loop.call_soon(task.cancel)
            try:
                given, thrown = (yield awaited), None
            except BaseException as error:
                given, thrown = None, error


@pytest.mark.parametrize("asked", [FALLING, DONE], ids=["falling back", "quickly done"])
async def test_a_task_cancelled_at_every_await_leaves_nothing_running(open_gateway: Opener, asked: Turn) -> None:
    gateway = await open_gateway(agent=Agent("one", "two"))

    async def listen(driver: CancelledAt) -> Heard:
        return await driver  # type: ignore[no-any-return]

    for number in range(1, 200):
        listening = asyncio.create_task(listen(CancelledAt(gateway.ask(asked), number)))
        await asyncio.wait({listening})
        if not listening.cancelled():
            break  # it was answered before it was suspended so often
        for row in await gateway.missions():
            await gateway.ended(row.mission_id)  # before the next begins: what is left running is seen
    assert number > 10
    assert listening.result().names[-1] == ("two" if asked is FALLING else "coder_vp_completed")
    await settled(gateway)


async def test_a_task_cancelled_at_every_step_of_the_fallbacks_end_leaves_nothing_running(
    open_gateway: Opener,
) -> None:
    gateway = await open_gateway(agent=Agent("last"))
    for steps in range(12):
        heard, listening = await gateway.ask_until(FALLING, "coder_vp_fallback")
        await eventually(heard_last(heard), pause=0)
        for _ in range(steps):
            await asyncio.sleep(0)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        assert (await gateway.missions())[-1].terminal, f"after {steps} steps"
    await settled(gateway)


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("dispatch", WORKING),
        ("take_fallback", FALLING),
        ("start_timeout", DONE),
        ("complete", FALLING),
    ],
)
async def test_a_task_cancelled_when_its_write_is_done_but_not_answered_leaves_nothing_running(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, written: str, asked: Turn
) -> None:
    execute = gateway.plane.store.execute
    cancelled = []

    async def cancelling(operation: object) -> object:
        """Does the operation to its end, and cancels the task that waits for the answer."""
        trigger = operation.command.trigger if isinstance(operation, StepMission) else type(operation).__name__
        by_gateway = asyncio.current_task() is listening
        if cancelled or not by_gateway or trigger not in (written, {"dispatch": "DispatchMission"}.get(written)):
            return await execute(operation)  # type: ignore[arg-type]
        answer = await execute(operation)  # type: ignore[arg-type]
        cancelled.append(trigger)
        listening.cancel()
        await asyncio.sleep(0)
        return answer

    if written == "start_timeout":
        await gateway.operate(SessionTrigger.DRAIN)
    monkeypatch.setattr(gateway.plane.store, "execute", cancelling)
    listening = asyncio.create_task(gateway.ask(asked))
    await asyncio.gather(listening, return_exceptions=True)
    assert len(cancelled) == 1
    assert listening.cancelled()
    if written != "dispatch":  # there the worker may have the last word, a moment later
        assert (await gateway.mission()).terminal
    await settled(gateway)


async def test_a_cancellation_while_leaving_is_not_lost(gateway: Gateway) -> None:
    async def leave() -> None:
        async with aclosing(gateway.plane.delegate(WORKING, primary=gateway.agent)) as events:
            async for event in events:
                if event.type == "coder_vp_progress":
                    break

    leaving = asyncio.create_task(leave())

    async def is_leaving() -> bool:
        return any(task.get_name().startswith("leave ") for task in asyncio.all_tasks())

    await eventually(is_leaving, pause=0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert leaving.cancelled()
    await settled(gateway)


async def test_a_time_limit_around_a_turn_ends_it(gateway: Gateway) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(gateway.ask(WORKING), 0.3)
    await settled(gateway)


async def test_a_caller_that_forgets_the_iteration_leaves_nothing_running(gateway: Gateway) -> None:
    events = gateway.plane.delegate(WORKING, primary=gateway.agent)
    assert (await anext(events)).type == "delegated_to_coder_vp"
    del events
    gc.collect()
    await settled(gateway)


async def test_a_mission_is_ended_though_the_registry_is_busy_at_that_moment(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute = gateway.plane.store.execute
    refused = []

    async def busy(operation: object) -> object:
        is_cancel = isinstance(operation, StepMission) and operation.command.trigger is MissionTrigger.CANCEL
        if is_cancel and len(refused) < 2:
            refused.append(operation)
            raise DraganError(ErrorCode.STORAGE_BUSY, "another process holds the lock")
        return await execute(operation)  # type: ignore[arg-type]

    monkeypatch.setattr(gateway.plane.store, "execute", busy)
    await gateway.ask(WORKING, leave_after=2)
    assert len(refused) == 2
    await settled(gateway)
    assert (await gateway.mission()).state is MissionState.CANCELLED


async def test_leaving_a_mission_that_waits_for_approval_cancels_it(gateway: Gateway) -> None:
    await gateway.ask(turn(constraints={"approval_required": ["*"]}), leave_after=2)
    assert (await gateway.mission()).state is MissionState.CANCELLED


async def test_leaving_a_mission_that_waits_in_the_queue_cancels_it(open_gateway: Opener) -> None:
    gateway = await open_gateway(start_timeout=30)
    _, busy = await gateway.ask_until(WORKING, "coder_vp_progress")
    await gateway.ask(DONE, leave_after=1)
    assert [row.state for row in await gateway.missions()] == [MissionState.RUNNING, MissionState.CANCELLED]
    busy.cancel()
    await asyncio.gather(busy, return_exceptions=True)
    await settled(gateway)


async def test_closing_the_plane_under_a_listening_caller_leaves_nothing_running(gateway: Gateway) -> None:
    heard, listening = await gateway.ask_until(WORKING, "coder_vp_progress")
    await gateway.plane.close()
    await asyncio.wait_for(listening, 10)
    assert alive("20.005") == []
    assert heard.error is not None or "coder_vp_fallback" in heard.names, LANE
