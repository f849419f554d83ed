"""The `LaneLink` port: how a worker speaks to the registry, wherever that is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from dragancorp.errors import DraganError, ErrorCode
from dragancorp.lifecycle.commands import By
from dragancorp.lifecycle.facts import LanePolicy
from dragancorp.registry.operations import HeldMission
from dragancorp_contracts.lifecycle import Actor, MissionTrigger, ReasonCode, SessionState

READS = frozenset({"mission-envelope/v1"})
"""The contract versions that this worker reads; it is given no other mission."""


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The right to act for a lane: what every write of its holder carries."""

    vp_id: str
    owner: str  # unique a process and acquire
    vp_runtime_id: str
    epoch: int

    @property
    def by(self) -> By:
        """The holder, as events name it."""
        return By(kind=Actor.LANE, name=self.owner, way="lane")


@dataclass(frozen=True, kw_only=True)
class Grant:
    """A lease that was taken, the lane's policy as the registry has it, and the sessions to go on with."""

    lease: Lease
    policy: LanePolicy
    vp_session_id: str
    executor_session_id: str | None  # what the executor said last time; None: never opened


@dataclass(frozen=True, kw_only=True)
class Holding:
    """The answer to a renewal: what the lane still holds. A mission that is missing is no longer its own."""

    status: SessionState
    policy: LanePolicy
    held: tuple[HeldMission, ...]
    mark: str  # stands for this answer; what differs from it is news


@dataclass(frozen=True, kw_only=True)
class Claimed:
    """A mission in the worker's hands. `usage` is what earlier attempts used, `resume` that they may have left traces.

    `attempt` and `lease_epoch` are its fence: every report about it carries them.
    """

    mission_id: str
    vp_id: str
    attempt: int
    lease_epoch: int
    resume: bool
    usage: Mapping[str, Any]
    envelope: Mapping[str, Any]
    decision: Mapping[str, Any] | None = None  # what let it go on after it had given up its slot
    shadow: bool = False  # nobody waits for it, and it has a workspace of its own


@dataclass(frozen=True, kw_only=True)
class Report:
    """One thing a holder says about its mission. `key` lets it be repeated; a final report ends the mission."""

    trigger: MissionTrigger
    key: str
    reason: ReasonCode | None = None
    content: Mapping[str, Any] | None = None
    artifacts: Sequence[Mapping[str, Any]] = ()
    receipt: Mapping[str, Any] | None = None

    def failed_instead(self, error: DraganError) -> "Report":
        """What to report when the registry did not take this one as the mission's end: that it failed, and why."""
        reason = ReasonCode.OUTPUTS_MISSING if error.code is ErrorCode.RECEIPT_MISSING else ReasonCode.EXECUTOR_ERROR
        content = {"summary": f"{self.trigger.value} was refused: {error.detail}"[:8000]}
        return Report(trigger=MissionTrigger.FAIL, key=f"{self.key}-refused", reason=reason, content=content)


class LaneLink(Protocol):
    """What a worker asks of the registry. Errors are `DraganError`; retryable ones changed nothing that a repeat
    would not find again."""

    async def acquire(self, vp_id: str, owner: str, vp_runtime_id: str) -> Grant:
        """Take the lane's lease; asked again by its owner, the same. Raises `lease_held`, `lane_retired`,
        `lane_unknown`."""
        ...

    async def renew(self, lease: Lease, *, wait: float = 0.0, seen: str | None = None) -> Holding:
        """Heartbeat; then wait up to `wait` seconds for what differs from the answer marked `seen`.

        Raises `stale_epoch`, as soon as the lease is known to be lost.
        """
        ...

    async def ready(self, lease: Lease, *, executor_session_id: str, outcome: str, workspace: str) -> None:
        """The executor's session is open. Raises `stale_epoch`."""
        ...

    async def degrade(self, lease: Lease, error: str) -> None:
        """Set-up failed: no new claims until `recover`. Raises `stale_epoch`."""
        ...

    async def recover(self, lease: Lease) -> None:
        """The lane works again. Raises `stale_epoch`."""
        ...

    async def claim(
        self, lease: Lease, limit: int = 1, *, key: str | None = None, wait: float = 0.0
    ) -> tuple[Claimed, ...]:
        """Take what is due; wait up to `wait` seconds for it. `key` lets a claim be repeated whose answer was lost.

        Raises `lane_paused`, `stale_epoch`.
        """
        ...

    async def upload(self, lease: Lease, claimed: Claimed, file: Path, reference: Mapping[str, Any]) -> None:
        """Bring an artifact's bytes to where the registry's readers find them, before a report names it.

        Raises `stale_epoch`, `body_too_large`, and `document_invalid` when the file is not what the reference says.
        """
        ...

    async def report(self, lease: Lease, claimed: Claimed, report: Report) -> None:
        """Say how it goes, or how it ended. Raises `stale_epoch`, `mission_terminal`, and what the guards name."""
        ...

    async def report_and_claim(self, lease: Lease, claimed: Claimed, report: Report) -> tuple[Claimed, ...]:
        """End one mission and take the next in one step."""
        ...

    async def release(self, lease: Lease) -> None:
        """Give the lease back. Raises `lane_busy` while missions are held, `stale_epoch`."""
        ...
