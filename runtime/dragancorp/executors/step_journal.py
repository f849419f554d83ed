"""Which steps of an automation mission are done: written after each, so that another attempt goes on behind them.

A change that was applied would not apply again. What a step had begun when its worker died is not known to anybody;
that step runs again.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog

from dragancorp.executors.automation_steps import Step, StepResult
from dragancorp.jsonio import JsonInvalid, digest, loads

log = structlog.get_logger("dragancorp.executors")


class StepJournal:
    """The journal of one mission, a file beside its artifacts. `plan` are the mission's steps."""

    def __init__(self, file: Path, plan: Sequence[Step]) -> None:
        self._file = file
        self._plan = tuple(plan)
        self._plan_digest = digest([step.identity for step in plan])
        self._done: list[dict[str, Any]] = []

    def read(self) -> list[StepResult]:
        """The steps that an earlier attempt finished, in order; none when it left no journal of this very plan."""
        try:
            document = loads(self._file.read_bytes())
            if document["plan"] != self._plan_digest:
                raise ValueError("it belongs to another list of steps")
            done = list(document["done"])[: len(self._plan)]
            found = [StepResult.from_journal(step, entry) for step, entry in zip(self._plan, done, strict=False)]
        except FileNotFoundError:
            return []
        except (OSError, JsonInvalid, ValueError, TypeError, KeyError) as error:
            log.warning("no use in this journal", action="automation.journal_unusable", error=str(error))
            return []
        self._done = done
        return found

    def add(self, result: StepResult) -> None:
        """Note a step as done; it is on disk when this returns. Raises `OSError` when the disk refuses."""
        self._done.append(result.as_journal())
        data = json.dumps({"plan": self._plan_digest, "done": self._done}).encode()
        unfinished = self._file.with_name(self._file.name + ".tmp")
        with unfinished.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self._file)
