"""The operations on rollouts: where a lane stands, evidence, and what operators do to it."""

from typing import Any

from dragancorp.control_plane import ControlPlane
from dragancorp.faces.api.requester import lane_admitted
from dragancorp.rollout.rollouts import window_from
from dragancorp_contracts.api.records import Answer, Principal
from dragancorp_contracts.models.rollout_policy_v1 import Stage


class RolloutOperations:
    """The part of `OpsService` that steers rollouts."""

    @property
    def _plane(self) -> ControlPlane:
        raise NotImplementedError

    async def get_rollout(self, principal: Principal, *, vp_id: str) -> Answer:
        """Where a lane stands."""
        lane_admitted(principal, vp_id)
        return Answer(body=await self._plane.rollouts.status(vp_id))

    async def advance_rollout(self, principal: Principal, *, vp_id: str, document: dict[str, Any], text: str) -> Answer:
        """A promotion, when the gates pass; the end of a forced fallback."""
        by = lane_admitted(principal, vp_id, reason=document["reason"])
        await self._plane.rollouts.advance(vp_id, Stage(document["to"]), by)
        return await self.get_rollout(principal, vp_id=vp_id)

    async def hold_rollout(self, principal: Principal, *, vp_id: str, document: dict[str, Any], text: str) -> Answer:
        """No promotions, or promotions again."""
        by = lane_admitted(principal, vp_id, reason=document["reason"])
        await self._plane.rollouts.hold(vp_id, by, lift=document.get("lift", False))
        return await self.get_rollout(principal, vp_id=vp_id)

    async def rollback_rollout(
        self, principal: Principal, *, vp_id: str, document: dict[str, Any], text: str
    ) -> Answer:
        """The fallback, forced."""
        by = lane_admitted(principal, vp_id, reason=document["reason"])
        await self._plane.rollouts.roll_back(vp_id, by)
        return await self.get_rollout(principal, vp_id=vp_id)

    async def list_evidence(
        self, principal: Principal, *, vp_id: str, limit: int = 50, before: int | None = None
    ) -> Answer:
        """A part of the chain."""
        lane_admitted(principal, vp_id)
        return Answer(body=await self._plane.rollouts.evidence(vp_id, limit=limit, before=before))

    async def capture_evidence(
        self,
        principal: Principal,
        *,
        vp_id: str,
        document: dict[str, Any] | None = None,
        text: str | None = None,
    ) -> Answer:
        """One more entry of the chain."""
        by = lane_admitted(principal, vp_id)
        window = window_from(document or {}, source="http")
        return Answer(status=201, body=await self._plane.rollouts.capture(vp_id, by, window))
