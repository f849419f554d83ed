"""Statements compiled once and run on the driver's cursor, with the column types' own conversions.

What differs between databases is here and in the two connections that derive from `PreparedConnection`; the code that
performs operations is the same. A writer runs the same few dozen statements all day: compiled per call, or looked up
by a key that is computed per call, they cost several times what the database needs for them.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from sqlalchemy import Float, Insert, Select
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.expression import ClauseElement
from sqlalchemy.types import TypeEngine

from dragancorp.errors import DraganError, ErrorCode

PLANS = 1024  # more than there are statements; an update of other columns is another statement
Convert = Callable[[Any], Any] | None
Counts = Counter[tuple[str, str, str]]
"""(vp_id, kind, name) -> how much more."""


class DriverCursor(Protocol):
    """What is used of a driver's cursor."""

    @property
    def rowcount(self) -> int: ...

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
        self.cursor = cursor

    @property
    def rowcount(self) -> int:
        """How many rows were changed."""
        return self.cursor.rowcount

    def first(self) -> tuple[Any, ...] | None:
        """The first record; None when there is none."""
        record = self.cursor.fetchone()
        return None if record is None else self._plan.read(record)

    def all(self) -> list[tuple[Any, ...]]:
        """Every record."""
        return [self._plan.read(record) for record in self.cursor.fetchall()]

    def scalars(self) -> list[Any]:
        """The first column of every record."""
        return [record[0] for record in self.all()]

    def scalar(self) -> Any:
        """The first column of the first record; None when there is none."""
        record = self.first()
        return None if record is None else record[0]


class UniqueViolationError(DraganError):
    """A row that was to be inserted exists already; `columns` (as `table.column`) are those that must differ."""

    def __init__(self, columns: frozenset[str], detail: str) -> None:
        super().__init__(ErrorCode.STORAGE_FAILED, detail)
        self.columns = columns


class LaneAloneNeeded(Exception):  # noqa: N818 - no error: the operation is begun anew, and its caller hears nothing
    """What was read under a shared lock on a lane turned out to need the lane for this transaction alone."""


class PreparedConnection(ABC):
    """Runs statements on a driver's connection, in its open transaction.

    Raises `UniqueViolationError`; the driver's other errors come out as they are.
    """

    locks_rows: bool
    """Whether others may write at the same time, so that what is read for a decision has to be locked."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect

    def execute(self, statement: ClauseElement, values: Mapping[str, Any] | None = None) -> Result:
        """Run one statement with these parameters; for an insert they are the row's columns."""
        given = {} if values is None else values
        columns = tuple(given) if isinstance(statement, Insert) else ()
        plan = _plan(statement, self._dialect, columns)
        return Result(plan, self._run(plan.text, plan.bound(given)))

    @abstractmethod
    def insert_positioned(self, statement: Insert, values: Mapping[str, Any]) -> int:
        """Insert a row of a table with positions; answers the one it was given."""

    @abstractmethod
    def _run(self, text: str, parameters: Sequence[Any]) -> DriverCursor: ...


@lru_cache(maxsize=PLANS)
def _plan(statement: ClauseElement, dialect: Dialect, columns: tuple[str, ...]) -> Plan:
    if isinstance(statement, Insert):
        statement = statement.inline()  # the position is asked for where it is needed, not by a second statement
    compiled: Any = statement.compile(dialect=dialect, column_keys=list(columns) or None)
    parameters = tuple(
        (name, compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect), compiled.params.get(name))
        for name in compiled.positiontup or ()
    )
    converts: list[Convert] = []
    if isinstance(statement, Select):
        converts = [_reader(column.type, dialect) for column in statement.selected_columns]
    results = tuple((index, convert) for index, convert in enumerate(converts) if convert is not None)
    return Plan(text=str(compiled), parameters=parameters, results=results)


def _reader(kind: TypeEngine[Any], dialect: Dialect) -> Convert:
    if isinstance(kind, Float):  # drivers answer with floats; the dialect's own reader wants to know the wire's type
        return None
    return kind.dialect_impl(dialect).result_processor(dialect, None)
