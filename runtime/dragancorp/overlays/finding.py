"""One thing that is wrong with an overlay, or with what it is laid over."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Place(StrEnum):
    """Which of the three documents a finding stands in."""

    OVERLAY = "overlay"
    BASE = "base"
    CAPS = "caps"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """A broken rule, where it is broken, and what to do about it."""

    rule: str
    """`OVR-n`, or the rule of the document's own contract."""
    document: Place
    pointer: str
    """The JSON pointer in that document; empty for the whole of it."""
    message: str
    """What is wrong, in a sentence."""
    fix: str
    """What to change, as an order."""
    line: int | None = None
    """The line in the file, from 1, for documents read from a file."""

    def as_json(self) -> dict[str, Any]:
        """The finding as a plain document; a line that is not known is left out."""
        body: dict[str, Any] = {
            "rule": self.rule,
            "document": self.document.value,
            "pointer": self.pointer,
            "message": self.message,
            "fix": self.fix,
        }
        if self.line is not None:
            body["line"] = self.line
        return body
