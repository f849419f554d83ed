"""Recorded waivers: breaking changes that were allowed inside a version, each with its reason.

```json
{"waivers": [{"rule": "DIF-22", "place": "errors/v1#/properties/code/enum", "reason": "No release reads this yet."}]}
```

A `what` narrows a waiver to one change of several at a place. A place may end in `*` and then stands for all below it.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dragancorp.specdiff.change import Change

__all__ = ["Waiver", "WaiversInvalid", "applied", "read"]


class WaiversInvalid(ValueError):  # noqa: N818 - the name says what is wrong
    """The file of waivers cannot be read; the message says where and why."""


@dataclass(frozen=True, kw_only=True)
class Waiver:
    """One breaking change that is allowed."""

    rule: str
    place: str
    reason: str
    what: str = ""

    def covers(self, change: Change) -> bool:
        """Whether it is this change that was allowed."""
        if self.rule != change.rule.id or (self.what and self.what != change.what):
            return False
        if self.place.endswith("*"):
            return change.place.startswith(self.place[:-1])
        return change.place == self.place

    def __str__(self) -> str:
        return f"{self.rule} at {self.place}" + (f" ({self.what})" if self.what else "")


def read(path: Path) -> list[Waiver]:
    """The waivers in a file. Raises `WaiversInvalid`, also for one without a reason."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WaiversInvalid(f"{path}: {error}") from error
    entries = document.get("waivers") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise WaiversInvalid(f'{path}: write {{"waivers": [{{"rule": …, "place": …, "reason": …}}]}}')
    return [_waiver(entry, f"{path}#/waivers/{index}") for index, entry in enumerate(entries)]


def _waiver(entry: Any, place: str) -> Waiver:
    if not isinstance(entry, dict) or entry.keys() - {"rule", "place", "reason", "what"}:
        raise WaiversInvalid(f"{place}: a waiver has `rule`, `place`, `reason` and, if wanted, `what`")
    for member in ("rule", "place", "reason"):
        if not isinstance(entry.get(member), str) or not entry[member].strip():
            raise WaiversInvalid(f"{place}: write a `{member}`")
    return Waiver(rule=entry["rule"], place=entry["place"], reason=entry["reason"], what=str(entry.get("what", "")))


def applied(changes: Iterable[Change], waivers: Iterable[Waiver]) -> tuple[list[Change], list[Waiver]]:
    """The changes with the reasons they were allowed for, and the waivers that no breaking change needs any more."""
    listed = list(waivers)
    used: set[Waiver] = set()
    result = []
    for change in changes:
        allowed = next((one for one in listed if not change.safe and one.covers(change)), None)
        if allowed is not None:
            used.add(allowed)
            change = replace(change, waived=allowed.reason)
        result.append(change)
    return result, [one for one in listed if one not in used]
