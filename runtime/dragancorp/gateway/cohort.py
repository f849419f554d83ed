"""Which sessions a lane's rollout reaches: a stable hash, so that a session stays in or out."""

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class Stage(StrEnum):
    """Where a lane stands in its rollout; each reaches at least what the one before it does."""

    OFF = "off"
    SHADOW = "shadow"
    LIMITED_COHORT = "limited_cohort"
    BROADENED = "broadened"
    DEFAULT_ON = "default_on"


def place(vp_id: str, session_id: str) -> int:
    """The session's place among a hundred, from 0 to 99: the same in every process, another one for every lane."""
    # Names may hold half a surrogate pair; such a session has a place too.
    named = f"{vp_id}\n{session_id}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(named).digest()[:8], "big") % 100


def percent(stage: Stage, routing: Mapping[str, Any]) -> int:
    """How many of a hundred sessions the stage reaches, by a lane's `routing`; the defaults are the contract's."""
    match stage:
        case Stage.LIMITED_COHORT:
            return int(routing.get("cohort_percent", 10))
        case Stage.BROADENED:
            return int(routing.get("broadened_percent", 50))
        case Stage.DEFAULT_ON:
            return 100
    return 0
