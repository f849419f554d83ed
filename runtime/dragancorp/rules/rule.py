"""What a rule is, and what the checks of all contracts share."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

Breach = tuple[str, str]
"""Where a rule is broken, as a JSON pointer, and what is wrong there, in a sentence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One rule of a contract. `check` may count on the schema: it is called for nothing that breaks it."""

    id: str
    """The id, as the contract's README lists it."""
    sentence: str
    """What must hold."""
    check: Callable[[Any], Iterator[Breach]]
    """Yields every place that breaks the rule."""

    @classmethod
    def of(cls, identifier: str, sentence: str, check: Callable[[Any], Iterator[Breach]]) -> "Rule":
        """The rule, on one line of a table."""
        return cls(id=identifier, sentence=sentence, check=check)


Rules = tuple[Rule, ...]
RulesByContract = dict[str, Rules]


def parts(value: Any, path: tuple[str, ...], pointer: str = "") -> Iterator[tuple[str, Any]]:
    """The parts of a document at a path, with their pointers; `*` stands for every item of a list."""
    if not path:
        yield pointer, value
    elif path[0] == "*":
        for index, item in enumerate(value):
            yield from parts(item, path[1:], f"{pointer}/{index}")
    elif path[0] in value:
        yield from parts(value[path[0]], path[1:], f"{pointer}/{path[0]}")


def repeated(values: Iterator[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Of (pointer, value) pairs those whose value stood before."""
    seen: set[Any] = set()
    for pointer, value in values:
        if value in seen:
            yield pointer, value
        seen.add(value)


def moment(text: str) -> datetime:
    """A time of a document; aware, because the schemas take none without an offset."""
    return datetime.fromisoformat(text)


def day(text: str) -> date | None:
    """The day written as YYYYMMDD or YYYY-MM-DD; None for one that no calendar has."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
