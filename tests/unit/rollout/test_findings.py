"""The conditions of the policy, one by one, and the table that they lead to."""

from dataclasses import replace
from typing import Any

import pytest

from dragancorp.lifecycle.rollout import RolloutRow
from dragancorp.rollout.findings import CONDITIONS, Situation, decide, findings, gates
from dragancorp.rollout.numbers import NOTHING_READ, statement
from dragancorp.rollout.policy import standard_policy
from dragancorp.rollout.statistics import lower_bound, upper_bound
from dragancorp.rules.rollout import ALWAYS
from dragancorp.settings import LaneFlags
from dragancorp_contracts.models.rollout_evidence_v1 import Override
from dragancorp_contracts.models.rollout_policy_v1 import Stage

ON = LaneFlags(enabled=True)


def sample(trials: int, missed: int = 0, **members: Any) -> dict[str, Any]:
    """The numbers of so many missions."""
    return {
        **NOTHING_READ,
        "missions_considered": trials,
        "missions_with_fallback": missed,
        "fallback_rate": missed / trials if trials else None,
        "upper_bound": upper_bound(missed, trials),
        "lower_bound": lower_bound(missed, trials),
        "p95_seconds": 1.0 if trials else None,
        "consecutive_lane_failures": 0,
        "continuity_breaks": 0,
    } | members


def situation(stage: Stage, numbers: dict[str, Any], **members: Any) -> Situation:
    rollout = {name: members.pop(name) for name in ("held", "override") if name in members}
    values: dict[str, Any] = {
        "policy": standard_policy(),
        "row": RolloutRow(vp_id="vp.coder.primary", stage=stage, **rollout),
        "flags": ON,
        "numbers": numbers,
        "sustained_numbers": numbers,
        "alarm_numbers": numbers,
    }
    return Situation(**values | members)


def decided(one: Situation) -> tuple[str, str]:
    return decide(one.policy, one.row.stage, findings(one))


def test_every_condition_of_the_standard_policy_has_a_meaning_and_no_other_has() -> None:
    declared = [condition["name"] for condition in standard_policy().document["conditions"]]
    assert sorted(CONDITIONS) == sorted(name for name in declared if name != ALWAYS)


FULL = sample(29)
CASES = [
    (situation(Stage.off, NOTHING_READ, unauthorised="401"), "unauthorised", "BLOCKED_AUTH", "hold"),
    (situation(Stage.off, sample(0)), "no_traffic", "START_SHADOW_WINDOW", "advance"),
    (situation(Stage.shadow, sample(0)), "no_traffic", "HOLD_SHADOW", "hold"),
    (situation(Stage.shadow, sample(13)), None, "HOLD_SHADOW", "hold"),
    (situation(Stage.shadow, sample(14)), "gate_passed", "READY_FOR_LIMITED_COHORT_PILOT", "advance"),
    (situation(Stage.shadow, sample(14, p95_seconds=45.0)), "latency_watch", "HOLD_SHADOW", "hold"),
    (situation(Stage.shadow, NOTHING_READ), "evidence_stale", "INCONCLUSIVE", "hold"),
    (
        situation(Stage.shadow, sample(14), flags=LaneFlags()),
        "pipeline_mismatch",
        "BLOCKED_EXECUTION_PIPELINE",
        "hold",
    ),
    (
        situation(Stage.broadened, FULL, flags=replace(ON, shadow_mode=True)),
        "pipeline_mismatch",
        "BLOCKED_EXECUTION_PIPELINE",
        "hold",
    ),
    (situation(Stage.limited_cohort, sample(20)), "gate_passed", "GO_BROADER_TRAFFIC_ACTIVE", "advance"),
    (situation(Stage.limited_cohort, sample(20), held=True), None, "HOLD_STAGE", "hold"),
    (situation(Stage.limited_cohort, sample(20, 3)), "alarm_raised", "HOLD_STAGE", "hold"),
    (situation(Stage.limited_cohort, sample(20), age_seconds=7201), "evidence_stale", "INCONCLUSIVE", "hold"),
    (situation(Stage.limited_cohort, sample(20), age_seconds=-86400), "evidence_stale", "INCONCLUSIVE", "hold"),
    (situation(Stage.limited_cohort, sample(20, p95_seconds=91.0)), "latency_critical", "HOLD_STAGE", "hold"),
    (
        situation(Stage.limited_cohort, sample(20), override=Override.forced_fallback),
        "override_in_force",
        "HOLD_STAGE",
        "hold",
    ),
    (situation(Stage.broadened, sample(10, 4)), "rollback_triggered", "HOLD_STAGE", "force_fallback"),
    (
        situation(Stage.broadened, sample(5, 5, consecutive_lane_failures=5)),
        "rollback_triggered",
        "HOLD_STAGE",
        "force_fallback",
    ),
    (
        situation(Stage.broadened, sample(5, continuity_breaks=1)),
        "rollback_triggered",
        "HOLD_STAGE",
        "force_fallback",
    ),
    (situation(Stage.broadened, sample(5), blind_seconds=7200), "rollback_triggered", "HOLD_STAGE", "force_fallback"),
    (situation(Stage.broadened, FULL), "gate_passed", "GO_BROADER_TRAFFIC_ACTIVE", "advance"),
    (situation(Stage.default_on, sample(60)), None, "SUSTAINED_DEFAULT_ON_HEALTHY", "none"),
    (situation(Stage.default_on, sample(60, 3)), "sustained_watch", "SUSTAINED_WATCH", "none"),
    (
        situation(Stage.default_on, sample(14, 3)),
        "sustained_critical",
        "SUSTAINED_FORCE_FALLBACK",
        "force_fallback",
    ),
    (situation(Stage.default_on, sample(9, 9)), "sustained_watch", "SUSTAINED_WATCH", "none"),
    (situation(Stage.default_on, sample(0)), "no_traffic", "SUSTAINED_MONITOR_NO_TRAFFIC", "none"),
]


@pytest.mark.parametrize(("one", "condition", "decision", "action"), CASES)
def test_the_table_decides_from_what_holds(one: Situation, condition: str | None, decision: str, action: str) -> None:
    found = findings(one)
    assert condition is None or condition in found
    assert decided(one) == (decision, action)


def test_every_condition_is_seen_to_hold_in_a_case() -> None:
    seen = {condition for _, condition, _, _ in CASES if condition}
    assert seen == set(CONDITIONS)


@pytest.mark.parametrize("stage", [stage for stage in Stage if stage is not Stage.off])
def test_nothing_read_promotes_nothing_in_any_stage(stage: Stage) -> None:
    for numbers in (dict(NOTHING_READ), sample(0)):
        for age in (0.0, 1e9, -1e9):
            assert decided(situation(stage, numbers, age_seconds=age))[1] != "advance"


def test_a_lane_is_observed_for_as_many_missions_as_the_promotion_before_asks() -> None:
    names = {gate.name: gate for gate in gates(situation(Stage.limited_cohort, sample(9)))}
    assert names["observed since the promotion before"].detail == "9 of 10 needed"
    assert not gates(situation(Stage.default_on, sample(9)))


def test_the_sample_says_what_it_proves_and_what_not() -> None:
    proves = "proves of the true fallback rate:"
    assert statement(sample(20), 0.95) == f"0 of 20 {proves} below 13.9%; no least rate (95% sure of each)"
    assert statement(sample(20, 5), 0.95) == f"5 of 20 {proves} below 45.6%; above 10.4% (95% sure of each)"
    assert statement(sample(5, 5), 0.95) == f"5 of 5 {proves} no upper limit; above 54.9% (95% sure of each)"
    assert "nothing is proven" in statement(sample(0), 0.95)
    assert "nothing is proven" in statement(NOTHING_READ, 0.95)
