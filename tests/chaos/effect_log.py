"""Reading what the side effects of missions have left on record."""

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Effect:
    """One line of the log; see `side_effect`."""

    what: str
    mission: str
    attempt: int
    step: int
    pid: int
    workspace: str
    at: float
    receipt: bool = False
    victims: tuple[int, ...] = ()


def read_effects(file: Path) -> tuple[Effect, ...]:
    """The lines in the order in which they were written; a last line that a kill cut off is no line."""
    if not file.exists():
        return ()
    *lines, _rest = file.read_text().split("\n")
    return tuple(Effect(**{**line, "victims": tuple(line.get("victims", ()))}) for line in map(json.loads, lines))
