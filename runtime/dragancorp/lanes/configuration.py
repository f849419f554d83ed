"""From a lane's configuration and the environment's flags to what planes and workers go by."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path

from dragancorp.errors import DraganError, ErrorCode
from dragancorp.executors.catalogue import make_executor
from dragancorp.lanes.lane_runtime import LaneSetup
from dragancorp.lanes_file import Lane
from dragancorp.lifecycle.facts import LanePolicy
from dragancorp.settings import LaneFlags

DEFAULT_HEARTBEATS_A_TTL = 4  # the contract allows three at least


@dataclass(frozen=True, kw_only=True)
class ConfiguredLane:
    """A lane of this process: its configuration, flags and policy, and where its files are."""

    lane: Lane
    flags: LaneFlags
    policy: LanePolicy
    root: Path

    @property
    def vp_id(self) -> str:
        """The lane."""
        return self.policy.vp_id

    def setup(self) -> LaneSetup:
        """The lane as its worker needs it."""
        return LaneSetup(
            vp_id=self.vp_id,
            executor=partial(make_executor, self.lane["executor"]),
            executor_config=self.lane["executor"],
            workspace=self.lane.get("workspace", {}),
            root=self.root,
        )


def configure_lanes(lanes: Sequence[Lane], folder: Path) -> list[ConfiguredLane]:
    """Configurations with their flags, policies and folders. Raises `settings_invalid`, `lanes_file_invalid`."""
    return [_configured(lane, folder) for lane in lanes]


def _configured(lane: Lane, folder: Path) -> ConfiguredLane:
    flags = LaneFlags.read(lane.get("flag"))
    ttl = flags.lease_ttl_seconds or lane.get("lease_ttl", LanePolicy.lease_ttl)
    interval = lane.get("heartbeat_interval", ttl / DEFAULT_HEARTBEATS_A_TTL)
    # By the digits as written, as rule LAN-1 has it: a TTL from the environment comes after that rule.
    if Decimal(str(interval)) * 3 > Decimal(str(ttl)):
        raise DraganError(
            ErrorCode.SETTINGS_INVALID,
            f"{lane['vp_id']}: a heartbeat every {interval:g} s is too slow for a lease of {ttl:g} s; at most a third",
        )
    recovery = lane.get("recovery", {})
    given = {
        name: lane[name]
        for name in (
            "start_timeout",
            "cancel_deadline",
            "idle_limit",
            "backstop",
            "parallel_missions",
            "queue_limit",
        )
        if name in lane
    }
    policy = LanePolicy(
        vp_id=lane["vp_id"],
        lease_ttl=ttl,
        heartbeat_interval=interval,
        retry=recovery.get("policy", "retry") == "retry",
        max_attempts=recovery.get("max_attempts", LanePolicy.max_attempts),
        backoff=recovery.get("backoff", LanePolicy.backoff),
        claims_per_hour=lane.get("quotas", {}).get("claims_per_hour"),
        **given,
    )
    root = flags.workspace_dir or folder / lane["vp_id"]
    return ConfiguredLane(lane=lane, flags=flags, policy=policy, root=root)
