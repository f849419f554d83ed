"""The session registry as one contract: lanes, leases and statuses, and what each method refuses."""

import asyncio
from dataclasses import replace

import pytest

from dragancorp.errors import ErrorCode
from dragancorp.lifecycle.commands import By
from dragancorp.registry.contract import STATUS_TRIGGERS
from dragancorp.registry.operations import CountTurns
from dragancorp.registry.queries import ReadSnapshot
from dragancorp_contracts.lifecycle import Actor, Holder, MissionState, MissionTrigger, SessionState, SessionTrigger

from .world import CALLER, LANE, OPERATOR, SECOND_LANE, TTL, World, policy, refused

pytestmark = pytest.mark.anyio


async def test_a_lane_is_created_once_and_idle(world: World) -> None:
    first = await world.lane()
    second = await world.lane(queue_limit=7)
    assert first == second
    assert (first.status, first.lease_epoch, first.lease_owner) == (SessionState.IDLE, 0, None)
    assert await world.session_event_types() == ["created"]
    assert (await world.registry.get_session(LANE)).policy.queue_limit == 7


async def test_configuring_anew_leaves_lease_and_status_alone(world: World) -> None:
    runtime = await world.working_lane()
    await world.operate(SessionTrigger.DRAIN)
    row = await world.lane(queue_limit=7)
    assert (row.status, row.lease_owner) == (SessionState.PAUSED, runtime.owner)


@pytest.mark.parametrize(("ttl", "interval"), [(30.0, 10.1), (30.0, 0.0), (0.0, 0.0), (-3.0, -1.0)])
async def test_a_heartbeat_that_is_too_slow_for_its_lease_is_refused(world: World, ttl: float, interval: float) -> None:
    with refused(ErrorCode.DOCUMENT_INVALID):
        await world.registry.upsert_session(policy(lease_ttl=ttl, heartbeat_interval=interval))


async def test_only_a_control_plane_makes_a_lane_known(world: World) -> None:
    with refused(ErrorCode.ACTOR_NOT_PERMITTED):
        await world.registry.upsert_session(policy(), by=CALLER.by)


async def test_lanes_are_listed_by_name_with_their_unfinished_missions(world: World) -> None:
    runtime = await world.working_lane()
    await world.lane(SECOND_LANE)
    for _ in range(3):
        await world.dispatch()
    await runtime.complete(await runtime.claim_one())
    await runtime.claim_one()
    first, second = await world.registry.list_sessions()
    assert [first.row.vp_id, second.row.vp_id] == [LANE, SECOND_LANE]
    assert {name: count for name, count in first.unfinished.items() if count} == {"queued": 1, "running": 1}
    assert not any(second.unfinished.values())


async def test_a_lane_nobody_knows_is_unknown_to_every_method(world: World) -> None:
    registry, nobody = world.registry, "vp.nobody.knows"
    for asked in (
        registry.get_session(nobody),
        registry.session_events(nobody),
        registry.acquire_lease(nobody, owner="a", vp_runtime_id="rt"),
        registry.heartbeat(nobody, owner="a", lease_epoch=1),
        registry.release_lease(nobody, owner="a", lease_epoch=1),
        registry.set_status(nobody, SessionTrigger.DRAIN, by=OPERATOR),
    ):
        with refused(ErrorCode.LANE_UNKNOWN):
            await asked


async def test_a_mission_nobody_knows_is_unknown_to_every_method(world: World) -> None:
    for asked in (world.registry.get_mission("m-none"), world.registry.mission_events("m-none")):
        with refused(ErrorCode.MISSION_UNKNOWN):
            await asked


# Leases


async def test_an_acquired_lane_is_active_under_a_new_epoch(world: World) -> None:
    await world.lane()
    row = await world.registry.acquire_lease(LANE, owner="host-1", vp_runtime_id="rt-1")
    assert (row.status, row.lease_epoch, row.lease_owner, row.vp_runtime_id) == (
        SessionState.ACTIVE,
        1,
        "host-1",
        "rt-1",
    )
    assert row.lease_expires_at is not None
    assert (row.lease_expires_at - world.clock.wall()).total_seconds() == TTL


async def test_a_held_lane_is_not_given_out_again_not_even_to_its_holder(world: World) -> None:
    runtime = await world.working_lane()
    for owner in ("somebody-else", runtime.owner):
        with refused(ErrorCode.LEASE_HELD):
            await world.registry.acquire_lease(LANE, owner=owner, vp_runtime_id="rt-2")


async def test_of_fifty_that_race_for_a_lane_one_gets_it(world: World) -> None:
    await world.lane()
    answers = await asyncio.gather(
        *(world.registry.acquire_lease(LANE, owner=f"o-{n}", vp_runtime_id=f"rt-{n}") for n in range(50)),
        return_exceptions=True,
    )
    winners = [answer for answer in answers if not isinstance(answer, BaseException)]
    assert len(winners) == 1
    assert (await world.status()).lease_owner == winners[0].lease_owner


async def test_a_lease_has_an_owner(world: World) -> None:
    await world.lane()
    with refused(ErrorCode.DOCUMENT_INVALID):
        await world.registry.acquire_lease(LANE, owner="", vp_runtime_id="rt-1")


async def test_a_heartbeat_renews_outside_the_ledger_and_tells_what_is_held(world: World) -> None:
    runtime = await world.working_lane()
    await world.dispatch()
    row = await runtime.claim_one()
    before = await world.status()
    world.clock.advance(10)
    renewal = await runtime.renew()
    assert (renewal.session.beat, renewal.session.heartbeat_at) == (before.beat + 1, world.clock.wall())
    assert [(held.mission_id, held.attempt, held.state) for held in renewal.held] == [(row.mission_id, 1, "running")]
    assert renewal.session.last_sequence == before.last_sequence


async def test_a_heartbeat_under_another_owner_or_epoch_is_refused(world: World) -> None:
    runtime = await world.working_lane()
    for other in (replace(runtime, owner="somebody-else"), replace(runtime, epoch=runtime.epoch + 1)):
        with refused(ErrorCode.STALE_EPOCH):
            await other.renew()
        with refused(ErrorCode.STALE_EPOCH):
            await other.release()


async def test_a_released_lane_is_idle_and_the_next_epoch_is_higher(world: World) -> None:
    runtime = await world.working_lane()
    released = await runtime.release()
    assert (released.status, released.lease_owner) == (SessionState.IDLE, None)
    assert (await world.runtime(name="rt-2")).epoch == runtime.epoch + 1
    with refused(ErrorCode.STALE_EPOCH):
        await runtime.release()


async def test_a_lane_that_holds_missions_is_not_released(world: World) -> None:
    runtime = await world.working_lane()
    await world.dispatch()
    row = await runtime.claim_one()
    with refused(ErrorCode.LANE_BUSY):
        await runtime.release()
    await runtime.say(row, MissionTrigger.HAND_BACK)
    assert (await runtime.release()).status is SessionState.IDLE


async def test_what_was_handed_back_is_queued_again_and_counts_no_failure(world: World) -> None:
    runtime = await world.working_lane()
    await world.dispatch()
    row = await runtime.claim_one()
    back = (await runtime.say(row, MissionTrigger.HAND_BACK)).row
    assert (back.state, back.failures, back.resume, back.not_before) == (MissionState.QUEUED, 0, True, None)
    assert (await runtime.claim_one()).attempt == 2


# Statuses


@pytest.mark.parametrize("trigger", sorted(set(SessionTrigger) - STATUS_TRIGGERS))
async def test_a_trigger_that_carries_more_than_a_status_is_refused(world: World, trigger: SessionTrigger) -> None:
    await world.lane()
    with refused(ErrorCode.TRANSITION_REFUSED):
        await world.registry.set_status(LANE, trigger, by=By(kind=Actor.STORE, name="x"))


async def test_a_runtime_may_not_do_what_is_the_operators(world: World) -> None:
    runtime = await world.working_lane()
    for trigger in (SessionTrigger.DRAIN, SessionTrigger.RESET):
        with refused(ErrorCode.ACTOR_NOT_PERMITTED):
            await world.registry.set_status(
                LANE, trigger, by=runtime.by, owner=runtime.owner, lease_epoch=runtime.epoch
            )


async def test_a_status_has_only_the_steps_of_the_life_cycle(world: World) -> None:
    await world.working_lane()
    for trigger in (SessionTrigger.RESUME, SessionTrigger.RETIRE):
        with refused(ErrorCode.TRANSITION_REFUSED):
            await world.operate(trigger)


async def test_an_idle_lane_is_drained_at_once(world: World) -> None:
    await world.lane()
    drained = await world.operate(SessionTrigger.DRAIN)
    assert (drained.row.status, drained.row.drain_open) == (SessionState.PAUSED, False)
    assert await world.session_event_types() == ["created", "paused", "drained"]


async def test_a_busy_lane_is_drained_in_the_transaction_that_ends_its_last_mission(world: World) -> None:
    runtime = await world.working_lane(parallel_missions=2)
    await world.dispatch()
    await world.dispatch()
    first, second = await runtime.claim(2)
    await world.operate(SessionTrigger.DRAIN)
    await runtime.complete(first)
    assert (await world.status()).drain_open
    ended = await runtime.complete(second)
    (drained,) = await world.registry.session_events(LANE, after=3)
    assert drained["type"] == "vp.session.drained"
    assert drained["emitted_at"] == ended.events[-1]["emitted_at"]
    await world.operate(SessionTrigger.DRAIN)
    assert (await world.session_event_types()).count("drained") == 1


async def test_a_drained_lane_says_so_again_after_it_was_resumed(world: World) -> None:
    await world.lane()
    for _ in range(2):
        await world.operate(SessionTrigger.DRAIN)
        await world.operate(SessionTrigger.RESUME)
    assert (await world.session_event_types()).count("drained") == 2


async def test_a_drained_lane_whose_runtime_dies_stays_paused_and_is_drained(world: World) -> None:
    runtime = await world.working_lane()
    await world.dispatch()
    row = await runtime.claim_one()
    await world.operate(SessionTrigger.DRAIN)
    await world.lose_lease()
    assert (await world.status()).status is SessionState.PAUSED
    assert (await world.row(row.mission_id)).state is MissionState.QUEUED
    assert (await world.session_event_types())[-2:] == ["drained", "degraded"]


async def test_a_resumed_lane_is_active_if_held_and_idle_if_not(world: World) -> None:
    runtime = await world.working_lane()
    await world.operate(SessionTrigger.DRAIN)
    assert (await world.operate(SessionTrigger.RESUME)).row.status is SessionState.ACTIVE
    await world.operate(SessionTrigger.DRAIN)
    await runtime.release()
    assert (await world.operate(SessionTrigger.RESUME)).row.status is SessionState.IDLE


async def test_a_reset_fences_the_holder_and_begins_a_new_continuity(world: World) -> None:
    runtime = await world.working_lane()
    await runtime.session(SessionTrigger.READY, outcome="opened", executor_session_id="exec-1", workspace="/w")
    await world.dispatch()
    row = await runtime.claim_one()
    before = await world.status()
    stepped = await world.operate(SessionTrigger.RESET)
    assert (stepped.row.status, stepped.row.lease_owner, stepped.row.executor_session_id) == (
        SessionState.IDLE,
        None,
        None,
    )
    assert stepped.row.lease_epoch == before.lease_epoch + 1
    assert stepped.row.continuity_id != before.continuity_id
    assert [moved.row.mission_id for moved in stepped.missions] == [row.mission_id]
    after = await world.row(row.mission_id)
    assert (after.state, after.holder) == (MissionState.QUEUED, Holder.NONE)
    with refused(ErrorCode.STALE_EPOCH):
        await runtime.complete(row)
    with refused(ErrorCode.STALE_EPOCH):
        await runtime.renew()


async def test_a_lane_is_retired_when_nothing_is_left_and_never_comes_back(world: World) -> None:
    runtime = await world.working_lane()
    await world.operate(SessionTrigger.DRAIN)
    with refused(ErrorCode.LEASE_HELD):
        await world.operate(SessionTrigger.RETIRE)
    await runtime.release()
    row = (await world.dispatch()).row
    with refused(ErrorCode.LANE_BUSY):
        await world.operate(SessionTrigger.RETIRE)
    await world.cancel(row.mission_id)
    assert (await world.operate(SessionTrigger.RETIRE)).row.status is SessionState.RETIRED
    for asked in (
        world.runtime(name="rt-2"),
        runtime.renew(),
        runtime.release(),
        world.operate(SessionTrigger.RESET),
        world.operate(SessionTrigger.RESUME),
        world.operate(SessionTrigger.RETIRE),
    ):
        with refused(ErrorCode.LANE_RETIRED):
            await asked
    assert (await world.lane()).status is SessionState.RETIRED


async def test_a_degraded_lane_keeps_its_error_until_it_recovers(world: World) -> None:
    runtime = await world.working_lane()
    said = {"by": runtime.by, "owner": runtime.owner, "lease_epoch": runtime.epoch}
    degraded = (await world.registry.set_status(LANE, SessionTrigger.DEGRADE, error="no disk", **said)).row
    assert (degraded.status, degraded.last_error) == (SessionState.DEGRADED, "no disk")
    recovered = (await world.registry.set_status(LANE, SessionTrigger.RECOVER, **said)).row
    assert (recovered.status, recovered.last_error) == (SessionState.ACTIVE, None)


async def test_a_lost_lane_recovers_in_the_same_continuity_if_its_session_was_resumed(world: World) -> None:
    runtime = await world.working_lane()
    before = await world.status()
    await world.lose_lease()
    row = await world.registry.acquire_lease(LANE, owner="fresh", vp_runtime_id="rt-2")
    assert (row.status, row.last_error) == (SessionState.RECOVERING, "lease_lost")
    fresh = replace(runtime, owner="fresh", epoch=row.lease_epoch)
    with refused(ErrorCode.LANE_PAUSED):
        await fresh.claim()
    ready = (await fresh.session(SessionTrigger.READY, outcome="resumed", executor_session_id="exec-1")).row
    assert (ready.status, ready.continuity_id) == (SessionState.ACTIVE, before.continuity_id)


# Reading


async def test_missions_are_paged_newest_first_and_none_is_left_out(world: World) -> None:
    await world.lane()
    await world.lane(SECOND_LANE)
    names = [f"m-{number}" for number in range(7)]
    for name in names:
        await world.dispatch(mission_id=name)
        await world.dispatch(vp_id=SECOND_LANE)
    found: list[str] = []
    before = None
    while True:
        page = await world.registry.list_missions(vp_id=LANE, limit=3, before=before)
        found += [stored.row.mission_id for stored in page.missions]
        before = page.next_position
        if before is None:
            break
    assert found == names[::-1]


async def test_missions_are_found_by_state(world: World) -> None:
    runtime = await world.working_lane()
    await world.dispatch(mission_id="one")
    await world.dispatch(mission_id="two")
    await runtime.claim_one()
    assert [s.row.mission_id for s in (await world.registry.list_missions(state="running")).missions] == ["one"]
    assert [s.row.mission_id for s in (await world.registry.list_missions(state="queued")).missions] == ["two"]


async def test_turns_counted_by_a_gateway_add_up(world: World) -> None:
    await world.lane()
    minute = "2026-01-01T00:00:00+00:00"
    for count in (2, 3):
        await world.store.execute(
            CountTurns(counts={(LANE, "eligible", minute): count, (LANE, "below_threshold", minute): 1})
        )
    parts = await world.store.read(ReadSnapshot(vp_id=LANE, mission_limit=1, event_limit=1))
    assert parts.counters["turn"] == {"eligible": 5, "below_threshold": 2}
