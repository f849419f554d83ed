"""Opening an SQLite file: one owner, a schema this version knows, a folder that can be written; and what it refuses."""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine

from dragancorp.clock import FakeClock
from dragancorp.errors import ErrorCode
from dragancorp.registry.constraints import guards, sqlite_trigger
from dragancorp.registry.sqlite import SqliteStore
from dragancorp.registry.tables import METADATA
from dragancorp_contracts.lifecycle import MissionState

from .world import LANE, Runtime, World, refused

pytestmark = pytest.mark.anyio
Open = Callable[..., Awaitable[SqliteStore]]
DIARY = b"Dear diary,\n" * 1000
_OWNER = """
import asyncio, sys
from pathlib import Path
from dragancorp.clock import SystemClock
from dragancorp.missions.scheduler import PriorityScheduler
from dragancorp.registry.sqlite import SqliteStore

async def main():
    store = await SqliteStore.open(Path(sys.argv[1]), clock=SystemClock(), scheduler=PriorityScheduler())
    store.announce("http://127.0.0.1:8711")
    print("owned", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def start(code: str, path: Path) -> "subprocess.Popen[str]":
    """A process of its own that runs `code` on the file."""
    return subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)


def content(path: Path) -> bytes:
    return path.read_bytes()


def write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def make_folder(path: Path) -> None:
    path.mkdir()


async def test_what_was_stored_is_there_after_a_restart(open_at: Open, clock: FakeClock) -> None:
    first = World(await open_at(), clock)
    runtime = await first.working_lane()
    stored = await first.dispatch()
    row = await runtime.claim_one()
    events = await first.events(row.mission_id)
    session = await first.status()
    await first.store.close()
    second = World(await open_at(), clock)
    assert await second.row(row.mission_id) == row
    assert (await second.registry.get_mission(row.mission_id)).document == stored.document
    assert await second.events(row.mission_id) == events
    assert await second.status() == session
    assert (await runtime_after(second, runtime.epoch)).state is MissionState.COMPLETED


async def runtime_after(world: World, epoch: int) -> Any:
    """The runtime that held the lease before the restart goes on under the same epoch."""
    runtime = Runtime(world, LANE, "rt-1-owner", "rt-1", epoch)
    (held,) = (await runtime.renew()).held
    return (await runtime.complete(await world.row(held.mission_id))).row


async def test_a_missing_folder_is_made(open_at: Open, tmp_path: Path) -> None:
    await open_at(tmp_path / "new" / "deeper" / "state.db")
    assert (tmp_path / "new" / "deeper" / "state.db").exists()


# One owner


async def test_a_second_opener_is_told_who_owns_the_file_and_where_it_is_reached(open_at: Open) -> None:
    store = await open_at()
    store.announce("http://127.0.0.1:8711")
    with refused(ErrorCode.DATABASE_OWNED) as caught:
        await open_at()
    assert caught.value.facts == {"pid": os.getpid(), "url": "http://127.0.0.1:8711"}
    assert str(os.getpid()) in caught.value.detail
    assert "http://127.0.0.1:8711" in caught.value.detail


async def test_another_name_of_the_same_file_is_owned_too(open_at: Open, path: Path) -> None:
    await open_at()
    alias = path.with_name("alias.db")
    alias.symlink_to(path)
    with refused(ErrorCode.DATABASE_OWNED):
        await open_at(alias)


async def test_another_process_owns_the_file_as_long_as_it_lives(open_at: Open, path: Path) -> None:
    with start(_OWNER, path) as owner:
        assert owner.stdout is not None
        try:
            assert owner.stdout.readline() == "owned\n"
            with refused(ErrorCode.DATABASE_OWNED) as caught:
                await open_at()
            assert caught.value.facts == {"pid": owner.pid, "url": "http://127.0.0.1:8711"}
        finally:
            owner.kill()
    await open_at()


async def test_a_closed_store_owns_nothing_any_more(open_at: Open) -> None:
    await (await open_at()).close()
    await open_at()


async def test_an_owner_who_never_said_where_it_is_is_known_by_its_process(open_at: Open, path: Path) -> None:
    await open_at()
    note = json.loads(path.with_name("state.db.lock").read_text())
    assert note == {"pid": os.getpid()}


async def test_a_broken_note_does_not_hide_that_the_file_is_owned(open_at: Open, path: Path) -> None:
    await open_at()
    path.with_name("state.db.lock").write_text("{")
    with refused(ErrorCode.DATABASE_OWNED):
        await open_at()


# What cannot be opened


async def test_a_database_of_a_newer_version_is_refused_and_left_as_it_is(open_at: Open, path: Path) -> None:
    await (await open_at()).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    before = content(path)
    with refused(ErrorCode.DATABASE_NEWER) as caught:
        await open_at()
    assert content(path) == before
    assert caught.value.facts["schema"] == "9999"
    with refused(ErrorCode.DATABASE_NEWER):  # and not: owned by the attempt before
        await open_at()


async def test_a_newer_database_in_another_journal_mode_is_left_as_it_is(open_at: Open, path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        connection.execute("INSERT INTO alembic_version VALUES ('9999')")
        connection.commit()
    before = content(path)
    with refused(ErrorCode.DATABASE_NEWER):
        await open_at()
    assert content(path) == before


async def test_a_folder_below_a_file_is_unusable(open_at: Open, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with refused(ErrorCode.DATA_FOLDER_UNUSABLE) as caught:
        await open_at(tmp_path / "file" / "state.db")
    assert str(tmp_path / "file") in caught.value.detail


async def test_a_folder_in_the_databases_place_is_unusable(open_at: Open, path: Path) -> None:
    make_folder(path)
    with refused(ErrorCode.DATA_FOLDER_UNUSABLE):
        await open_at()


async def test_a_file_that_is_no_database_is_unusable_and_left_as_it_is(open_at: Open, path: Path) -> None:
    write(path, DIARY)
    with refused(ErrorCode.DATA_FOLDER_UNUSABLE):
        await open_at()
    assert content(path) == DIARY


async def test_a_folder_where_no_journal_can_be_written_is_unusable(open_at: Open, path: Path) -> None:
    await (await open_at()).close()
    make_folder(path.with_name("state.db-wal"))
    with refused(ErrorCode.DATA_FOLDER_UNUSABLE):
        await open_at()


async def test_a_migration_that_was_killed_half_way_is_done_whole_the_next_time(path: Path, open_at: Open) -> None:
    killed = """
import os, sys
from pathlib import Path
from dragancorp.registry import migrations, sqlite
from dragancorp.registry.owner_lock import OwnerLock
def die(connection):
    connection.exec_driver_sql("CREATE TABLE vp_sessions (half INTEGER)")
    os.kill(os.getpid(), 9)
sqlite.upgrade = die
path = Path(sys.argv[1])
sqlite.SqliteStore(path, None, None, OwnerLock(path))._migrate()
"""
    with start(killed, path) as process:
        assert process.wait() == -9
    await World(await open_at(), FakeClock()).working_lane()


# The schema


def ddl(connection: sqlite3.Connection) -> dict[str, str]:
    """Every table, index and trigger by name, as one line each."""
    records = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"
    )
    return {name: " ".join(sql.split()) for name, sql in records}


def parts(sql: str) -> list[str]:
    """The definitions of a CREATE TABLE, in any order."""
    inside = sql[sql.index("(") + 1 : sql.rindex(")")]
    found, depth, quoted = [""], 0, False
    for letter in inside:
        quoted ^= letter == "'"
        depth += 0 if quoted else (letter == "(") - (letter == ")")
        if letter == "," and depth == 0 and not quoted:
            found.append("")
        else:
            found[-1] += letter
    return sorted(part.strip() for part in found)


async def test_the_migrated_schema_is_that_of_the_tables(open_at: Open, path: Path, tmp_path: Path) -> None:
    await (await open_at()).close()
    engine = create_engine(f"sqlite:///{tmp_path / 'created.db'}")
    METADATA.create_all(engine)
    engine.dispose()
    with closing(sqlite3.connect(path)) as migrated, closing(sqlite3.connect(tmp_path / "created.db")) as created:
        have, want = ddl(migrated), ddl(created)
    del have["alembic_version"]
    triggers = {name: have.pop(name) for name in list(have) if have[name].startswith("CREATE TRIGGER")}
    assert triggers == {guard.name: sqlite_trigger(guard) for guard in guards()}
    assert set(have) == set(want)
    for name, sql in want.items():
        if sql.startswith("CREATE TABLE"):
            assert parts(have[name]) == parts(sql), name
        else:
            assert have[name] == sql


async def test_writing_is_durable_and_the_journal_is_a_wal(open_at: Open) -> None:
    store = await open_at()
    with store._write_engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


async def test_a_reader_cannot_write(open_at: Open) -> None:
    store = await open_at()
    with store._read_engine.connect() as connection, pytest.raises(Exception, match="readonly"):
        connection.exec_driver_sql("DELETE FROM vp_missions")


async def test_openers_that_race_leave_one_owner(open_at: Open) -> None:
    answers = await asyncio.gather(*(open_at() for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(answer, SqliteStore) for answer in answers) == 1
