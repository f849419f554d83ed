"""The databases that a campaign runs on: how planes open them, how they are read from outside, what is done to them."""

import contextlib
import sqlite3
import time
from pathlib import Path
from typing import Protocol

from sqlalchemy import create_engine
from sqlalchemy.engine import Engine
from sqlalchemy.pool import NullPool

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

    def _connect(self, patience_seconds: float) -> sqlite3.Connection:
        place = f"file:{self.path}?mode=rw"
        return sqlite3.connect(place, uri=True, isolation_level=None, check_same_thread=False, timeout=patience_seconds)

    def hold_lock(self, seconds: float) -> None:
        """Take the write lock as soon as it can be had, and keep it."""
        with contextlib.closing(self._connect(LOCK_PATIENCE_SECONDS)) as one:
            try:
                one.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return  # the file was never free for so long, which does as well
            time.sleep(seconds)
            one.execute("ROLLBACK")
