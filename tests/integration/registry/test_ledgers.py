"""Ledgers, outbox and counts: no gap, no entry without its row, nothing that a recount would find otherwise."""

import asyncio
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from dragancorp.clock import SystemClock
from dragancorp.errors import ErrorCode
from dragancorp.jsonio import canonical, loads
from dragancorp.lifecycle.ledger_entry import verified
from dragancorp.missions.commands import Missions
from dragancorp.registry.port import mission_topic
from dragancorp.registry.queries import CountUndelivered, ReadSnapshot
from dragancorp_contracts.lifecycle import SessionTrigger

from .world import CALLER, LANE, Tables, World, refused

pytestmark = pytest.mark.anyio
CALLBACK = {"status_url": "https://factory.example/callbacks", "auth_mode": "none"}


async def a_long_mission(world: World, **members: Any) -> str:
    """A mission with eight entries: two attempts, a budget that was raised, a completion."""
    runtime = await world.working_lane()
    await world.dispatch(mission_id="long", budget={"max_llm_calls": 3}, **members)
    row = await runtime.claim_one()
    await world.lose_lease()
    runtime = await world.runtime(name="rt-2")
    world.clock.advance(60)
    row = await runtime.claim_one()
    await runtime.report(row, usage={"llm_calls": 9}, summary="Nine calls.")
    await world.approve("long", max_llm_calls=20)
    await runtime.complete(row)
    return "long"


def assert_chained(events: Any) -> None:
    """Sequences 1, 2, 3, ... with digests that verify and name the entry before."""
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert all(verified(event) for event in events)
    assert "previous_digest" not in events[0]
    for before, after in pairwise(events):
        assert after["previous_digest"] == before["digest"]


async def test_a_missions_ledger_has_no_gap_and_its_digests_chain(world: World) -> None:
    mission_id = await a_long_mission(world)
    events = await world.events(mission_id)
    assert len(events) >= 8
    assert_chained(events)
    row = await world.row(mission_id)
    assert (row.last_sequence, row.last_digest) == (len(events), events[-1]["digest"])


async def test_a_lanes_ledger_has_no_gap_and_its_digests_chain(world: World) -> None:
    await a_long_mission(world)
    await world.operate(SessionTrigger.DRAIN)
    await world.operate(SessionTrigger.RESET)
    events = await world.registry.session_events(LANE)
    assert_chained(events)
    row = await world.status()
    assert (row.last_sequence, row.last_digest) == (len(events), events[-1]["digest"])


async def test_a_ledger_is_read_on_from_where_a_reader_was(world: World) -> None:
    mission_id = await a_long_mission(world)
    whole = await world.events(mission_id)
    read: list[Any] = []
    while True:
        part = await world.registry.mission_events(mission_id, after=len(read), limit=3)
        if not part.events:
            break
        read += part.events
    assert tuple(read) == whole
    assert (part.last_sequence, part.terminal) == (len(whole), True)


async def test_a_ledger_far_behind_its_end_answers_nothing(world: World) -> None:
    mission_id = await a_long_mission(world)
    assert (await world.registry.mission_events(mission_id, after=10_000)).events == ()


# Waiting for the next entry


def live(world: World) -> Missions:
    """Missions whose long polls wait in real time."""
    return Missions(world.store, SystemClock(), instance_id="factory-1", refusers={})


async def test_a_reader_that_waits_is_woken_by_the_next_entry(world: World) -> None:
    await world.lane()
    row = (await world.dispatch()).row
    waiting = asyncio.create_task(live(world).ledger(row.mission_id, CALLER, after=1, wait=30.0))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    started = asyncio.get_running_loop().time()
    await world.cancel(row.mission_id)
    part = await waiting
    assert asyncio.get_running_loop().time() - started < 5.0
    assert [event["type"] for event in part.events] == ["vp.mission.cancelled"]
    assert part.terminal


async def test_a_reader_hears_of_an_entry_that_is_there_already_without_waiting(world: World) -> None:
    await world.lane()
    row = (await world.dispatch()).row
    async with asyncio.timeout(5):
        assert len((await live(world).ledger(row.mission_id, CALLER, wait=30.0)).events) == 1
        await world.cancel(row.mission_id)
        assert (await live(world).ledger(row.mission_id, CALLER, after=2, wait=30.0)).terminal


async def test_a_reader_that_waits_in_vain_gets_an_empty_part(world: World) -> None:
    await world.lane()
    row = (await world.dispatch()).row
    part = await live(world).ledger(row.mission_id, CALLER, after=1, wait=0.2)
    assert (part.events, part.terminal) == ((), False)


async def test_another_missions_entries_wake_nobody(world: World) -> None:
    await world.lane()
    row = (await world.dispatch()).row
    with world.store.watch(mission_topic(row.mission_id)) as changes:
        other = (await world.dispatch()).row
        await world.cancel(other.mission_id)
        assert not await changes.wait(0.2)


async def test_a_hundred_readers_are_woken_by_one_entry(world: World) -> None:
    await world.lane()
    row = (await world.dispatch()).row
    missions = live(world)
    waiting = [asyncio.create_task(missions.ledger(row.mission_id, CALLER, after=1, wait=30.0)) for _ in range(100)]
    await asyncio.sleep(0.3)
    await world.cancel(row.mission_id)
    async with asyncio.timeout(10):
        assert all(part.terminal for part in await asyncio.gather(*waiting))


async def test_the_ledger_of_a_mission_nobody_knows_is_unknown(world: World) -> None:
    with refused(ErrorCode.MISSION_UNKNOWN):
        await live(world).ledger("m-none", CALLER, wait=30.0)


# Callbacks


async def test_every_entry_of_a_mission_with_a_callback_waits_in_the_outbox_in_order(
    world: World, tables: Tables
) -> None:
    mission_id = await a_long_mission(world, callback=CALLBACK)
    events = await world.events(mission_id)
    outbox = tables("SELECT * FROM vp_outbox WHERE mission_id = ? ORDER BY position", mission_id)
    assert [loads(entry["body"]) for entry in outbox] == list(events)
    assert [entry["body"] for entry in outbox] == [canonical(event) for event in events]
    assert [entry["sequence"] for entry in outbox] == list(range(1, len(events) + 1))
    assert {(entry["endpoint"], entry["status"], entry["attempts"]) for entry in outbox} == {
        (CALLBACK["status_url"], "undelivered", 0)
    }
    assert await world.store.read(CountUndelivered(mission_id=mission_id)) == len(events)


async def test_a_mission_without_a_callback_leaves_nothing_in_the_outbox(world: World) -> None:
    mission_id = await a_long_mission(world)
    assert await world.store.read(CountUndelivered(mission_id=mission_id)) == 0


async def test_a_refused_step_leaves_no_entry_no_callback_and_no_artifact(world: World, tables: Tables) -> None:
    runtime = await world.working_lane()
    await world.dispatch(callback=CALLBACK)
    row = await runtime.claim_one()
    counters = tables("SELECT * FROM vp_counters ORDER BY 1, 2, 3")
    with refused(ErrorCode.RECEIPT_MISSING):
        await runtime.complete(row, receipt=None, artifacts=({"name": "a", "size_bytes": 1},))
    with refused(ErrorCode.STALE_EPOCH):
        await runtime.fail(replace(row, attempt=2), artifacts=({"name": "a", "size_bytes": 1},))
    assert len(await world.events(row.mission_id)) == 2
    assert await world.store.read(CountUndelivered(mission_id=row.mission_id)) == 2
    assert tables("SELECT * FROM vp_artifacts") == []
    assert tables("SELECT * FROM vp_receipts") == []
    assert tables("SELECT * FROM vp_counters ORDER BY 1, 2, 3") == counters


# The snapshot's parts


async def test_a_snapshot_shows_the_newest_missions_and_events_and_all_counts(world: World) -> None:
    runtime = await world.working_lane()
    for number in range(5):
        await world.dispatch(mission_id=f"m-{number}")
    for _ in range(5):
        await runtime.complete(await runtime.claim_one())
    parts = await world.store.read(ReadSnapshot(vp_id=LANE, mission_limit=2, event_limit=3))
    assert [stored.row.mission_id for stored in parts.missions] == ["m-4", "m-3"]
    assert [(event["mission_id"], event["type"]) for event in parts.events] == [
        ("m-4", "vp.mission.completed"),
        ("m-4", "vp.mission.accepted"),
        ("m-3", "vp.mission.completed"),
    ]
    assert parts.counters["mission_state"] == {"queued": 0, "running": 0, "completed": 5}
    assert parts.lane is not None


async def test_a_snapshot_of_a_lane_nobody_knows_has_no_lane(world: World) -> None:
    parts = await world.store.read(ReadSnapshot(vp_id="vp.nobody.knows", mission_limit=2, event_limit=3))
    assert (parts.lane, parts.missions, parts.events, parts.counters) == (None, (), (), {})
