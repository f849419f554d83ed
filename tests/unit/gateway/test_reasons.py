"""Every reason of routing, in the contract's order, from a lane's configuration."""

from itertools import product
from typing import Any

import pytest

from dragancorp import rules
from dragancorp.gateway.cohort import percent, place
from dragancorp.gateway.routing import Route, Router, RoutingReason
from dragancorp.gateway.turns import Turn
from dragancorp.settings import LaneFlags
from dragancorp_contracts import resources
from dragancorp_contracts.models.rollout_policy_v1 import Stage

VP_ID = "vp.coder.primary"
ON = LaneFlags(enabled=True)


def route(flags: LaneFlags = ON, **routing: Any) -> Route:
    return Route(VP_ID, {"vp_id": VP_ID, "aliases": ["CODIE"], "routing": routing}, flags)


def reason(text: str, flags: LaneFlags = ON, unfinished: int = 0, session: str = "s1", **routing: Any) -> str:
    decision = Router([route(flags, **routing)]).decide(Turn(text=text, session_id=session), {VP_ID: unfinished})
    assert rules.violations("gateway-turn#/$defs/routing_decision", decision.as_json()) == []
    return decision.reason.value


def test_the_reasons_are_those_of_the_contract_in_its_order() -> None:
    contract = resources.read_document("gateway-turn")["$defs"]["routing_decision"]["properties"]["reason"]["enum"]
    assert [one.value for one in RoutingReason] == contract


def test_the_stages_and_the_defaults_are_those_of_the_contract() -> None:
    contract = resources.read_document("lane")["properties"]["routing"]["properties"]
    assert [one.value for one in Stage] == contract["initial_stage"]["enum"]
    assert route().rollout.stage == contract["initial_stage"]["default"]
    assert percent(Stage.limited_cohort, {}) == contract["cohort_percent"]["default"]
    assert percent(Stage.broadened, {}) == contract["broadened_percent"]["default"]
    needed = contract["signals_needed"]["default"]
    assert reason("a", signals=["a", "b", "c"]) == "below_threshold"
    assert reason(" ".join("abc"[:needed]), signals=["a", "b", "c"]) == "eligible"


def test_signals_mean_the_lane_only_when_there_are_enough_different_ones() -> None:
    signals = ["bug", "test", "code"]
    assert reason("hello", signals=signals, signals_needed=2) == "intent_not_matched"
    assert reason("a bug, a BUG", signals=signals, signals_needed=2) == "below_threshold"
    assert reason("a bug in the test", signals=signals, signals_needed=2) == "eligible"
    assert reason("a bug in the test", signals=signals, signals_needed=3) == "below_threshold"
    assert reason("CODIE", signals=signals, signals_needed=3) == "eligible"


def test_what_the_system_itself_says_stays_even_where_the_lane_is_meant() -> None:
    assert reason("[scheduled] CODIE, report", internal_markers=["[scheduled]"]) == "internal_system_request"
    assert reason("[scheduled] report", internal_markers=["[scheduled]"]) == "intent_not_matched"
    assert reason("CODIE, report", internal_markers=["[scheduled]"]) == "eligible"


def test_the_first_reason_that_matches_wins_whatever_else_holds() -> None:
    for internal, saturated, stage, inside in product((False, True), (False, True), Stage, (False, True)):
        text = "memory flush CODIE" if internal else "CODIE"
        found = reason(
            text,
            unfinished=5 if saturated else 4,
            internal_markers=["memory flush"],
            saturated_at=5,
            initial_stage=stage.value,
            cohort_percent=100 if inside else 0,
            broadened_percent=100 if inside else 0,
        )
        if stage is Stage.off:
            expected = "feature_disabled"
        elif internal:
            expected = "internal_system_request"
        elif saturated:
            expected = "lane_saturated"
        elif stage is Stage.shadow:
            expected = "shadow_mode"
        elif stage is not Stage.default_on and not inside:
            expected = "outside_cohort"
        else:
            expected = "eligible"
        assert found == expected, (internal, saturated, stage, inside)


def test_the_flags_are_a_ceiling_over_the_stage() -> None:
    for stage in Stage:
        assert reason("CODIE", LaneFlags(enabled=True, force_fallback=True), initial_stage=stage) == "forced_fallback"
        assert reason("CODIE", LaneFlags(enabled=True, disabled=True), initial_stage=stage) == "feature_disabled"
        assert reason("CODIE", LaneFlags(enabled=False), initial_stage=stage) == "feature_disabled"
        capped = reason("CODIE", LaneFlags(enabled=True, shadow_mode=True), initial_stage=stage)
        assert capped == ("feature_disabled" if stage is Stage.off else "shadow_mode")


@pytest.mark.parametrize(("cohort", "broadened"), [(0, 0), (10, 50), (25, 25), (100, 100)])
def test_a_stage_reaches_the_share_of_sessions_that_the_lane_says(cohort: int, broadened: int) -> None:
    sessions = [f"session-{number}" for number in range(2000)]
    reached = {}
    for stage in (Stage.limited_cohort, Stage.broadened, Stage.default_on):
        routing = {"initial_stage": stage, "cohort_percent": cohort, "broadened_percent": broadened}
        reached[stage] = {one for one in sessions if reason("CODIE", session=one, **routing) == "eligible"}
    assert reached[Stage.limited_cohort] <= reached[Stage.broadened] <= reached[Stage.default_on] == set(sessions)
    assert abs(len(reached[Stage.limited_cohort]) / 20 - cohort) < 4
    assert abs(len(reached[Stage.broadened]) / 20 - broadened) < 4


def test_a_session_has_the_same_place_in_every_process_and_another_one_for_another_lane() -> None:
    assert [place("vp.a", f"s{number}") for number in range(6)] == [17, 26, 65, 81, 5, 29]
    assert [place("vp.a", "s1"), place("vp.b", "s1")] == [26, 99]
    assert 0 <= place("vp.a", "\ud800") < 100


def test_only_a_lane_that_the_turn_could_go_to_is_counted_for() -> None:
    counting, other = route(saturated_at=1), Route("vp.other", {"vp_id": "vp.other", "aliases": ["X"]}, ON)
    off = Route("vp.off", {"aliases": ["CODIE"], "routing": {"saturated_at": 1}}, LaneFlags())
    router = Router([counting, other, off])
    assert router.to_count(Turn(text="CODIE and X", session_id="s1")) == [VP_ID]
    assert router.to_count(Turn(text="X", session_id="s1")) == []
    assert router.to_count(Turn(text="CODIE", session_id="s1", source="cron")) == []
