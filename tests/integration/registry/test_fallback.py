"""Delegated missions: the primary path takes over what the lane could not finish, and the ledger says so."""

import pytest

from dragancorp.errors import ErrorCode
from dragancorp.lifecycle.rows import MissionRow
from dragancorp.registry.operations import RenewHold
from dragancorp_contracts.lifecycle import Holder, MissionState, MissionTrigger, ReasonCode

from .world import GATEWAY, World, refused

pytestmark = pytest.mark.anyio


async def awaiting(world: World) -> MissionRow:
    """A delegated mission whose lane has failed."""
    runtime = await world.working_lane()
    await world.delegate()
    row = await runtime.claim_one()
    return (await runtime.fail(row, reason=ReasonCode.EXECUTOR_CRASHED)).row


async def test_a_lane_that_crashes_leaves_a_delegated_mission_for_the_primary_path(world: World) -> None:
    row = await awaiting(world)
    assert (row.state, row.reason_code, row.cause, row.holder) == (
        MissionState.BLOCKED,
        ReasonCode.AWAITING_FALLBACK,
        ReasonCode.EXECUTOR_CRASHED,
        Holder.NONE,
    )
    taken = (await world.take_fallback(row, path="code-writer", error="signal 9")).row
    assert (taken.state, taken.holder, taken.attempt, taken.fallback) == (
        MissionState.RUNNING,
        Holder.PRIMARY,
        2,
        True,
    )
    fallback = (await world.last_event(row.mission_id))["fallback"]
    assert fallback == {"reason": "executor_crashed", "path": "code-writer", "error": "signal 9"}
    ended = (await world.primary_ends(taken)).row
    assert (ended.state, ended.completed_via) == (MissionState.COMPLETED, "primary")
    assert await world.event_types(row.mission_id) == ["dispatched", "accepted", "blocked", "fallback", "completed"]


async def test_a_primary_path_that_fails_too_fails_the_mission(world: World) -> None:
    taken = (await world.take_fallback(await awaiting(world))).row
    ended = (await world.primary_ends(taken, MissionTrigger.FAIL)).row
    assert (ended.state, ended.reason_code) == (MissionState.FAILED, ReasonCode.FALLBACK_FAILED)


async def test_a_fallback_is_taken_once(world: World) -> None:
    row = await awaiting(world)
    await world.take_fallback(row)
    with refused(ErrorCode.STALE_EPOCH):
        await world.take_fallback(row)


async def test_the_lane_that_failed_has_no_say_any_more(world: World) -> None:
    runtime = await world.working_lane()
    await world.delegate()
    row = await runtime.claim_one()
    failed = (await runtime.fail(row)).row
    with refused(ErrorCode.STALE_EPOCH):
        await runtime.complete(row)
    await world.take_fallback(failed)
    with refused(ErrorCode.STALE_EPOCH):
        await runtime.complete(row)


async def test_a_fallback_nobody_takes_is_a_failure_for_the_lanes_reason(world: World) -> None:
    row = await awaiting(world)
    world.clock.advance(29)
    assert await world.reconciler.tick() == 0
    world.clock.advance(1)
    await world.reconciler.tick()
    ended = await world.row(row.mission_id)
    assert (ended.state, ended.reason_code) == (MissionState.FAILED, ReasonCode.EXECUTOR_CRASHED)
    with refused(ErrorCode.MISSION_TERMINAL):
        await world.take_fallback(row)


async def test_a_reason_without_fallback_ends_a_delegated_mission(world: World) -> None:
    runtime = await world.working_lane()
    await world.delegate()
    row = await runtime.claim_one()
    ended = (await runtime.fail(row, reason=ReasonCode.TOOL_FORBIDDEN)).row
    assert (ended.state, ended.reason_code) == (MissionState.FAILED, ReasonCode.TOOL_FORBIDDEN)


async def test_a_lost_lease_leaves_a_delegated_mission_for_the_primary_path(world: World) -> None:
    runtime = await world.working_lane()
    await world.delegate()
    row = await runtime.claim_one()
    await world.lose_lease()
    after = await world.row(row.mission_id)
    assert (after.state, after.reason_code, after.cause) == (
        MissionState.BLOCKED,
        ReasonCode.AWAITING_FALLBACK,
        ReasonCode.LEASE_LOST,
    )


async def test_a_mission_nobody_starts_in_time_goes_to_the_primary_path(world: World) -> None:
    runtime = await world.working_lane()
    row = (await world.delegate()).row
    taken = (await world.step(row.mission_id, MissionTrigger.START_TIMEOUT, GATEWAY, attempt_as_read=0)).row
    assert (taken.holder, taken.attempt) == (Holder.PRIMARY, 1)
    assert await runtime.claim() == []
    assert (await world.last_event(row.mission_id))["fallback"]["reason"] == "start_timeout"


async def test_a_start_timeout_that_comes_after_the_claim_is_refused(world: World) -> None:
    runtime = await world.working_lane()
    row = (await world.delegate()).row
    await runtime.claim_one()
    with refused(ErrorCode.STALE_EPOCH):
        await world.step(row.mission_id, MissionTrigger.START_TIMEOUT, GATEWAY, attempt_as_read=0)


async def test_a_primary_path_that_renews_its_hold_keeps_it(world: World) -> None:
    taken = (await world.take_fallback(await awaiting(world))).row
    for _ in range(5):
        world.clock.advance(200)
        renewed = await world.store.execute(
            RenewHold(mission_id=taken.mission_id, attempt=taken.attempt, seconds=300.0)
        )
        await world.reconciler.tick()
    assert renewed.hold_expires_at is not None
    assert (renewed.hold_expires_at - world.clock.wall()).total_seconds() == 300.0
    assert (await world.row(taken.mission_id)).holder is Holder.PRIMARY


async def test_a_primary_path_that_falls_silent_loses_the_mission(world: World) -> None:
    taken = (await world.take_fallback(await awaiting(world))).row
    world.clock.advance(299)
    await world.reconciler.tick()
    assert (await world.row(taken.mission_id)).state is MissionState.RUNNING
    world.clock.advance(1)
    await world.reconciler.tick()
    ended = await world.row(taken.mission_id)
    assert (ended.state, ended.reason_code) == (MissionState.FAILED, ReasonCode.PRIMARY_LOST)
    with refused(ErrorCode.MISSION_TERMINAL):
        await world.primary_ends(taken)
    with refused(ErrorCode.MISSION_TERMINAL):
        await world.store.execute(RenewHold(mission_id=taken.mission_id, attempt=taken.attempt, seconds=300.0))


async def test_only_the_present_primary_hold_can_be_renewed(world: World) -> None:
    row = await awaiting(world)
    with refused(ErrorCode.STALE_EPOCH):
        await world.store.execute(RenewHold(mission_id=row.mission_id, attempt=row.attempt, seconds=300.0))
    taken = (await world.take_fallback(row)).row
    with refused(ErrorCode.STALE_EPOCH):
        await world.store.execute(RenewHold(mission_id=row.mission_id, attempt=taken.attempt - 1, seconds=300.0))
    with refused(ErrorCode.MISSION_UNKNOWN):
        await world.store.execute(RenewHold(mission_id="m-none", attempt=1, seconds=300.0))


async def test_a_mission_awaiting_its_fallback_can_be_cancelled(world: World) -> None:
    row = await awaiting(world)
    assert (await world.cancel(row.mission_id)).row.state is MissionState.CANCELLED


async def test_what_the_primary_path_finishes_after_a_cancel_stays_cancelled(world: World) -> None:
    taken = (await world.take_fallback(await awaiting(world))).row
    await world.cancel(taken.mission_id)
    assert (await world.primary_ends(taken)).row.state is MissionState.CANCELLED
