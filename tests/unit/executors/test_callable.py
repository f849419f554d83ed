"""An async generator in the worker's own process: heard, answered, fenced, and unable to take anything down."""

import asyncio
import sys
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from dragancorp.errors import DraganError, ErrorCode
from dragancorp.executors.callable import CallableExecutor
from dragancorp.executors.catalogue import make_executor
from dragancorp.executors.protocol import ProcessRunner, Stop
from dragancorp.executors.workspace import prepare

from . import agents
from .programs import Events, Lane, envelope

pytestmark = pytest.mark.anyio


@pytest.fixture
def lane(tmp_path: Path, processes: ProcessRunner) -> Lane:
    return Lane(prepare(tmp_path / "lane", "vp.coder.primary", {"kind": "folder"}), processes)


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "agents_of_a_test", agents)


def executor(name: str) -> CallableExecutor:
    made = make_executor({"type": "callable", "target": f"agents_of_a_test:{name}", "cancel_grace_seconds": 0.1})
    assert isinstance(made, CallableExecutor)
    return made


async def cancelled_when_up(lane: Lane, agent: CallableExecutor) -> Events:
    """The events of a run that is cancelled at its first progress."""
    cancels: list[asyncio.Task[None]] = []

    async def cancel(event: dict[str, Any]) -> None:
        if event["type"] == "progress":
            cancels.append(asyncio.create_task(agent.cancel()))

    events = await lane.run(agent, on_event=cancel)
    await cancels[0]
    return events


async def test_what_it_yields_is_passed_on(lane: Lane) -> None:
    events = await lane.run(executor("works"))
    assert [event["type"] for event in events] == ["progress", "completed"]
    assert (lane.workspace.path / "made").read_text() == "m-1"


async def test_its_question_is_answered_by_what_yield_returns(lane: Lane) -> None:
    agent = executor("asks")

    async def answer(event: dict[str, Any]) -> None:
        if event["type"] == "approval_wanted":
            await agent.answer("another", {"approved": False})
            await agent.answer("r1", {"approved": True})

    events = await lane.run(agent, on_event=answer)
    assert events[-1] == {"type": "completed", "summary": "approved: True"}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("raises", "LookupError: nothing here"),
        ("exits", "SystemExit: 3"),
        ("interrupts", "KeyboardInterrupt"),
        ("cancels_itself", "something inside the generator was cancelled"),
        ("yields_garbage", "no executor event: /: 17 is not of type"),
        ("lies_about_usage", "no executor event: /usage/cost_microusd"),
    ],
)
async def test_whatever_it_raises_is_the_missions_failure_and_nobody_elses(lane: Lane, name: str, said: str) -> None:
    with pytest.raises(RuntimeError) as failed:
        await lane.run(executor(name))
    assert said in str(failed.value)


async def test_one_without_a_last_word_just_ends(lane: Lane) -> None:
    assert [event["type"] for event in await lane.run(executor("has_no_last_word"))] == ["progress"]


async def test_nothing_is_heard_after_the_last_word(lane: Lane) -> None:
    assert await lane.run(executor("goes_on_after_its_last_word")) == [agents.DONE]


async def test_a_cancel_ends_it(lane: Lane) -> None:
    events = await cancelled_when_up(lane, executor("hangs"))
    assert [event["type"] for event in events] == ["progress", "cancelled"]


async def test_one_that_is_left_with_more_to_say_ends_at_once(lane: Lane) -> None:
    agent = CallableExecutor({"type": "callable", "target": "agents_of_a_test:talks", "cancel_grace_seconds": 60})
    async with asyncio.timeout(30), aclosing(agent.run(envelope(), lane.context())) as events:
        await anext(events)
        await asyncio.sleep(0)  # its next word stands in the queue, the one after that waits for room
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "callable executor"]


async def test_one_that_refuses_to_be_cancelled_is_fenced_and_says_so_beforehand(lane: Lane) -> None:
    agent = executor("refuses_to_be_cancelled")
    assert agent.capabilities.stop is Stop.FENCED
    agents.released = asyncio.Event()
    events = await cancelled_when_up(lane, agent)
    assert [event["type"] for event in events] == ["progress", "cancelled"]
    assert (await lane.run(executor("works")))[-1]["type"] == "completed"  # the lane goes on meanwhile
    agents.released.set()
    left = [task for task in asyncio.all_tasks() if task.get_name() == "callable executor"]
    assert left
    async with asyncio.timeout(30):
        await asyncio.gather(*left, return_exceptions=True)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("no_such_module:codie", "cannot be imported"),
        ("agents_of_a_test:nobody", "cannot be imported"),
        ("agents_of_a_test:no_generator", "no async generator function"),
    ],
)
def test_a_target_that_is_none_is_a_clear_error(target: str, said: str) -> None:
    with pytest.raises(DraganError) as refused:
        make_executor({"type": "callable", "target": target})
    assert refused.value.code is ErrorCode.LANES_FILE_INVALID
    assert target in refused.value.detail
    assert said in refused.value.detail
