"""A writer's statements on a PostgreSQL connection, and how a connection is made."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import Column, Insert, Table, UniqueConstraint
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from dragancorp.registry.prepared import Counts, DriverCursor, PreparedConnection, UniqueViolationError
from dragancorp.registry.tables import METADATA

CHANNEL = "dragancorp"
"""Where committed topics are told, as `<store> <topic>`: a store's own subscribers know already."""

SLOTS = 16  # for counts; as many writers of one lane as commonly commit at one moment
PREPARE_AFTER = 2  # runs of one statement on one connection
DIALECT = PGDialect_psycopg(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]

# Seconds, unless the URL says otherwise. A peer that is gone without a word is noticed within about twenty.
CONNECTING: dict[str, Any] = {
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "3",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",  # milliseconds
    "application_name": "dragancorp",
}
SESSION = """
SET synchronous_commit = on;
SET default_transaction_isolation = 'read committed';
SET lock_timeout = '5s';
SET statement_timeout = '30s';
SET idle_in_transaction_session_timeout = '10s';
"""
"""Durable commits; and a process that was stopped in the middle of a transaction does not keep others out for long."""

FINISH = """
WITH counted AS (
    INSERT INTO vp_counters (vp_id, kind, name, value, slot)
    SELECT more.vp_id, more.kind, more.name, more.value, $5::BIGINT
    FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::BIGINT[]) AS more (vp_id, kind, name, value)
    ON CONFLICT (vp_id, kind, name, slot) DO UPDATE SET value = vp_counters.value + excluded.value
)
SELECT pg_current_xact_id()::TEXT,
    (SELECT count(pg_notify($8::TEXT, $7::TEXT || ' ' || topic)) FROM unnest($6::TEXT[]) AS topic)
"""


def connect(url: str) -> "psycopg.Connection[Any]":
    """A connection with the settings of ours; transactions are begun and ended by hand. Raises `psycopg.Error`."""
    connection = psycopg.connect(make_conninfo("", **(CONNECTING | conninfo_to_dict(url))), autocommit=True)
    try:
        connection.execute(SESSION)
    except BaseException:
        connection.close()
        raise
    connection.prepare_threshold = PREPARE_AFTER
    return connection


class PostgresConnection(PreparedConnection):
    """Others write at the same time: rows are locked, and counts go to a slot of the connection's own."""

    locks_rows = True

    def __init__(self, driver: "psycopg.Connection[Any]", store: str) -> None:
        super().__init__(DIALECT)
        self._driver = driver
        self._store = store
        self._slot = driver.info.backend_pid % SLOTS

    def command(self, text: str) -> None:
        """Run a command without parameters: begin, commit, rollback."""
        self._driver.execute(text.encode())

    def insert_positioned(self, statement: Insert, values: Mapping[str, Any]) -> int:
        """See `PreparedConnection.insert_positioned`."""
        return int(self.execute(_with_position(statement), values).scalar())

    def finish(self, counts: Counts, topics: Iterable[str]) -> str:
        """The last statement before the commit: add what was counted, tell topics; answers the transaction's id."""
        # Always in the same order, so that two writers never wait in a ring.
        places = sorted(place for place, by in counts.items() if by != 0)
        parameters = (
            [vp_id for vp_id, _, _ in places],
            [kind for _, kind, _ in places],
            [str(name) for _, _, name in places],
            [counts[place] for place in places],
            self._slot,
            sorted(topics),
            self._store,
            CHANNEL,
        )
        ((transaction, _),) = self._run(FINISH, parameters).fetchall()
        return str(transaction)

    def _run(self, text: str, parameters: Sequence[Any]) -> DriverCursor:
        try:
            return psycopg.RawCursor(self._driver).execute(text.encode(), [_sendable(value) for value in parameters])
        except psycopg.errors.UniqueViolation as error:
            place = f"{error.diag.table_name}.{error.diag.constraint_name}"
            raise UniqueViolationError(_unique_columns().get(place, frozenset()), str(error)) from error


def _sendable(value: Any) -> Any:
    # The driver would send an enumeration's name, and the database takes no NUL, which only free text can hold.
    if isinstance(value, str):
        return str(value).replace("\0", "\ufffd")
    return value


@cache
def _with_position(statement: Insert) -> Any:
    return statement.returning(statement.table.c.position)


@cache
def _unique_columns() -> dict[str, frozenset[str]]:
    """`table.constraint`, as the database names them, to the columns (as `table.column`) that must differ."""
    found: dict[str, frozenset[str]] = {}

    def note(table: Table, name: str, columns: Iterable[Column[Any]]) -> None:
        found[f"{table.name}.{name}"] = frozenset(f"{table.name}.{column.name}" for column in columns)

    for table in METADATA.tables.values():
        note(table, f"{table.name}_pkey", table.primary_key.columns)
        for constraint in table.constraints:
            if isinstance(constraint, UniqueConstraint):
                unnamed = "_".join((table.name, *constraint.columns.keys(), "key"))
                note(table, str(constraint.name or unnamed), constraint.columns)
        for index in table.indexes:
            if index.unique:
                note(table, str(index.name), index.columns)
    return found
