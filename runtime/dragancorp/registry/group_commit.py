"""Group commit: one writer thread gathers waiting operations into a transaction, a savepoint each.

One durable commit (an fsync) then pays for up to `BATCH` operations, and a caller hears back only after it; an event
loop is woken once for all of its callers. The thread ends when `stop` has been called and everything accepted before it
is done. Should it die all the same, every waiting and later caller gets `storage_failed` instead of silence.
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy.engine import Engine

from dragancorp.clock import Clock
from dragancorp.errors import DraganError, ErrorCode
from dragancorp.registry.operations import Operation
from dragancorp.registry.perform import perform
from dragancorp.registry.port import Scheduler
from dragancorp.registry.signals import Signals
from dragancorp.registry.sqlite_connection import SqliteConnection
from dragancorp.registry.stopwatch import Stopwatch
from dragancorp.registry.transaction import Batch, Transaction

BATCH = 64  # operations a transaction
# What is wrong with one operation alone; any other failure is the medium's and concerns the whole transaction.
OF_ONE_OPERATION = (
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.NotSupportedError,
    sqlite3.ProgrammingError,
)

log = structlog.get_logger("dragancorp.registry")


@dataclass(frozen=True)
class Asked:
    """One operation, and where its answer goes: a future of an event loop, which alone may touch it."""

    operation: Operation[Any]
    answer: "asyncio.Future[Any]"


@dataclass(frozen=True)
class Outcome:
    """What came of one operation."""

    asked: Asked
    result: Any = None
    error: BaseException | None = None

    def tell(self) -> None:
        """Answer, unless there is an answer already or the caller has gone. Called on the future's loop."""
        if self.asked.answer.done():
            return
        if self.error is None:
            self.asked.answer.set_result(self.result)
        else:
            self.asked.answer.set_exception(self.error)


class GroupCommitWriter:
    """The only writer of an SQLite file."""

    def __init__(self, engine: Engine, clock: Clock, scheduler: Scheduler, signals: Signals) -> None:
        self._engine = engine
        self._clock = clock
        self._scheduler = scheduler
        self._signals = signals
        self._stopwatch = Stopwatch(clock)
        self._queue: queue.SimpleQueue[Asked | None] = queue.SimpleQueue()
        self._accepting = True
        self._died = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="registry-writer", daemon=True)
        self.commits = 0  # durable commits so far; benchmarks read it

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, operation: Operation[Any]) -> "asyncio.Future[Any]":
        """Queue an operation; its answer comes to the running loop. One that is cancelled before it begins is left out.

        Raises `shutting_down` after `stop`, `storage_failed` once the thread has died.
        """
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        with self._lock:
            if not self._accepting:
                raise DraganError(ErrorCode.SHUTTING_DOWN, "the registry is closing")
            if self._died:
                raise DraganError(ErrorCode.STORAGE_FAILED, "the registry's writer has died; see the log")
            self._queue.put(Asked(operation, answer))
        return answer

    def stop(self) -> None:
        """Do what was accepted, then end the thread and wait for it."""
        with self._lock:
            self._accepting = False
            self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        waiting: list[Asked] = []
        try:
            with self._engine.connect() as engine_connection:
                connection = SqliteConnection(engine_connection)
                going = True
                while going:
                    waiting, going = self._gather()
                    if waiting:
                        self._commit_together(connection, waiting)
        except BaseException as error:
            log.exception("the registry's writer died", action="registry.writer_died")
            with self._lock:  # from here on nobody is queued any more, so nobody is overlooked
                self._died = True
            tell_all(Outcome(asked, error=storage_error(error)) for asked in (*waiting, *self._drain()))

    def _gather(self) -> tuple[list[Asked], bool]:
        """Wait for the first operation, then take what else is waiting. False: this is the last batch."""
        batch: list[Asked] = []
        first = self._queue.get()
        if first is None:
            return batch, False
        batch.append(first)
        while len(batch) < BATCH:
            try:
                following = self._queue.get_nowait()
            except queue.Empty:
                break
            if following is None:
                return batch, False
            batch.append(following)
        return batch, True

    def _commit_together(self, connection: SqliteConnection, batch: list[Asked]) -> None:
        outcomes: list[Outcome] = []
        topics: set[str] = set()
        shared = Batch()
        try:
            connection.command("BEGIN IMMEDIATE")
            for asked in batch:
                if not asked.answer.cancelled():
                    outcomes.append(self._attempt(connection, asked, topics, shared))
            connection.add_counts(shared.counts)
            connection.command("COMMIT")
            self.commits += 1
        except Exception as error:
            _roll_back(connection)
            failure = storage_error(error)
            tell_all(Outcome(asked, error=failure) for asked in batch)
            # After the answers: on the disk that is full, a log may be what fails next.
            log.warning("a batch was not stored", action="registry.batch_failed", error=str(error), size=len(batch))
            return
        # Subscribers first: who subscribes after its answer is not woken by what it did itself.
        self._signals.publish(topics)
        tell_all(outcomes)

    def _attempt(self, connection: SqliteConnection, asked: Asked, topics: set[str], shared: Batch) -> Outcome:
        """Do one operation in a savepoint; its outcome is told after the commit.

        What it counts joins the batch's counts: a lane's counters are then written once a commit.
        """
        connection.command("SAVEPOINT operation")
        tx = Transaction(connection, self._clock.wall(), self._scheduler, shared, stopwatch=self._stopwatch)
        try:
            result = perform(tx, asked.operation)
        except sqlite3.Error as error:
            if not isinstance(error, OF_ONE_OPERATION):
                raise  # the whole batch is undone and told
            refusal: Exception = storage_error(error)
        except Exception as error:
            refusal = error
        else:
            connection.command("RELEASE operation")
            topics |= tx.topics
            shared.counts.update(tx.counts)
            return Outcome(asked, result)
        shared.undone()
        connection.command("ROLLBACK TO operation")
        connection.command("RELEASE operation")
        return Outcome(asked, error=refusal)

    def _drain(self) -> list[Asked]:
        left: list[Asked] = []
        while True:
            try:
                asked = self._queue.get_nowait()
            except queue.Empty:
                return left
            if asked is not None:
                left.append(asked)


def tell_all(outcomes: Iterable[Outcome]) -> None:
    """Hand the outcomes to the loops whose callers wait for them."""
    of_loops: dict[asyncio.AbstractEventLoop, list[Outcome]] = {}
    for outcome in outcomes:
        of_loops.setdefault(outcome.asked.answer.get_loop(), []).append(outcome)
    for loop, told in of_loops.items():
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_all_here, told)


def _all_here(outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        outcome.tell()


def storage_error(error: BaseException) -> DraganError:
    """What a caller is told when the medium fails: busy (somebody else writes) or failed."""
    cause = getattr(error, "orig", error)
    if isinstance(cause, sqlite3.OperationalError) and ("locked" in str(cause) or "busy" in str(cause)):
        return DraganError(ErrorCode.STORAGE_BUSY, "another process holds the database's write lock")
    return DraganError(ErrorCode.STORAGE_FAILED, str(cause))


def _roll_back(connection: SqliteConnection) -> None:
    try:
        connection.command("ROLLBACK")
    except sqlite3.Error as error:
        # SQLite has rolled back by itself (disk full, I/O error): nothing of the batch is stored either way.
        log.debug("nothing left to roll back", action="registry.rollback", error=str(error))
