"""The one writer: many operations a commit, one failure alone, nothing half, nobody left waiting."""

import asyncio
import shutil
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from dragancorp.clock import FakeClock
from dragancorp.errors import DraganError, ErrorCode
from dragancorp.registry import group_commit
from dragancorp.registry.operations import CountTurns, DispatchMission, Operation
from dragancorp.registry.port import lane_topic
from dragancorp.registry.sqlite import SqliteStore
from dragancorp.registry.transaction import Transaction

from .world import LANE, World, refused, sqlite_table

pytestmark = pytest.mark.anyio
BUSY_SECONDS = 5.0  # how long the writer waits for a foreign lock
Perform = Callable[[Transaction, Operation[Any]], Any]


@pytest.fixture
async def store(open_at: Callable[..., Awaitable[SqliteStore]], path: Path, empty_database: Path) -> SqliteStore:
    shutil.copy(empty_database, path)
    return await open_at()


@pytest.fixture
async def world(store: SqliteStore, clock: FakeClock) -> World:
    world = World(store, clock)
    await world.lane(queue_limit=10_000)
    return world


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Perform], None]:
    """Replace what the writer does with an operation; the function gets what it did before as an attribute."""
    real = group_commit.perform

    def replace(perform: Perform) -> None:
        monkeypatch.setattr(group_commit, "perform", perform)

    replace.real = real  # type: ignore[attr-defined]
    return replace


class Gate:
    """Holds the writer inside an operation until it is opened."""

    def __init__(self, real: Perform) -> None:
        self._real = real
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __call__(self, tx: Transaction, operation: Operation[Any]) -> Any:
        self.entered.set()
        assert self.opened.wait(10)
        return self._real(tx, operation)


@contextmanager
def foreign_writer(path: Path) -> Iterator[sqlite3.Connection]:
    """Somebody else who holds the file's write lock."""
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection


def missions_in(path: Path) -> int:
    return int(sqlite_table(path, "SELECT count(*) AS found FROM vp_missions")[0]["found"])


# Grouping


async def test_waiting_operations_share_a_commit(world: World, store: SqliteStore) -> None:
    before = store.writer.commits
    await asyncio.gather(*(world.dispatch() for _ in range(640)))
    assert 640 / group_commit.BATCH <= store.writer.commits - before < 640 / 8


async def test_an_answer_comes_only_after_its_commit(world: World, path: Path) -> None:
    async def dispatched_and_seen() -> bool:
        mission_id = (await world.dispatch()).row.mission_id
        return bool(sqlite_table(path, "SELECT 1 FROM vp_missions WHERE mission_id = ?", mission_id))

    assert all(await asyncio.gather(*(dispatched_and_seen() for _ in range(50))))


async def test_a_refused_operation_spoils_nothing_for_its_neighbours(
    world: World, store: SqliteStore, path: Path
) -> None:
    before = store.writer.commits
    envelope = world.envelope(idempotency_key="taken")
    await world.ask(envelope)
    answers = await asyncio.gather(
        *(world.dispatch(idempotency_key="taken" if n % 3 == 0 else f"free-{n}", objective=f"{n}") for n in range(60)),
        return_exceptions=True,
    )
    refusals = [answer for answer in answers if isinstance(answer, DraganError)]
    assert {answer.code for answer in refusals} == {ErrorCode.IDEMPOTENCY_KEY_REUSED}
    assert len(refusals) == 20
    assert missions_in(path) == 41
    assert store.writer.commits - before < 20


async def test_an_operation_that_the_database_cannot_take_fails_alone(world: World, meanwhile: Any, path: Path) -> None:
    def too_big(tx: Transaction, operation: Operation[Any]) -> Any:
        if isinstance(operation, CountTurns):
            meanwhile.real(tx, operation)
            raise sqlite3.DataError("string or blob too big")
        return meanwhile.real(tx, operation)

    meanwhile(too_big)
    poison = world.store.execute(CountTurns(counts={(LANE, "eligible", "2026-01-01T00:00:00+00:00"): 1}))
    answers = await asyncio.gather(
        world.dispatch(), poison, *(world.dispatch() for _ in range(10)), return_exceptions=True
    )
    assert isinstance(answers[1], DraganError)
    assert answers[1].code is ErrorCode.STORAGE_FAILED
    assert missions_in(path) == 11
    assert sqlite_table(path, "SELECT * FROM vp_turn_minutes") == []


async def test_a_programming_error_reaches_its_caller_alone_and_as_it_is(
    world: World, meanwhile: Any, path: Path
) -> None:
    def broken(tx: Transaction, operation: Operation[Any]) -> Any:
        answer = meanwhile.real(tx, operation)
        if isinstance(operation, CountTurns):
            raise ZeroDivisionError("as it is")
        return answer

    meanwhile(broken)
    count = CountTurns(counts={(LANE, "eligible", "2026-01-01T00:00:00+00:00"): 1})
    answers = await asyncio.gather(world.store.execute(count), world.dispatch(), return_exceptions=True)
    assert isinstance(answers[0], ZeroDivisionError)
    assert missions_in(path) == 1
    assert sqlite_table(path, "SELECT * FROM vp_turn_minutes") == []


# All or none


async def test_row_events_and_callback_are_there_together_or_not_at_all(
    world: World, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    perform = group_commit.perform

    def fail_at_the_end(tx: Transaction, operation: Operation[Any]) -> Any:
        perform(tx, operation)
        raise sqlite3.IntegrityError("after everything was written")

    callback = {"status_url": "https://factory.example/callbacks", "auth_mode": "none"}
    with monkeypatch.context() as patched:
        patched.setattr(group_commit, "perform", fail_at_the_end)
        with pytest.raises(DraganError) as refused:
            await world.dispatch(callback=callback)
    assert refused.value.code is ErrorCode.STORAGE_FAILED
    for name in ("vp_missions", "vp_mission_events", "vp_outbox"):
        assert sqlite_table(path, f"SELECT * FROM {name}") == []
    mission_id = (await world.dispatch(callback=callback)).row.mission_id
    for name in ("vp_missions", "vp_mission_events", "vp_outbox"):
        assert [record["mission_id"] for record in sqlite_table(path, f"SELECT * FROM {name}")] == [mission_id]


# A foreign lock


async def test_a_foreign_writer_for_a_moment_is_waited_for(world: World, path: Path) -> None:
    with foreign_writer(path) as other:
        asked = asyncio.gather(*(world.dispatch() for _ in range(20)))
        await asyncio.sleep(0.3)
        assert not asked.done()
        # Readers never wait for a writer.
        assert (await world.registry.list_missions()).missions == ()
        other.execute("ROLLBACK")
    assert len(await asked) == 20
    assert missions_in(path) == 20


async def test_a_foreign_writer_that_stays_makes_callers_busy_and_nothing_is_lost(world: World, path: Path) -> None:
    with foreign_writer(path) as other:
        async with asyncio.timeout(BUSY_SECONDS + 5):
            envelope = world.envelope()
            with refused(ErrorCode.STORAGE_BUSY) as caught:
                await world.ask(envelope)
        assert caught.value.entry.retryable
        other.execute("ROLLBACK")
    assert missions_in(path) == 0
    assert not (await world.ask(envelope)).replayed
    assert missions_in(path) == 1


# The end of the writer


async def test_a_writer_that_dies_fails_its_callers_instead_of_leaving_them_waiting(
    world: World, meanwhile: Any, path: Path
) -> None:
    class PowerCut(BaseException):
        pass

    def die(tx: Transaction, operation: Operation[Any]) -> Any:
        meanwhile.real(tx, operation)
        raise PowerCut

    meanwhile(die)
    async with asyncio.timeout(10):
        answers = await asyncio.gather(*(world.dispatch() for _ in range(200)), return_exceptions=True)
        with refused(ErrorCode.STORAGE_FAILED):
            await world.dispatch()
    assert all(isinstance(answer, DraganError) and answer.code is ErrorCode.STORAGE_FAILED for answer in answers)
    assert missions_in(path) == 0
    assert (await world.registry.list_missions()).missions == ()
    await world.store.close()


async def test_closing_finishes_what_was_accepted(world: World, meanwhile: Any, path: Path) -> None:
    gate = Gate(meanwhile.real)
    meanwhile(gate)
    asked = [asyncio.create_task(world.dispatch()) for _ in range(150)]
    await asyncio.to_thread(gate.entered.wait)
    closing_store = asyncio.create_task(world.store.close())
    await asyncio.sleep(0.05)
    gate.opened.set()
    await closing_store
    assert len(await asyncio.gather(*asked)) == 150
    assert missions_in(path) == 150


async def test_nothing_is_accepted_after_closing(world: World) -> None:
    await world.store.close()
    await world.store.close()
    with refused(ErrorCode.SHUTTING_DOWN):
        await world.dispatch()
    with refused(ErrorCode.SHUTTING_DOWN):
        await world.registry.list_missions()


async def test_a_closed_file_needs_no_journal(world: World, path: Path) -> None:
    await world.dispatch()
    await world.store.close()
    assert not path.with_name("state.db-wal").exists()
    assert missions_in(path) == 1


# Callers that go away


async def test_a_caller_that_leaves_before_its_turn_leaves_nothing(world: World, meanwhile: Any, path: Path) -> None:
    gate = Gate(meanwhile.real)
    meanwhile(gate)
    first = asyncio.create_task(world.dispatch())
    await asyncio.to_thread(gate.entered.wait)
    second = asyncio.create_task(world.dispatch())
    await asyncio.sleep(0.05)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    gate.opened.set()
    await first
    await world.dispatch()
    assert missions_in(path) == 2


async def test_a_caller_that_leaves_in_the_middle_leaves_its_operation_done(
    world: World, meanwhile: Any, path: Path
) -> None:
    gate = Gate(meanwhile.real)
    meanwhile(gate)
    asked = asyncio.create_task(world.dispatch())
    await asyncio.to_thread(gate.entered.wait)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    gate.opened.set()
    await world.dispatch()
    assert missions_in(path) == 2


async def test_callers_that_leave_at_random_stop_no_other(world: World, path: Path) -> None:
    asked = [asyncio.create_task(world.dispatch()) for _ in range(300)]
    for task in asked[::3]:
        await asyncio.sleep(0)
        task.cancel()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    stayed = [answer for number, answer in enumerate(answers) if number % 3]
    assert not any(isinstance(answer, BaseException) for answer in stayed)
    assert missions_in(path) >= len(stayed)


async def test_a_subscriber_whose_loop_has_ended_does_not_stop_the_writer(world: World, store: SqliteStore) -> None:
    def subscribe_and_leave() -> None:
        async def subscribe() -> None:
            store.watch(lane_topic(LANE)).__enter__()

        asyncio.run(subscribe())

    await asyncio.to_thread(subscribe_and_leave)
    await world.dispatch()
    await world.dispatch()


async def test_what_one_did_before_subscribing_wakes_nobody(world: World) -> None:
    for _ in range(30):
        await world.dispatch()
        with world.store.watch(lane_topic(LANE)) as changes:
            assert not await changes.wait(0.005)


async def test_an_operation_of_an_unknown_kind_is_its_callers_fault(world: World) -> None:
    class Nonsense(DispatchMission):
        pass

    with pytest.raises(KeyError):
        await world.store.execute(object.__new__(Nonsense))
    await world.dispatch()
