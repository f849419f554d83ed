"""The `LaneLink` port: how a worker speaks to the registry, wherever that is; and the link inside one process."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from dragancorp.jsonio import loads
from dragancorp.lifecycle.commands import By, Fence, MissionCommand, SessionCommand
from dragancorp.lifecycle.rows import MissionRow, SessionRow
from dragancorp.missions.envelopes import whole
from dragancorp.registry.operations import (
    ClaimMissions,
    Renewal,
    RenewLease,
    StepAndClaim,
    StepMission,
    Stepped,
    StepSession,
    Stored,
)
from dragancorp.registry.port import Store, Subscription, lane_topic
from dragancorp_contracts.lifecycle import Actor, Holder, MissionTrigger, ReasonCode, SessionTrigger


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
class Claimed:
    """A mission in the worker's hands."""

    row: MissionRow
    envelope: Mapping[str, Any]

    @property
    def fence(self) -> Fence:
        """What every report about it carries."""
        return Fence(attempt=self.row.attempt, holder=Holder.LANE, lease_epoch=self.row.lease_epoch)


@dataclass(frozen=True, kw_only=True)
class Report:
    """One thing a holder says about its mission. `key` lets it be repeated; a final report ends the mission."""

    trigger: MissionTrigger
    key: str
    reason: ReasonCode | None = None
    content: Mapping[str, Any] | None = None
    artifacts: Sequence[Mapping[str, Any]] = ()
    receipt: Mapping[str, Any] | None = None


class LaneLink(Protocol):
    """What a worker asks of the registry. Errors are `DraganError`; retryable ones changed nothing."""

    async def acquire(self, vp_id: str, owner: str, vp_runtime_id: str) -> tuple[Lease, SessionRow]:
        """Take the lane's lease. Raises `lease_held`, `lane_retired`, `lane_unknown`."""
        ...

    async def renew(self, lease: Lease) -> Renewal:
        """Heartbeat; answers what the lane still holds. Raises `stale_epoch`."""
        ...

    async def ready(self, lease: Lease, *, executor_session_id: str, outcome: str, workspace: str) -> SessionRow:
        """The executor's session is open. Raises `stale_epoch`."""
        ...

    async def degrade(self, lease: Lease, error: str) -> SessionRow:
        """Set-up failed: no new claims until `recover`. Raises `stale_epoch`."""
        ...

    async def recover(self, lease: Lease) -> SessionRow:
        """The lane works again. Raises `stale_epoch`."""
        ...

    async def claim(self, lease: Lease, limit: int = 1) -> tuple[Claimed, ...]:
        """Take what is due. Raises `lane_paused`, `stale_epoch`."""
        ...

    async def report(self, lease: Lease, claimed: Claimed, report: Report) -> Stepped:
        """Say how it goes, or how it ended. Raises `stale_epoch`, `mission_terminal`, and what the guards name."""
        ...

    async def report_and_claim(
        self, lease: Lease, claimed: Claimed, report: Report
    ) -> tuple[Stepped, tuple[Claimed, ...]]:
        """End one mission and take the next in one step."""
        ...

    async def release(self, lease: Lease) -> None:
        """Give the lease back. Raises `lane_busy` while missions are held, `stale_epoch`."""
        ...

    def watch(self, vp_id: str) -> Subscription:
        """Wakes when something of the lane changes: new work, a cancel, the lease."""
        ...


class StoreLink:
    """`LaneLink` straight to a `Store`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def acquire(self, vp_id: str, owner: str, vp_runtime_id: str) -> tuple[Lease, SessionRow]:
        """See `LaneLink.acquire`."""
        command = SessionCommand(
            trigger=SessionTrigger.ACQUIRE,
            by=By(kind=Actor.LANE, name=owner, way="lane"),
            owner=owner,
            vp_runtime_id=vp_runtime_id,
        )
        row = (await self._store.execute(StepSession(vp_id=vp_id, command=command))).row
        return Lease(vp_id=vp_id, owner=owner, vp_runtime_id=vp_runtime_id, epoch=row.lease_epoch), row

    async def renew(self, lease: Lease) -> Renewal:
        """See `LaneLink.renew`."""
        return await self._store.execute(RenewLease(vp_id=lease.vp_id, owner=lease.owner, lease_epoch=lease.epoch))

    async def ready(self, lease: Lease, *, executor_session_id: str, outcome: str, workspace: str) -> SessionRow:
        """See `LaneLink.ready`."""
        return await self._step(
            lease,
            SessionTrigger.READY,
            executor_session_id=executor_session_id,
            outcome=outcome,
            workspace=workspace,
        )

    async def degrade(self, lease: Lease, error: str) -> SessionRow:
        """See `LaneLink.degrade`."""
        return await self._step(lease, SessionTrigger.DEGRADE, error=error)

    async def recover(self, lease: Lease) -> SessionRow:
        """See `LaneLink.recover`."""
        return await self._step(lease, SessionTrigger.RECOVER)

    async def release(self, lease: Lease) -> None:
        """See `LaneLink.release`."""
        await self._step(lease, SessionTrigger.RELEASE)

    async def _step(
        self,
        lease: Lease,
        trigger: SessionTrigger,
        *,
        executor_session_id: str | None = None,
        outcome: str | None = None,
        workspace: str | None = None,
        error: str | None = None,
    ) -> SessionRow:
        command = SessionCommand(
            trigger=trigger,
            by=lease.by,
            owner=lease.owner,
            lease_epoch=lease.epoch,
            executor_session_id=executor_session_id,
            outcome=outcome,
            workspace=workspace,
            error=error,
        )
        return (await self._store.execute(StepSession(vp_id=lease.vp_id, command=command))).row

    async def claim(self, lease: Lease, limit: int = 1) -> tuple[Claimed, ...]:
        """See `LaneLink.claim`."""
        return tuple(map(_claimed, await self._store.execute(_claim(lease, limit))))

    async def report(self, lease: Lease, claimed: Claimed, report: Report) -> Stepped:
        """See `LaneLink.report`."""
        return await self._store.execute(_step(lease, claimed, report))

    async def report_and_claim(
        self, lease: Lease, claimed: Claimed, report: Report
    ) -> tuple[Stepped, tuple[Claimed, ...]]:
        """See `LaneLink.report_and_claim`."""
        operation = StepAndClaim(step=_step(lease, claimed, report), claim=_claim(lease, 1))
        stepped, following = await self._store.execute(operation)
        return stepped, tuple(map(_claimed, following))

    def watch(self, vp_id: str) -> Subscription:
        """See `LaneLink.watch`."""
        return self._store.watch(lane_topic(vp_id))


def _claim(lease: Lease, limit: int) -> ClaimMissions:
    return ClaimMissions(vp_id=lease.vp_id, owner=lease.owner, lease_epoch=lease.epoch, limit=limit)


def _claimed(stored: Stored) -> Claimed:
    return Claimed(row=stored.row, envelope=whole(stored, loads(stored.document)))


def _step(lease: Lease, claimed: Claimed, report: Report) -> StepMission:
    return StepMission(
        mission_id=claimed.row.mission_id,
        command=MissionCommand(
            trigger=report.trigger,
            by=lease.by,
            fence=claimed.fence,
            reason=report.reason,
            idempotency_key=report.key,
            content=report.content or {},
        ),
        artifacts=report.artifacts,
        receipt=report.receipt,
    )
