"""What a rollout lets a lane do in one process: the stored stage and override under the environment's ceiling."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dragancorp.jsonio import digest
from dragancorp.lifecycle.rollout import STAGES, RolloutRow
from dragancorp.settings import LaneFlags
from dragancorp_contracts.models.rollout_policy_v1 import Stage


@dataclass(frozen=True, kw_only=True)
class RolloutLane:
    """A lane of this process, as its rollout sees it: its configuration and its flags."""

    vp_id: str
    lane: Mapping[str, Any]
    flags: LaneFlags

    @property
    def initial_stage(self) -> Stage:
        """The stage of a lane that has none stored."""
        return Stage(self.lane.get("routing", {}).get("initial_stage", Stage.default_on))

    @property
    def configuration_digest(self) -> str:
        """The digest of its configuration in effect."""
        return digest(dict(self.lane))

    def row(self, stored: RolloutRow | None) -> RolloutRow:
        """Where its rollout stands; `stored` is None for a lane whose rollout was never stored."""
        return RolloutRow(vp_id=self.vp_id, stage=self.initial_stage) if stored is None else stored


def effective_stage(row: RolloutRow, flags: LaneFlags) -> Stage:
    """The stage that turns are routed by: off under a forced fallback, capped by the flags."""
    if row.forced or not flags.on:
        return Stage.off
    return min(Stage.shadow, row.stage, key=STAGES.index) if flags.shadow_mode else row.stage
