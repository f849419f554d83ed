"""`LaneLink` straight to a `Store`: for a worker in the plane's process, or beside it on the same database."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dragancorp.clock import Clock, SystemClock
from dragancorp.errors import DraganError, ErrorCode
from dragancorp.jsonio import canonical, loads
from dragancorp.lanes.link import READS, Claimed, Grant, Holding, Lease, Report
from dragancorp.lifecycle.commands import By, Fence, MissionCommand, SessionCommand
from dragancorp.missions.envelopes import whole
from dragancorp.registry.operations import (
    ClaimMissions,
    Renewal,
    RenewLease,
    StepAndClaim,
    StepMission,
    StepSession,
    Stored,
)
from dragancorp.registry.port import Store, lane_topic
from dragancorp.registry.queries import GetLane, ListHeld
from dragancorp_contracts.lifecycle import Actor, Holder, MissionKind, SessionTrigger

CLAIM_PAUSE_SECONDS = 1.0  # the safety net under the wake-ups: what becomes due by the clock alone


class StoreLink:
    """See `LaneLink`. `embedded` says that the worker lives in the process of the plane, and ends with it."""

    def __init__(self, store: Store, *, embedded: bool = False, clock: Clock | None = None) -> None:
        self._store = store
        self._embedded = embedded
        self._clock = clock or SystemClock()

    async def acquire(self, vp_id: str, owner: str, vp_runtime_id: str) -> Grant:
        """See `LaneLink.acquire`."""
        command = SessionCommand(
            trigger=SessionTrigger.ACQUIRE,
            by=By(kind=Actor.LANE, name=owner, way="lane"),
            owner=owner,
            vp_runtime_id=vp_runtime_id,
            embedded=self._embedded,
        )
        try:
            stepped = await self._store.execute(StepSession(vp_id=vp_id, command=command))
        except DraganError as refused:
            if refused.code is not ErrorCode.LEASE_HELD:
                raise
            record = await self._store.read(GetLane(vp_id=vp_id))
            if record is None or record.row.lease_owner != owner:
                raise
            session, policy = record.row, record.policy  # ours already: the first answer was lost
        else:
            session, policy = stepped.row, stepped.policy
        lease = Lease(vp_id=vp_id, owner=owner, vp_runtime_id=vp_runtime_id, epoch=session.lease_epoch)
        return Grant(
            lease=lease,
            policy=policy,
            vp_session_id=session.vp_session_id,
            executor_session_id=session.executor_session_id,
        )

    async def renew(self, lease: Lease, *, wait: float = 0.0, seen: str | None = None) -> Holding:
        """See `LaneLink.renew`."""
        return holding(await self.renewal(lease, wait=wait, seen=seen))

    async def renewal(self, lease: Lease, *, wait: float = 0.0, seen: str | None = None) -> Renewal:
        """`renew` with the whole lane session in its answer."""
        until = self._clock.monotonic() + wait
        with self._store.watch(lane_topic(lease.vp_id)) as changes:
            renewal = await self._store.execute(
                RenewLease(vp_id=lease.vp_id, owner=lease.owner, lease_epoch=lease.epoch)
            )
            left = until - self._clock.monotonic()
            if left > 0 and mark(renewal) == seen and await changes.wait(left):
                # What others did is told even where it looks as before: a mission that was claimed and lost since then
                # is missing from both answers.
                renewal = await self._look(lease)
        return renewal

    async def _look(self, lease: Lease) -> Renewal:
        """What a renewal would say, without one: whoever waits for this may have died meanwhile."""
        held = await self._store.read(ListHeld(vp_id=lease.vp_id))
        record = await self._store.read(GetLane(vp_id=lease.vp_id))
        if record is None or (record.row.lease_owner, record.row.lease_epoch) != (lease.owner, lease.epoch):
            raise DraganError(ErrorCode.STALE_EPOCH, f"the lease of {lease.vp_id!r} is held by someone else, or nobody")
        return Renewal(session=record.row, policy=record.policy, held=held)

    async def ready(self, lease: Lease, *, executor_session_id: str, outcome: str, workspace: str | None) -> None:
        """See `LaneLink.ready`."""
        await self._step(
            lease,
            SessionTrigger.READY,
            executor_session_id=executor_session_id,
            outcome=outcome,
            workspace=workspace,
        )

    async def degrade(self, lease: Lease, error: str) -> None:
        """See `LaneLink.degrade`."""
        await self._step(lease, SessionTrigger.DEGRADE, error=error)

    async def recover(self, lease: Lease) -> None:
        """See `LaneLink.recover`."""
        await self._step(lease, SessionTrigger.RECOVER)

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
    ) -> None:
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
        await self._store.execute(StepSession(vp_id=lease.vp_id, command=command))

    async def claim(
        self, lease: Lease, limit: int = 1, *, key: str | None = None, wait: float = 0.0
    ) -> tuple[Claimed, ...]:
        """See `LaneLink.claim`."""
        found = await self.claim_stored(claim_of(lease, limit, key=key), wait=wait)
        return tuple(map(claimed_from, found))

    async def claim_stored(self, operation: ClaimMissions, *, wait: float = 0.0) -> tuple[Stored, ...]:
        """`claim` with the missions as the registry holds them. A paused lane is waited for as an empty one is."""
        until = self._clock.monotonic() + wait
        with self._store.watch(lane_topic(operation.vp_id)) as changes:
            while True:
                found: tuple[Stored, ...] = ()
                paused: DraganError | None = None
                try:
                    found = await self._store.execute(operation)
                except DraganError as refused:
                    if refused.code is not ErrorCode.LANE_PAUSED:
                        raise
                    paused = refused
                left = until - self._clock.monotonic()
                if found or left <= 0:
                    if paused is not None:
                        raise paused
                    return found
                await changes.wait(min(left, CLAIM_PAUSE_SECONDS))

    async def upload(self, lease: Lease, claimed: Claimed, file: Path, reference: Mapping[str, Any]) -> None:
        """See `LaneLink.upload`. Whoever shares the registry finds the file where the lane's workspace is."""

    async def report(self, lease: Lease, claimed: Claimed, report: Report) -> None:
        """See `LaneLink.report`."""
        await self._store.execute(step_of(lease, claimed.mission_id, claimed.attempt, report))

    async def report_and_claim(self, lease: Lease, claimed: Claimed, report: Report) -> tuple[Claimed, ...]:
        """See `LaneLink.report_and_claim`."""
        step = step_of(lease, claimed.mission_id, claimed.attempt, report)
        claim = claim_of(lease, 1, key=following_key(claimed.mission_id, report.key))
        _, following = await self._store.execute(StepAndClaim(step=step, claim=claim))
        return tuple(map(claimed_from, following))


def holding(renewal: Renewal) -> Holding:
    """What a worker needs of a renewal."""
    return Holding(status=renewal.session.status, policy=renewal.policy, held=renewal.held, mark=mark(renewal))


def mark(renewal: Renewal) -> str:
    """Stands for what a renewal says, heartbeat times apart."""
    held = [[one.mission_id, one.attempt, one.state, one.cancel_asked, one.decision] for one in renewal.held]
    policy = [str(value) for value in vars(renewal.policy).values()]
    said = canonical({"status": renewal.session.status.value, "held": held, "policy": policy})
    return hashlib.sha256(said.encode()).hexdigest()[:32]


def claim_of(lease: Lease, limit: int, *, key: str | None = None, reads: frozenset[str] = READS) -> ClaimMissions:
    """A claim under a lease."""
    return ClaimMissions(
        vp_id=lease.vp_id, owner=lease.owner, lease_epoch=lease.epoch, limit=limit, reads=reads, key=key
    )


def following_key(mission_id: str, key: str) -> str:
    """The key of the claim that comes with a report, so that a repeat of the one repeats the other."""
    return "after-" + hashlib.sha256(f"{mission_id} {key}".encode()).hexdigest()[:32]


def claimed_from(stored: Stored) -> Claimed:
    """A mission as its worker sees it."""
    row = stored.row
    return Claimed(
        mission_id=row.mission_id,
        vp_id=row.vp_id,
        attempt=row.attempt,
        lease_epoch=row.lease_epoch,
        resume=row.resume,
        usage=row.usage,
        envelope=whole(stored, loads(stored.document)),
        decision=stored.decision,
        shadow=row.kind is MissionKind.SHADOW,
    )


def step_of(lease: Lease, mission_id: str, attempt: int, report: Report) -> StepMission:
    """A report as the registry's operation, fenced by lease and attempt."""
    return StepMission(
        mission_id=mission_id,
        command=MissionCommand(
            trigger=report.trigger,
            by=lease.by,
            fence=Fence(attempt=attempt, holder=Holder.LANE, lease_epoch=lease.epoch, owner=lease.owner),
            reason=report.reason,
            idempotency_key=report.key,
            content=report.content or {},
        ),
        artifacts=report.artifacts,
        receipt=report.receipt,
    )
