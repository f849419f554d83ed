"""What is known from outside: what callers were told, what was seen of leases and missions, and what was done to whom.

Times are seconds of one monotonic clock (CLOCK_MONOTONIC in a real campaign), whatever the wall clocks do.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """A caller was told that its request is mission `mission_id`."""

    at: float
    key: str
    mission_id: str


@dataclass(frozen=True, kw_only=True)
class CancelTaken:
    """A caller was told that a mission is cancelled, or will be."""

    at: float
    mission_id: str


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A mission was seen to have ended."""

    at: float
    mission_id: str
    state: str
    last_sequence: int
    last_digest: str


@dataclass(frozen=True, kw_only=True)
class LeaseSeen:
    """A lane's lease as it was first seen like this, at `at`; at `before` it had still looked otherwise."""

    before: float
    at: float
    vp_id: str
    owner: str | None
    epoch: int
    beat: int

    @property
    def pid(self) -> int | None:
        """The process of the owner, whose name ends with it."""
        return None if self.owner is None else int(self.owner.rpartition("@")[2])


@dataclass(frozen=True, kw_only=True)
class Disturbance:
    """Something that was done to a process, or to the database (`pid` None), from `at` until `until`.

    Of a process that was killed `until` is when its successor was ready; None: never.
    """

    at: float
    until: float | None
    kind: str
    target: str
    pid: int | None = None

    @property
    def fatal(self) -> bool:
        """Whether the process is dead after it."""
        return self.kind in ("kill", "died")


@dataclass(kw_only=True)
class Journal:
    """All of it, in order of time. `planes` are the processes with a reconciler, by name, with when each was ready."""

    asked: set[str] = field(default_factory=set)
    accepted: list[Accepted] = field(default_factory=list)
    cancels: list[CancelTaken] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)
    leases: dict[str, list[LeaseSeen]] = field(default_factory=dict)
    disturbances: list[Disturbance] = field(default_factory=list)
    planes: frozenset[str] = frozenset()
    lags: list[tuple[float, float]] = field(default_factory=list)
    """(when, how much later than meant) the observer itself came to look: what a busy machine costs anybody."""

    def lag_within(self, since: float, until: float) -> float:
        """By how much the machine held up the observer between two moments, all told."""
        return sum(late for at, late in self.lags if since <= at <= until + late)
