"""The facts a life cycle moves: one row a mission, one row a lane session.

Both are frozen; a step makes a new row. Field names are the registry's column names.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from dragancorp_contracts.lifecycle import (
    TERMINAL_MISSION_STATES,
    Holder,
    MissionKind,
    MissionState,
    ReasonCode,
    SessionState,
)

CLOCKS_APART = timedelta(seconds=5)
"""How far the clocks of two planes may be apart before one of them counts as wrong."""


@dataclass(frozen=True, kw_only=True)
class MissionRow:
    """Where one mission stands. Times are aware and in UTC; durations are seconds."""

    mission_id: str
    vp_id: str
    vp_session_id: str
    kind: MissionKind
    state: MissionState
    attempt: int = 0
    failures: int = 0
    holder: Holder = Holder.NONE
    hold_expires_at: datetime | None = None
    approval_expires_at: datetime | None = None
    lease_epoch: int = 0
    vp_runtime_id: str | None = None
    cancel_requested_at: datetime | None = None
    reason_code: ReasonCode | None = None
    cause: ReasonCode | None = None
    parked: bool = False
    not_before: datetime | None = None
    resume: bool = False
    continuity_id: str | None = None
    completed_via: str | None = None
    fallback: bool = False
    # fixed at dispatch
    source_instance_id: str
    idempotency_key: str
    request_digest: str
    priority_rank: int = 2
    traffic: str = "real"
    trace_id: str
    parent_mission_id: str | None = None
    retry_of: str | None = None
    callback_url: str | None = None
    deadline_at: datetime | None = None
    window_start_at: datetime | None = None
    window_end_at: datetime | None = None
    max_runtime_seconds: float | None = None
    max_llm_calls: int | None = None
    max_cost_microusd: int | None = None
    # moved by steps
    usage: Mapping[str, Any] = field(default_factory=dict)
    runtime_seconds: float = 0.0
    attempt_started_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    created_at: datetime
    updated_at: datetime
    last_sequence: int = 0
    last_digest: str | None = None

    @property
    def terminal(self) -> bool:
        """Whether the mission has ended and never changes again."""
        return self.state in TERMINAL_MISSION_STATES

    def pauses_at(self, now: datetime) -> bool:
        """Whether its pause after a failure still lasts.

        A pause that began well after `now` was set by a wall clock that ran ahead and has been put right: nobody meant
        the mission to wait for as long as that clock was wrong.
        """
        return self.not_before is not None and self.not_before > now and self.updated_at <= now + CLOCKS_APART

    def runtime_at(self, now: datetime) -> float:
        """Seconds spent running over all attempts, the present one included."""
        if self.attempt_started_at is None:
            return self.runtime_seconds
        return self.runtime_seconds + max(0.0, (now - self.attempt_started_at).total_seconds())


@dataclass(frozen=True, kw_only=True)
class SessionRow:
    """Where one lane session stands."""

    vp_id: str
    vp_session_id: str
    status: SessionState
    lease_owner: str | None = None
    lease_epoch: int = 0
    lease_expires_at: datetime | None = None
    lease_embedded: bool = False
    beat: int = 0
    heartbeat_at: datetime | None = None
    vp_runtime_id: str | None = None
    executor_session_id: str | None = None
    continuity_id: str
    workspace: str | None = None
    last_error: str | None = None
    drain_open: bool = False
    created_at: datetime
    updated_at: datetime
    last_sequence: int = 0
    last_digest: str | None = None

    @property
    def held(self) -> bool:
        """Whether a runtime holds the lease, as far as the registry knows."""
        return self.lease_owner is not None


RowT = TypeVar("RowT", MissionRow, SessionRow)


def changed(row: RowT, **members: Any) -> RowT:
    """The row with some members changed: `dataclasses.replace` without setting each of the others anew.

    Every step makes a row or two, and most of what a step costs would be this. Raises `TypeError` for a member there
    is not.
    """
    if not members.keys() <= row.__dict__.keys():
        raise TypeError(f"no such members: {sorted(members.keys() - row.__dict__.keys())}")
    made = object.__new__(type(row))
    made.__dict__.update(row.__dict__, **members)
    return made
