"""The SQLite adapter of the `Store` port: sole owner of the file, one writer, readers beside it."""

import asyncio
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import create_engine, event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from dragancorp.clock import Clock
from dragancorp.errors import DraganError, ErrorCode
from dragancorp.registry.constraints import guards, sqlite_trigger
from dragancorp.registry.group_commit import GroupCommitWriter, storage_error
from dragancorp.registry.migrations import SchemaState, refuse_newer, revisions, state, upgrade
from dragancorp.registry.operations import Operation
from dragancorp.registry.owner_lock import OwnerLock
from dragancorp.registry.port import Scheduler, Subscription
from dragancorp.registry.queries import Query
from dragancorp.registry.reads import answer
from dragancorp.registry.signals import Signals

AnswerT = TypeVar("AnswerT")
READERS = 2  # threads; reads are short and SQLite lets any number go on beside the writer
WRITER_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",  # an acknowledged write survives power loss; group commit pays for it
    "PRAGMA foreign_keys=ON",
    "PRAGMA busy_timeout=5000",
    "PRAGMA mmap_size=0",
)
READER_PRAGMAS = (
    "PRAGMA query_only=ON",
    "PRAGMA busy_timeout=5000",
    "PRAGMA wal_autocheckpoint=0",  # only the writer checkpoints
    "PRAGMA mmap_size=0",
)


class SqliteStore:
    """`Store` on one SQLite file. Open it with `SqliteStore.open`."""

    sole_owner = True

    def __init__(self, path: Path, clock: Clock, scheduler: Scheduler, lock: OwnerLock) -> None:
        self.path = path
        self.lock = lock
        self._signals = Signals()
        self._write_engine = sqlite_engine(path, WRITER_PRAGMAS)
        self._read_engine = sqlite_engine(path, READER_PRAGMAS)
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="registry-reader")
        self._connections = threading.local()
        self._open_connections: list[Connection] = []
        self.writer = GroupCommitWriter(self._write_engine, clock, scheduler, self._signals)
        self._closed = False

    @classmethod
    def schema(cls, path: Path) -> SchemaState:
        """The schema's state; only reads. Errors: `database_newer`, `data_folder_unusable`. Blocks."""
        server = f"SQLite {sqlite3.sqlite_version}"
        if not path.exists():
            return SchemaState(server=server, current=None, pending=revisions())
        engine = sqlite_engine(path, READER_PRAGMAS)
        try:
            with engine.connect() as connection:
                return state(connection, server)
        except DBAPIError as error:
            raise _opening_error(path, error) from error
        finally:
            engine.dispose()

    @classmethod
    async def open(cls, path: Path, *, clock: Clock, scheduler: Scheduler) -> "SqliteStore":
        """Own the file, bring its schema up to date, start the writer.

        Errors: `database_owned` (naming pid and URL), `database_newer`, `data_folder_unusable`, `storage_failed`.
        """
        lock = OwnerLock(path)
        lock.acquire()
        store = cls(path, clock, scheduler, lock)
        try:
            await asyncio.to_thread(store._migrate)
        except BaseException:
            store._write_engine.dispose()
            lock.release()
            raise
        store.writer.start()
        return store

    def _migrate(self) -> None:
        try:
            with self._read_engine.connect() as connection:
                refuse_newer(connection)  # before a writer's pragmas touch the file
            with self._write_engine.connect() as connection:
                connection.exec_driver_sql("BEGIN IMMEDIATE")  # all of it or nothing, also under kill -9
                upgrade(connection)
                for guard in guards():
                    connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {guard.name}")
                    connection.exec_driver_sql(sqlite_trigger(guard))
                connection.exec_driver_sql("COMMIT")
        except DBAPIError as error:
            raise _opening_error(self.path, error) from error

    async def execute(self, operation: Operation[AnswerT]) -> AnswerT:
        """See `Store.execute`. A cancelled caller leaves an operation that has begun to its end."""
        result: AnswerT = await self.writer.submit(operation)
        return result

    async def read(self, query: Query[AnswerT]) -> AnswerT:
        """See `Store.read`."""
        if self._closed:
            raise DraganError(ErrorCode.SHUTTING_DOWN, "the registry is closing")
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._answer, query)

    def _answer(self, query: Query[AnswerT]) -> AnswerT:
        connection: Connection | None = getattr(self._connections, "connection", None)
        if connection is None:
            connection = self._connections.connection = self._read_engine.connect()
            self._open_connections.append(connection)
        try:
            connection.exec_driver_sql("BEGIN")
            try:
                return answer(connection, query)
            finally:
                connection.exec_driver_sql("ROLLBACK")
        except DBAPIError as error:
            raise storage_error(error) from error

    def watch(self, topic: str) -> Subscription:
        """See `Store.watch`."""
        return self._signals.subscribe(topic)

    def announce(self, url: str) -> None:
        """Note beside the file where its owner can be reached."""
        self.lock.announce(url)

    async def close(self) -> None:
        """Do what was accepted, checkpoint, let go of the file. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._signals.wake_all()  # who waits reads again, and is told that the registry is closing
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self.writer.stop()
        self._readers.shutdown()
        for connection in self._open_connections:
            connection.close()
        self._read_engine.dispose()
        self._write_engine.dispose()
        self.lock.release()


def _opening_error(path: Path, error: DBAPIError) -> DraganError:
    cause = str(error.orig)
    if "unable to open" in cause or "readonly" in cause or "not a database" in cause:
        return DraganError(ErrorCode.DATA_FOLDER_UNUSABLE, f"{path}: {cause}")
    return storage_error(error)


def sqlite_engine(path: Path, pragmas: tuple[str, ...]) -> Engine:
    """Connections to the file, each prepared with these pragmas."""
    # Transactions are begun and ended by hand (BEGIN IMMEDIATE, savepoints), hence autocommit.
    engine = create_engine(
        f"sqlite:///{path}",
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
        connect_args={"check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, record: Any) -> None:
        for pragma in pragmas:
            connection.execute(pragma)

    return engine
