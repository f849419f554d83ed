"""Taking work: in which order, when, how much of it, and by whom."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import bindparam, update

from dragancorp.errors import ErrorCode
from dragancorp.lifecycle.ledger_entry import utc_text
from dragancorp.missions.decisions import Decisions
from dragancorp.registry import perform
from dragancorp.registry.operations import Operation
from dragancorp.registry.port import Store
from dragancorp.registry.tables import MISSIONS
from dragancorp.registry.transaction import Transaction
from dragancorp_contracts.lifecycle import Holder, MissionState, MissionTrigger, SessionTrigger

from .world import CALLER, LANE, SECOND_LANE, World, refused

pytestmark = pytest.mark.anyio


async def queue(world: World, **names: dict[str, object]) -> None:
    """Dispatch one mission a name, in this order."""
    for name, members in names.items():
        await world.dispatch(mission_id=name, **members)


def at(world: World, minutes: float) -> str:
    return utc_text(world.clock.wall() + timedelta(minutes=minutes))


async def test_a_claim_raises_the_attempt_and_names_the_runtime(world: World) -> None:
    runtime = await world.working_lane()
    await queue(world, one={})
    row = await runtime.claim_one()
    assert (row.state, row.attempt, row.holder, row.lease_epoch, row.vp_runtime_id) == (
        MissionState.RUNNING,
        1,
        Holder.LANE,
        runtime.epoch,
        "rt-1",
    )
    session = await world.status()
    assert row.continuity_id == session.continuity_id
    event = await world.last_event("one")
    assert (event["type"], event["attempt"], event["lease_epoch"]) == ("vp.mission.accepted", 1, runtime.epoch)


async def test_interactive_goes_before_deadline_and_deadline_before_background(world: World) -> None:
    runtime = await world.working_lane(parallel_missions=10)
    await queue(
        world,
        background={},
        later={"priority_class": "deadline", "deadline_at": at(world, 60)},
        sooner={"priority_class": "deadline", "deadline_at": at(world, 30)},
        interactive={"priority_class": "interactive"},
    )
    claimed = [row.mission_id for row in await runtime.claim(10)]
    assert claimed == ["interactive", "sooner", "later", "background"]


async def test_inside_a_class_the_earlier_deadline_goes_first_and_none_goes_last(world: World) -> None:
    runtime = await world.working_lane(parallel_missions=10)
    await queue(world, without={}, late={"deadline_at": at(world, 9)}, soon={"deadline_at": at(world, 2)})
    assert [row.mission_id for row in await runtime.claim(10)] == ["soon", "late", "without"]


async def test_equals_go_in_the_order_they_came(world: World) -> None:
    runtime = await world.working_lane(parallel_missions=50)
    names = [f"m-{number}" for number in range(50, 0, -1)]
    await queue(world, **{name: {} for name in names})
    assert [row.mission_id for row in await runtime.claim(50)] == names


async def test_an_urgent_mission_is_seen_behind_a_long_backlog(world: World) -> None:
    runtime = await world.working_lane()
    await asyncio.gather(*(world.dispatch() for _ in range(200)))
    await queue(world, urgent={"priority_class": "interactive"})
    assert (await runtime.claim_one()).mission_id == "urgent"


async def test_nothing_is_claimed_before_its_window_or_after_it(world: World) -> None:
    runtime = await world.working_lane(parallel_missions=10)
    await queue(
        world,
        tonight={"autonomy_window": {"start_at": at(world, 10), "end_at": at(world, 20)}},
        brief={"autonomy_window": {"start_at": at(world, -10), "end_at": at(world, 1)}},
    )
    assert [row.mission_id for row in await runtime.claim(10)] == ["brief"]
    world.clock.advance(10 * 60)
    assert [row.mission_id for row in await runtime.claim(10)] == ["tonight"]
    await queue(world, over={"autonomy_window": {"end_at": at(world, 1), "start_at": at(world, 0)}})
    world.clock.advance(60)
    assert await runtime.claim(10) == []


async def test_missions_that_are_not_due_hide_none_that_are(world: World) -> None:
    runtime = await world.working_lane()
    window = {"start_at": at(world, 10), "end_at": at(world, 20)}
    for number in range(60):
        await queue(world, **{f"later-{number}": {"autonomy_window": window, "priority_class": "interactive"}})
    await queue(world, due={})
    assert (await runtime.claim_one()).mission_id == "due"


async def test_a_lane_runs_no_more_missions_at_once_than_it_may(world: World) -> None:
    runtime = await world.working_lane(parallel_missions=2)
    await queue(world, one={}, two={}, three={})
    first = await runtime.claim(5)
    assert [row.mission_id for row in first] == ["one", "two"]
    assert await runtime.claim(5) == []
    await runtime.complete(first[0])
    assert [row.mission_id for row in await runtime.claim(5)] == ["three"]


async def test_a_blocked_mission_keeps_its_slot_until_it_is_suspended(world: World) -> None:
    runtime = await world.working_lane()
    await queue(world, one={}, two={})
    row = await runtime.claim_one()
    await runtime.block(row)
    assert await runtime.claim() == []
    await runtime.say(row, MissionTrigger.SUSPEND)
    assert (await runtime.claim_one()).mission_id == "two"


async def test_claims_an_hour_are_counted_over_a_sliding_hour(world: World) -> None:
    runtime = await world.working_lane(claims_per_hour=2, parallel_missions=10)
    await queue(world, one={}, two={}, three={})
    assert len(await runtime.claim(10)) == 2
    assert await runtime.claim(10) == []
    world.clock.advance(3599)
    assert await runtime.claim(10) == []
    world.clock.advance(1)
    assert [row.mission_id for row in await runtime.claim(10)] == ["three"]


async def test_a_quota_counts_only_its_own_lane(world: World) -> None:
    runtime = await world.working_lane(claims_per_hour=1)
    other = await world.working_lane(SECOND_LANE, claims_per_hour=1)
    await queue(world, here={}, there={"vp_id": SECOND_LANE})
    assert len(await runtime.claim()) == 1
    assert [row.mission_id for row in await other.claim()] == ["there"]


async def test_racing_claims_give_each_mission_once(world: World) -> None:
    runtime = await world.working_lane(parallel_missions=20)
    await asyncio.gather(*(world.dispatch() for _ in range(20)))
    answers = await asyncio.gather(*(runtime.claim(3) for _ in range(10)))
    claimed = [row.mission_id for rows in answers for row in rows]
    assert len(claimed) == len(set(claimed)) == 20


async def test_a_mission_whose_contract_the_worker_cannot_read_is_not_given_to_it(world: World) -> None:
    runtime = await world.working_lane()
    await queue(world, one={})
    assert await runtime.claim(reads=frozenset({"mission-envelope/v9"})) == []
    assert (await world.row("one")).state is MissionState.QUEUED


async def test_a_claim_under_an_older_epoch_is_refused(world: World) -> None:
    runtime = await world.working_lane()
    await queue(world, one={})
    with refused(ErrorCode.STALE_EPOCH):
        await runtime.claim(lease_epoch=runtime.epoch - 1)
    with refused(ErrorCode.STALE_EPOCH):
        await runtime.claim(owner="somebody-else")
    assert (await world.row("one")).state is MissionState.QUEUED


async def test_a_runtime_whose_lease_was_taken_over_claims_nothing(world: World) -> None:
    stale = await world.working_lane()
    await queue(world, one={})
    await world.lose_lease()
    with refused(ErrorCode.STALE_EPOCH):
        await stale.claim()
    fresh = await world.runtime(name="rt-2")
    with refused(ErrorCode.STALE_EPOCH):
        await stale.claim()
    assert (await fresh.claim_one()).mission_id == "one"


async def test_a_paused_or_degraded_lane_gives_nothing_out(world: World) -> None:
    runtime = await world.working_lane()
    await queue(world, one={})
    await runtime.session(SessionTrigger.DEGRADE, error="no disk")
    with refused(ErrorCode.LANE_PAUSED):
        await runtime.claim()
    await runtime.session(SessionTrigger.RECOVER)
    await world.operate(SessionTrigger.DRAIN)
    with refused(ErrorCode.LANE_PAUSED):
        await runtime.claim()
    await world.operate(SessionTrigger.RESUME)
    assert len(await runtime.claim()) == 1


async def test_a_lane_that_is_unknown_gives_nothing_out(world: World) -> None:
    runtime = await world.working_lane()
    with refused(ErrorCode.LANE_UNKNOWN):
        await runtime.claim(vp_id="vp.nobody.knows")


async def test_ending_one_mission_and_claiming_the_next_is_one_step(world: World) -> None:
    runtime = await world.working_lane()
    await queue(world, one={}, two={})
    row = await runtime.claim_one()
    ended, (following,) = await runtime.complete_and_claim(row)
    assert ended.row.state is MissionState.COMPLETED
    assert (following.row.mission_id, following.row.state) == ("two", MissionState.RUNNING)


async def test_the_end_counts_even_when_the_lane_gives_nothing_more_out(world: World) -> None:
    runtime = await world.working_lane()
    await queue(world, one={}, two={})
    row = await runtime.claim_one()
    await world.operate(SessionTrigger.DRAIN)
    ended, following = await runtime.complete_and_claim(row)
    assert (ended.row.state, following) == (MissionState.COMPLETED, ())
    assert (await world.row("two")).state is MissionState.QUEUED


async def test_an_end_that_is_refused_claims_nothing(world: World) -> None:
    runtime = await world.working_lane(parallel_missions=2)
    await queue(world, one={}, two={})
    row = await runtime.claim_one()
    await runtime.complete(row)
    with refused(ErrorCode.MISSION_TERMINAL):
        await runtime.complete_and_claim(row)
    assert (await world.row("two")).state is MissionState.QUEUED


async def test_a_new_mission_wakes_whoever_watches_the_lane(world: World) -> None:
    await world.lane()
    with world.store.watch(f"lane:{LANE}") as changes:
        await world.dispatch()
        assert await changes.wait(2.0)


async def test_a_mission_of_a_newer_contract_waits_for_a_worker_that_reads_it(world: World, store: Store) -> None:
    older = await world.working_lane()
    unread = await world.dispatch(mission_id="m-newer")
    await make_newer(store, "m-newer")
    readable = [await world.dispatch() for _ in range(2)]
    for one in readable:
        row = await older.claim_one()
        assert row.mission_id == one.row.mission_id, "what it cannot read stands in nobody's way"
        await older.complete(row)
    assert await older.claim() == []
    decisions = Decisions(store, world.missions, world.clock)
    why = await decisions.why(unread.row.mission_id, CALLER)
    assert why.code == "contract_unreadable"
    both = frozenset({"mission-envelope/v1", "mission-envelope/v2"})
    assert [row.mission_id for row in await older.claim(reads=both)] == ["m-newer"]


async def test_what_an_earlier_holder_read_says_nothing_of_the_next(world: World, store: Store) -> None:
    older = await world.working_lane()
    await world.dispatch(mission_id="m-newer")
    await make_newer(store, "m-newer")
    assert await older.claim() == []
    await older.release()
    await world.runtime(name="rt-2")
    decisions = Decisions(store, world.missions, world.clock)
    assert (await decisions.why("m-newer", CALLER)).code == "queued"


async def test_names_of_contracts_are_no_way_into_a_statement(world: World) -> None:
    lane = await world.working_lane()
    await world.dispatch()
    assert await lane.claim(reads=frozenset({"x') OR ('1'='1", "mission-envelope/v1' --"})) == []
    assert len(await lane.claim()) == 1


@dataclass(frozen=True, kw_only=True)
class MakeNewer(Operation[None]):
    """What a plane of a later version would have written."""

    mission_id: str


async def make_newer(store: Store, mission_id: str) -> None:
    def rewrite(tx: Transaction, operation: MakeNewer) -> None:
        statement = (
            update(MISSIONS).where(MISSIONS.c.mission_id == bindparam("of_mission")).values(contract=bindparam("newer"))
        )
        values = {"of_mission": operation.mission_id, "newer": "mission-envelope/v2"}
        assert tx.connection.execute(statement, values).rowcount == 1

    writes: dict[Any, Any] = dict(perform.WRITES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(perform, "WRITES", {**writes, MakeNewer: rewrite})
        await store.execute(MakeNewer(mission_id=mission_id))
