"""Statements compiled once and run on the driver's cursor, with the column types' own conversions.

The writer runs the same few dozen statements all day. Compiled per call, or looked up by a key that is computed per
call, they cost several times what the database needs for them.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from sqlalchemy import Insert, Select
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.sql.expression import ClauseElement

from dragancorp.errors import DraganError, ErrorCode

UNIQUE = frozenset({"SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY"})
PLANS = 1024  # more than there are statements; an update of other columns is another statement
Convert = Callable[[Any], Any] | None


class DriverCursor(Protocol):
    """What is used of a driver's cursor."""

    rowcount: int
    lastrowid: int | None

    def fetchone(self) -> Sequence[Any] | None: ...

    def fetchall(self) -> Sequence[Sequence[Any]]: ...


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The text of a statement, its parameters in order, and the conversions of its results.

    A parameter is a name, a conversion, and the value that stands when none is given. A result's conversion has the
    index of its column; nulls stay nulls.
    """

    text: str
    parameters: tuple[tuple[str, Convert, Any], ...]
    results: tuple[tuple[int, Callable[[Any], Any]], ...]

    def bound(self, values: Mapping[str, Any]) -> list[Any]:
        """The parameters as the driver takes them."""
        return [
            convert(value) if convert is not None and value is not None else value
            for name, convert, fixed in self.parameters
            for value in (values.get(name, fixed),)
        ]

    def read(self, record: Sequence[Any]) -> tuple[Any, ...]:
        """A record with its values as the columns' types give them."""
        values = list(record)
        for index, convert in self.results:
            if values[index] is not None:
                values[index] = convert(values[index])
        return tuple(values)


class Result:
    """What came of one statement."""

    def __init__(self, plan: Plan, cursor: DriverCursor) -> None:
        self._plan = plan
        self._cursor = cursor

    @property
    def rowcount(self) -> int:
        """How many rows were changed."""
        return self._cursor.rowcount

    @property
    def position(self) -> int:
        """The position that the database gave to an inserted row."""
        return int(self._cursor.lastrowid or 0)

    def first(self) -> tuple[Any, ...] | None:
        """The first record; None when there is none."""
        record = self._cursor.fetchone()
        return None if record is None else self._plan.read(record)

    def all(self) -> list[tuple[Any, ...]]:
        """Every record."""
        return [self._plan.read(record) for record in self._cursor.fetchall()]

    def scalars(self) -> list[Any]:
        """The first column of every record."""
        return [record[0] for record in self.all()]

    def scalar(self) -> Any:
        """The first column of the first record; None when there is none."""
        record = self.first()
        return None if record is None else record[0]


class UniqueViolationError(DraganError):
    """A row that was to be inserted exists already; `detail` names the columns."""

    def __init__(self, detail: str) -> None:
        super().__init__(ErrorCode.STORAGE_FAILED, detail)


class PreparedConnection:
    """Runs statements on the driver's connection under a SQLAlchemy connection, in its open transaction.

    Raises `UniqueViolationError`; the driver's other errors come out as they are.
    """

    def __init__(self, connection: Connection) -> None:
        self._driver: Any = connection.connection.driver_connection
        self._dialect = connection.dialect

    def command(self, text: str) -> None:
        """Run a command without parameters: begin, savepoint, commit."""
        self._driver.execute(text)

    def execute(self, statement: ClauseElement, values: Mapping[str, Any] | None = None) -> Result:
        """Run one statement with these parameters; for an insert they are the row's columns."""
        given = {} if values is None else values
        columns = tuple(given) if isinstance(statement, Insert) else ()
        plan = _plan(statement, self._dialect, columns)
        try:
            return Result(plan, self._driver.execute(plan.text, plan.bound(given)))
        except sqlite3.IntegrityError as error:
            if error.sqlite_errorname not in UNIQUE:
                raise
            raise UniqueViolationError(str(error)) from error


@lru_cache(maxsize=PLANS)
def _plan(statement: ClauseElement, dialect: Dialect, columns: tuple[str, ...]) -> Plan:
    if isinstance(statement, Insert):
        statement = statement.inline()  # the position comes from the cursor, not from a second statement
    compiled: Any = statement.compile(dialect=dialect, column_keys=list(columns) or None)
    parameters = tuple(
        (name, compiled.binds[name].type.bind_processor(dialect), compiled.params.get(name))
        for name in compiled.positiontup or ()
    )
    converts: list[Convert] = []
    if isinstance(statement, Select):
        converts = [column.type.result_processor(dialect, None) for column in statement.selected_columns]
    results = tuple((index, convert) for index, convert in enumerate(converts) if convert is not None)
    return Plan(text=str(compiled), parameters=parameters, results=results)
