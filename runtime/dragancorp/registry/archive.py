"""What retention asks of a `Store`: which missions have settled long ago, and to take them out."""

from dataclasses import dataclass
from datetime import datetime

from dragancorp.registry.audit import WholeMissions
from dragancorp.registry.operations import Operation
from dragancorp.registry.queries import Query
from dragancorp_contracts.lifecycle import MissionState


@dataclass(frozen=True, kw_only=True)
class Archived:
    """What is still known of a mission that is in an archive: `archive` is the file's name."""

    mission_id: str
    vp_id: str
    position: int
    state: MissionState
    finished_at: datetime
    last_sequence: int
    last_digest: str
    archive: str
    archived_at: datetime


@dataclass(frozen=True, kw_only=True)
class GetArchived(Query[Archived | None]):
    """A mission that was archived; None: there never was one, or it is still in the database."""

    mission_id: str


@dataclass(frozen=True, kw_only=True)
class DropTurnMinutes(Operation[int]):
    """Forget how many turns were routed in the minutes before a moment; the sums stay. Answers how many counts."""

    before: datetime


@dataclass(frozen=True, kw_only=True)
class ReadArchivable(Query[WholeMissions]):
    """Missions that ended before a moment and have settled, after a position, at most `limit`.

    Looks at `scan` missions at most, so an answer may be empty and still have a `next_after`.
    """

    before: datetime
    after: int = 0
    limit: int = 25
    scan: int = 500


@dataclass(frozen=True, kw_only=True)
class DropArchived(Operation[tuple[str, ...]]):
    """Take missions, as (id, last digest), out of the database; they stand in the file `archive`. Answers which were.

    Left where they are: missions that are gone, that are not as they were archived, and that somebody waits for.
    """

    missions: tuple[tuple[str, str], ...]
    archive: str
