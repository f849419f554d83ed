"""The rules beyond the schemas, as the runtime uses them."""

import pytest

from dragancorp import rules
from dragancorp.errors import DraganError, ErrorCode

ENVELOPE = {
    "vp_id": "vp.coder.primary",
    "mission_type": "coding",
    "objective": "Make the parser accept empty files.",
    "idempotency_key": "simone-1",
}


def test_a_valid_document_is_handed_back_as_it_is() -> None:
    assert rules.checked("mission-envelope", ENVELOPE) is ENVELOPE


def test_every_broken_rule_is_reported_at_once() -> None:
    broken = {
        **ENVELOPE,
        "mission_id": "m-1",
        "parent_mission_id": "m-1",
        "created_at": "2026-11-22T09:30:00Z",
        "deadline_at": "2026-11-22T09:30:00+01:00",
    }
    with pytest.raises(DraganError) as caught:
        rules.checked("mission-envelope", broken)
    assert caught.value.code is ErrorCode.DOCUMENT_INVALID
    assert [(one.rule, one.pointer) for one in caught.value.violations] == [
        ("ENV-2", "/deadline_at"),
        ("ENV-4", "/parent_mission_id"),
    ]
    assert "ENV-2" in caught.value.detail
    assert "1 more" in caught.value.detail


def test_a_document_that_breaks_the_schema_is_asked_nothing_further() -> None:
    broken = {**ENVELOPE, "mission_id": "m-1", "parent_mission_id": "m-1", "objective": 5}
    assert [one.rule for one in rules.violations("mission-envelope", broken)] == [
        "mission-envelope/v1#/properties/objective/type"
    ]


@pytest.mark.parametrize("document", [None, [], "text", 5, True, {}])
def test_anything_at_all_can_be_judged(document: object) -> None:
    for name in rules.RULES:
        assert rules.violations(name, document)


def test_a_value_that_json_cannot_hold_is_a_violation() -> None:
    assert rules.violations("mission-envelope", {**ENVELOPE, "extensions": {1, 2}})


def test_an_unknown_contract_is_told_from_a_broken_document() -> None:
    with pytest.raises(KeyError, match="there are: agent-skill-overlay, automation-mission"):
        rules.violations("mission-envelop", ENVELOPE)


def test_a_time_at_the_edge_of_what_the_schema_takes_can_be_compared() -> None:
    window = {"start_at": "1000-01-01T00:00:00+23:59", "end_at": "2999-12-31T23:59:59.999999-23:59"}
    assert rules.violations("mission-envelope", {**ENVELOPE, "autonomy_window": window}) == []


def test_a_lane_inside_a_file_is_judged_by_its_own_rules_where_it_stands() -> None:
    lanes = [
        {"vp_id": "vp.coder.primary", "executor": {"type": "automation"}, "parallel_missions": 2},
        {"vp_id": "vp.coder.primary", "executor": {"type": "automation"}, "lease_ttl": 9, "heartbeat_interval": 4},
    ]
    found = {(one.rule, one.pointer) for one in rules.violations("lanes-file", {"lanes": lanes})}
    assert found == {
        ("LAN-2", "/lanes/1/vp_id"),
        ("LAN-5", "/lanes/0/parallel_missions"),
        ("LAN-1", "/lanes/1/heartbeat_interval"),
    }


def test_the_default_lease_counts_when_none_is_given() -> None:
    lane = {"vp_id": "vp.coder.primary", "executor": {"type": "automation"}}
    assert rules.violations("lane", {**lane, "heartbeat_interval": 100}) == []
    assert [one.rule for one in rules.violations("lane", {**lane, "heartbeat_interval": 100.001})] == ["LAN-1"]
