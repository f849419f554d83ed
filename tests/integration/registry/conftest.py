import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest

from dragancorp.clock import Clock, FakeClock
from dragancorp.missions.scheduler import PriorityScheduler
from dragancorp.registry.port import Store
from dragancorp.registry.postgres import PostgresStore
from dragancorp.registry.sqlite import SqliteStore

from .world import Tables, World, postgres_table, sqlite_table

Opener = Callable[[Clock], Awaitable[Store]]


async def open_sqlite(folder: Path, clock: Clock) -> SqliteStore:
    return await SqliteStore.open(folder / "state.db", clock=clock, scheduler=PriorityScheduler())


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with the schema and nothing in it: copying it is quicker than migrating anew."""
    folder = tmp_path_factory.mktemp("empty")

    async def make() -> None:
        await (await open_sqlite(folder, FakeClock())).close()

    asyncio.run(make())
    return folder / "state.db"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["postgresql", "sqlite"])
def adapter(request: pytest.FixtureRequest) -> str:
    """Every adapter of the port, by name: what a test with the fixture `store` says holds for all of them."""
    name: str = request.param
    return name


@pytest.fixture
def open_store(adapter: str, request: pytest.FixtureRequest) -> Opener:
    """A function that opens a store on the test's database."""
    if adapter == "postgresql":
        url: str = request.getfixturevalue("postgres_url")

        async def open_postgres(clock: Clock) -> Store:
            return await PostgresStore.open(url, clock=clock, scheduler=PriorityScheduler())

        return open_postgres
    folder: Path = request.getfixturevalue("tmp_path")
    shutil.copy(request.getfixturevalue("empty_database"), folder / "state.db")
    return partial(open_sqlite, folder)


@pytest.fixture
def tables(adapter: str, request: pytest.FixtureRequest) -> Tables:
    if adapter == "postgresql":
        return partial(postgres_table, request.getfixturevalue("postgres_url"))
    return partial(sqlite_table, request.getfixturevalue("tmp_path") / "state.db")


@pytest.fixture
async def store(open_store: Opener, clock: FakeClock) -> AsyncIterator[Store]:
    store = await open_store(clock)
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
def world(store: Store, clock: FakeClock) -> World:
    return World(store, clock)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where an SQLite store of a test has its file."""
    return tmp_path / "state.db"


@pytest.fixture
async def open_at(path: Path, clock: FakeClock) -> AsyncIterator[Callable[..., Awaitable[SqliteStore]]]:
    """A function that opens an SQLite store, closed after the test."""
    async with AsyncExitStack() as opened:

        async def open_one(at: Path = path, with_clock: Clock = clock) -> SqliteStore:
            store = await SqliteStore.open(at, clock=with_clock, scheduler=PriorityScheduler())
            opened.push_async_callback(store.close)
            return store

        yield open_one
