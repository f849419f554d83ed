"""What a stage is judged by, in numbers (`numbers` of `specs/rollout-evidence`), and what they prove."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dragancorp.lifecycle.rows import MissionRow
from dragancorp.registry.rollouts import Observed
from dragancorp.rollout.snapshot import delegated_share
from dragancorp.rollout.statistics import lower_bound, nearest_rank, upper_bound
from dragancorp_contracts.lifecycle import MissionState, ReasonCode

NOT_THE_LANE = frozenset(
    {
        ReasonCode.APPROVAL_DENIED,
        ReasonCode.APPROVAL_EXPIRED,
        ReasonCode.BUDGET_DENIED,
        ReasonCode.CALLER_GONE,
        ReasonCode.PARENT_ENDED,
        ReasonCode.STAGE_LEFT_SHADOW,
    }
)
"""Ends that say nothing of the lane: people decided them."""


def numbers(observed: Observed, confidence: float, mission_limit: int | None = None) -> dict[str, Any]:
    """The numbers of what was observed, of the newest missions that count; rates None where nothing can be divided."""
    counted = [row for row in observed.missions if counts(row)][:mission_limit]
    missed = sum(not kept(row) for row in counted)
    latencies = [
        (row.finished_at - row.created_at).total_seconds()
        for row in counted
        if row.state is MissionState.COMPLETED and row.finished_at is not None
    ]
    return {
        "missions_considered": len(counted),
        "missions_with_fallback": missed,
        "fallback_rate": missed / len(counted) if counted else None,
        "upper_bound": upper_bound(missed, len(counted), confidence),
        "lower_bound": lower_bound(missed, len(counted), confidence),
        "p95_seconds": nearest_rank([max(0.0, seconds) for seconds in latencies], 0.95),
        "consecutive_lane_failures": _run_of_misses(counted),
        "continuity_breaks": continuity_breaks(observed.session_events),
        "delegated_share": delegated_share(observed.turns),
    }


NOTHING_READ: Mapping[str, Any] = {
    "missions_considered": None,
    "missions_with_fallback": None,
    "fallback_rate": None,
    "upper_bound": None,
    "lower_bound": None,
    "p95_seconds": None,
    "consecutive_lane_failures": None,
    "continuity_breaks": None,
    "delegated_share": None,
}
"""The numbers where none could be read."""


def counts(row: MissionRow) -> bool:
    """Whether a finished mission says anything of its lane: not when its caller or an operator ended it."""
    return row.state is not MissionState.CANCELLED and row.reason_code not in NOT_THE_LANE


def kept(row: MissionRow) -> bool:
    """Whether the lane finished it: nobody took over, and it did not fail or run out of time."""
    return row.state is MissionState.COMPLETED and not row.fallback


def _run_of_misses(newest_first: Sequence[MissionRow]) -> int:
    run = 0
    for row in newest_first:
        if kept(row):
            break
        run += 1
    return run


def continuity_breaks(session_events: Iterable[Mapping[str, Any]]) -> int:
    """How often the session or the workspace changed and no `vp.session.recovered` or reset says so.

    The ledger is read oldest first; its first entry is what later ones are compared with.
    """
    breaks, workspace, continuity = 0, None, None
    for event in session_events:
        detail = event.get("detail", {})
        accounted = event["type"] in ("vp.session.recovered", "vp.session.reset", "vp.session.created")
        accounted = accounted or event.get("status") == "degraded"  # the recovery that follows says so
        moved = workspace is not None and detail.get("workspace", workspace) != workspace
        another = continuity is not None and detail.get("continuity_id", continuity) != continuity
        declared = detail.get("outcome") == "replaced"
        on_record = declared and event.get("status") == "paused"  # drained: it takes no work on it unseen
        if not accounted and (moved or ((another or declared) and not on_record)):
            breaks += 1
        workspace = detail.get("workspace", workspace)
        continuity = detail.get("continuity_id", continuity)
    return breaks


def statement(found: Mapping[str, Any], confidence: float) -> str:
    """What a sample proves and what it cannot, in one sentence a sceptic can check."""
    trials, missed = found["missions_considered"], found["missions_with_fallback"]
    if trials is None:
        return "nothing could be read, so nothing is proven"
    if trials == 0:
        return "no mission counts yet, so nothing is proven"
    at_most = f"below {found['upper_bound']:.1%}" if missed < trials else "no upper limit"
    at_least = f"above {found['lower_bound']:.1%}" if missed else "no least rate"
    return (
        f"{missed} of {trials} proves of the true fallback rate: {at_most}; {at_least} ({confidence:.0%} sure of each)"
    )
