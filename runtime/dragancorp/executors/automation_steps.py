"""The steps of an automation mission: what is asked, and what came out."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Self

_WORD_CHARACTERS = 300


@dataclass(frozen=True, kw_only=True)
class Step:
    """One command of the mission, with the contract's defaults filled in."""

    number: int  # from 1
    name: str
    kind: str  # change, test or report
    command: tuple[str, ...]
    stdin: bytes
    timeout_seconds: float | None
    continue_on_failure: bool

    @classmethod
    def from_json(cls, number: int, step: Mapping[str, Any]) -> Self:
        """The step in a document that its contract accepts."""
        return cls(
            number=number,
            name=step.get("name") or f"{PurePosixPath(step['run'][0]).name or 'step'}-{number}",
            kind=step.get("kind", "change"),
            command=tuple(step["run"]),
            stdin=step.get("stdin", "").encode(),
            timeout_seconds=step.get("timeout_seconds"),
            continue_on_failure=step.get("continue_on_failure", False),
        )

    @property
    def tool(self) -> str:
        """The tool's name, as constraints match it: the program without its folder."""
        return tool_name(self.command[0])

    @property
    def identity(self) -> list[Any]:
        """What makes it the same step: name, kind, command and input."""
        return [self.name, self.kind, list(self.command), hashlib.sha256(self.stdin).hexdigest()]

    @property
    def log_name(self) -> str:
        """The name of its log below the artifact folder."""
        word = re.sub(r"[^A-Za-z0-9_-]+", "-", self.name).strip("-")[:40]
        return f"logs/{self.number:02d}-{word or 'step'}.log"

    @property
    def words(self) -> list[str]:
        """The command for people; long words are cut."""
        return [word if len(word) <= _WORD_CHARACTERS else word[:_WORD_CHARACTERS] + "…" for word in self.command]


def tool_name(program: str) -> str:
    """The tool's name of a program: the part after the last slash, cut to what an event can hold."""
    return (program.rpartition("/")[2] or program or "unnamed")[:200]


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """How a step ended; `exit_code` is None when it did not start, and `problem` says what went wrong."""

    step: Step
    exit_code: int | None
    duration_seconds: float
    problem: str | None
    crashed: bool  # ended by a signal that was neither a cancel's nor a time limit's
    tail: tuple[str, ...]  # its last lines
    earlier: bool = False  # done by an earlier attempt, not run again

    @property
    def ok(self) -> bool:
        """Whether it did what it was for."""
        return self.problem is None

    def as_journal(self) -> dict[str, Any]:
        """What another attempt must know of a step that is done."""
        return {
            "exit_code": self.exit_code,
            "duration_seconds": self.duration_seconds,
            "problem": self.problem,
            "tail": list(self.tail),
        }

    @classmethod
    def from_journal(cls, step: Step, entry: Mapping[str, Any]) -> Self:
        """The result noted by an earlier attempt. Raises `KeyError`, `TypeError` or `ValueError` for another shape."""
        return cls(
            step=step,
            exit_code=None if entry["exit_code"] is None else int(entry["exit_code"]),
            duration_seconds=float(entry["duration_seconds"]),
            problem=None if entry["problem"] is None else str(entry["problem"]),
            crashed=False,
            tail=tuple(str(line) for line in entry["tail"]),
            earlier=True,
        )

    def as_json(self) -> dict[str, Any]:
        """{name, kind, command, exit_code, duration_seconds, log} and, when it failed, problem."""
        body: dict[str, Any] = {
            "name": self.step.name,
            "kind": self.step.kind,
            "command": self.step.words,
            "exit_code": self.exit_code,
            "duration_seconds": round(self.duration_seconds, 3),
            "log": self.step.log_name,
        }
        if self.problem is not None:
            body["problem"] = self.problem
        if self.earlier:
            body["earlier_attempt"] = True
        return body
