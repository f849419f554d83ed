"""What the wall clock ends: deadlines, windows, running too long, decisions nobody makes."""

import asyncio
from datetime import timedelta

import pytest

from dragancorp.lifecycle.ledger_entry import utc_text
from dragancorp.missions.ledger import verify_store
from dragancorp.missions.reconciler import Reconciler
from dragancorp_contracts.lifecycle import Holder, MissionState, MissionTrigger, ReasonCode

from .world import Runtime, World

pytestmark = pytest.mark.anyio
MINUTE = 60.0


def at(world: World, seconds: float) -> str:
    return utc_text(world.clock.wall() + timedelta(seconds=seconds))


async def let_pass(world: World, seconds: float, runtime: Runtime | None = None) -> None:
    """One step ahead on both clocks with a beat, so that only limits of missions come due."""
    await world.reconciler.tick()  # what runs has been seen from its start, as by one that ticks twice a second
    world.clock.advance(seconds)
    if runtime is not None:
        await runtime.renew()
    await world.reconciler.tick()


async def ended(world: World, mission_id: str) -> tuple[MissionState, ReasonCode | None]:
    row = await world.row(mission_id)
    return row.state, row.reason_code


async def test_a_queued_mission_ends_at_its_deadline_and_not_before(world: World) -> None:
    await world.lane()
    row = (await world.dispatch(deadline_at=at(world, MINUTE))).row
    await let_pass(world, MINUTE - 0.001)
    assert (await world.row(row.mission_id)).state is MissionState.QUEUED
    await let_pass(world, 0.001)
    assert await ended(world, row.mission_id) == (MissionState.TIMED_OUT, ReasonCode.DEADLINE_PASSED)


async def test_a_queued_mission_ends_with_its_window(world: World) -> None:
    await world.lane()
    window = {"start_at": at(world, 0), "end_at": at(world, MINUTE)}
    row = (await world.dispatch(autonomy_window=window)).row
    await let_pass(world, MINUTE)
    assert await ended(world, row.mission_id) == (MissionState.TIMED_OUT, ReasonCode.WINDOW_CLOSED)


async def test_a_running_mission_ends_at_its_deadline_and_its_holder_is_fenced(world: World) -> None:
    runtime = await world.working_lane()
    await world.dispatch(deadline_at=at(world, MINUTE))
    row = await runtime.claim_one()
    await let_pass(world, MINUTE, runtime)
    assert await ended(world, row.mission_id) == (MissionState.TIMED_OUT, ReasonCode.DEADLINE_PASSED)
    assert (await runtime.renew()).held == ()


async def test_a_blocked_mission_ends_at_its_deadline(world: World) -> None:
    runtime = await world.working_lane()
    await world.dispatch(deadline_at=at(world, MINUTE))
    row = await runtime.claim_one()
    await runtime.block(row)
    await let_pass(world, MINUTE, runtime)
    assert await ended(world, row.mission_id) == (MissionState.TIMED_OUT, ReasonCode.DEADLINE_PASSED)


async def test_running_time_counts_over_all_attempts(world: World) -> None:
    runtime = await world.working_lane(backoff=0.0)
    await world.dispatch(budget={"max_runtime_minutes": 1})
    row = await runtime.claim_one()
    await let_pass(world, 40, runtime)
    await runtime.say(row, MissionTrigger.HAND_BACK)
    await let_pass(world, 3600, runtime)
    row = await runtime.claim_one()
    await let_pass(world, 19, runtime)
    assert (await world.row(row.mission_id)).state is MissionState.RUNNING
    await let_pass(world, 1, runtime)
    assert await ended(world, row.mission_id) == (MissionState.TIMED_OUT, ReasonCode.MAX_RUNTIME_EXCEEDED)


async def test_waiting_for_an_approval_is_no_running_time(world: World) -> None:
    runtime = await world.working_lane()
    await world.dispatch(budget={"max_runtime_minutes": 1})
    row = await runtime.claim_one()
    await let_pass(world, 30, runtime)
    await runtime.block(row)
    await let_pass(world, 200, runtime)
    await world.approve(row.mission_id)
    await let_pass(world, 29, runtime)
    assert (await world.row(row.mission_id)).state is MissionState.RUNNING
    await let_pass(world, 1, runtime)
    assert (await world.row(row.mission_id)).state is MissionState.TIMED_OUT


async def test_an_attempt_has_a_backstop(world: World) -> None:
    runtime = await world.working_lane(backstop=MINUTE)
    await world.dispatch()
    row = await runtime.claim_one()
    await let_pass(world, MINUTE - 1, runtime)
    assert (await world.row(row.mission_id)).state is MissionState.RUNNING
    await let_pass(world, 1, runtime)
    assert await ended(world, row.mission_id) == (MissionState.TIMED_OUT, ReasonCode.BACKSTOP_REACHED)


@pytest.mark.parametrize("hour", [3600, -3600], ids=["ahead", "back"])
async def test_a_wall_clock_that_jumps_an_hour_ends_no_attempt_and_keeps_none(world: World, hour: float) -> None:
    runtime = await world.working_lane(backstop=2 * MINUTE, parallel_missions=2)
    await world.dispatch(budget={"max_runtime_minutes": 1})
    await world.dispatch()
    limited, unlimited = (await runtime.claim(2))[:2]
    await let_pass(world, MINUTE - 1, runtime)
    world.clock.jump(hour)
    await let_pass(world, 0, runtime)
    assert (await world.row(limited.mission_id)).state is MissionState.RUNNING
    assert (await world.row(unlimited.mission_id)).state is MissionState.RUNNING
    await let_pass(world, 1, runtime)
    assert await ended(world, limited.mission_id) == (MissionState.TIMED_OUT, ReasonCode.MAX_RUNTIME_EXCEEDED)
    await let_pass(world, MINUTE, runtime)
    assert await ended(world, unlimited.mission_id) == (MissionState.TIMED_OUT, ReasonCode.BACKSTOP_REACHED)


@pytest.mark.parametrize("hour", [3600, -3600], ids=["ahead", "back"])
async def test_a_stretch_that_ends_after_the_jump_counts_what_it_really_took(world: World, hour: float) -> None:
    runtime = await world.working_lane()
    await world.dispatch(budget={"max_runtime_minutes": 2})
    row = await runtime.claim_one()
    world.clock.advance(10)
    world.clock.jump(hour)
    world.clock.advance(10)
    await runtime.renew()
    await runtime.say(row, MissionTrigger.HAND_BACK)
    assert (await world.row(row.mission_id)).runtime_seconds == pytest.approx(20)
    again = await runtime.claim_one()
    world.clock.advance(MINUTE)
    await runtime.complete(again)
    assert (await world.row(row.mission_id)).runtime_seconds == pytest.approx(20 + MINUTE)
    stretches = [event.get("ran_seconds") for event in await world.events(row.mission_id)]
    assert [ran for ran in stretches if ran is not None] == [20.0], "a clock that was not set needs no second opinion"
    assert (await verify_store(world.store)).findings == ()


async def test_a_reconciler_that_starts_anew_counts_an_attempt_anew(world: World) -> None:
    runtime = await world.working_lane(backstop=MINUTE)
    await world.dispatch()
    row = await runtime.claim_one()
    await let_pass(world, MINUTE - 1, runtime)
    world.reconciler = Reconciler(world.store, world.clock)
    await let_pass(world, MINUTE - 1, runtime)
    assert (await world.row(row.mission_id)).state is MissionState.RUNNING
    await let_pass(world, 1, runtime)
    assert await ended(world, row.mission_id) == (MissionState.TIMED_OUT, ReasonCode.BACKSTOP_REACHED)


async def test_a_slot_is_held_for_an_answer_only_so_long(world: World) -> None:
    runtime = await world.working_lane()
    await world.dispatch()
    row = await runtime.claim_one()
    await runtime.block(row)
    await let_pass(world, 299, runtime)
    assert (await world.row(row.mission_id)).holder is Holder.LANE
    await let_pass(world, 1, runtime)
    suspended = await world.row(row.mission_id)
    assert (suspended.state, suspended.holder, suspended.reason_code) == (
        MissionState.BLOCKED,
        Holder.NONE,
        ReasonCode.APPROVAL_WANTED,
    )


@pytest.mark.parametrize("before_the_start", [True, False])
async def test_an_approval_nobody_gives_expires_after_a_day(world: World, before_the_start: bool) -> None:
    runtime = await world.working_lane()
    if before_the_start:
        row = (await world.dispatch(constraints={"approval_required": ["*"]})).row
    else:
        await world.dispatch()
        row = await runtime.claim_one()
        await runtime.block(row)
    day = 24 * 3600
    await let_pass(world, day - 1, runtime)
    assert (await world.row(row.mission_id)).state is MissionState.BLOCKED
    await let_pass(world, 1, runtime)
    assert await ended(world, row.mission_id) == (MissionState.FAILED, ReasonCode.APPROVAL_EXPIRED)


async def test_a_cancel_that_was_asked_for_goes_before_a_deadline_that_passed(world: World) -> None:
    runtime = await world.working_lane(cancel_deadline=30.0)
    await world.dispatch(deadline_at=at(world, 10))
    row = await runtime.claim_one()
    await world.cancel(row.mission_id)
    await let_pass(world, 20, runtime)
    assert (await world.row(row.mission_id)).state is MissionState.RUNNING
    await let_pass(world, 10, runtime)
    assert await ended(world, row.mission_id) == (MissionState.CANCELLED, ReasonCode.CANCEL_FORCED)


async def test_every_overdue_mission_is_reached_however_many_run_on_time(world: World) -> None:
    runtime = await world.working_lane(parallel_missions=400, cancel_deadline=10.0)
    await asyncio.gather(*(world.dispatch() for _ in range(250)))
    rows = await runtime.claim(400)
    late = rows[-1]
    await world.cancel(late.mission_id)
    await let_pass(world, 10, runtime)
    assert (await world.row(late.mission_id)).state is MissionState.CANCELLED


async def test_a_backlog_of_overdue_missions_is_worked_off(world: World) -> None:
    await world.lane()
    await asyncio.gather(*(world.dispatch(deadline_at=at(world, 1)) for _ in range(230)))
    world.clock.advance(2)
    while await world.reconciler.tick():
        pass
    assert (await world.registry.list_missions(state="queued")).missions == ()
