"""What can be read from a `Store`. Queries never wait for writers."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from dragancorp.lifecycle.facts import LanePolicy
from dragancorp.lifecycle.rows import MissionRow, SessionRow
from dragancorp.registry.operations import HeldMission, Stored

AnswerT = TypeVar("AnswerT", covariant=True)
COUNTED_AHEAD = 200


class Query(Generic[AnswerT]):
    """Base of everything that only reads; the type parameter is the answer's type."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """Missions, newest first, and the position to go on from (None: the end)."""

    missions: tuple[Stored, ...]
    next_position: int | None


@dataclass(frozen=True, kw_only=True)
class LedgerPart:
    """Entries of one mission's ledger, oldest first."""

    events: tuple[Mapping[str, Any], ...]
    last_sequence: int
    terminal: bool


@dataclass(frozen=True, kw_only=True)
class LaneRecord:
    """A lane session with its policy and its unfinished missions by state.

    `holder_reads`: the contracts its present holder reads, once it was not given a mission for that; None: all so far.
    """

    row: SessionRow
    policy: LanePolicy
    unfinished: Mapping[str, int]
    holder_reads: frozenset[str] | None = None


@dataclass(frozen=True, kw_only=True)
class Overdue:
    """A mission that some time limit may have passed for."""

    row: MissionRow
    policy: LanePolicy


@dataclass(frozen=True, kw_only=True)
class SnapshotParts:
    """The raw parts of a metrics snapshot."""

    lane: LaneRecord | None
    counters: Mapping[str, Mapping[str, int]]
    missions: tuple[Stored, ...]
    events: tuple[Mapping[str, Any], ...]
    turn_minutes: tuple[tuple[datetime, str, int], ...] = ()  # (minute, reason, count), newest minute first


@dataclass(frozen=True, kw_only=True)
class QueuePlace:
    """Where a mission stands in its lane: missions held, claims within the last hour, waiting ones that come first.

    Of those that come first at most `COUNTED_AHEAD` are counted, so that the answer costs the same in any backlog.
    """

    held_by_lane: int
    claims_last_hour: int
    ahead: int


@dataclass(frozen=True, kw_only=True)
class GetMission(Query[Stored | None]):
    """One mission."""

    mission_id: str


@dataclass(frozen=True, kw_only=True)
class ListMissions(Query[Page]):
    """Missions, newest first. `vp_ids` None: of every lane; `before` is the position the last page ended at."""

    vp_ids: frozenset[str] | None = None
    state: str | None = None
    parked: bool | None = None
    limit: int = 50
    before: int | None = None


@dataclass(frozen=True, kw_only=True)
class ReadLedger(Query[LedgerPart | None]):
    """Entries of a mission's ledger after a sequence; None: no such mission."""

    mission_id: str
    after: int = 0
    limit: int = 200


@dataclass(frozen=True, kw_only=True)
class ReadSessionLedger(Query[tuple[Mapping[str, Any], ...]]):
    """Entries of a lane session's ledger after a sequence."""

    vp_id: str
    after: int = 0
    limit: int = 200


@dataclass(frozen=True, kw_only=True)
class GetLane(Query[LaneRecord | None]):
    """One lane session."""

    vp_id: str


@dataclass(frozen=True, kw_only=True)
class ListLanes(Query[tuple[LaneRecord, ...]]):
    """Every lane session, by vp_id."""


@dataclass(frozen=True, kw_only=True)
class ListOverdue(Query[tuple[Overdue, ...]]):
    """Unfinished missions for which a time limit may have passed at `now`; the store decides again when asked.

    `limit` is how many that wait, and how many that are blocked; of those running none is left out.
    """

    now: datetime
    limit: int = 200


@dataclass(frozen=True, kw_only=True)
class ListHeld(Query[tuple[HeldMission, ...]]):
    """Missions that a lane holds, the oldest first, as its holder is told of them."""

    vp_id: str


@dataclass(frozen=True, kw_only=True)
class CountUndelivered(Query[int]):
    """Callbacks of one mission that have not been delivered."""

    mission_id: str


@dataclass(frozen=True, kw_only=True)
class ReadSnapshot(Query[SnapshotParts]):
    """What a metrics snapshot is computed from. `turns_since`: the first minute whose turns are told; None: none is."""

    vp_id: str
    mission_limit: int
    event_limit: int
    turns_since: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class ListArtifacts(Query[tuple[Mapping[str, Any], ...]]):
    """Artifact references of one mission, by name."""

    mission_id: str


@dataclass(frozen=True, kw_only=True)
class GetQueuePlace(Query[QueuePlace]):
    """Where a mission stands in its lane at `now`. An unknown mission has nothing ahead.

    `with_claims`: count the claims of the last hour too, which matter only to a lane with a quota.
    """

    mission_id: str
    vp_id: str
    now: datetime
    with_claims: bool = True
