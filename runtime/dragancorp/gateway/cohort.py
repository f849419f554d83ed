"""Which sessions a lane's rollout reaches: a stable hash, so that a session stays in or out."""

import hashlib
from collections.abc import Mapping
from typing import Any

from dragancorp_contracts.models.rollout_policy_v1 import Stage


def place(vp_id: str, session_id: str) -> int:
    """The session's place among a hundred, from 0 to 99: the same in every process, another one for every lane."""
    # Names may hold half a surrogate pair; such a session has a place too.
    named = f"{vp_id}\n{session_id}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(named).digest()[:8], "big") % 100


def percent(stage: Stage, routing: Mapping[str, Any]) -> int:
    """How many of a hundred sessions the stage reaches, by a lane's `routing`; the defaults are the contract's."""
    match stage:
        case Stage.limited_cohort:
            return int(routing.get("cohort_percent", 10))
        case Stage.broadened:
            return int(routing.get("broadened_percent", 50))
        case Stage.default_on:
            return 100
    return 0
