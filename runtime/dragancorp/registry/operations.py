"""What can be asked of a `Store`, and what it answers. Every operation is one transaction, or a savepoint of one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from dragancorp.lifecycle.commands import By, MissionCommand, SessionCommand
from dragancorp.lifecycle.facts import LanePolicy
from dragancorp.lifecycle.rows import MissionRow, SessionRow

AnswerT = TypeVar("AnswerT", covariant=True)


class Operation(Generic[AnswerT]):
    """Base of everything that writes; the type parameter is the answer's type."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A mission as the registry holds it: the row, the envelope as received, and what was assigned to it."""

    position: int
    row: MissionRow
    document: str
    assigned: Mapping[str, Any]
    contract: str = "mission-envelope/v1"  # with its version: what the envelope was written by
    decision: Mapping[str, Any] | None = None  # of a claim: what let it go on after it had given up its slot


@dataclass(frozen=True, kw_only=True)
class Dispatched:
    """The answer to a dispatch; `replayed` when the very same request had been made before."""

    mission: Stored
    replayed: bool


@dataclass(frozen=True, kw_only=True)
class Stepped:
    """The answer to a step of a mission: the row afterwards and the new ledger entries."""

    row: MissionRow
    events: tuple[Mapping[str, Any], ...]
    transition: str
    replayed: bool = False


@dataclass(frozen=True, kw_only=True)
class SessionStepped:
    """The answer to a step of a lane session, with the missions that moved because of it."""

    row: SessionRow
    policy: LanePolicy
    events: tuple[Mapping[str, Any], ...]
    missions: tuple[Stepped, ...] = ()


@dataclass(frozen=True, kw_only=True)
class HeldMission:
    """A mission the lane holds, as told to its holder with every renewal.

    `decision` is the last thing said of it, while that is an operator's word that lets it go on: `sequence` of the
    entry, `request_id` and `answer` as far as they were given.
    """

    mission_id: str
    attempt: int
    state: str
    cancel_asked: bool
    decision: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Renewal:
    """The answer to a renewal: what the holder still holds. A mission that is missing is no longer its own."""

    session: SessionRow
    policy: LanePolicy
    held: tuple[HeldMission, ...]


@dataclass(frozen=True, kw_only=True)
class ConfigureLane(Operation[SessionRow]):
    """Make the lane known (row S1 the first time) and keep its present policy."""

    policy: LanePolicy
    by: By


@dataclass(frozen=True, kw_only=True)
class DispatchMission(Operation[Dispatched]):
    """Store a new mission (M1), blocked at once where an approval must come before the start (M2).

    `draft` holds everything but the session, which the store fills in. Errors: `lane_unknown`, `lane_retired`,
    `queue_full`, `idempotency_key_reused`, `child_exceeds_parent`.
    """

    draft: MissionRow
    document: str
    assigned: Mapping[str, Any]
    by: By
    hold_for_approval: bool = False
    excess_over_parent: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class StepMission(Operation[Stepped]):
    """One trigger for one mission. Artifacts and receipt are stored before the step is judged.

    Errors: `mission_unknown`, `mission_terminal`, `stale_epoch`, and what the step's guards name.
    """

    mission_id: str
    command: MissionCommand
    artifacts: Sequence[Mapping[str, Any]] = ()
    receipt: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class ClaimMissions(Operation[tuple[Stored, ...]]):
    """Claim up to `limit` missions in the scheduler's order (M3). An empty answer: nothing is due, or no slot free.

    `key` is the holder's own: asked again under it, the missions it gave the first time, as far as they are still held.
    Errors: `lane_unknown`, `lane_paused`, `stale_epoch`.
    """

    vp_id: str
    owner: str
    lease_epoch: int
    limit: int = 1
    reads: frozenset[str] = frozenset({"mission-envelope/v1"})
    key: str | None = None


@dataclass(frozen=True, kw_only=True)
class StepAndClaim(Operation[tuple[Stepped, tuple[Stored, ...]]]):
    """End one mission and claim the next in one step: what serves a persistent lane best."""

    step: StepMission
    claim: ClaimMissions


@dataclass(frozen=True, kw_only=True)
class StepSession(Operation[SessionStepped]):
    """One trigger for one lane session, with the consequences for its missions (rows R) in the same transaction.

    `observed_expired` is the reconciler's word that it saw the same heartbeat for a whole TTL; `epoch_as_read` and
    `beat_as_read` make the step conditional on what it saw, for between its look and its word it may be held up itself.
    """

    vp_id: str
    command: SessionCommand
    observed_expired: bool = False
    epoch_as_read: int | None = None
    beat_as_read: int | None = None


@dataclass(frozen=True, kw_only=True)
class RenewLease(Operation[Renewal]):
    """Heartbeat: outside the ledger, fenced like every write of a holder. Errors: `stale_epoch`, `lane_retired`."""

    vp_id: str
    owner: str
    lease_epoch: int


@dataclass(frozen=True, kw_only=True)
class RenewHold(Operation[MissionRow]):
    """The primary path still works on the mission it took over. Errors: `stale_epoch`, `mission_terminal`."""

    mission_id: str
    attempt: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class CountTurns(Operation[None]):
    """Add routed turns, counted in memory since the last time: (vp_id, reason, minute) -> how many."""

    counts: Mapping[tuple[str, str, str], int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ProbeWrite(Operation[None]):
    """Write something that means nothing: who hears back knows that the medium takes writes."""
