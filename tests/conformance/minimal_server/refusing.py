"""How it says no."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dragancorp_contracts.errors import CATALOGUE, ErrorCode

Violation = Mapping[str, str]


@dataclass
class Refused(Exception):  # noqa: N818 - it is an answer
    """A refusal with a code of the catalogue."""

    code: ErrorCode
    detail: str
    violations: Sequence[Violation] = ()
    headers: dict[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The problem details."""
        entry = CATALOGUE[self.code]
        document: dict[str, Any] = {
            "type": f"https://dragancorp.dev/errors/{self.code.value}",
            "title": entry.title,
            "status": entry.status,
            "code": self.code.value,
            "detail": self.detail,
            "hint": entry.hint,
            "retryable": entry.retryable,
        }
        if self.violations:
            document["violations"] = [dict(one) for one in self.violations]
        return document
