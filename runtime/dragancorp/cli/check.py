"""One line of the doctor's."""

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How a check came out; `warn` works, but somebody should know."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, kw_only=True)
class Check:
    """What was looked at, what was found, and what to do about it."""

    name: str
    status: Status
    detail: str
    advice: str = ""


def ok(name: str, detail: str) -> Check:
    """Nothing to do."""
    return Check(name=name, status=Status.OK, detail=detail)


def warn(name: str, detail: str, advice: str) -> Check:
    """It works; somebody should know."""
    return Check(name=name, status=Status.WARN, detail=detail, advice=advice)


def fail(name: str, detail: str, advice: str) -> Check:
    """It would not work."""
    return Check(name=name, status=Status.FAIL, detail=detail, advice=advice)
