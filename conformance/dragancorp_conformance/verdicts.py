"""What a check may say: that something is broken, is a gap, or could not be looked at."""

from dataclasses import dataclass
from enum import StrEnum

from dragancorp_conformance.exchange import Exchange


class Outcome(StrEnum):
    """What was found of a requirement."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_IMPLEMENTED = "not_implemented"
    NOT_COVERED = "not_covered"


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One broken case: why, and the exchange that shows it where there is one."""

    why: str
    exchange: Exchange | None = None


class Broken(Exception):  # noqa: N818 - it is what was found, not a fault of the suite
    """The implementation does not keep the requirement."""

    def __init__(self, why: str, exchange: Exchange | None = None) -> None:
        super().__init__(why)
        self.failure = Failure(why=why, exchange=exchange)


class NotImplementedYet(Exception):  # noqa: N818
    """The implementation answers 501 for an operation that it declares as planned."""


class NotCovered(Exception):  # noqa: N818
    """The suite was not given what it needs to look, or cannot look from here."""
