"""The writer's statements on the one writing connection of an SQLite file."""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Insert
from sqlalchemy.engine import Connection

from dragancorp.registry import statements
from dragancorp.registry.prepared import Counts, DriverCursor, PreparedConnection, UniqueViolationError

UNIQUE = frozenset({"SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY"})
SAID_BEFORE_COLUMNS = "UNIQUE constraint failed: "
ONE_SLOT = 0  # there is one writer


class SqliteConnection(PreparedConnection):
    """Nobody else writes meanwhile, so nothing is locked, and what was read holds until the commit."""

    locks_rows = False

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection.dialect)
        self._driver = cast("sqlite3.Connection", connection.connection.driver_connection)

    def command(self, text: str) -> None:
        """Run a command without parameters: begin, savepoint, commit."""
        self._driver.execute(text)

    def insert_positioned(self, statement: Insert, values: Mapping[str, Any]) -> int:
        """See `PreparedConnection.insert_positioned`."""
        return int(cast("sqlite3.Cursor", self.execute(statement, values).cursor).lastrowid or 0)

    def add_counts(self, counts: Counts) -> None:
        """Add what a transaction has counted, before its commit."""
        for (vp_id, kind, name), by in sorted(counts.items()):
            if by == 0:
                continue
            key = {"of_lane": vp_id, "of_kind": kind, "of_name": name, "of_slot": ONE_SLOT, "by": by}
            if self.execute(statements.ADD_TO_COUNTER, key).rowcount == 0:
                row = {"vp_id": vp_id, "kind": kind, "name": name, "slot": ONE_SLOT, "value": by}
                self.execute(statements.INSERT_COUNTER, row)

    def _run(self, text: str, parameters: Sequence[Any]) -> DriverCursor:
        try:
            return self._driver.execute(text, parameters)
        except sqlite3.IntegrityError as error:
            if error.sqlite_errorname not in UNIQUE:
                raise
            columns = str(error).removeprefix(SAID_BEFORE_COLUMNS).split(", ")
            raise UniqueViolationError(frozenset(columns), str(error)) from error
