"""The controller: captures evidence on cadence, and forces the fallback when the policy says so.

It promotes nothing unless the policy's `auto_promote` says so. Any number of planes may run one: what follows from
evidence is stored with it, conditional on the rollout being as it was read, and evidence that is due is stored by the
first that comes. It holds nothing that its own death would leave; a rollback that it was about to make is made by the
next look, of whichever plane.
"""

from dataclasses import dataclass
from datetime import timedelta

import structlog

from dragancorp.clock import Clock
from dragancorp.errors import DraganError, ErrorCode
from dragancorp.lifecycle.commands import By
from dragancorp.lifecycle.rollout import RolloutRow
from dragancorp.registry.port import Store
from dragancorp.registry.rollouts import ListRollouts, ReadMarks
from dragancorp.rollout.rollouts import Judged, Rollouts, Window
from dragancorp_contracts.lifecycle import Actor
from dragancorp_contracts.models.rollout_policy_v1 import Stage

TICK_SECONDS = 1.0
BY_ITSELF = "on cadence"

log = structlog.get_logger("dragancorp.rollout")


@dataclass(frozen=True)
class Look:
    """What a lane was like when it was last looked at: nothing new, nothing to do."""

    mark: int
    row: RolloutRow


class RolloutController:
    """Runs `tick` again and again; `run` ends when it is cancelled, and a tick that fails is only logged."""

    def __init__(self, rollouts: Rollouts, store: Store, clock: Clock, *, instance_id: str) -> None:
        self._rollouts = rollouts
        self._store = store
        self._clock = clock
        self._by = By(kind=Actor.CONTROL_PLANE, name=instance_id, reason=BY_ITSELF)
        self._looks: dict[str, Look] = {}
        self._seen_at: dict[str, float] = {}  # when evidence was last known to be stored, on this clock
        self._evidence: dict[str, int] = {}

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            try:
                await self.tick()
            except DraganError as error:
                log.warning("a tick failed", action="rollout.tick_failed", code=error.code.value, error=str(error))
            except Exception:
                # Nobody else would notice a lane that goes bad: a defect must not end the loop, nor be silent.
                log.exception("a tick failed", action="rollout.tick_failed")
            await self._clock.sleep(TICK_SECONDS)

    async def tick(self) -> int:
        """Look at every lane that is on and has something new, or whose evidence is due; answers how often stored."""
        for vp_id in self._rollouts.lanes:
            self._seen_at.setdefault(vp_id, self._clock.monotonic())
        marks = await self._store.read(ReadMarks())
        rows = await self._store.read(ListRollouts())
        stored = 0
        for vp_id, lane in self._rollouts.lanes.items():
            row = lane.row(rows.get(vp_id))
            if row.evidence_sequence != self._evidence.get(vp_id, 0):
                self._evidence[vp_id] = row.evidence_sequence
                self._seen_at[vp_id] = self._clock.monotonic()
            if not lane.flags.on or row.stage is Stage.off:
                continue
            look = Look(marks.get(vp_id, 0), row)
            blind = self._clock.monotonic() - self._seen_at[vp_id]
            if self._looks.get(vp_id) == look and not self._due(row) and blind < self._cadence(row):
                continue
            try:
                stored += await self._look_at(vp_id, blind)
            except DraganError as error:
                # Looked at again by the next tick; meanwhile no other lane waits for this one.
                why = {"code": error.code.value, "error": str(error)}
                log.warning("a lane cannot be looked at", action="rollout.look_failed", vp_id=vp_id, **why)
            else:
                self._looks[vp_id] = look
        return stored

    def _cadence(self, row: RolloutRow) -> int:
        return self._rollouts.policy.cadence_seconds(row.stage)

    def _due(self, row: RolloutRow) -> bool:
        since = self._clock.wall() - timedelta(seconds=self._cadence(row))
        return row.evidence_at is None or row.evidence_at <= since

    async def _look_at(self, vp_id: str, blind_seconds: float) -> int:
        judged = await self._rollouts.judged(vp_id, blind_seconds=blind_seconds)
        forced = self._rollouts.forced_by(judged, self._by)
        if forced is not None:
            log.warning("the fallback is forced", action="rollout.forced", vp_id=vp_id, why=forced.by.reason)
            return await self._store_evidence(judged, forced=True)
        return await self._store_evidence(judged, forced=False) if self._due(judged.row) else 0

    async def _store_evidence(self, judged: Judged, *, forced: bool) -> int:
        rollouts, row = self._rollouts, judged.row
        if forced:
            then, unless_since = rollouts.forced_by(judged, self._by), None
        else:
            promoting = rollouts.policy.promotes_itself and row.stage is not Stage.off
            then = rollouts.promotion(judged, self._by) if promoting else None
            unless_since = self._clock.wall() - timedelta(seconds=self._cadence(row))
        try:
            done = await rollouts.store(judged, self._by, Window(label=BY_ITSELF), then=then, unless_since=unless_since)
        except DraganError as moved:
            if moved.code is not ErrorCode.STALE_EPOCH:
                raise
            return 0  # another plane, or an operator, was quicker: the next look sees it
        return 0 if done is None else 1
