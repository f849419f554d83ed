"""The schema's history on both databases: every older schema opens and upgrades, a newer one is refused."""

import asyncio
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic import command
from sqlalchemy import create_engine, inspect
from sqlalchemy.engine import Connection

from dragancorp.clock import FakeClock
from dragancorp.errors import ErrorCode
from dragancorp.missions.scheduler import PriorityScheduler
from dragancorp.registry import migrations
from dragancorp.registry.constraints import guards
from dragancorp.registry.migrations import Phase, current, due, pending, revisions, upgrade
from dragancorp.registry.postgres import PostgresStore
from dragancorp.registry.postgres_connection import connect
from dragancorp.registry.sqlite import SqliteStore
from dragancorp.registry.tables import METADATA

from .world import LANE, World, postgres_table, refused

pytestmark = pytest.mark.anyio
OLD_FILE = Path(__file__).parent / "history" / "sqlite-0001.sql"
Connect = Callable[[], Any]


async def open_postgres(url: str) -> PostgresStore:
    return await PostgresStore.open(url, clock=FakeClock(), scheduler=PriorityScheduler())


# What was made by an older version


async def test_a_file_of_the_first_schema_opens_with_everything_in_it(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(OLD_FILE.read_text())
    clock = FakeClock()
    store = await SqliteStore.open(path, clock=clock, scheduler=PriorityScheduler())
    world = World(store, clock, "later")
    try:
        assert (await world.registry.get_session(LANE)).unfinished == {"queued": 1, "running": 1}
        assert await world.event_types("m-0") == ["dispatched", "accepted", "completed"]
        await world.dispatch(mission_id="m-3")
        await world.cancel("m-2")
        assert (await world.registry.get_session(LANE)).unfinished == {"queued": 1, "running": 1}
        page = await world.registry.list_missions()
        assert [stored.position for stored in page.missions] == [4, 3, 2, 1]
    finally:
        await store.close()


@pytest.mark.parametrize("name", [revision.name for revision in revisions()])
async def test_a_postgres_of_every_older_schema_opens_and_upgrades(postgres_database: str, name: str) -> None:
    with engine_connection(postgres_database) as connection:
        command.upgrade(migrations._config(migrations.HERE, connection), name)
        connection.exec_driver_sql(
            "INSERT INTO vp_counters (vp_id, kind, name, value) VALUES ('vp.a', 'mission_state', 'failed', 41)"
        )
    store = await open_postgres(postgres_database)
    world = World(store, FakeClock())
    await world.working_lane()
    await world.dispatch()
    await store.close()
    assert postgres_table(postgres_database, "SELECT value FROM vp_counters WHERE vp_id = 'vp.a'") == [{"value": 41}]
    with engine_connection(postgres_database) as connection:
        assert pending(connection) == ()


async def test_a_newer_postgres_is_refused_and_left_as_it_is(postgres_database: str) -> None:
    await (await open_postgres(postgres_database)).close()
    with psycopg.connect(postgres_database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    before = catalogue(postgres_database)
    with refused(ErrorCode.DATABASE_NEWER) as caught:
        await open_postgres(postgres_database)
    assert caught.value.facts["schema"] == "9999"
    assert catalogue(postgres_database) == before
    assert postgres_table(postgres_database, "SELECT version_num FROM alembic_version") == [{"version_num": "9999"}]


async def test_openers_that_race_make_one_schema(postgres_database: str) -> None:
    stores = await asyncio.gather(*(open_postgres(postgres_database) for _ in range(5)))
    for number, store in enumerate(stores):
        await World(store, FakeClock(), f"key-{number}").lane()
    assert postgres_table(postgres_database, "SELECT count(*) AS n FROM vp_session_events") == [{"n": 1}]
    for store in stores:
        await store.close()


# The schema that the migrations make is that of the tables


def catalogue(url: str) -> set[tuple[str, ...]]:
    """Every column, constraint, index and trigger, as PostgreSQL itself words them."""
    found: set[tuple[str, ...]] = set()
    with psycopg.connect(url) as connection:
        for statement in (
            "SELECT 'column', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull::text, "
            "coalesce(pg_get_expr(d.adbin, d.adrelid), ''), coalesce(co.collname, '') "
            "FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid AND c.relkind = 'r' "
            "LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum "
            "LEFT JOIN pg_collation co ON co.oid = a.attcollation "
            "WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relnamespace = 'public'::regnamespace",
            "SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
            "WHERE connamespace = 'public'::regnamespace",
            "SELECT 'index', tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
            "SELECT 'trigger', tgrelid::regclass::text, tgname, pg_get_triggerdef(oid) FROM pg_trigger "
            "WHERE NOT tgisinternal",
        ):
            found |= set(connection.execute(statement).fetchall())
    return {one for one in found if one[1] != "alembic_version"}


async def test_the_migrated_postgres_is_that_of_the_tables(postgres_database: str) -> None:
    await (await open_postgres(postgres_database)).close()
    migrated = catalogue(postgres_database)
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    with engine_connection(postgres_database) as connection:
        METADATA.create_all(connection)
    triggers = {one for one in migrated if one[0] == "trigger"}
    assert migrated - triggers == catalogue(postgres_database)
    assert {one[2] for one in triggers} == {guard.name for guard in guards()}
    collations = {one[6] for one in migrated if one[0] == "column" and one[3] == "text"}
    assert collations == {"C"}  # times, states and keys compare as they do in SQLite
    assert not {one[2] for one in migrated if one[0] == "column" and one[3] in ("integer", "character varying")}


# Before and after the deploy

STEPS = (
    ("0001", "before_deploy", "op.create_table('things', sa.Column('old', sa.Text()))"),
    ("0002", "before_deploy", "op.add_column('things', sa.Column('new', sa.Text()))"),
    ("0003", "after_deploy", "op.drop_column('things', 'old')"),
    ("0004", "before_deploy", "op.add_column('things', sa.Column('newer', sa.Text()))"),
    ("0005", "after_deploy", "op.drop_column('things', 'new')"),
    ("0006", "after_deploy", "op.add_column('things', sa.Column('newest', sa.Text()))"),
)


@contextmanager
def engine_connection(url: str) -> Iterator[Connection]:
    """A connection as the adapters use it: transactions are begun and ended by hand."""
    creator: dict[str, Any] = {"creator": lambda: connect(url)} if url.startswith("postgres") else {}
    engine = create_engine("postgresql+psycopg://" if creator else url, isolation_level="AUTOCOMMIT", **creator)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


@pytest.fixture
def thing_url(adapter: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    if adapter == "postgresql":
        url: str = request.getfixturevalue("postgres_database")
        return url
    return f"sqlite:///{tmp_path / 'things.db'}"


@pytest.fixture
def history(tmp_path: Path) -> Callable[[int], Path]:
    """A function that makes the history as a version knows it that has its first `length` steps."""

    def make(length: int) -> Path:
        folder = tmp_path / f"history-{length}"
        (folder / "versions").mkdir(parents=True)
        shutil.copy(migrations.HERE / "env.py", folder)
        for number, (name, phase, what) in enumerate(STEPS[:length]):
            earlier = STEPS[number - 1][0] if number else None
            (folder / "versions" / f"{name}.py").write_text(
                f'"""Step {name}."""\nimport sqlalchemy as sa\nfrom alembic import op\n'
                f"revision = {name!r}\ndown_revision = {earlier!r}\nphase = {phase!r}\n"
                f"def upgrade() -> None:\n    {what}\n"
            )
        return folder

    return make


def columns(connection: Connection) -> list[str]:
    return [column["name"] for column in inspect(connection).get_columns("things")]


def names(steps: tuple[migrations.Revision, ...]) -> list[str]:
    return [step.name for step in steps]


def test_what_belongs_after_a_deploy_waits_until_it_is_told(thing_url: str, history: Callable[[int], Path]) -> None:
    first, second = history(2), history(3)
    with engine_connection(thing_url) as connection:
        assert names(upgrade(connection, Phase.BEFORE, first)) == ["0001", "0002"]
        assert names(due(connection, Phase.BEFORE, second)) == []
        assert upgrade(connection, Phase.BEFORE, second) == ()
        assert columns(connection) == ["old", "new"]  # the older version goes on
        assert names(pending(connection, second)) == ["0003"]
        assert names(upgrade(connection, Phase.AFTER, second)) == ["0003"]
        assert columns(connection) == ["new"]
        assert upgrade(connection, Phase.AFTER, second) == ()


def test_what_an_earlier_deploy_left_waiting_is_done_on_the_way(thing_url: str, history: Callable[[int], Path]) -> None:
    first, third = history(2), history(6)
    with engine_connection(thing_url) as connection:
        upgrade(connection, Phase.BEFORE, first)
        assert names(upgrade(connection, Phase.BEFORE, third)) == ["0003", "0004"]
        assert columns(connection) == ["new", "newer"]
        assert names(upgrade(connection, Phase.AFTER, third)) == ["0005", "0006"]
        assert columns(connection) == ["newer", "newest"]


def test_in_a_new_database_nothing_waits_for_anybody(thing_url: str, history: Callable[[int], Path]) -> None:
    everything = history(6)
    with engine_connection(thing_url) as connection:
        assert len(upgrade(connection, Phase.BEFORE, everything)) == len(STEPS)
        assert current(connection) == "0006"


def test_an_older_version_refuses_what_a_newer_one_has_upgraded(thing_url: str, history: Callable[[int], Path]) -> None:
    older, newer = history(2), history(6)
    with engine_connection(thing_url) as connection:
        upgrade(connection, Phase.BEFORE, newer)
        with refused(ErrorCode.DATABASE_NEWER):
            upgrade(connection, Phase.BEFORE, older)
        assert columns(connection) == ["newer", "newest"]


def test_a_history_that_fails_half_way_has_done_nothing(thing_url: str, history: Callable[[int], Path]) -> None:
    folder = history(2)
    broken = folder / "versions" / "0002.py"
    broken.write_text(broken.read_text().replace("sa.Column", "sa.NoSuchThing"))
    with engine_connection(thing_url) as connection:
        connection.exec_driver_sql("BEGIN")
        with pytest.raises(AttributeError):
            upgrade(connection, Phase.BEFORE, folder)
        connection.exec_driver_sql("ROLLBACK")
        assert current(connection) is None
        assert not inspect(connection).has_table("things")


def test_every_step_of_ours_says_when_it_may_run() -> None:
    assert [revision.name for revision in revisions()] == sorted(revision.name for revision in revisions())
    assert all(revision.what for revision in revisions())
