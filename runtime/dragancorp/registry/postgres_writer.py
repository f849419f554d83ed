"""One operation, one transaction, as often as it takes: the attempts are counted, and each has its reason.

Whoever calls `perform` has a thread of its own; nothing here outlives the call. A process that dies in the middle of
one leaves a transaction that PostgreSQL undoes.
"""

import random
import threading
from typing import Any, TypeVar

import psycopg
import structlog
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import PoolProxiedConnection

from dragancorp.clock import Clock
from dragancorp.registry.operations import Operation
from dragancorp.registry.perform import perform
from dragancorp.registry.port import Scheduler
from dragancorp.registry.postgres_connection import PostgresConnection, connect
from dragancorp.registry.postgres_faults import driver_error, is_conflict, is_unreachable, told, unknown
from dragancorp.registry.prepared import LaneAloneNeeded, UniqueViolationError
from dragancorp.registry.signals import Signals
from dragancorp.registry.stopwatch import Stopwatch
from dragancorp.registry.transaction import Transaction

AnswerT = TypeVar("AnswerT")
PATIENCE = (0.02, 0.1, 0.3, 0.6, 1.0, 1.0, 1.0, 1.0)
"""Seconds before each further attempt to reach the database: five in all, as long as SQLite waits for a lock."""
CONFLICTS = 20  # attempts that other transactions may spoil
CONFLICT_PAUSE = 0.05  # seconds at most, drawn, so that two do not meet again
RACES = 5  # rows that others insert first; the next attempt finds them

log = structlog.get_logger("dragancorp.registry")


class PostgresWriter:
    """Performs operations on connections of a pool. Safe to call from any number of threads."""

    def __init__(
        self, url: str, store: str, engine: Engine, clock: Clock, scheduler: Scheduler, signals: Signals
    ) -> None:
        self._url = url
        self._store = store
        self._engine = engine
        self._clock = clock
        self._scheduler = scheduler
        self._signals = signals
        self._stopwatch = Stopwatch(clock)
        self._out_of_patience = threading.Event()  # somebody waited in vain: until one gets through, nobody else does
        self.hurry = threading.Event()  # the store closes: no more waiting

    def perform(self, operation: Operation[AnswerT]) -> AnswerT:
        """Do one operation. Raises `DraganError`: its refusal, `storage_busy` or `storage_failed`."""
        lanes_alone, raced, conflicts, waited = False, 0, 0, 0
        while True:
            try:
                answer = self._attempt(operation, lanes_alone=lanes_alone, may_have_raced=raced == 0)
            except LaneAloneNeeded:
                lanes_alone = True
            except UniqueViolationError:
                raced += 1
                if raced > RACES:
                    raise
            except (psycopg.Error, DBAPIError) as error:
                cause = driver_error(error)
                if is_conflict(cause) and conflicts < CONFLICTS:
                    conflicts += 1
                    self.hurry.wait(random.uniform(0, CONFLICT_PAUSE))  # noqa: S311 - no secret
                elif is_unreachable(cause) and self.wait_again(waited):
                    waited += 1
                else:
                    raise told(cause) from error
            else:
                self.reached()
                return answer

    def wait_again(self, waited: int) -> bool:
        """After an attempt that did not reach the database: wait, and answer whether another one is worth it."""
        if waited == len(PATIENCE):
            self._out_of_patience.set()
        if waited >= len(PATIENCE) or self._out_of_patience.is_set() or self.hurry.is_set():
            return False
        self.hurry.wait(PATIENCE[waited])
        return True

    def reached(self) -> None:
        """The database was reached: the next who does not reach it may wait again."""
        self._out_of_patience.clear()

    def _attempt(self, operation: Operation[AnswerT], *, lanes_alone: bool, may_have_raced: bool) -> AnswerT:
        pooled = self._engine.raw_connection()
        try:
            driver: psycopg.Connection[Any] = pooled.driver_connection  # type: ignore[assignment]
            connection = PostgresConnection(driver, self._store)
            connection.command("BEGIN")
            tx = Transaction(
                connection,
                self._clock.wall(),
                self._scheduler,
                stopwatch=self._stopwatch,
                lanes_alone=lanes_alone,
                may_have_raced=may_have_raced,
            )
            answer = perform(tx, operation)
            if not self._commit(connection, connection.finish(tx.counts, tx.topics)):
                pooled.invalidate()
        except BaseException as error:
            self._clean(pooled, broken=is_unreachable(error))
            raise
        finally:
            pooled.close()
        # Subscribers first: who subscribes after its answer is not woken by what it did itself.
        self._signals.publish(tx.topics)
        return answer

    def _commit(self, connection: PostgresConnection, transaction: str) -> bool:
        """Commit; answers whether the connection is still good. Raises the driver's error when it was not stored."""
        try:
            connection.command("COMMIT")
        except psycopg.Error as error:
            if not is_unreachable(error) or not self._was_committed(transaction, error):
                raise
            return False
        return True

    def _was_committed(self, transaction: str, broke: psycopg.Error) -> bool:
        """Ask the server about a transaction whose commit was not answered. Raises `storage_failed`."""
        waited = 0
        while True:
            try:
                with connect(self._url) as connection:
                    asked = connection.execute("SELECT pg_xact_status(%s::TEXT::xid8)", [transaction]).fetchone()
            except psycopg.Error as error:
                if not is_unreachable(error):
                    raise unknown(error) from broke
            else:
                status = asked[0] if asked else None
                if status in ("committed", "aborted"):
                    log.info("a commit was cut off", action="registry.commit_asked", status=status)
                    return bool(status == "committed")
            if not self.wait_again(waited):
                raise unknown(broke) from broke
            waited += 1

    def _clean(self, pooled: PoolProxiedConnection, *, broken: bool) -> None:
        """Leave the connection without a transaction, or leave it to nobody."""
        if not broken:
            try:
                pooled.driver_connection.execute("ROLLBACK")  # type: ignore[union-attr]
            except psycopg.Error as error:
                log.debug("not rolled back", action="registry.rollback", error=str(error))
                broken = True
        if broken:
            pooled.invalidate()
            self._engine.dispose()  # the others that wait there are most likely as dead
