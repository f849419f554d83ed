"""What is examined: where it answers, what to show it, and which missions it takes."""

import copy
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

LEVELS = ("core", "ops", "gateway")
WAITING_DAYS = 300


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How much patience and how much weight the suite brings. Seconds and bytes."""

    answer_seconds: float = 10.0
    """After this long without an answer a request hangs."""
    slow_seconds: float = 3.0
    """How long a slow body trickles."""
    wait_seconds: float = 1.5
    """How long a long poll waits for nothing."""
    end_seconds: float = 60.0
    """How long a mission whose deadline has passed may take to be ended."""
    big_bytes: int = 100 * 1024 * 1024
    """The largest body that is sent."""
    crowd: int = 40
    """How many callers race, and how many connections are held open."""
    examples: int = 120
    """How many random cases an operation gets from each kind of generation."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """An implementation under examination.

    `mission` is an envelope that it accepts; `envelope` varies it. `token` has every scope but `lanes:run`,
    `limited_token` only `missions:read`; `full_lane` is a lane that takes no mission because its queue is full.
    """

    url: str
    token: str
    lane: str
    mission: Mapping[str, Any]
    limited_token: str | None = None
    full_lane: str | None = None
    level: str = "core"
    operations: frozenset[str] | None = None
    """The operations for which requests are generated; None: all that are served."""
    pace: Pace = field(default_factory=Pace)
    seed: int = 0

    @property
    def host(self) -> str:
        """The value of a Host header."""
        return urlsplit(self.url).netloc

    def asks_for(self, level: str) -> bool:
        """Whether what belongs to that level is examined: a level holds those below it."""
        return LEVELS.index(level) <= LEVELS.index(self.level)

    def envelope(self, **members: Any) -> dict[str, Any]:
        """A new mission that waits: a fresh key, and a window that opens long after the run. None drops a member."""
        made = copy.deepcopy(dict(self.mission))
        opens = datetime.now(UTC) + timedelta(days=WAITING_DAYS)
        made |= {"idempotency_key": new_key(), "autonomy_window": {"start_at": moment(opens)}} | members
        return {name: value for name, value in made.items() if value is not None}


def new_key() -> str:
    """A fresh idempotency key."""
    return f"conformance-{secrets.token_hex(12)}"


def moment(at: datetime) -> str:
    """A time as the contracts write it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
