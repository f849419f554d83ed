"""Asking for the end: at once where nobody works on it, by the holder or by a deadline where somebody does."""

import pytest

from dragancorp.errors import ErrorCode
from dragancorp_contracts.lifecycle import Holder, MissionState, MissionTrigger, ReasonCode

from .world import CALLER, GATEWAY, World, artifact, refused

pytestmark = pytest.mark.anyio


async def test_a_queued_mission_is_cancelled_at_once_with_no_worker_alive(world: World) -> None:
    await world.lane()
    row = (await world.dispatch()).row
    assert (await world.cancel(row.mission_id)).row.state is MissionState.CANCELLED
    assert await world.event_types(row.mission_id) == ["dispatched", "cancelled"]


async def test_a_running_mission_is_asked_and_ends_when_its_holder_says_so(world: World) -> None:
    runtime = await world.working_lane()
    await world.dispatch()
    row = await runtime.claim_one()
    asked = (await world.cancel(row.mission_id)).row
    assert (asked.state, asked.holder, asked.cancel_requested_at) == (
        MissionState.RUNNING,
        Holder.LANE,
        world.clock.wall(),
    )
    (held,) = (await runtime.renew()).held
    assert held.cancel_asked
    ended = await runtime.say(row, MissionTrigger.STOPPED)
    assert (ended.row.state, ended.row.reason_code) == (MissionState.CANCELLED, ReasonCode.CANCEL_REQUESTED)
    assert await world.event_types(row.mission_id) == ["dispatched", "accepted", "cancel_requested", "cancelled"]


async def test_a_second_cancel_of_a_running_mission_changes_nothing(world: World) -> None:
    runtime = await world.working_lane()
    await world.dispatch()
    row = await runtime.claim_one()
    first = (await world.cancel(row.mission_id)).row
    world.clock.advance(3)
    second = await world.cancel(row.mission_id)
    assert (second.row, second.events) == (first, ())


async def test_a_cancelled_mission_cancelled_again_is_answered_with_the_same_row(world: World) -> None:
    await world.lane()
    row = (await world.dispatch()).row
    first = await world.cancel(row.mission_id)
    second = await world.cancel(row.mission_id)
    assert second.row == first.row
    assert second.replayed
    assert await world.event_types(row.mission_id) == ["dispatched", "cancelled"]


async def test_what_has_ended_otherwise_cannot_be_cancelled(world: World) -> None:
    runtime = await world.working_lane()
    await world.dispatch()
    row = await runtime.claim_one()
    await runtime.complete(row)
    with refused(ErrorCode.MISSION_TERMINAL) as caught:
        await world.cancel(row.mission_id)
    assert caught.value.facts == {"state": "completed"}


async def test_a_mission_nobody_knows_cannot_be_cancelled(world: World) -> None:
    with refused(ErrorCode.MISSION_UNKNOWN):
        await world.cancel("m-none")


@pytest.mark.parametrize("trigger", [MissionTrigger.COMPLETE, MissionTrigger.FAIL])
async def test_a_result_that_comes_after_the_cancel_is_kept_and_changes_no_outcome(
    world: World, trigger: MissionTrigger
) -> None:
    runtime = await world.working_lane()
    await world.dispatch()
    row = await runtime.claim_one()
    await world.cancel(row.mission_id)
    ended = await runtime.say(row, trigger, receipt={}, artifacts=(artifact(),), summary="Done after all.")
    assert ended.row.state is MissionState.CANCELLED
    final = await world.last_event(row.mission_id)
    assert final["late_result"] == {"trigger": trigger.value, "summary": "Done after all."}
    assert [one["name"] for one in final["artifact_index"]] == ["out/diff.txt"]


async def test_a_cancelled_mission_never_comes_back(world: World) -> None:
    runtime = await world.working_lane()
    await world.dispatch()
    row = await runtime.claim_one()
    await world.cancel(row.mission_id)
    await runtime.say(row, MissionTrigger.STOPPED)
    world.clock.advance(58)
    with refused(ErrorCode.MISSION_TERMINAL):
        await runtime.complete(row)
    await world.lose_lease()
    assert (await world.row(row.mission_id)).state is MissionState.CANCELLED
    assert await (await world.runtime(name="rt-2")).claim() == []


async def test_a_holder_that_does_not_answer_is_overruled_at_the_cancel_deadline(world: World) -> None:
    runtime = await world.working_lane(cancel_deadline=10.0)
    await world.dispatch()
    row = await runtime.claim_one()
    await world.cancel(row.mission_id)
    await world.pass_time(9, beating=runtime)
    assert (await world.row(row.mission_id)).state is MissionState.RUNNING
    await world.pass_time(2, beating=runtime)
    ended = await world.row(row.mission_id)
    assert (ended.state, ended.reason_code) == (MissionState.CANCELLED, ReasonCode.CANCEL_FORCED)


async def test_a_cancel_survives_the_loss_of_the_holder(world: World) -> None:
    runtime = await world.working_lane(cancel_deadline=3600.0)
    await world.dispatch()
    row = await runtime.claim_one()
    await world.cancel(row.mission_id)
    await world.lose_lease()
    ended = await world.row(row.mission_id)
    assert (ended.state, ended.reason_code) == (MissionState.CANCELLED, ReasonCode.CANCEL_FORCED)


async def test_a_blocked_mission_that_holds_its_slot_is_asked_one_that_does_not_ends(world: World) -> None:
    runtime = await world.working_lane()
    await world.dispatch()
    row = await runtime.claim_one()
    await runtime.block(row)
    assert (await world.cancel(row.mission_id)).row.state is MissionState.BLOCKED
    waiting = (await world.dispatch(constraints={"approval_required": ["*"]})).row
    assert (await world.cancel(waiting.mission_id)).row.state is MissionState.CANCELLED


async def test_a_gateway_that_cancels_says_that_its_caller_is_gone(world: World) -> None:
    await world.lane()
    row = (await world.delegate()).row
    gateway = type(CALLER)(by=GATEWAY)
    ended = await world.missions.cancel(row.mission_id, gateway)
    assert ended.row.reason_code is ReasonCode.CALLER_GONE


async def test_a_finished_parent_ends_its_children(world: World) -> None:
    runtime = await world.working_lane(parallel_missions=2)
    await world.dispatch(mission_id="parent", priority_class="interactive")
    await world.dispatch(mission_id="running", parent_mission_id="parent")
    await world.dispatch(mission_id="queued", parent_mission_id="parent")
    await world.dispatch(mission_id="grandchild", parent_mission_id="queued")
    parent, running = await runtime.claim(2)
    assert running.mission_id == "running"
    await runtime.complete(parent)
    queued = await world.row("queued")
    assert (queued.state, queued.reason_code) == (MissionState.CANCELLED, ReasonCode.PARENT_ENDED)
    assert (await world.row("grandchild")).state is MissionState.CANCELLED
    assert (await world.row("running")).cancel_requested_at is not None
    assert (await runtime.say(running, MissionTrigger.STOPPED)).row.state is MissionState.CANCELLED


async def test_a_parent_that_is_cancelled_ends_its_children_too(world: World) -> None:
    await world.lane()
    await world.dispatch(mission_id="parent")
    await world.dispatch(mission_id="child", parent_mission_id="parent")
    await world.cancel("parent")
    assert (await world.row("child")).state is MissionState.CANCELLED


async def test_a_requeued_parent_keeps_its_children(world: World) -> None:
    runtime = await world.working_lane()
    await world.dispatch(mission_id="parent")
    await runtime.claim_one()
    await world.dispatch(mission_id="child", parent_mission_id="parent")
    await world.lose_lease()
    assert (await world.row("parent")).state is MissionState.QUEUED
    assert (await world.row("child")).state is MissionState.QUEUED
