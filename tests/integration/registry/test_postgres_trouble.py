"""PostgreSQL in trouble: held locks, cut connections, a server that stops and starts. Nothing is lost or doubled."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import psycopg
import pytest
import throwaway_postgres
from throwaway_postgres import PrivateServer

from dragancorp.clock import FakeClock
from dragancorp.errors import DraganError, ErrorCode
from dragancorp.missions.scheduler import PriorityScheduler
from dragancorp.registry import postgres_connection, postgres_writer
from dragancorp.registry.port import mission_topic
from dragancorp.registry.postgres import WRITERS, PostgresStore
from dragancorp.registry.postgres_connection import PostgresConnection
from dragancorp_contracts.lifecycle import MissionState

from .world import LANE, World, postgres_table, refused

pytestmark = pytest.mark.anyio
Open = Callable[[str], Awaitable[World]]


@pytest.fixture
async def open_world(clock: FakeClock) -> AsyncIterator[Open]:
    """A function that opens a store at a URL, closed after the test."""
    async with contextlib.AsyncExitStack() as opened:

        async def open_one(url: str) -> World:
            store = await PostgresStore.open(url, clock=clock, scheduler=PriorityScheduler())
            opened.push_async_callback(store.close)
            return World(store, clock)

        yield open_one


@pytest.fixture
async def world(open_world: Open, postgres_url: str) -> World:
    return await open_world(postgres_url)


@pytest.fixture
def foreign(postgres_url: str) -> Iterator["psycopg.Connection[Any]"]:
    """A connection of somebody else's, in a transaction from its first statement on."""
    with psycopg.connect(postgres_url) as connection:
        yield connection
        connection.rollback()


def store_of(world: World) -> PostgresStore:
    assert isinstance(world.store, PostgresStore)
    return world.store


def sessions(url: str) -> Counter[str]:
    """What the sessions of stores on this database are doing."""
    found = postgres_table(
        url,
        "SELECT state FROM pg_stat_activity WHERE application_name = 'dragancorp' AND datname = current_database()",
    )
    return Counter(record["state"] for record in found)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.02)


# Locks that others hold


async def test_a_lock_that_another_holds_for_a_moment_is_waited_for(
    world: World, foreign: "psycopg.Connection[Any]", postgres_url: str
) -> None:
    await world.lane()
    foreign.execute("SELECT * FROM vp_sessions FOR UPDATE")
    asked = asyncio.create_task(world.dispatch())
    await until(lambda: sessions(postgres_url)["active"] > 0)
    foreign.rollback()
    assert (await asked).row.state is MissionState.QUEUED


async def test_a_lock_that_another_keeps_makes_callers_busy_and_nothing_is_changed(
    open_world: Open, foreign: "psycopg.Connection[Any]", postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = postgres_connection.SESSION.replace("lock_timeout = '5s'", "lock_timeout = '100ms'")
    assert quick != postgres_connection.SESSION
    monkeypatch.setattr(postgres_connection, "SESSION", quick)
    world = await open_world(postgres_url)
    await world.lane()
    foreign.execute("SELECT * FROM vp_sessions FOR UPDATE")
    with refused(ErrorCode.STORAGE_BUSY) as caught:
        await world.dispatch()
    assert caught.value.entry.retryable
    foreign.rollback()
    assert (await world.registry.get_session(LANE)).unfinished == {}
    await world.dispatch()


async def test_a_deadlock_is_no_answer(world: World, foreign: "psycopg.Connection[Any]", postgres_url: str) -> None:
    await world.lane()
    mission_id = (await world.dispatch()).row.mission_id
    foreign.execute("SET deadlock_timeout = '60s'")  # so that ours is the one that notices, and is undone
    foreign.execute("SELECT * FROM vp_missions FOR UPDATE")
    asked = asyncio.create_task(world.cancel(mission_id))  # has the lane, waits for the mission
    await until(lambda: sessions(postgres_url)["active"] > 0)
    await asyncio.to_thread(foreign.execute, "SELECT * FROM vp_sessions FOR UPDATE")
    foreign.rollback()
    assert (await asked).row.state is MissionState.CANCELLED


# Callers that go away


async def test_callers_that_leave_at_random_leave_whole_operations_and_clean_connections(
    world: World, postgres_url: str
) -> None:
    await world.lane()
    asked = [asyncio.create_task(world.dispatch()) for _ in range(200)]
    for task in asked[::3]:
        await asyncio.sleep(0.001)
        task.cancel()
    found = await asyncio.gather(*asked, return_exceptions=True)
    stayed = [one for number, one in enumerate(found) if number % 3]
    assert not any(isinstance(one, BaseException) for one in stayed)
    await world.dispatch()
    (missions,) = postgres_table(postgres_url, "SELECT count(*) AS n FROM vp_missions")
    (events,) = postgres_table(postgres_url, "SELECT count(*) AS n FROM vp_mission_events")
    assert missions == events
    assert len(stayed) < missions["n"] <= 201
    await until(lambda: sessions(postgres_url)["active"] == 0)
    assert sessions(postgres_url)["idle in transaction"] == 0


async def test_a_refused_operation_leaves_its_connection_to_the_next(world: World, postgres_url: str) -> None:
    for _ in range(3 * WRITERS):
        with refused(ErrorCode.LANE_UNKNOWN):
            await world.dispatch()
    assert sessions(postgres_url).keys() == {"idle"}
    await world.working_lane()


async def test_closing_finishes_what_was_accepted(world: World, postgres_url: str) -> None:
    await world.lane()
    asked = [asyncio.create_task(world.dispatch()) for _ in range(100)]
    await asyncio.sleep(0)
    await world.store.close()
    await asyncio.gather(*asked)
    assert postgres_table(postgres_url, "SELECT count(*) AS n FROM vp_missions") == [{"n": 100}]
    with refused(ErrorCode.SHUTTING_DOWN):
        await world.dispatch()
    await until(lambda: not sessions(postgres_url))


# Connections that break


def cut(url: str) -> None:
    """End every session of a store on this database, as an administrator or a lost network would."""
    with psycopg.connect(url) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'dragancorp' AND datname = current_database()"
        )


async def test_connections_that_break_under_load_lose_and_double_nothing(world: World, postgres_url: str) -> None:
    await world.lane()

    async def break_them() -> None:
        for _ in range(5):
            await asyncio.sleep(0.1)
            await asyncio.to_thread(cut, postgres_url)

    breaking = asyncio.create_task(break_them())
    acknowledged: list[str] = []
    while not breaking.done():
        missions = await asyncio.gather(*(world.dispatch() for _ in range(20)))
        acknowledged += [mission.row.mission_id for mission in missions]
    await breaking
    stored = [record["mission_id"] for record in postgres_table(postgres_url, "SELECT mission_id FROM vp_missions")]
    assert sorted(stored) == sorted(acknowledged)
    assert (await world.registry.get_session(LANE)).unfinished == {"queued": len(stored)}


@pytest.fixture
def at_commit(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[PostgresConnection], None]], None]:
    """A function that has something else happen at the next commit."""
    real = PostgresConnection.command

    def next_time(trouble: Callable[[PostgresConnection], None]) -> None:
        def command(self: PostgresConnection, text: str) -> None:
            if text == "COMMIT":
                monkeypatch.setattr(PostgresConnection, "command", real)
                trouble(self)
            real(self, text)

        monkeypatch.setattr(PostgresConnection, "command", command)

    return next_time


async def test_a_commit_whose_answer_is_lost_is_asked_for_and_done_once(
    world: World, postgres_url: str, at_commit: Any
) -> None:
    await world.lane()

    def commit_and_break(connection: PostgresConnection) -> None:
        connection.command("COMMIT")
        connection._driver.close()

    at_commit(commit_and_break)
    mission = await world.dispatch()
    assert postgres_table(postgres_url, "SELECT mission_id FROM vp_missions") == [
        {"mission_id": mission.row.mission_id}
    ]
    assert (await world.registry.get_session(LANE)).unfinished == {"queued": 1}


async def test_a_commit_that_never_arrived_is_done_again(world: World, postgres_url: str, at_commit: Any) -> None:
    await world.lane()
    at_commit(lambda connection: connection._driver.close())
    mission = await world.dispatch()
    assert postgres_table(postgres_url, "SELECT mission_id FROM vp_missions") == [
        {"mission_id": mission.row.mission_id}
    ]
    assert await world.event_types(mission.row.mission_id) == ["dispatched"]


async def test_a_store_that_cannot_ask_about_its_commit_says_so(
    world: World, at_commit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.lane()
    monkeypatch.setattr(postgres_writer, "PATIENCE", ())

    def unreachable(url: str) -> None:
        raise psycopg.OperationalError("no route to host")

    def commit_and_break(connection: PostgresConnection) -> None:
        connection.command("COMMIT")
        connection._driver.close()
        monkeypatch.setattr(postgres_writer, "connect", unreachable)

    at_commit(commit_and_break)
    envelope = world.envelope()
    with refused(ErrorCode.STORAGE_FAILED) as caught:
        await world.ask(envelope)
    assert "may be repeated" in caught.value.detail
    assert (await world.ask(envelope)).replayed  # the very same request, as it said


# A server that stops and starts


@pytest.fixture(scope="module")
def private() -> Iterator[PrivateServer]:
    with throwaway_postgres.private_server(Path(mkdtemp(prefix="dragan-pg-"))) as private:
        yield private


async def persistently(ask: Callable[[], Awaitable[Any]], refusals: Counter[str]) -> Any:
    """Ask as a caller should: the very same again, as long as it is told that this may help."""
    while True:
        try:
            return await ask()
        except DraganError as error:
            if not (error.entry.retryable and error.entry.hint):
                raise
            refusals[error.code.value] += 1
            await asyncio.sleep(0.1)


@pytest.mark.parametrize(("mode", "patience"), [("fast", "patient"), ("immediate", "impatient")])
async def test_a_server_that_is_stopped_and_started_under_load(
    open_world: Open, private: PrivateServer, mode: str, patience: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if patience == "impatient":
        monkeypatch.setattr(postgres_writer, "PATIENCE", (0.02,))
    with throwaway_postgres.database(private.url) as url:
        world = await open_world(url)
        runtime = await world.working_lane(parallel_missions=1000)
        refusals: Counter[str] = Counter()
        ended: list[str] = []
        going = True

        async def work() -> None:
            while going:
                envelope = world.envelope()
                await persistently(partial(world.ask, envelope), refusals)
                for row in await persistently(runtime.claim, refusals):
                    await persistently(partial(runtime.report, row, key="half"), refusals)
                    await persistently(partial(runtime.complete, row, key="whole"), refusals)
                    ended.append(row.mission_id)

        working = [asyncio.create_task(work()) for _ in range(16)]
        await until(lambda: len(ended) > 20)
        before = len(ended)
        await asyncio.to_thread(private.stop, mode)
        await asyncio.sleep(0.3)
        await asyncio.to_thread(private.start)
        await until(lambda: len(ended) > before + 20)
        going = False
        await asyncio.gather(*working)

        missions = {row["mission_id"]: row for row in postgres_table(url, "SELECT * FROM vp_missions")}
        assert {missions[mission_id]["state"] for mission_id in ended} == {"completed"}
        assert len(ended) == len(set(ended))
        for mission_id in ended:
            types = await world.event_types(mission_id)
            assert types == ["dispatched", "accepted", "progress", "completed"]
        assert len({row["idempotency_key"] for row in missions.values()}) == len(missions)
        states = Counter(row["state"] for row in missions.values())
        kept = postgres_table(
            url, "SELECT name, sum(value) AS n FROM vp_counters WHERE kind = 'mission_state' GROUP BY name"
        )
        assert {row["name"]: int(row["n"]) for row in kept if row["n"]} == dict(states)
        assert patience == "patient" or refusals.keys() <= {"storage_failed", "storage_busy"}
        await world.store.close()


async def test_a_subscriber_is_woken_when_listening_goes_on_since_something_may_have_been_missed(
    open_world: Open, postgres_url: str
) -> None:
    here, there = await open_world(postgres_url), await open_world(postgres_url)
    await here.lane()
    mission_id = (await here.dispatch()).row.mission_id
    listener = store_of(there).listener
    await until(listener.listening.is_set)
    with there.store.watch(mission_topic(mission_id)) as watched:
        cut(postgres_url)
        assert await watched.wait(30)
        await until(listener.listening.is_set)
        await here.cancel(mission_id)
        assert await watched.wait(30)


async def test_a_database_that_stays_away_is_said_to_be_away(
    open_world: Open, private: PrivateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_writer, "PATIENCE", (0.02, 0.02))
    with throwaway_postgres.database(private.url) as url:
        world = await open_world(url)
        await world.lane()
        await asyncio.to_thread(private.stop)
        try:
            for asked in (world.dispatch(), world.registry.list_missions()):
                with refused(ErrorCode.STORAGE_FAILED) as caught:
                    await asked
                assert caught.value.entry.retryable
                assert "cannot be reached" in caught.value.detail
            with refused(ErrorCode.STORAGE_FAILED):
                await open_world(url)
        finally:
            await asyncio.to_thread(private.start)
        await world.dispatch()
        await world.store.close()
