"""What can be asked of a `Store` about rollouts: acts, evidence, and where lanes stand."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dragancorp.lifecycle.rollout import RolloutCommand, RolloutRow
from dragancorp.lifecycle.rows import MissionRow
from dragancorp.registry.operations import Operation
from dragancorp.registry.queries import Query
from dragancorp_contracts.models.rollout_policy_v1 import Stage


@dataclass(frozen=True, kw_only=True)
class RolloutStepped:
    """The answer to an act: the row afterwards, its ledger entry (None: it was so already), the evidence stored."""

    row: RolloutRow
    entry: Mapping[str, Any] | None = None
    evidence: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class ActOnRollout(Operation[RolloutStepped]):
    """One act on a lane's rollout. A lane without a stored stage begins at `initial_stage`.

    A lane that leaves shadow, by its stage or by a forced fallback, loses its unfinished shadow missions in the same
    transaction. Errors: `lane_unknown`, `gate_held`, `transition_refused`.
    """

    vp_id: str
    initial_stage: Stage
    command: RolloutCommand


@dataclass(frozen=True, kw_only=True)
class StoreEvidence(Operation[RolloutStepped | None]):
    """Append evidence to the lane's chain, and do what follows from it, in one transaction.

    `document` lacks sequence and digests. `as_read` is the row that it was judged by: refused as `stale_epoch` when the
    rollout moved meanwhile. With `unless_since` nothing is done, and None answered, when evidence was stored after that
    moment: of several planes that capture on one cadence, the first one does. Errors: as of `ActOnRollout`.
    """

    vp_id: str
    initial_stage: Stage
    document: Mapping[str, Any]
    as_read: RolloutRow
    then: RolloutCommand | None = None
    unless_since: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class ListRollouts(Query[Mapping[str, RolloutRow]]):
    """Every lane whose rollout was ever stored, by vp_id."""


@dataclass(frozen=True, kw_only=True)
class ReadChanges(Query[tuple[Mapping[str, Any], ...]]):
    """Entries of a rollout's ledger, newest first."""

    vp_id: str
    limit: int = 20


@dataclass(frozen=True, kw_only=True)
class ReadEvidence(Query[tuple[Mapping[str, Any], ...]]):
    """Entries of a lane's chain of evidence, newest first; `before` is the sequence that the last page ended at."""

    vp_id: str
    limit: int = 50
    before: int | None = None


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What a stage of a rollout is judged by: finished missions, newest first, the session's ledger, and turns."""

    missions: tuple[MissionRow, ...]
    session_events: tuple[Mapping[str, Any], ...]
    turns: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class ReadObserved(Query[Observed]):
    """Finished missions of one kind stored after a position, of this traffic, and what else happened since a moment.

    At most `limit` missions, the newest first; at most `entries` of the session's ledger, the newest, oldest first.
    """

    vp_id: str
    after_position: int
    since: datetime | None
    shadow: bool
    traffic: frozenset[str]
    limit: int
    entries: int


@dataclass(frozen=True, kw_only=True)
class ReadCounters(Query[Mapping[str, Mapping[str, Mapping[str, int]]]]):
    """The counts that the writer keeps, by vp_id, kind and name."""


@dataclass(frozen=True, kw_only=True)
class ReadMarks(Query[Mapping[str, int]]):
    """How many ledger entries each lane has left, by vp_id: the same number means that nothing happened."""
