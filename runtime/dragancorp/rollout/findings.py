"""Which conditions of a policy hold, from numbers and from what is in effect. Pure; the table decides what follows."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dragancorp.lifecycle.rollout import RolloutRow
from dragancorp.rollout.policy import RolloutPolicy
from dragancorp.rules.rollout import ALWAYS
from dragancorp.settings import LaneFlags
from dragancorp_contracts.models.rollout_policy_v1 import Stage


@dataclass(frozen=True, kw_only=True)
class Situation:
    """What is looked at.

    `sustained_numbers` are of the newest missions only, by the policy's `sustained.mission_limit`; `alarm_numbers` by
    `alarm.window_missions`. `age_seconds` is how old the numbers are by the looker's clock, negative: of its future.
    `blind_seconds`: for how long no evidence could be stored.
    """

    policy: RolloutPolicy
    row: RolloutRow
    flags: LaneFlags
    numbers: Mapping[str, Any]
    sustained_numbers: Mapping[str, Any]
    alarm_numbers: Mapping[str, Any]
    age_seconds: float = 0.0
    blind_seconds: float = 0.0
    unauthorised: str | None = None

    @property
    def edge(self) -> Mapping[str, Any] | None:
        """The promotion out of the present stage."""
        return self.policy.edge(self.row.stage)


@dataclass(frozen=True)
class Gate:
    """One thing that a promotion asks for: `passing`, `failing`, or `inconclusive` where nothing can be said."""

    name: str
    state: str
    detail: str

    def as_json(self) -> dict[str, str]:
        """As `RolloutStatus` has it."""
        return {"name": self.name, "state": self.state, "detail": self.detail}


def findings(situation: Situation) -> dict[str, str]:
    """Every declared condition that holds, with the figures behind it; `otherwise`, which always does, is left out."""
    found = {}
    for condition in situation.policy.document["conditions"]:
        name = condition["name"]
        if name == ALWAYS:
            continue
        detail = CONDITIONS[name](situation) if name in CONDITIONS else None
        if detail is not None:
            found[name] = detail
    return found


def decide(policy: RolloutPolicy, stage: Stage, found: Mapping[str, str]) -> tuple[str, str]:
    """Decision and action: of the table's rows for the stage the first whose condition is among the findings."""
    for row in policy.document["decisions"]:
        if row["stage"] == stage.value and (row["condition"] == ALWAYS or row["condition"] in found):
            return str(row["decision"]), str(row["action"])
    raise ValueError(f"the policy decides nothing in stage {stage.value}")  # rule ROL-6 stands before this


def gates(situation: Situation) -> list[Gate]:
    """What the promotion out of the present stage asks for, one by one; empty where there is none."""
    edge, numbers = situation.edge, situation.numbers
    if edge is None:
        return []
    seen, observed = numbers["missions_considered"] or 0, _to_observe(situation)
    return [
        _at_least("missions", seen, edge["min_missions"]),
        *([_at_least("observed since the promotion before", seen, observed)] if observed else []),
        _below("upper bound of the fallback rate", numbers["upper_bound"], edge["max_bound"], "{:.1%}"),
        *(
            [_below("fallback rate", numbers["fallback_rate"], edge["max_rate"], "{:.1%}")]
            if "max_rate" in edge
            else []
        ),
        _below("95th percentile of latency", numbers["p95_seconds"], edge["p95_watch_seconds"], "{:.1f} s"),
    ]


def _to_observe(situation: Situation) -> int:
    led_here = situation.policy.edge_to(situation.row.stage)
    return 0 if led_here is None else int(led_here["observe_missions"])


def _at_least(name: str, found: int, needed: int) -> Gate:
    return Gate(name, "passing" if found >= needed else "inconclusive", f"{found} of {needed} needed")


def _below(name: str, found: float | None, limit: float, form: str) -> Gate:
    if found is None:
        return Gate(name, "inconclusive", f"nothing to judge by; below {form.format(limit)} needed")
    detail = f"{form.format(found)}; below {form.format(limit)} needed"
    return Gate(name, "passing" if found < limit else "failing", detail)


# The conditions: each answers the figures behind it, or None where it does not hold.


def _unauthorised(situation: Situation) -> str | None:
    return situation.unauthorised


def _pipeline_mismatch(situation: Situation) -> str | None:
    flags, stage = situation.flags, situation.row.stage
    if stage is Stage.off or situation.row.forced:
        return None
    if flags.force_fallback:
        return f"the stage is {stage.value}, and the environment forces the fallback"
    if flags.disabled or not flags.enabled:
        return f"the stage is {stage.value}, and the environment does not enable the lane"
    if flags.shadow_mode and stage is not Stage.shadow:
        return f"the stage is {stage.value}, and the environment caps it at shadow"
    return None


def _override_in_force(situation: Situation) -> str | None:
    return "the fallback is forced" if situation.row.forced else None


def _rollback_triggered(situation: Situation) -> str | None:
    if situation.row.stage in (Stage.off, Stage.shadow):
        return None
    return "; ".join(_triggers(situation)) or None


def _triggers(situation: Situation) -> Iterator[str]:
    rollback, numbers = situation.policy.document["rollback"], situation.numbers
    considered, low = numbers["missions_considered"], numbers["lower_bound"]
    enough = considered is not None and considered >= rollback["min_missions"]
    if enough and low is not None and low > rollback["lower_bound_above"]:
        missed, limit = numbers["missions_with_fallback"], rollback["lower_bound_above"]
        yield f"{missed} of {considered} proves a rate above {low:.1%}; above {limit:.1%} ends it"
    run = numbers["consecutive_lane_failures"]
    if run is not None and run >= rollback["consecutive_lane_failures"]:
        yield f"{run} missions in a row that the lane did not finish"
    if rollback["continuity_break"] and numbers["continuity_breaks"]:
        yield f"session or workspace changed {numbers['continuity_breaks']} times and nothing accounts for it"
    cadence = situation.policy.cadence_seconds(situation.row.stage)
    if situation.blind_seconds >= rollback["missed_cadences"] * cadence:
        yield f"no evidence for {situation.blind_seconds:.0f} s, and it is due every {cadence} s"


def _sustained_critical(situation: Situation) -> str | None:
    # One mission of one says little: what forces the fallback needs as many missions as a rollback does.
    if (situation.sustained_numbers["missions_considered"] or 0) < situation.policy.document["rollback"][
        "min_missions"
    ]:
        return None
    return _sustained(situation, "critical")


def _sustained_watch(situation: Situation) -> str | None:
    return _sustained(situation, "watch")


def _sustained(situation: Situation, level: str) -> str | None:
    limits, numbers = situation.policy.document["sustained"], situation.sustained_numbers
    rate, p95 = numbers["fallback_rate"], numbers["p95_seconds"]
    if rate is not None and rate >= limits[f"rate_{level}"]:
        return f"a fallback rate of {rate:.1%}; {level} from {limits[f'rate_{level}']:.1%} on"
    if p95 is not None and p95 >= limits[f"p95_{level}_seconds"]:
        return f"a 95th percentile of {p95:.1f} s; {level} from {limits[f'p95_{level}_seconds']:g} s on"
    return None


def _evidence_stale(situation: Situation) -> str | None:
    if situation.numbers["missions_considered"] is None:
        return "nothing could be read"
    limit = situation.policy.document["stale_after_seconds"]
    if abs(situation.age_seconds) > limit:
        when = "old" if situation.age_seconds > 0 else "in the future"
        return f"the numbers are {abs(situation.age_seconds):.0f} s {when}; at most {limit} s"
    return None


def _no_traffic(situation: Situation) -> str | None:
    return "no mission counts" if not situation.numbers["missions_considered"] else None


def _latency(situation: Situation, level: str) -> str | None:
    edge, p95 = situation.edge, situation.numbers["p95_seconds"]
    if edge is None or p95 is None or p95 < edge[f"p95_{level}_seconds"]:
        return None
    return f"a 95th percentile of {p95:.1f} s; {level} from {edge[f'p95_{level}_seconds']:g} s on"


def _latency_critical(situation: Situation) -> str | None:
    return _latency(situation, "critical")


def _latency_watch(situation: Situation) -> str | None:
    return _latency(situation, "watch")


def _alarm_raised(situation: Situation) -> str | None:
    alarm, numbers = situation.policy.document["alarm"], situation.alarm_numbers
    considered, rate = numbers["missions_considered"], numbers["fallback_rate"]
    if not considered or considered < alarm["window_missions"] or rate <= alarm["rate_above"]:
        return None
    return f"{numbers['missions_with_fallback']} of the last {considered}: a rate above {alarm['rate_above']:.1%}"


def _gate_passed(situation: Situation) -> str | None:
    asked = gates(situation)
    held = situation.row.held or not asked or any(gate.state != "passing" for gate in asked)
    return None if held else "; ".join(f"{gate.name}: {gate.detail}" for gate in asked)


Condition = Callable[[Situation], str | None]
CONDITIONS: Mapping[str, Condition] = {
    "unauthorised": _unauthorised,
    "pipeline_mismatch": _pipeline_mismatch,
    "override_in_force": _override_in_force,
    "rollback_triggered": _rollback_triggered,
    "sustained_critical": _sustained_critical,
    "sustained_watch": _sustained_watch,
    "evidence_stale": _evidence_stale,
    "no_traffic": _no_traffic,
    "latency_critical": _latency_critical,
    "latency_watch": _latency_watch,
    "alarm_raised": _alarm_raised,
    "gate_passed": _gate_passed,
}
"""By the names of the standard policy. A policy may declare fewer; one it declares beside these never holds."""


def known_conditions() -> Sequence[str]:
    """The names that mean something here."""
    return [*CONDITIONS, ALWAYS]
