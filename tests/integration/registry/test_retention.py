"""Missions that ended long ago go to an archive file and out of the database, without stopping anything."""

import asyncio
import gzip
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dragancorp.clock import FakeClock
from dragancorp.errors import DraganError, ErrorCode
from dragancorp.lifecycle.ledger_entry import utc_text
from dragancorp.missions.archive_file import archived_missions
from dragancorp.missions.ledger import verify_archives, verify_store
from dragancorp.missions.retention import AT_MOST, EVERY_SECONDS, FIRST_SECONDS, Archival, Retention
from dragancorp.registry.archive import DropArchived
from dragancorp.registry.operations import CountTurns
from dragancorp.registry.port import Store
from dragancorp.registry.queries import ReadSnapshot
from dragancorp_contracts.lifecycle import MissionTrigger, SessionTrigger

from .world import CALLER, LANE, OPERATOR, Tables, World, artifact, refused

pytestmark = pytest.mark.anyio
CALLBACK = {"status_url": "https://factory.example/callbacks", "auth_mode": "none"}
MONTH = timedelta(days=30)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "archive"


@pytest.fixture
def retention(store: Store, clock: FakeClock, folder: Path) -> Retention:
    return Retention(store, clock, folder, keep_days=30)


async def archive(retention: Retention) -> Archival:
    return await retention.archive(MONTH, at_most=AT_MOST)


async def ended(world: World, *names: str, **members: Any) -> None:
    """Completed missions of these names."""
    try:
        await world.status(LANE)
        runtime = await world.runtime(name=f"rt-{names[0]}")
    except DraganError:
        runtime = await world.working_lane()
    for name in names:
        await world.dispatch(mission_id=name, **members)
        row = await runtime.claim_one()
        await runtime.report(row, summary="half", usage={"llm_calls": 1})
        await runtime.complete(row, artifacts=(artifact(),))
    await runtime.release()


def files(folder: Path, pattern: str = "*") -> list[Path]:
    return sorted(folder.glob(pattern))


def tear(part: Path) -> None:
    """As if the machine had died in the middle of the next member."""
    with part.open("ab") as file:
        file.write(gzip.compress(b"half a line")[:9])


def in_archives(folder: Path) -> list[str]:
    return [one.stored.row.mission_id for path in files(folder) for one in archived_missions(path)]


async def present(world: World) -> set[str]:
    return {stored.row.mission_id for stored in (await world.registry.list_missions(limit=500)).missions}


async def nothing_differs(world: World, folder: Path) -> None:
    assert (await verify_store(world.store)).findings == ()
    assert (await verify_archives(files(folder), world.store)).findings == ()


# What goes, and what stays


async def test_what_ended_long_ago_goes_whole_to_a_file_and_out_of_the_database(
    world: World, retention: Retention, folder: Path, clock: FakeClock
) -> None:
    await ended(world, "a", "b")
    written = {name: await world.events(name) for name in ("a", "b")}
    counters = (await world.store.read(ReadSnapshot(vp_id=LANE, mission_limit=1, event_limit=1))).counters
    clock.advance(31 * 86400)
    await ended(world, "young")

    done = await archive(retention)

    assert (done.missions, done.entries, done.more) == (2, 8, False)
    assert await present(world) == {"young"}
    assert done.archive is not None
    kept = {one.stored.row.mission_id: one for one in archived_missions(done.archive)}
    for name, events in written.items():
        assert [entry.document for entry in kept[name].entries] != []
        assert kept[name].stored.row.last_digest == events[-1]["digest"]
        assert kept[name].artifacts == (artifact(),)
    totals = (await world.store.read(ReadSnapshot(vp_id=LANE, mission_limit=1, event_limit=1))).counters
    assert totals["mission_state"]["completed"] == counters["mission_state"]["completed"] + 1
    await nothing_differs(world, folder)


async def test_what_is_young_or_not_over_stays(world: World, retention: Retention, clock: FakeClock) -> None:
    await ended(world, "a")
    await world.dispatch(mission_id="waiting")
    clock.advance(29 * 86400)
    assert (await archive(retention)).missions == 0
    clock.advance(2 * 86400)
    await archive(retention)
    assert await present(world) == {"waiting"}


async def test_what_somebody_waits_for_stays(world: World, retention: Retention, clock: FakeClock) -> None:
    await ended(world, "told", callback=CALLBACK)
    runtime = await world.runtime(name="rt-x")
    await world.dispatch(mission_id="parent")
    parent = await runtime.claim_one()
    await world.dispatch(mission_id="child", parent_mission_id="parent")
    await world.cancel("child")
    await world.dispatch(mission_id="failed")
    await runtime.complete(parent)
    failed = await runtime.claim_one()
    await runtime.fail(failed)
    await world.missions.dispatch(world.envelope(mission_id="again"), CALLER, retry_of="failed")
    clock.advance(31 * 86400)

    await archive(retention)

    # `told` has a callback to deliver, `failed` runs again; parent and child are both over.
    assert await present(world) == {"told", "failed", "again"}
    row = await runtime.claim_one()
    await runtime.complete(row)
    clock.advance(31 * 86400)
    await archive(retention)
    assert await present(world) == {"told"}


async def test_a_parent_waits_for_its_child_and_a_child_for_its_parent(
    world: World, retention: Retention, clock: FakeClock
) -> None:
    runtime = await world.working_lane(parallel_missions=2)
    await world.dispatch(mission_id="parent")
    await runtime.claim_one()
    await world.dispatch(mission_id="child", parent_mission_id="parent")
    await world.cancel("child")
    clock.advance(31 * 86400)
    assert (await archive(retention)).missions == 0
    assert await present(world) == {"parent", "child"}


# What is said of it afterwards


async def test_of_an_archived_mission_is_said_where_it_is(world: World, retention: Retention, clock: FakeClock) -> None:
    await ended(world, "a")
    last = await world.last_event("a")
    clock.advance(31 * 86400)
    done = await archive(retention)
    assert done.archive is not None
    with refused(ErrorCode.MISSION_ARCHIVED) as mission:
        await world.missions.get("a", CALLER)
    assert mission.value.facts == {
        "state": "completed",
        "archive": done.archive.name,
        "last_sequence": 4,
        "last_digest": last["digest"],
    }
    with refused(ErrorCode.EVENTS_GONE):
        await world.missions.ledger("a", CALLER)
    with refused(ErrorCode.MISSION_UNKNOWN):
        await world.missions.get("never", CALLER)


async def test_an_id_is_never_given_twice_and_a_key_is_free_again(
    world: World, retention: Retention, clock: FakeClock
) -> None:
    await ended(world, "a", idempotency_key="k")
    position = (await world.registry.get_mission("a")).position
    clock.advance(31 * 86400)
    await archive(retention)
    with refused(ErrorCode.DOCUMENT_INVALID):
        await world.dispatch(mission_id="a")
    again = await world.ask(world.envelope(idempotency_key="k"))
    assert not again.replayed
    assert again.mission.position > position


async def test_no_child_begins_under_an_archived_parent(world: World, retention: Retention, clock: FakeClock) -> None:
    await ended(world, "a")
    clock.advance(31 * 86400)
    await archive(retention)
    with refused(ErrorCode.CHILD_EXCEEDS_PARENT):
        await world.dispatch(parent_mission_id="a")


# Runs that die, runs at once, and runs beside work


class Interrupted:
    """A store whose caller dies when a mission is to be taken out, the `drops`th time."""

    def __init__(self, store: Store, drops: int) -> None:
        self._store, self._left = store, drops

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def execute(self, operation: Any) -> Any:
        if isinstance(operation, DropArchived):
            self._left -= 1
            if self._left < 0:
                raise DraganError(ErrorCode.SHUTTING_DOWN, "killed")
        return await self._store.execute(operation)


@pytest.mark.parametrize("drops", [0, 1])
async def test_a_run_that_died_is_finished_and_writes_nothing_twice(
    world: World, clock: FakeClock, folder: Path, drops: int
) -> None:
    names = [f"m-{number:02}" for number in range(40)]
    await ended(world, *names)
    clock.advance(31 * 86400)
    dying = Retention(Interrupted(world.store, drops), clock, folder, keep_days=30)
    with refused(ErrorCode.SHUTTING_DOWN):
        await archive(dying)
    assert len(await present(world)) == 40 - 25 * drops
    (part,) = files(folder, "*.part")
    tear(part)

    await archive(Retention(world.store, clock, folder, keep_days=30))

    assert await present(world) == set()
    assert sorted(in_archives(folder)) == names
    assert not files(folder, "*.part")
    await nothing_differs(world, folder)


async def test_several_planes_that_archive_at_once_lose_nothing(world: World, clock: FakeClock, tmp_path: Path) -> None:
    names = [f"m-{number:02}" for number in range(30)]
    await ended(world, *names)
    clock.advance(31 * 86400)
    folders = [tmp_path / f"plane-{number}" for number in range(3)]
    planes = [Retention(world.store, clock, one, keep_days=30) for one in folders]
    done = await asyncio.gather(*map(archive, planes))
    assert sum(one.missions for one in done) == 30
    assert await present(world) == set()
    written = [path for one in folders for path in files(one)]
    assert {one.stored.row.mission_id for path in written for one in archived_missions(path)} == set(names)
    assert (await verify_archives(written, world.store)).findings == ()
    assert (await verify_store(world.store)).findings == ()


async def test_work_goes_on_while_missions_are_archived(
    world: World, retention: Retention, clock: FakeClock, folder: Path
) -> None:
    await ended(world, *[f"m-{number:02}" for number in range(60)])
    clock.advance(31 * 86400)
    runtime = await world.runtime(name="rt-2")
    running = asyncio.create_task(archive(retention))
    done = 0
    while not running.done():
        await world.dispatch()
        await runtime.complete(await runtime.claim_one())
        assert (await world.registry.list_missions(limit=5)).missions
        done += 1
    assert (await running).missions == 60
    assert done >= 3
    await nothing_differs(world, folder)


async def test_the_plane_archives_by_itself_as_time_goes_by(
    world: World, retention: Retention, clock: FakeClock
) -> None:
    await ended(world, "a")
    clock.advance(31 * 86400)
    running = asyncio.create_task(retention.run())
    try:
        await asyncio.sleep(0)
        clock.advance(FIRST_SECONDS[1])
        async with asyncio.timeout(20):
            while await present(world):
                await asyncio.sleep(0.02)
        await ended(world, "b")
        clock.advance(31 * 86400 + EVERY_SECONDS)
        async with asyncio.timeout(20):
            while await present(world):
                clock.advance(EVERY_SECONDS)
                await asyncio.sleep(0.02)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_plane_that_keeps_for_ever_archives_nothing_by_itself(store: Store, clock: FakeClock) -> None:
    async with asyncio.timeout(5):
        await Retention(store, clock, Path("/nowhere"), keep_days=0).run()


# Archives that were changed


async def test_a_changed_or_cut_archive_is_named(
    world: World, retention: Retention, clock: FakeClock, tmp_path: Path
) -> None:
    await ended(world, "a")
    clock.advance(31 * 86400)
    path = (await archive(retention)).archive
    assert path is not None
    content = await asyncio.to_thread(path.read_bytes)
    lines = gzip.decompress(content).decode()

    def other(name: str, content: bytes) -> Path:
        file = tmp_path / f"{name}.jsonl.gz"
        file.write_bytes(content)
        return file

    changed = other("changed", gzip.compress(lines.replace("half", "most").encode()))
    assert {one.rule.value for one in (await verify_archives([changed])).findings} == {"digest_wrong"}

    cut = other("cut", content[:-10])
    assert {one.rule.value for one in (await verify_archives([cut])).findings} == {"archive_differs"}

    strange = other("strange", gzip.compress(b'{"format": 99}\n'))
    assert {one.rule.value for one in (await verify_archives([strange])).findings} == {"archive_differs"}

    of_another = other("of-another", gzip.compress(lines.replace('"mission_id":"a"', '"mission_id":"z"').encode()))
    assert "archive_differs" in {one.rule.value for one in (await verify_archives([of_another], world.store)).findings}


async def test_a_reset_lane_and_a_decided_mission_are_archived_like_any_other(
    world: World, retention: Retention, clock: FakeClock, folder: Path
) -> None:
    runtime = await world.working_lane()
    await world.dispatch(mission_id="asked")
    row = await runtime.claim_one()
    await runtime.block(row)
    await world.step("asked", MissionTrigger.DENY, OPERATOR)
    await world.dispatch(mission_id="lost")
    await runtime.claim_one()
    await world.operate(SessionTrigger.RESET)
    await world.cancel("lost")
    clock.advance(31 * 86400)
    assert (await archive(retention)).missions == 2
    await nothing_differs(world, folder)


async def test_counts_of_old_minutes_are_forgotten_and_their_sums_stay(
    world: World, store: Store, retention: Retention, clock: FakeClock, tables: Tables
) -> None:
    await world.lane()
    for days in (31, 29):
        minute = utc_text((clock.wall() - timedelta(days=days)).replace(second=0, microsecond=0))
        await store.execute(CountTurns(counts={(LANE, "eligible", minute): 5}))
    assert await retention.forget_minutes() == 1
    assert [row["count"] for row in tables("SELECT count FROM vp_turn_minutes")] == [5]
    parts = await store.read(ReadSnapshot(vp_id=LANE, mission_limit=1, event_limit=1))
    assert parts.counters["turn"] == {"eligible": 10}
