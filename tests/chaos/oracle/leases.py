"""How long a lane may be held by the dead, and that the living keep theirs, by an observer's monotonic clock."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from dragancorp.missions.reconciler import TICK_SECONDS

from ..evidence import Evidence, LaneRecord
from ..journal import Disturbance, Journal, LeaseSeen
from . import Found, Invariant

# What reading, deciding and writing may take on a machine with other work, beyond what the observer was held up itself.
SLACK_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """A lane whose holder was killed or stopped at `at`, and when (None: never) the lane was free of it again."""

    vp_id: str
    disturbance: Disturbance
    at: float
    over_at: float | None
    allowed: float  # seconds from `at`

    @property
    def seconds(self) -> float | None:
        """How long it took."""
        return None if self.over_at is None else self.over_at - self.at


def recoveries(evidence: Evidence) -> Iterator[Recovery]:
    """Every time that a holder was killed or stopped, with the time that was allowed until the lane was free."""
    for vp_id, lane in evidence.lanes.items():
        seen = evidence.journal.leases.get(vp_id, [])
        for disturbance in evidence.journal.disturbances:
            held = _before(seen, disturbance.at)
            if disturbance.pid is not None and held is not None and held.pid == disturbance.pid:
                yield _recovery(evidence.journal, lane, seen, held, disturbance)


def _before(seen: list[LeaseSeen], moment: float) -> LeaseSeen | None:
    earlier = [one for one in seen if one.at <= moment]
    return earlier[-1] if earlier else None


def _recovery(
    journal: Journal, lane: LaneRecord, seen: list[LeaseSeen], held: LeaseSeen, disturbance: Disturbance
) -> Recovery:
    at = disturbance.at
    # A beat may have been on its way; from the next change on it is somebody else, nobody, or the holder come back.
    gone_at = at + SLACK_SECONDS if disturbance.fatal else disturbance.until or at
    after = [one for one in seen if one.at > at and (one.epoch != held.epoch or one.at > gone_at)]
    over_at = after[0].at if after else None
    left = max(0.0, lane.ttl - (at - held.at))
    undisturbed = _watching_since(journal, at, over_at)
    lag = journal.lag_within(at, at + 3 * lane.ttl if over_at is None else over_at)
    allowed = max(left, undisturbed - at) + lane.ttl + TICK_SECONDS + SLACK_SECONDS + lag
    return Recovery(vp_id=lane.row["vp_id"], disturbance=disturbance, at=at, over_at=over_at, allowed=allowed)


def _watching_since(journal: Journal, at: float, until: float | None) -> float:
    """Since when some plane has watched without a break: one that was away begins anew."""
    last = dict.fromkeys(journal.planes, at)
    for one in journal.disturbances:
        if (until is None or one.at <= until) and (one.until is None or one.until >= at):
            for name in journal.planes if one.pid is None else {one.target} & journal.planes:
                last[name] = max(last[name], float("inf") if one.until is None else one.until)
    return min(last.values(), default=at)


def _recovery_in_time(evidence: Evidence) -> Found:
    for recovery in recoveries(evidence):
        what = f"{recovery.disturbance.kind} of {recovery.disturbance.target}"
        if recovery.allowed == float("inf"):
            continue  # nobody was there to notice until the end
        if recovery.seconds is None:
            yield recovery.vp_id, f"{what}: the lane was never freed of it"
        elif recovery.seconds > recovery.allowed:
            yield recovery.vp_id, f"{what}: freed after {recovery.seconds:.1f} s, allowed were {recovery.allowed:.1f} s"


def _live_lease_kept(evidence: Evidence) -> Found:
    dead = {one.pid: one.at for one in evidence.journal.disturbances if one.fatal}
    for vp_id, lane in evidence.lanes.items():
        lost = {event["lease_epoch"] for event in lane.events if event["detail"].get("reason") == "lease_lost"}
        seen = evidence.journal.leases.get(vp_id, [])
        for held, after in pairwise(seen):
            ended = held.owner is not None and after.epoch > held.epoch and held.epoch + 1 in lost
            if not ended or held.pid in dead:  # of a dead one, who knows that it is dead need not wait
                continue
            silent = after.at - held.before  # at most: the beat was later than `before`, the loss earlier than `at`
            if silent < lane.ttl:
                yield (
                    vp_id,
                    f"{held.owner} lost its lease {silent:.1f} s after a heartbeat; its TTL is {lane.ttl:.1f} s",
                )


INVARIANTS = (
    Invariant(
        name="recovery-in-time",
        sentence="A lane is free of a dead holder within the time left on its lease plus one TTL and a tick.",
        check=_recovery_in_time,
    ),
    Invariant(
        name="live-lease-kept",
        sentence="A living holder keeps its lease for a whole TTL after each heartbeat, whatever wall clocks do.",
        check=_live_lease_kept,
    ),
)
