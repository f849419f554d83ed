"""The PostgreSQL adapter of the `Store` port, where several processes or hosts write.

One short transaction an operation, on a connection of a pool, `synchronous_commit=on`; rows are locked in the order
lane, mission, counts (see `transaction`), and what other transactions spoil is tried again a bounded number of times.
A database that is away for up to five seconds is waited for; after that callers get `storage_failed` until it is back.
"""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import psycopg
from sqlalchemy import create_engine
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError

from dragancorp.clock import Clock
from dragancorp.errors import DraganError, ErrorCode
from dragancorp.registry.constraints import POSTGRES_REFUSAL, guards, postgres_trigger
from dragancorp.registry.identifiers import new_id
from dragancorp.registry.listener import Listener
from dragancorp.registry.migrations import Phase, Revision, SchemaState, pending, state, upgrade
from dragancorp.registry.operations import Operation
from dragancorp.registry.port import Scheduler, Subscription
from dragancorp.registry.postgres_connection import connect
from dragancorp.registry.postgres_faults import driver_error, is_unreachable, told
from dragancorp.registry.postgres_writer import PostgresWriter
from dragancorp.registry.queries import Query
from dragancorp.registry.reads import answer
from dragancorp.registry.signals import Signals

AnswerT = TypeVar("AnswerT")
WRITERS = 8  # threads, each with a connection when it has work
READERS = 4
OLDEST = (14,)  # triggers that are replaced in place, the fate of a transaction by its id
MIGRATING = 0x64726167  # the advisory lock of whoever changes the schema: "drag"


class PostgresStore:
    """`Store` on a PostgreSQL database (14 or newer). Open it with `PostgresStore.open`."""

    sole_owner = False

    def __init__(self, url: str, clock: Clock, scheduler: Scheduler) -> None:
        name = new_id("store")
        self._signals = Signals()
        self._engine = _make_engine(url)
        self.writer = PostgresWriter(url, name, self._engine, clock, scheduler, self._signals)
        self._writers = ThreadPoolExecutor(WRITERS, thread_name_prefix="registry-writer")
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="registry-reader")
        self.listener = Listener(url, name, self._signals)
        self._closed = False

    @classmethod
    def schema(cls, url: str) -> SchemaState:
        """The schema's state; only reads, and does not wait. Errors: `database_newer`, `storage_failed`. Blocks."""
        with _told(), _engine(url) as engine, engine.connect() as connection:
            return state(connection, _server(connection))

    @classmethod
    def upgrade(cls, url: str, through: Phase) -> tuple[Revision, ...]:
        """Run the migrations through a phase; answers what was run. Errors: those of `open`. Blocks."""
        with _told(), _engine(url) as engine, engine.connect() as connection:
            return migrate(connection, through)

    @classmethod
    async def open(cls, url: str, *, clock: Clock, scheduler: Scheduler) -> "PostgresStore":
        """Reach the database, run the migrations that belong before a deploy, listen.

        Errors: `database_newer`, `settings_invalid` for a server that is too old, `storage_failed` when it cannot be
        reached, `storage_busy` when others hold its tables for long.
        """
        store = cls(url, clock, scheduler)
        try:
            await asyncio.to_thread(store._migrate)
        except BaseException:
            store.writer.hurry.set()
            store._engine.dispose()
            raise
        store.listener.start()
        return store

    def _migrate(self) -> None:
        waited = 0
        while True:
            try:
                with self._engine.connect() as connection:
                    if pending(connection):
                        migrate(connection, Phase.BEFORE)
                    return
            except (psycopg.Error, DBAPIError) as error:
                cause = driver_error(error)
                if not is_unreachable(cause) or not self.writer.wait_again(waited):
                    raise told(cause) from error
                waited += 1

    async def execute(self, operation: Operation[AnswerT]) -> AnswerT:
        """See `Store.execute`. A cancelled caller leaves an operation that has begun to its end."""
        self._refuse_closed()
        return await asyncio.get_running_loop().run_in_executor(self._writers, self.writer.perform, operation)

    async def read(self, query: Query[AnswerT]) -> AnswerT:
        """See `Store.read`."""
        self._refuse_closed()
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._answer, query)

    def _refuse_closed(self) -> None:
        if self._closed:
            raise DraganError(ErrorCode.SHUTTING_DOWN, "the registry is closing")

    def _answer(self, query: Query[AnswerT]) -> AnswerT:
        waited = 0
        while True:
            try:
                with self._engine.connect() as connection:
                    connection.exec_driver_sql("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                    try:
                        found = answer(connection, query)
                    finally:
                        connection.exec_driver_sql("ROLLBACK")
            except (psycopg.Error, DBAPIError) as error:
                cause = driver_error(error)
                if not is_unreachable(cause) or not self.writer.wait_again(waited):
                    raise told(cause) from error
                waited += 1
            else:
                self.writer.reached()
                return found

    def watch(self, topic: str) -> Subscription:
        """See `Store.watch`."""
        return self._signals.subscribe(topic)

    async def close(self) -> None:
        """Do what was accepted, then let go of the database. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self.writer.hurry.set()
        self._signals.wake_all()  # who waits reads again, and is told that the registry is closing
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._writers.shutdown()
        self._readers.shutdown()
        self.listener.stop()
        self._engine.dispose()


def _make_engine(url: str) -> Engine:
    return create_engine(
        "postgresql+psycopg://",
        creator=lambda: connect(url),
        isolation_level="AUTOCOMMIT",  # transactions are begun and ended by hand
        pool_size=WRITERS + READERS,
        max_overflow=0,
        pool_use_lifo=True,
        use_native_hstore=False,
    )


@contextmanager
def _engine(url: str) -> Iterator[Engine]:
    engine = _make_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (psycopg.Error, DBAPIError) as error:
        raise told(driver_error(error)) from error


def _server(connection: Connection) -> str:
    return f"PostgreSQL {connection.exec_driver_sql('SHOW server_version').scalar()}"


def migrate(connection: Connection, through: Phase) -> tuple[Revision, ...]:
    """Run the migrations through a phase, all of them or none; answers what was run.

    One process at a time, by an advisory lock that goes with the transaction. A table that others hold for longer than
    the connection's `lock_timeout` ends it with nothing done.
    """
    if connection.dialect.server_version_info < OLDEST:  # type: ignore[operator]
        raise DraganError(
            ErrorCode.SETTINGS_INVALID, f"{_server(connection)} is too old; PostgreSQL {OLDEST[0]} or newer is needed"
        )
    connection.exec_driver_sql("BEGIN")
    try:
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATING})")
        connection.exec_driver_sql("SET LOCAL lock_timeout = '5s'")
        done = upgrade(connection, through)
        if done:
            connection.exec_driver_sql(POSTGRES_REFUSAL)
            for guard in guards():
                connection.exec_driver_sql(postgres_trigger(guard))
        connection.exec_driver_sql("COMMIT")
    except BaseException:
        if not connection.invalidated and not connection.closed:
            connection.exec_driver_sql("ROLLBACK")
        raise
    return done
