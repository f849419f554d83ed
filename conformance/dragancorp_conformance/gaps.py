"""Declared gaps: requirements that an implementation says it does not keep yet, each with a reason.

A line is an id and the reason; `#` begins a comment:

    PAG-4 pages move under inserts until the store has cursors
"""

from collections.abc import Collection, Mapping
from pathlib import Path


def read_gaps(path: Path, known: Collection[str]) -> Mapping[str, str]:
    """Reasons by requirement id. Raises `ValueError` naming the line, `OSError`."""
    gaps: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        name, _, reason = text.partition(" ")
        if name not in known:
            raise ValueError(f"{path}, line {number}: there is no requirement {name}")
        if not reason.strip():
            raise ValueError(f"{path}, line {number}: {name} needs a reason")
        gaps[name] = reason.strip()
    return gaps
