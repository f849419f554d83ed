"""Where a turn goes: the first reason that matches, from configuration and flags alone."""

import json
from itertools import product
from typing import Any

import pytest

from dragancorp.gateway.routing import EXCLUDED_SOURCES, Route, Router, RoutingReason
from dragancorp.gateway.turns import Turn
from dragancorp.settings import LaneFlags
from dragancorp_contracts import resources

ON = LaneFlags(enabled=True)


def route(vp_id: str = "vp.coder.primary", flags: LaneFlags = ON, **lane: Any) -> Route:
    return Route(vp_id, {"vp_id": vp_id, **lane}, flags)


def turn(text: str, source: str = "user") -> Turn:
    return Turn(text=text, session_id="s1", source=source)


@pytest.mark.parametrize(
    ("text", "matched"),
    [
        ("CODIE, fix it", "CODIE"),
        ("codie", "codie"),
        ("ask Codie: why?", "Codie"),
        ("(CODIE)", "CODIE"),
        ("CODIE's work", "CODIE"),
        ("the api is down", "api"),
        ("API.", "API"),
        ("look it up, please", "look it up"),
        ("use C++ for it", "C++"),
        ("Größe in der Straße", "straße"),
    ],
)
def test_a_lane_is_meant_by_name_or_by_a_marker_as_a_whole_word(text: str, matched: str) -> None:
    meant = route(aliases=["CODIE"], markers=["api", "look it up", "C++", "Straße"]).decide(turn(text)).matched
    assert meant is not None
    assert meant.casefold() == matched.casefold()


@pytest.mark.parametrize(
    "text", ["the capital of France", "apis", "api_key", "CODIES", "xCODIE", "2api", "look it  up", "", "therapist"]
)
def test_a_part_of_a_word_means_nobody(text: str) -> None:
    assert route(aliases=["CODIE"], markers=["api", "look it up"]).decide(turn(text)).matched is None


def test_a_lane_without_aliases_and_markers_is_never_meant() -> None:
    assert route().decide(turn("anything at all")).matched is None
    assert route(aliases=[], markers=[]).decide(turn("")).matched is None


def test_the_longest_of_several_words_is_the_one_that_is_named() -> None:
    assert route(markers=["code", "code review"]).decide(turn("a code review")).matched == "code review"


def test_words_are_taken_literally() -> None:
    assert route(markers=["a.c", "(x"]).decide(turn("abc")).matched is None
    assert route(markers=["a.c", "(x"]).decide(turn("an a.c file")).matched == "a.c"
    assert route(markers=["(x"]).decide(turn("f (x")).matched == "(x"


def test_the_first_reason_that_matches_wins_whatever_else_holds() -> None:
    for forced, enabled, disabled, shadow, source, text in product(
        (False, True), (False, True), (False, True), (False, True), ("user", "cron"), ("CODIE", "hello")
    ):
        flags = LaneFlags(enabled=enabled, disabled=disabled, shadow_mode=shadow, force_fallback=forced)
        decision = Router([route(flags=flags, aliases=["CODIE"])]).decide(turn(text, source))
        if forced:
            expected = "forced_fallback"
        elif disabled or not enabled:
            expected = "feature_disabled"
        elif source == "cron":
            expected = "source_excluded"
        elif text != "CODIE":
            expected = "intent_not_matched"
        else:
            expected = "shadow_mode" if shadow else "eligible"
        assert decision.reason == expected
        assert decision.delegate == (expected == "eligible")


def test_only_these_sources_are_excluded() -> None:
    assert {"cron", "heartbeat", "webhook"} == EXCLUDED_SOURCES
    router = Router([route(aliases=["CODIE"])])
    for source in ("user", "slack", "Cron", ""):
        assert router.decide(turn("CODIE", source)).delegate


def test_the_first_lane_that_is_meant_and_on_gets_the_turn() -> None:
    off = LaneFlags(enabled=False)
    router = Router(
        [route("vp.a", off, aliases=["X"]), route("vp.b", aliases=["Y"]), route("vp.c", aliases=["X", "Y"])]
    )
    decision = router.decide(turn("X"))
    assert decision.route is not None
    assert (decision.route.vp_id, decision.matched) == ("vp.c", "X")
    both = router.decide(turn("Y and X")).route
    assert both is not None
    assert both.vp_id == "vp.b"


def test_when_no_lane_gets_it_the_one_that_came_closest_is_told() -> None:
    off = LaneFlags(enabled=False)
    decision = Router([route("vp.a", off, aliases=["X"]), route("vp.b", aliases=["Y"])]).decide(turn("X"))
    assert decision.route is not None
    assert (decision.reason, decision.route.vp_id) == (RoutingReason.INTENT_NOT_MATCHED, "vp.b")
    nobody = Router([]).decide(turn("X"))
    assert (nobody.reason, nobody.route) == (RoutingReason.FEATURE_DISABLED, None)


@pytest.mark.parametrize(
    ("vp_id", "lane", "label"),
    [
        ("vp.coder.primary", {"flag": "CODER_VP"}, "coder_vp"),
        ("vp.coder.primary", {}, "coder_primary"),
        ("vp.a-b.c", {}, "a_b_c"),
    ],
)
def test_the_label_of_a_lane_is_its_flag_or_its_id(vp_id: str, lane: dict[str, str], label: str) -> None:
    assert route(vp_id, **lane).label == label


def test_the_fallback_path_has_the_contracts_default() -> None:
    default = json.loads(json.dumps(resources.read_document("lane")))["properties"]["fallback_path"]["default"]
    assert route().fallback_path == default == "primary"
    assert route(fallback_path="code-writer").fallback_path == "code-writer"
