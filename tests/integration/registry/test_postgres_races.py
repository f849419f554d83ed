"""Two control planes on one PostgreSQL: what they do at one moment comes out as if one had done it after the other."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from dataclasses import replace
from typing import Any

import pytest

from dragancorp.clock import FakeClock
from dragancorp.errors import DraganError, ErrorCode
from dragancorp.missions.scheduler import PriorityScheduler
from dragancorp.registry import transaction
from dragancorp.registry.port import lane_topic, mission_topic
from dragancorp.registry.postgres import PostgresStore
from dragancorp_contracts.lifecycle import MissionState, SessionTrigger

from .world import LANE, SECOND_LANE, Runtime, Tables, World, postgres_table, refused

pytestmark = pytest.mark.anyio


@pytest.fixture
def tables(postgres_url: str) -> Tables:
    def answer(statement: str, *values: Any) -> list[dict[str, Any]]:
        return postgres_table(postgres_url, statement, *values)

    return answer


@pytest.fixture
async def worlds(postgres_url: str, clock: FakeClock) -> AsyncIterator[tuple[World, World]]:
    """Two stores, as two processes would have them."""
    stores = [await PostgresStore.open(postgres_url, clock=clock, scheduler=PriorityScheduler()) for _ in range(2)]
    try:
        yield World(stores[0], clock, "one"), World(stores[1], clock, "other")
    finally:
        for store in stores:
            await store.close()


async def answers(*asked: Awaitable[Any]) -> list[Any]:
    """What all of them got at one moment: an answer, or the code they were refused with."""
    found = await asyncio.gather(*asked, return_exceptions=True)
    for one in found:
        if isinstance(one, BaseException) and not isinstance(one, DraganError):
            raise one
    return [one.code if isinstance(one, DraganError) else one for one in found]


@pytest.mark.parametrize("named", [False, True], ids=["id by the plane", "id by the caller"])
async def test_two_hundred_callers_with_one_key_make_one_mission(
    worlds: tuple[World, World], tables: Tables, named: bool
) -> None:
    await worlds[0].lane()
    envelope = worlds[0].envelope(mission_id="m-the-one") if named else worlds[0].envelope()
    found = await asyncio.gather(*(worlds[number % 2].ask(envelope) for number in range(200)))
    assert len({one.mission.row.mission_id for one in found}) == 1
    assert Counter(one.replayed for one in found) == {True: 199, False: 1}
    assert tables("SELECT count(*) AS n FROM vp_missions") == [{"n": 1}]
    assert tables("SELECT count(*) AS n FROM vp_mission_events") == [{"n": 1}]
    assert (await worlds[1].registry.get_session(LANE)).unfinished["queued"] == 1


async def test_an_id_that_another_request_took_a_moment_ago_is_taken(worlds: tuple[World, World]) -> None:
    await worlds[0].lane()
    found = await answers(*(world.dispatch(mission_id="m-wanted") for world in worlds * 5))
    assert Counter(one for one in found if isinstance(one, ErrorCode)) == {ErrorCode.DOCUMENT_INVALID: 9}


async def test_the_queues_limit_holds_whoever_dispatches(worlds: tuple[World, World]) -> None:
    await worlds[0].lane(queue_limit=10)
    found = await answers(*(worlds[number % 2].dispatch() for number in range(60)))
    assert Counter(one for one in found if isinstance(one, ErrorCode)) == {ErrorCode.QUEUE_FULL: 50}
    assert (await worlds[0].registry.get_session(LANE)).unfinished == {"queued": 10}


async def test_dispatches_far_from_the_limit_share_the_lane_and_those_near_it_take_turns(
    worlds: tuple[World, World], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transaction, "MAY_DISPATCH_AT_ONCE", 20)  # more than the two stores have connections
    await worlds[0].lane(queue_limit=50)
    found = await answers(*(worlds[number % 2].dispatch() for number in range(100)))
    assert Counter(one for one in found if isinstance(one, ErrorCode)) == {ErrorCode.QUEUE_FULL: 50}


async def test_claims_at_one_moment_give_no_mission_twice_and_no_slot_too_many(worlds: tuple[World, World]) -> None:
    runtime = await worlds[0].working_lane(parallel_missions=5)
    elsewhere = replace(runtime, world=worlds[1])
    for _ in range(12):
        await worlds[0].dispatch()
    found = await asyncio.gather(*(one.claim(2) for one in (runtime, elsewhere) * 6))
    claimed = [row.mission_id for rows in found for row in rows]
    assert len(claimed) == len(set(claimed)) == 5


async def test_claims_an_hour_are_counted_together(worlds: tuple[World, World]) -> None:
    runtime = await worlds[0].working_lane(parallel_missions=10, claims_per_hour=3)
    elsewhere = replace(runtime, world=worlds[1])
    for _ in range(8):
        await worlds[0].dispatch()
    found = await asyncio.gather(*(one.claim(1) for one in (runtime, elsewhere) * 5))
    assert sum(map(len, found)) == 3


async def test_two_runtimes_that_want_one_lane_leave_one_holder(worlds: tuple[World, World]) -> None:
    await worlds[0].lane()
    found = await answers(*(worlds[number % 2].runtime(name=f"rt-{number}") for number in range(10)))
    assert sum(isinstance(one, Runtime) for one in found) == 1
    assert (await worlds[0].status()).lease_epoch == 1


async def test_the_last_two_missions_of_a_draining_lane_end_at_one_moment_and_it_is_drained_once(
    worlds: tuple[World, World],
) -> None:
    runtime = await worlds[0].working_lane(parallel_missions=2)
    for drained in range(1, 9):
        for _ in range(2):
            await worlds[0].dispatch()
        first, second = await runtime.claim(2)
        await asyncio.gather(
            worlds[0].operate(SessionTrigger.DRAIN),
            runtime.complete(first),
            replace(runtime, world=worlds[1]).complete(second),
        )
        assert (await worlds[0].session_event_types()).count("drained") == drained
        await worlds[0].operate(SessionTrigger.RESUME)


async def test_a_child_that_is_dispatched_as_its_parent_ends_is_refused_or_ended_with_it(
    worlds: tuple[World, World],
) -> None:
    await worlds[0].lane()
    await worlds[0].lane(SECOND_LANE)
    seen = Counter[str]()
    for _ in range(12):
        parent = (await worlds[0].dispatch()).row.mission_id
        child, _ = await answers(
            worlds[1].dispatch(vp_id=SECOND_LANE, parent_mission_id=parent), worlds[0].cancel(parent)
        )
        if isinstance(child, ErrorCode):
            assert child is ErrorCode.CHILD_EXCEEDS_PARENT
            seen["refused"] += 1
        else:
            assert (await worlds[0].row(child.row.mission_id)).state is MissionState.CANCELLED
            seen["ended"] += 1
    print(seen)


async def test_a_lease_lost_at_the_moment_of_a_report_ends_in_one_order_or_the_other(
    worlds: tuple[World, World],
) -> None:
    """A zombie's end and the take-over of its mission: one of them is refused."""
    await worlds[0].lane(max_attempts=100, backoff=0.0)
    for _ in range(12):
        mission = await worlds[0].dispatch()
        runtime = await worlds[0].runtime()
        (row,) = await runtime.claim()
        record = await worlds[1].registry.get_session(LANE)
        ended, _ = await answers(runtime.complete(row), worlds[1].reconciler.declare_dead(record))
        state = (await worlds[0].row(mission.row.mission_id)).state
        assert state is (MissionState.QUEUED if isinstance(ended, ErrorCode) else MissionState.COMPLETED)
        if state is MissionState.QUEUED:
            await worlds[0].cancel(row.mission_id)


async def test_counts_are_exact_whoever_counts(worlds: tuple[World, World], tables: Tables) -> None:
    await worlds[0].lane(queue_limit=1000)
    missions = await asyncio.gather(*(worlds[number % 2].dispatch() for number in range(80)))
    await asyncio.gather(*(worlds[number % 2].cancel(one.row.mission_id) for number, one in enumerate(missions[:50])))
    assert (await worlds[0].registry.get_session(LANE)).unfinished == {"queued": 30}
    (counted,) = tables("SELECT sum(value) AS n FROM vp_counters WHERE name = 'cancelled'")
    assert counted["n"] == 50
    (slots,) = tables("SELECT count(DISTINCT slot) AS n FROM vp_counters")
    assert slots["n"] > 1  # they did not all wait for one row


async def test_a_commit_of_one_store_wakes_the_subscribers_of_the_other(worlds: tuple[World, World]) -> None:
    await worlds[0].lane()
    mission_id = (await worlds[0].dispatch()).row.mission_id
    with (
        worlds[1].store.watch(mission_topic(mission_id)) as mission,
        worlds[1].store.watch(lane_topic(LANE)) as lane,
        worlds[1].store.watch(lane_topic(SECOND_LANE)) as other,
    ):
        await worlds[0].cancel(mission_id)
        assert await mission.wait(20)
        assert await lane.wait(20)
        assert not await other.wait(0)


async def test_a_refused_step_wakes_nobody(worlds: tuple[World, World]) -> None:
    await worlds[0].lane()
    mission_id = (await worlds[0].dispatch()).row.mission_id
    await worlds[0].cancel(mission_id)
    with worlds[1].store.watch(mission_topic(mission_id)) as watched:
        while await watched.wait(0.2):
            pass  # what came of the cancel
        with refused(ErrorCode.MISSION_TERMINAL):
            await worlds[0].approve(mission_id)
        await worlds[0].dispatch()
        assert not await watched.wait(0.2)
