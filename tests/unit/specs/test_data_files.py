"""The values that stand beside a schema: they keep their contract, and the rest of the system keeps to them."""

import inspect
from typing import Any

import pytest

from dragancorp import rules
from dragancorp.executors import artifacts
from dragancorp.lanes.output_lines import OutputLines
from dragancorp.rollout.statistics import upper_bound
from dragancorp_contracts import resources

POLICY = resources.read_document("rollout-policy", file="rollout-policy.json")
PROTOCOL = resources.read_document("lane-process", file="lane-process.json")


def _choices(contract: str, *path: str) -> list[Any]:
    node: Any = resources.read_document(contract)
    for part in path:
        node = node[part]
    return list(node["enum"])


@pytest.mark.parametrize(("name", "document"), [("rollout-policy", POLICY), ("lane-process", PROTOCOL)])
def test_the_values_keep_their_contract(name: str, document: Any) -> None:
    assert rules.violations(name, document) == []


def test_the_gates_are_those_of_the_design() -> None:
    gates = [(edge["from"], edge["to"], edge["min_missions"], edge["max_bound"]) for edge in POLICY["edges"]]
    assert gates == [
        ("shadow", "limited_cohort", 14, 0.20),
        ("limited_cohort", "broadened", 20, 0.15),
        ("broadened", "default_on", 29, 0.10),
    ]
    assert [edge.get("max_rate") for edge in POLICY["edges"]] == [None, None, 0.05]
    assert {(edge["p95_watch_seconds"], edge["p95_critical_seconds"]) for edge in POLICY["edges"]} == {(45, 90)}
    sustained = POLICY["sustained"]
    assert (sustained["mission_limit"], sustained["event_limit"]) == (60, 180)
    assert (sustained["rate_watch"], sustained["rate_critical"]) == (0.05, 0.20)
    assert (POLICY["alarm"]["window_missions"], POLICY["alarm"]["rate_above"]) == (20, 0.10)


def test_a_gate_opens_with_the_least_missions_and_no_fallback_and_not_with_one() -> None:
    for edge in POLICY["edges"]:
        assert upper_bound(0, edge["min_missions"], POLICY["confidence"]) < edge["max_bound"]
        assert upper_bound(1, edge["min_missions"], POLICY["confidence"]) >= edge["max_bound"]


def test_only_real_traffic_counts_above_shadow() -> None:
    assert all(edge["traffic"] == ["real"] for edge in POLICY["edges"] if edge["from"] != "shadow")


def test_every_decision_and_condition_stands_in_the_table() -> None:
    rows = POLICY["decisions"]
    assert {row["decision"] for row in rows} == set(_choices("rollout-policy", "$defs", "decision"))
    assert {row["action"] for row in rows} == set(_choices("rollout-policy", "$defs", "action"))
    assert {row["condition"] for row in rows} == {condition["name"] for condition in POLICY["conditions"]}


def test_what_cannot_be_read_never_promotes() -> None:
    blind = {"unauthorised", "pipeline_mismatch", "evidence_stale", "no_traffic", "override_in_force"}
    assert all(row["action"] != "advance" for row in POLICY["decisions"] if row["condition"] in blind)


def test_within_a_stage_nothing_that_forces_the_fallback_stands_after_what_promotes() -> None:
    for stage in _choices("rollout-policy", "$defs", "stage"):
        actions = [row["action"] for row in POLICY["decisions"] if row["stage"] == stage]
        if {"advance", "force_fallback"} <= set(actions):
            assert max(i for i, one in enumerate(actions) if one == "force_fallback") < actions.index("advance")


def test_every_stage_above_shadow_is_rolled_back_by_itself() -> None:
    forced = {row["stage"] for row in POLICY["decisions"] if row["action"] == "force_fallback"}
    assert forced == {"limited_cohort", "broadened", "default_on"}


def test_the_protocol_of_a_lane_has_the_limits_the_runtime_has() -> None:
    line_limit = inspect.signature(OutputLines).parameters["limit"].default
    assert PROTOCOL["output"]["max_log_line_characters"] == line_limit
    assert PROTOCOL["artifacts"]["max_files"] == artifacts.MOST_FILES
    assert PROTOCOL["artifacts"]["max_bytes"] == artifacts.MOST_BYTES
    api = resources.read_document("ops-api", file="openapi.json")
    dispatch = api["paths"]["/api/v1/missions"]["post"]
    assert PROTOCOL["input"]["max_bytes"] == dispatch["x-dragan-limits"]["body_bytes"]
    grace = resources.read_document("lane")["properties"]["executor"]["properties"]["cancel_grace_seconds"]
    assert PROTOCOL["cancel"]["grace_seconds"] == grace["default"]


def test_the_protocol_speaks_contracts_there_are() -> None:
    for part in ("input", "output"):
        name, version = PROTOCOL[part]["contract"].split("/")
        assert resources.document_path(name, version).is_file()
    names = {one["name"] for one in PROTOCOL["environment"]}
    assert {PROTOCOL["working_directory"], PROTOCOL["artifacts"]["variable"]} <= names


def test_control_requests_and_answers_name_the_same_actions() -> None:
    asked = _choices("conformance-control", "properties", "action")
    assert asked == _choices("conformance-control", "$defs", "answer", "properties", "actions", "items")


def test_kinds_of_traffic_are_those_of_the_envelope() -> None:
    kinds = _choices("mission-envelope", "properties", "traffic")
    assert kinds == _choices("rollout-policy", "properties", "edges", "items", "properties", "traffic", "items")
    assert kinds == _choices("rollout-evidence", "properties", "window", "properties", "traffic", "items")
