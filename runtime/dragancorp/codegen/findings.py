"""What is wrong with a spec: the rule it breaks, where, and how to write it instead."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dragancorp.codegen.schema_tree import Path as SchemaPath
from dragancorp.codegen.schema_tree import pointer


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One rule that a spec breaks."""

    file: Path
    pointer: str
    rule: str
    message: str
    """What is wrong, in a sentence."""
    instead: str
    """How to write it."""

    def __str__(self) -> str:
        return f"{self.file}#{self.pointer}: {self.rule}: {self.message}; {self.instead}"

    def as_json(self) -> dict[str, Any]:
        """The finding as a document."""
        return {
            "file": str(self.file),
            "pointer": self.pointer,
            "rule": self.rule,
            "message": self.message,
            "instead": self.instead,
        }


class SpecsInvalid(ValueError):  # noqa: N818 - the name says what is wrong
    """The specs cannot be generated from; `findings` says where and why."""

    def __init__(self, findings: list[Finding], message: str = "") -> None:
        super().__init__(message or "\n".join(str(finding) for finding in findings))
        self.findings = tuple(findings)


def found(file: Path, place: SchemaPath | str, rule: str, message: str, instead: str) -> Finding:
    """A finding; the place is a path or a JSON pointer."""
    at = place if isinstance(place, str) else pointer(place)
    return Finding(file=file, pointer=at, rule=rule, message=message, instead=instead)
