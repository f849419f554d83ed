"""What a decision needs to know beside the row: read in the same transaction, handed in, never looked up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dragancorp.lifecycle.rows import SessionRow


@dataclass(frozen=True, kw_only=True)
class LanePolicy:
    """The numbers of a lane's configuration that decisions depend on. Times in seconds."""

    vp_id: str
    lease_ttl: float = 300.0
    heartbeat_interval: float = 75.0
    start_timeout: float = 15.0
    cancel_deadline: float = 30.0
    idle_limit: float = 900.0
    backstop: float = 14400.0
    retry: bool = True
    max_attempts: int = 3
    backoff: float = 5.0
    parallel_missions: int = 1
    queue_limit: int = 1000
    claims_per_hour: int | None = None


@dataclass(frozen=True, kw_only=True)
class MissionFacts:
    """Facts for a step of a mission."""

    lane: LanePolicy | None = None
    session: SessionRow | None = None
    queued: int = 0
    held_by_lane: int = 0
    claims_last_hour: int = 0
    excess_over_parent: Sequence[str] = ()
    used_below: Mapping[str, float] = field(default_factory=dict)  # by its children and theirs: it counts here too
    contracts_readable: bool = True
    receipt: bool = False
    missing_outputs: Sequence[str] = ()
    artifacts: Sequence[Mapping[str, Any]] = ()
    seconds_running: float | None = None  # the present stretch, by a clock that does not jump; None: nobody timed it


@dataclass(frozen=True, kw_only=True)
class SessionFacts:
    """Facts for a step of a lane session. `fresh_id` becomes the continuity id where a step begins a new one."""

    lane: LanePolicy
    fresh_id: str
    held_missions: int = 0
    unfinished_missions: int = 0
    observed_expired: bool = False
