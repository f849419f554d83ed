"""What ends a mission before its time: a cancel, a limit, silence, a lease that cannot be renewed."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator

import pytest

from dragancorp.executors.protocol import MissionContext, ProcessExited
from dragancorp_contracts.lifecycle import MissionKind, MissionState, MissionTrigger, ReasonCode, SessionState

from .house import DONE, OPERATOR, Event, FlakyLink, House, Scripted, both_links, gone, up

pytestmark = pytest.mark.anyio


async def silent(agent: Scripted, envelope: Event, context: MissionContext) -> AsyncGenerator[Event, None]:
    """Says one thing, then nothing until it is asked to stop."""
    yield {"type": "progress", "message": "thinking"}
    await agent.asked_to_stop.wait()
    yield {"type": "cancelled", "message": "stopped"}


@both_links
async def test_a_cancelled_mission_that_ignores_sigterm_is_killed_with_its_children(house: House) -> None:
    await house.serve(cancel_deadline=10.0)
    deaf = "trap '' TERM; sleep 20.201 & sleep 20.202; sleep 20.203"
    mission_id = await house.dispatch(["sh", "-c", deaf])
    await up("20.201")
    began = time.monotonic()
    await house.cancel(mission_id)
    row = await house.ended(mission_id)
    assert row.state is MissionState.CANCELLED
    assert (await house.ledger(mission_id))[-1]["transition"] == "C3"  # the holder's own word, within the deadline
    assert time.monotonic() - began < 10.0
    for word in ("20.201", "20.202", "20.203"):
        await gone(word, 1)
    assert (await house.ended(await house.dispatch(["true"]))).state is MissionState.COMPLETED


async def test_a_holder_that_does_not_stop_in_time_is_cancelled_without_its_word(house: House) -> None:
    async def deaf(agent: Scripted, envelope: Event, context: MissionContext) -> AsyncGenerator[Event, None]:
        yield {"type": "progress", "message": "working"}
        await asyncio.sleep(20)
        yield DONE

    class Hanging(Scripted):
        async def cancel(self) -> None:
            await asyncio.Event().wait()

    await house.serve(Hanging(deaf), cancel_deadline=0.5)
    mission_id = await house.dispatch()
    await house.working(mission_id)
    began = time.monotonic()
    await house.cancel(mission_id)
    assert (await house.ended(mission_id)).state is MissionState.CANCELLED
    assert 0.4 < time.monotonic() - began < 5.0
    following = await house.dispatch()  # and the lane goes on
    assert (await house.working(following)).state is MissionState.RUNNING


async def test_an_executor_that_fails_to_cancel_is_stopped_all_the_same(house: House) -> None:
    class Failing(Scripted):
        async def cancel(self) -> None:
            raise RuntimeError("no such session")

    await house.serve(Failing(silent), cancel_deadline=0.5, lease_ttl=30.0)
    mission_id = await house.dispatch()
    await house.working(mission_id)
    await house.cancel(mission_id)
    assert (await house.ended(mission_id)).state is MissionState.CANCELLED
    assert (await house.session()).lease_epoch == 1


@both_links
async def test_a_mission_that_finished_in_the_moment_of_its_cancel_ends_cancelled_with_its_late_result(
    house: House,
) -> None:
    async def finishing(agent: Scripted, envelope: Event, context: MissionContext) -> AsyncGenerator[Event, None]:
        yield {"type": "progress", "message": "nearly"}
        await agent.asked_to_stop.wait()
        yield DONE

    await house.serve(Scripted(finishing))
    mission_id = await house.dispatch()
    await house.working(mission_id)
    await house.cancel(mission_id)
    assert (await house.ended(mission_id)).state is MissionState.CANCELLED
    assert (await house.ledger(mission_id))[-1]["late_result"]["summary"] == "done"


async def test_an_executor_that_says_nothing_is_stopped_after_the_idle_limit(house: House) -> None:
    agent = Scripted(silent)
    await house.serve(agent, idle_limit=0.4)
    mission_id = await house.dispatch()
    row = await house.ended(mission_id, 3)
    assert (row.state, row.reason_code) == (MissionState.FAILED, ReasonCode.IDLE_TIMEOUT)
    assert agent.asked_to_stop.is_set()
    assert row.runtime_seconds >= 0.4


async def test_every_word_starts_the_idle_limit_anew(house: House) -> None:
    async def slow(agent: Scripted, envelope: Event, context: MissionContext) -> AsyncGenerator[Event, None]:
        for _ in range(5):
            await asyncio.sleep(0.3)
            yield {"type": "log", "message": "still here", "stream": "stdout"}
        yield DONE

    await house.serve(Scripted(slow), idle_limit=0.9)
    assert (await house.ended(await house.dispatch(), 5)).state is MissionState.COMPLETED


async def test_a_running_tool_may_be_silent_for_longer_than_the_idle_limit(house: House) -> None:
    async def with_tool(agent: Scripted, envelope: Event, context: MissionContext) -> AsyncGenerator[Event, None]:
        yield {"type": "tool_started", "tool": "make", "call_id": "1"}
        await asyncio.sleep(1.0)
        yield {"type": "tool_finished", "tool": "make", "call_id": "1", "ok": True, "duration_seconds": 1.0}
        await agent.asked_to_stop.wait()
        yield {"type": "cancelled", "message": "stopped"}

    await house.serve(Scripted(with_tool), idle_limit=0.3)
    mission_id = await house.dispatch()
    row = await house.ended(mission_id, 5)
    assert row.reason_code is ReasonCode.IDLE_TIMEOUT  # but once the tool is done the limit holds again
    assert row.runtime_seconds >= 1.3


async def test_a_silent_command_is_a_running_tool(house: House) -> None:
    await house.serve(idle_limit=0.3)
    assert (await house.ended(await house.dispatch(["sleep", "0.8"]))).state is MissionState.COMPLETED


@both_links
async def test_an_executor_that_waits_for_a_person_is_not_idle(house: House) -> None:
    async def asking(agent: Scripted, envelope: Event, context: MissionContext) -> AsyncGenerator[Event, None]:
        yield {"type": "approval_wanted", "request_id": "1", "message": "may I?", "tool": "rm"}
        await agent.asked_to_stop.wait()
        yield {"type": "cancelled", "message": "stopped"}

    agent = Scripted(asking)
    await house.serve(agent, idle_limit=0.3)
    mission_id = await house.dispatch()
    row = await house.state_is(mission_id, "blocked")
    assert row.reason_code is ReasonCode.APPROVAL_WANTED
    await asyncio.sleep(0.7)
    assert not agent.asked_to_stop.is_set()
    await house.step(mission_id, MissionTrigger.DENY, OPERATOR)
    assert (await house.ended(mission_id)).reason_code is ReasonCode.APPROVAL_DENIED
    await asyncio.wait_for(agent.asked_to_stop.wait(), 3)


@both_links
async def test_the_longest_runtime_ends_a_mission_and_its_process(house: House) -> None:
    await house.serve()
    mission_id = await house.dispatch(["sleep", "20.204"], budget={"max_runtime_minutes": 0.01})
    row = await house.ended(mission_id, 5)
    assert (row.state, row.reason_code) == (MissionState.TIMED_OUT, ReasonCode.MAX_RUNTIME_EXCEEDED)
    await gone("20.204")
    assert (await house.ended(await house.dispatch(["true"]))).state is MissionState.COMPLETED


async def test_the_backstop_ends_any_attempt_whatever_it_says(house: House) -> None:
    async def chatty(agent: Scripted, envelope: Event, context: MissionContext) -> AsyncGenerator[Event, None]:
        while not agent.asked_to_stop.is_set():
            yield {"type": "progress", "message": "nearly there"}
            await asyncio.sleep(0.1)
        yield {"type": "cancelled", "message": "stopped"}

    await house.serve(Scripted(chatty), backstop=1.0)
    row = await house.ended(await house.dispatch(), 5)
    assert (row.state, row.reason_code) == (MissionState.TIMED_OUT, ReasonCode.BACKSTOP_REACHED)


@both_links
@pytest.mark.parametrize("how", ["cut", "silent"])
async def test_a_worker_that_could_not_renew_for_a_whole_ttl_stops_its_work(house: House, how: str) -> None:
    link = FlakyLink(house.link)
    # An interval that does not divide the TTL: the end comes with the TTL, not with the beat after it.
    await house.serve(link=link, lease_ttl=1.5, heartbeat_interval=0.45, backoff=0.1)
    word = {"cut": "20.205", "silent": "20.206"}[how]
    mission_id = await house.dispatch(["sh", "-c", f"test -e again || {{ touch again; sleep {word}; }}", word])
    await up(word)
    setattr(link, how, True)
    began = time.monotonic()
    await gone(word)
    assert 0.9 < time.monotonic() - began < 3.5
    setattr(link, how, False)
    row = await house.ended(mission_id)
    assert (row.state, row.attempt, row.failures) == (MissionState.COMPLETED, 2, 1)
    assert (await house.session()).lease_epoch >= 3


async def test_a_cancellation_that_an_executor_swallows_does_not_leave_the_lane_to_nobody(house: House) -> None:
    class Deaf(Scripted):
        async def cancel(self) -> None:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60)
            await super().cancel()

    async def long_the_first_time(
        agent: Scripted, envelope: Event, context: MissionContext
    ) -> AsyncGenerator[Event, None]:
        yield {"type": "progress", "message": "begun"}
        if context.attempt == 1:
            await agent.asked_to_stop.wait()
        yield DONE

    link = FlakyLink(house.link)
    await house.serve(Deaf(long_the_first_time), link=link, lease_ttl=1.0, backoff=0.1)
    mission_id = await house.dispatch()
    await house.working(mission_id)
    link.cut = True
    await house.state_is(mission_id, "queued")
    link.cut = False
    row = await house.ended(mission_id)
    assert (row.state, row.attempt) == (MissionState.COMPLETED, 2)


async def test_a_renewal_that_fails_once_does_no_harm(house: House) -> None:
    link = FlakyLink(house.link)
    await house.serve(link=link, lease_ttl=2.0, heartbeat_interval=0.3)
    mission_id = await house.dispatch(["sleep", "1.5"])
    await house.working(mission_id)
    link.cut = True
    await asyncio.sleep(0.8)
    link.cut = False
    row = await house.ended(mission_id)
    assert (row.state, row.attempt) == (MissionState.COMPLETED, 1)
    row_after = await house.session_is(SessionState.ACTIVE)
    assert (row_after.lease_epoch, row_after.last_error) == (1, None)
    if "degraded" in await house.session_events():
        assert "recovered" in await house.session_events()


@both_links
async def test_an_executor_that_raises_is_the_missions_end_and_not_the_workers(house: House) -> None:
    async def raising(agent: Scripted, envelope: Event, context: MissionContext) -> AsyncGenerator[Event, None]:
        yield {"type": "progress", "message": "so far so good"}
        raise KeyError("model")

    await house.serve(Scripted(raising))
    mission_id = await house.dispatch()
    row = await house.ended(mission_id)
    assert (row.state, row.reason_code) == (MissionState.FAILED, ReasonCode.EXECUTOR_CRASHED)
    assert "KeyError" in (await house.ledger(mission_id))[-1]["summary"]


async def test_a_cancelled_error_is_never_recorded_as_success(house: House) -> None:
    """Nobody asked for a cancel: something inside the executor was cancelled, and the work is not done."""

    async def torn(agent: Scripted, envelope: Event, context: MissionContext) -> AsyncGenerator[Event, None]:
        yield {"type": "progress", "message": "nearly done"}
        raise asyncio.CancelledError

    await house.serve(Scripted(torn))
    row = await house.ended(await house.dispatch())
    assert (row.state, row.reason_code) == (MissionState.FAILED, ReasonCode.EXECUTOR_CRASHED)
    assert (await house.session()).status is SessionState.ACTIVE  # and the lane goes on


async def test_an_executor_that_ends_without_a_result_has_crashed(house: House) -> None:
    async def vanishing(agent: Scripted, envelope: Event, context: MissionContext) -> AsyncGenerator[Event, None]:
        yield {"type": "progress", "message": "and now"}

    await house.serve(Scripted(vanishing))
    row = await house.ended(await house.dispatch())
    assert row.reason_code is ReasonCode.EXECUTOR_CRASHED
    assert row.kind is MissionKind.DISPATCHED


async def test_a_reason_that_nobody_knows_is_an_executor_error(house: House) -> None:
    async def odd(agent: Scripted, envelope: Event, context: MissionContext) -> AsyncGenerator[Event, None]:
        yield {"type": "failed", "reason_code": "moon_phase", "message": "not today"}

    await house.serve(Scripted(odd))
    row = await house.ended(await house.dispatch())
    assert (row.state, row.reason_code) == (MissionState.FAILED, ReasonCode.EXECUTOR_ERROR)


@both_links
async def test_usage_counts_over_all_attempts(house: House) -> None:
    async def metered(agent: Scripted, envelope: Event, context: MissionContext) -> AsyncGenerator[Event, None]:
        yield {"type": "usage", "usage": {"llm_calls": 2}}
        if context.attempt == 1:
            await agent.asked_to_stop.wait()
            yield {"type": "cancelled", "message": "handed back"}
        yield {"type": "usage", "usage": {"llm_calls": 3}}
        yield DONE

    runtime = await house.serve(Scripted(metered))
    mission_id = await house.dispatch()
    await house.working(mission_id)
    await house.dismiss(runtime)
    await house.serve(Scripted(metered))
    row = await house.ended(mission_id)
    assert row.usage["llm_calls"] == 5


async def test_a_process_started_through_the_guard_dies_with_the_executor_that_raises(house: House) -> None:
    async def starting(agent: Scripted, envelope: Event, context: MissionContext) -> AsyncGenerator[Event, None]:
        running = context.processes.run(["sleep", "20.207"], cwd=context.workspace, env={"PATH": "/usr/bin:/bin"})
        async for happening in running:
            assert not isinstance(happening, ProcessExited)
            yield {"type": "progress", "message": "started"}
            raise RuntimeError("changed my mind")

    await house.serve(Scripted(starting))
    assert (await house.ended(await house.dispatch())).state is MissionState.FAILED
    await gone("20.207")
