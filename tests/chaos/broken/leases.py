"""Broken in who holds a lane, and for how long."""

from dataclasses import replace
from typing import Any

import pytest

from dragancorp.lifecycle import session
from dragancorp.missions import reconciler
from dragancorp.missions.reconciler import Reconciler

from . import breaks
from .histories import dead_worker, wall_clock_jumps, zombie


@breaks("live-lease-kept", "one-terminal-event", scenario=wall_clock_jumps)
def leases_end_by_the_wall_clock(patch: pytest.MonkeyPatch) -> None:
    """A lease counts as over when the wall clock says so."""
    look_at = Reconciler._look_at

    async def by_the_wall(self: Any, lane: Any) -> int:
        row = lane.row
        if row.held and row.lease_expires_at <= self._clock.wall():
            taken: int = await self._try(reconciler._lease_lost(row))
            return taken
        return await look_at(self, lane)

    patch.setattr(Reconciler, "_look_at", by_the_wall)


@breaks("live-lease-kept", "one-terminal-event", scenario=wall_clock_jumps)
def lease_shorter_than_its_beats(patch: pytest.MonkeyPatch) -> None:
    """The reconciler's patience ends before the next heartbeat is due."""
    look_at = Reconciler._look_at

    async def impatient(self: Any, lane: Any) -> int:
        return await look_at(self, replace(lane, policy=replace(lane.policy, lease_ttl=0.5)))

    patch.setattr(Reconciler, "_look_at", impatient)


@breaks("recovery-in-time", scenario=dead_worker)
def reconciler_too_patient(patch: pytest.MonkeyPatch) -> None:
    """A dead worker is missed only after almost three leases."""
    look_at = Reconciler._look_at

    async def patient(self: Any, lane: Any) -> int:
        return await look_at(self, replace(lane, policy=replace(lane.policy, lease_ttl=2.8 * lane.policy.lease_ttl)))

    patch.setattr(Reconciler, "_look_at", patient)


@breaks("recovery-in-time", "one-terminal-event", scenario=dead_worker)
def dead_workers_not_missed(patch: pytest.MonkeyPatch) -> None:
    """Nobody looks whether heartbeats still come."""

    async def blind(self: Any, lane: Any) -> int:
        return 0

    patch.setattr(Reconciler, "_look_at", blind)


@breaks("no-stale-write", "one-terminal-event", scenario=zombie)
def epoch_not_raised(patch: pytest.MonkeyPatch) -> None:
    """A new holder gets the epoch of the one before."""
    moved = session._moved

    def same_epoch(step: Any, row: Any, *more: Any) -> Any:
        return replace(moved(step, row, *more), lease_epoch=max(1, row.lease_epoch))

    patch.setattr(session, "_moved", same_epoch)
