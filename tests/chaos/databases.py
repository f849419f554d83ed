"""The databases that a campaign runs on: how planes open them, how they are read from outside, what is done to them."""

import contextlib
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import psycopg
from sqlalchemy import create_engine
from sqlalchemy.engine import Engine
from sqlalchemy.pool import NullPool
from throwaway_postgres import PrivateServer

from dragancorp.clock import SystemClock
from dragancorp.control_plane import open_store

from .replay import replay

LOCK_PATIENCE_SECONDS = 10.0


class Database(Protocol):
    """One registry's database. Methods block; a campaign calls them in threads."""

    name: str
    url: str

    def engine(self) -> Engine:
        """For reading beside the planes."""
        ...

    def hold_lock(self, seconds: float) -> None:
        """Keep every writer out for so long, as a foreign process would."""
        ...

    def restart(self, seconds: float) -> None:
        """Crash it, and have it back after so long; without effect where the database is a file."""
        ...


async def replayed(database: Database) -> Sequence[tuple[str, str]]:
    """What the replay of all ledgers finds, once nobody else has the database open."""
    store = await open_store(database.url, SystemClock())
    try:
        return await replay(store)
    finally:
        await store.close()


class SqliteFile:
    """A file that one plane owns."""

    name = "sqlite"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"sqlite:///{path}"

    def engine(self) -> Engine:
        """Connections that only read; the file is not made by them."""

        def connect() -> sqlite3.Connection:
            # Read-write, because after a kill the first to come must recover the log; `query_only` keeps it a reader.
            connection = self._connect(0.5)
            connection.execute("PRAGMA query_only=ON")
            connection.execute("PRAGMA wal_autocheckpoint=0")
            return connection

        return create_engine("sqlite://", creator=connect, poolclass=NullPool)

    def hold_lock(self, seconds: float) -> None:
        """Take the write lock as soon as it can be had, and keep it."""
        with contextlib.closing(self._connect(LOCK_PATIENCE_SECONDS)) as one:
            try:
                one.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return  # the file was never free for so long, which does as well
            time.sleep(seconds)
            one.execute("ROLLBACK")

    def restart(self, seconds: float) -> None:
        """A file is not running."""

    def _connect(self, patience_seconds: float) -> sqlite3.Connection:
        place = f"file:{self.path}?mode=rw"
        return sqlite3.connect(place, uri=True, isolation_level=None, check_same_thread=False, timeout=patience_seconds)


class PostgresDatabase:
    """A server of the campaign's own."""

    name = "postgresql"

    def __init__(self, server: PrivateServer) -> None:
        self.url = server.url
        self._server = server

    def engine(self) -> Engine:
        """Connections of its own."""
        connect: Callable[[], psycopg.Connection] = lambda: psycopg.connect(self.url, connect_timeout=2)  # noqa: E731
        return create_engine("postgresql+psycopg://", creator=connect, poolclass=NullPool)

    def hold_lock(self, seconds: float) -> None:
        """Lock the table that every write of a mission needs, in a session that then does nothing."""
        with contextlib.suppress(psycopg.Error), psycopg.connect(self.url) as one:  # ended by a restart, say
            one.execute(f"SET lock_timeout = '{LOCK_PATIENCE_SECONDS:.0f}s'")
            one.execute("LOCK TABLE vp_missions IN EXCLUSIVE MODE")
            time.sleep(seconds)

    def restart(self, seconds: float) -> None:
        """Stop it as a crash would, wait, and start it again."""
        self._server.stop("immediate")
        time.sleep(seconds)
        self._server.start()
