"""What the ledgers are verified and archived from: missions whole, with everything that is stored of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dragancorp.lifecycle.rows import SessionRow
from dragancorp.registry.operations import Stored
from dragancorp.registry.queries import Query

CountKey = tuple[str, str, str]
"""(vp_id, kind, name)."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A ledger entry as it is stored: the document, and the columns that repeat parts of it."""

    position: int
    sequence: int
    type: str
    emitted_at: datetime
    document: str
    idempotency_key: str | None = None
    report_digest: str | None = None


@dataclass(frozen=True, kw_only=True)
class Callback:
    """A callback as it is stored."""

    endpoint: str
    sequence: int
    status: str
    attempts: int
    next_attempt_at: datetime
    created_at: datetime
    body: str


@dataclass(frozen=True, kw_only=True)
class WholeMission:
    """A mission with all that is stored of it. `receipt` is None where none was written."""

    stored: Stored
    claim_key: str
    ends_at: datetime | None
    entries: tuple[Entry, ...]
    artifacts: tuple[Mapping[str, Any], ...]
    receipt: Mapping[str, Any] | None
    callbacks: tuple[Callback, ...]


@dataclass(frozen=True, kw_only=True)
class WholeMissions:
    """Missions by position, and the position to go on after (None: the end)."""

    missions: tuple[WholeMission, ...]
    next_after: int | None


@dataclass(frozen=True, kw_only=True)
class WholeSession:
    """A lane session with its ledger."""

    row: SessionRow
    entries: tuple[Entry, ...]


@dataclass(frozen=True, kw_only=True)
class Counted:
    """The counts that the writer kept, and the same ones made anew from the tables, in one look."""

    kept: Mapping[CountKey, int]
    recounted: Mapping[CountKey, int]


@dataclass(frozen=True, kw_only=True)
class ReadWholeMissions(Query[WholeMissions]):
    """Missions after a position, oldest first; or one by its id."""

    after: int = 0
    limit: int = 100
    mission_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class ReadWholeSessions(Query[tuple[WholeSession, ...]]):
    """Every lane session with its ledger, or one lane's."""

    vp_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Recount(Query[Counted]):
    """Every count, as kept and as recounted. Reads the whole database."""
