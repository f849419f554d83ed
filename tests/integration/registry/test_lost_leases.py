"""When a runtime falls silent: who notices, when, and what becomes of its missions."""

import pytest

from dragancorp.errors import ErrorCode
from dragancorp.missions.reconciler import Reconciler
from dragancorp_contracts.lifecycle import Holder, MissionKind, MissionState, ReasonCode, SessionState, SessionTrigger

from .world import LANE, TTL, Runtime, World, refused

pytestmark = pytest.mark.anyio


async def claim_again(world: World, name: str) -> Runtime:
    """Another runtime takes the lane over, and what waited for its backoff is due."""
    world.clock.advance(3600)
    return await world.runtime(name=name)


async def test_a_pause_set_by_a_wall_clock_an_hour_ahead_is_over_when_the_clock_is_put_right(world: World) -> None:
    runtime = await world.working_lane(backoff=5.0)
    await world.dispatch()
    row = await runtime.claim_one()
    world.clock.jump(3600)
    await world.lose_lease()
    world.clock.jump(-3600)
    following = await world.runtime(name="rt-2")
    assert (await world.row(row.mission_id)).state == "queued"
    assert [again.mission_id for again in await following.claim()] == [row.mission_id]


async def test_a_lost_lease_requeues_its_mission_with_a_pause_and_a_higher_epoch(world: World) -> None:
    runtime = await world.working_lane(backoff=5.0)
    await world.dispatch()
    row = await runtime.claim_one()
    await world.lose_lease()
    lost_at = world.clock.wall()
    after, session = await world.row(row.mission_id), await world.status()
    assert (after.state, after.failures, after.holder, after.reason_code, after.resume) == (
        MissionState.QUEUED,
        1,
        Holder.NONE,
        ReasonCode.LEASE_LOST,
        True,
    )
    assert after.not_before is not None
    assert 0 < (after.not_before - lost_at).total_seconds() <= 5.0
    assert (session.status, session.lease_owner, session.lease_epoch) == (
        SessionState.DEGRADED,
        None,
        runtime.epoch + 1,
    )
    fresh = await world.runtime(name="rt-2")
    assert await fresh.claim() == []
    world.clock.advance(5)
    again = await fresh.claim_one()
    assert (again.attempt, again.resume, again.lease_epoch) == (2, True, fresh.epoch)


async def test_the_pause_doubles_with_each_failure(world: World) -> None:
    runtime = await world.working_lane(backoff=5.0, max_attempts=10)
    await world.dispatch()
    pauses = []
    for number in range(3):
        row = await runtime.claim_one()
        await world.lose_lease()
        after = await world.row(row.mission_id)
        assert after.not_before is not None
        pauses.append((after.not_before - after.updated_at).total_seconds())
        runtime = await claim_again(world, f"rt-{number}")
    assert pauses == [5.0, 10.0, 20.0]


async def test_a_mission_that_keeps_killing_its_worker_is_parked_and_the_lane_goes_on(world: World) -> None:
    runtime = await world.working_lane(max_attempts=3)
    await world.dispatch(mission_id="poison", priority_class="interactive")
    for number in range(3):
        assert (await runtime.claim_one()).mission_id == "poison"
        await world.lose_lease()
        runtime = await claim_again(world, f"rt-{number}")
    poison = await world.row("poison")
    assert (poison.state, poison.reason_code, poison.parked, poison.failures) == (
        MissionState.FAILED,
        ReasonCode.ATTEMPTS_EXHAUSTED,
        True,
        3,
    )
    parked = await world.registry.list_missions(parked=True)
    assert [stored.row.mission_id for stored in parked.missions] == ["poison"]
    await world.dispatch(mission_id="next")
    assert (await runtime.claim_one()).mission_id == "next"


async def test_a_lane_that_does_not_retry_fails_what_it_lost(world: World) -> None:
    runtime = await world.working_lane(retry=False)
    await world.dispatch()
    row = await runtime.claim_one()
    await world.lose_lease()
    after = await world.row(row.mission_id)
    assert (after.state, after.reason_code) == (MissionState.FAILED, ReasonCode.LEASE_LOST)


async def test_a_shadow_mission_is_never_tried_again(world: World) -> None:
    runtime = await world.working_lane()
    await world.dispatch(kind=MissionKind.SHADOW)
    row = await runtime.claim_one()
    await world.lose_lease()
    assert (await world.row(row.mission_id)).state is MissionState.FAILED


async def test_a_blocked_mission_of_a_lost_lane_waits_on_without_a_slot(world: World) -> None:
    runtime = await world.working_lane()
    await world.dispatch()
    row = await runtime.claim_one()
    await runtime.block(row)
    await world.lose_lease()
    after = await world.row(row.mission_id)
    assert (after.state, after.holder, after.reason_code) == (
        MissionState.BLOCKED,
        Holder.NONE,
        ReasonCode.APPROVAL_WANTED,
    )
    assert (await world.approve(row.mission_id)).row.state is MissionState.QUEUED


async def test_all_missions_of_a_lost_lane_move_in_the_same_transaction(world: World) -> None:
    runtime = await world.working_lane(parallel_missions=3)
    for _ in range(3):
        await world.dispatch()
    rows = await runtime.claim(3)
    await world.lose_lease()
    after = [await world.row(row.mission_id) for row in rows]
    assert {row.state for row in after} == {MissionState.QUEUED}
    assert len({row.updated_at for row in after}) == 1


async def test_a_live_lease_is_never_reaped(world: World) -> None:
    runtime = await world.working_lane()
    await world.dispatch()
    row = await runtime.claim_one()
    assert await world.pass_time(5 * TTL, beating=runtime) == 0
    assert (await world.status()).lease_epoch == runtime.epoch
    assert (await world.row(row.mission_id)).state is MissionState.RUNNING


async def test_a_lane_is_taken_over_only_after_a_whole_ttl_of_the_observers_own_clock(world: World) -> None:
    runtime = await world.working_lane(heartbeat_interval=TTL / 3)
    await world.pass_time(TTL * 0.9, beating=runtime)
    # The last beat is seen at the next look; a TTL later, and not before, it is over.
    await world.reconciler.tick()
    world.clock.advance(TTL - 0.1)
    await world.reconciler.tick()
    assert (await world.status()).lease_owner == runtime.owner
    world.clock.advance(0.1)
    await world.reconciler.tick()
    assert (await world.status()).lease_owner is None


async def test_an_observer_that_starts_late_waits_a_whole_ttl_itself(world: World) -> None:
    await world.working_lane()
    world.clock.advance(100 * TTL)
    observer = Reconciler(world.store, world.clock)
    assert await observer.tick() == 0
    world.clock.advance(TTL - 0.1)
    await observer.tick()
    assert (await world.status()).lease_owner is not None
    world.clock.advance(0.1)
    await observer.tick()
    assert (await world.status()).lease_owner is None


async def test_a_beat_begins_the_observers_wait_anew(world: World) -> None:
    runtime = await world.working_lane()
    await world.reconciler.tick()
    for _ in range(4):
        world.clock.advance(TTL - 1)
        await runtime.renew()
        await world.reconciler.tick()
    assert (await world.status()).lease_owner == runtime.owner


@pytest.mark.parametrize("hour", [3600.0, -3600.0])
async def test_a_wall_clock_that_jumps_an_hour_expires_nothing(world: World, hour: float) -> None:
    runtime = await world.working_lane()
    await world.dispatch()
    row = await runtime.claim_one()
    await world.reconciler.tick()
    world.clock.jump(hour)
    assert await world.reconciler.tick() == 0
    assert await world.pass_time(2 * TTL, beating=runtime) == 0
    assert (await runtime.complete(row)).row.state is MissionState.COMPLETED


async def test_a_wall_clock_that_jumps_back_keeps_no_dead_runtime_alive(world: World) -> None:
    runtime = await world.working_lane()
    await world.dispatch()
    row = await runtime.claim_one()
    await world.reconciler.tick()
    world.clock.jump(-3600)
    await world.lose_lease()
    assert (await world.row(row.mission_id)).state is MissionState.QUEUED


async def test_a_late_beat_degrades_and_a_beat_in_time_recovers(world: World) -> None:
    runtime = await world.working_lane()
    await world.reconciler.tick()
    world.clock.advance(TTL / 2)
    assert await world.reconciler.tick() == 1
    degraded = await world.status()
    assert (degraded.status, degraded.lease_owner) == (SessionState.DEGRADED, runtime.owner)
    assert degraded.last_error is not None
    await world.reconciler.tick()
    await runtime.renew()
    recovered = (await runtime.session(SessionTrigger.RECOVER)).row
    assert (recovered.status, recovered.last_error) == (SessionState.ACTIVE, None)
    assert (await world.session_event_types())[-2:] == ["degraded", "recovered"]


async def test_a_holder_known_to_be_dead_is_replaced_without_waiting(world: World) -> None:
    runtime = await world.working_lane()
    await world.dispatch()
    row = await runtime.claim_one()
    await world.reconciler.declare_dead(await world.registry.get_session(LANE))
    assert (await world.row(row.mission_id)).state is MissionState.QUEUED
    with refused(ErrorCode.STALE_EPOCH):
        await runtime.renew()


async def test_what_was_read_before_another_take_over_takes_nothing(world: World) -> None:
    await world.working_lane()
    as_read = await world.registry.get_session(LANE)
    await world.lose_lease()
    fresh = await world.runtime(name="rt-2")
    await world.reconciler.declare_dead(as_read)
    assert (await world.status()).lease_owner == fresh.owner


async def test_two_observers_take_over_once(world: World) -> None:
    await world.working_lane()
    second = Reconciler(world.store, world.clock)
    for observer in (world.reconciler, second):
        await observer.tick()
    world.clock.advance(TTL)
    assert [await observer.tick() for observer in (world.reconciler, second)] == [1, 0]
    assert (await world.session_event_types()).count("degraded") == 1
