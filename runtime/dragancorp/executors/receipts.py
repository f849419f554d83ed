"""Receipts: the proof that a mission's work is done, written before it is reported.

A successor that finds one reports the end from it and runs nothing again.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Self

from dragancorp import jsonio

Outcome = Literal["completed", "failed", "cancelled"]
_OUTCOMES: dict[str, Outcome] = {"completed": "completed", "failed": "failed", "cancelled": "cancelled"}
_LARGEST_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What a holder did: `event` is the document to report, `artifacts` the index of what was left behind."""

    mission_id: str
    attempt: int
    outcome: Outcome
    event: Mapping[str, Any]
    artifacts: Sequence[Mapping[str, Any]]
    written_at: datetime  # aware

    def as_json(self) -> dict[str, Any]:
        """The receipt as it stands in its file."""
        return {
            "mission_id": self.mission_id,
            "attempt": self.attempt,
            "outcome": self.outcome,
            "event": dict(self.event),
            "artifacts": [dict(artifact) for artifact in self.artifacts],
            "written_at": self.written_at.isoformat(),
        }

    @classmethod
    def from_json(cls, document: Any) -> Self:
        """The receipt in a document. Raises `ValueError` saying what is wrong with it."""
        match document:
            case {
                "mission_id": str(mission_id),
                "attempt": int(attempt),
                "outcome": str(outcome),
                "event": dict(event),
                "artifacts": list(artifacts),
                "written_at": str(written_at),
            } if outcome in _OUTCOMES and all(isinstance(artifact, dict) for artifact in artifacts):
                moment = datetime.fromisoformat(written_at)
                if moment.tzinfo is None:
                    raise ValueError("written_at has no offset")
                return cls(
                    mission_id=mission_id,
                    attempt=attempt,
                    outcome=_OUTCOMES[outcome],
                    event=event,
                    artifacts=artifacts,
                    written_at=moment,
                )
        raise ValueError("a member is missing or of the wrong kind")


@dataclass(frozen=True, kw_only=True)
class Found:
    """What reading found: a receipt, or why there is none (None too when no file is there)."""

    receipt: Receipt | None = None
    reason: str | None = None


def write(path: Path, receipt: Receipt) -> None:
    """Write the receipt so that after any crash the whole of it is there or nothing. Blocks for two fsyncs.

    Raises `OSError` when the disk refuses; there is then no new receipt.
    """
    data = json.dumps(receipt.as_json(), ensure_ascii=True, allow_nan=False).encode()
    unfinished = path.with_name(f".{path.name}.{receipt.attempt}.tmp")
    with unfinished.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read(path: Path, mission_id: str) -> Found:
    """The mission's receipt. A file that is no receipt of this mission counts as absent, with the reason."""
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            return Found(reason=f"{path.name} is larger than any receipt")
        receipt = Receipt.from_json(jsonio.loads(path.read_bytes()))
    except FileNotFoundError:
        return Found()
    except (OSError, ValueError, jsonio.JsonInvalid) as error:
        return Found(reason=f"{path.name} cannot be read: {error}")
    if receipt.mission_id != mission_id:
        return Found(reason=f"{path.name} is the receipt of mission {receipt.mission_id}")
    return Found(receipt=receipt)
