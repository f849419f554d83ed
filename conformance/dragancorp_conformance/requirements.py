"""The requirements: data in `requirements/*.yaml`, each named by a stable id."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from dragancorp_conformance.target import LEVELS

FOLDER = Path(__file__).resolve().parent / "requirements"
_ID = re.compile(r"[A-Z][A-Z0-9]{1,15}-[0-9]{1,4}")


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """One thing that must hold. `check` names what looks at it, with `arguments`."""

    id: str
    sentence: str
    strength: str
    """MUST or SHOULD; a SHOULD may go uncovered."""
    level: str
    section: str
    check: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@cache
def requirements() -> Sequence[Requirement]:
    """All of them, in the order of the files' names. Raises `ValueError` for a file that is not what it should be."""
    found = [one for path in sorted(FOLDER.glob("*.yaml")) for one in _read(path)]
    names = [one.id for one in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"requirements stand twice: {', '.join(twice)}")
    return tuple(found)


def _read(path: Path) -> list[Requirement]:
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    found = []
    for entry in document["requirements"]:
        # What a file says once holds for each of its entries that does not say otherwise.
        one = Requirement(**{"check": entry["id"], **document.get("defaults", {}), **entry})
        if not _ID.fullmatch(one.id) or one.strength not in {"MUST", "SHOULD"} or one.level not in LEVELS:
            raise ValueError(f"{path.name}: {one.id} needs an id like ERR-1, MUST or SHOULD, and a level")
        found.append(one)
    return found
