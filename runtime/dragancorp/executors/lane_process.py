"""The contract between a lane and its program (`specs/lane-process`), as far as the worker goes by it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from dragancorp_contracts import judge, resources, strict_json

Event = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class ExitMeaning:
    """What an exit code says by itself; `reason_code` where it says that the mission failed."""

    outcome: str
    reason_code: str | None
    description: str


@cache
def _contract() -> dict[str, Any]:
    return resources.read_document("lane-process", file="lane-process.json")


def longest_event() -> int:
    """The longest line, in characters, that is read as an event."""
    return int(_contract()["output"]["max_line_bytes"])


def deepest_event() -> int:
    """How deep an event may be nested."""
    return int(_contract()["output"]["max_event_depth"])


def most_input() -> int:
    """The largest envelope, in bytes, that a program is given."""
    return int(_contract()["input"]["max_bytes"])


def meaning_of(exit_code: int) -> ExitMeaning:
    """What an exit code from 0 to 255 means; every one of them means something (rule LPR-2)."""
    entry = next(one for one in _contract()["exit_codes"] if one["first"] <= exit_code <= one["last"])
    return ExitMeaning(outcome=entry["outcome"], reason_code=entry.get("reason_code"), description=entry["description"])


def event_in(line: str) -> Event | str | None:
    """The executor event that a line of output is; a text says why it is a broken one; None: it is a log line.

    Raises nothing, whatever the line.
    """
    if not line.lstrip().startswith("{") or len(line) > longest_event():
        return None
    try:
        document = strict_json.loads(line.strip(), max_depth=deepest_event())
    except strict_json.JsonInvalid as error:
        return str(error)
    if not isinstance(document, dict) or "type" not in document:
        return None
    broken = judge.violations("executor-events", document)
    if broken:
        return "; ".join(f"{one.pointer or '/'}: {one.message} [{one.rule}]" for one in broken[:3])
    return document


def failed(reason_code: str, message: str) -> dict[str, Any]:
    """The final event of a run that failed."""
    return {"type": "failed", "reason_code": reason_code, "message": message[:8000]}
