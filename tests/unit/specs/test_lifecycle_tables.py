"""`lifecycle.json` and `errors.json`: they keep their contracts, and the other contracts name what they declare."""

from typing import Any

import pytest

from dragancorp import rules
from dragancorp_contracts import resources

TABLES = resources.read_document("lifecycle", file="lifecycle.json")
CATALOGUE = resources.read_document("errors", file="errors.json")
MACHINES = ("mission", "session")


def _enum(contract: str, pointer: str) -> list[str]:
    node: Any = resources.read_document(contract)
    for part in pointer.split("/")[1:]:
        node = node[part]
    return list(node["enum"])


def _names(rows: list[dict[str, Any]], member: str = "name") -> list[str]:
    return [row[member] for row in rows]


def _named_by_steps(member: str, machine: str) -> set[str]:
    return {name for step in TABLES["transitions"] if step["machine"] == machine for name in step[member]}


def test_the_life_cycles_keep_their_contract() -> None:
    assert rules.violations("lifecycle", TABLES) == []


def test_the_error_catalogue_keeps_its_contract() -> None:
    assert rules.violations("errors#/$defs/catalogue", CATALOGUE) == []


@pytest.mark.parametrize(
    ("name", "pointer"),
    [
        ("mission-event", "/properties/reason_code"),
        ("mission-event", "/properties/cause"),
        ("mission-event", "/$defs/fallback/properties/reason"),
        ("vp-session-registry", "/$defs/mission_record/properties/reason_code"),
        ("vp-session-registry", "/$defs/mission_record/properties/cause"),
        ("gateway-turn", "/properties/reason_code"),
    ],
)
def test_every_list_of_reasons_is_that_of_the_life_cycles(name: str, pointer: str) -> None:
    assert _enum(name, pointer) == _names(TABLES["reasons"], "code")


def test_events_and_records_name_the_declared_states() -> None:
    mission, session = (_names(TABLES["states"][machine]) for machine in MACHINES)
    assert _enum("mission-event", "/properties/status") == mission
    assert _enum("vp-session-registry", "/$defs/mission_record/properties/state") == mission
    assert _enum("vp-session-registry", "/$defs/session_record/properties/status") == session
    assert _enum("vp-session-registry", "/$defs/session_event/properties/status") == session


def test_ledgers_name_the_declared_events() -> None:
    events = {machine: [one["name"] for one in TABLES["events"] if one["machine"] == machine] for machine in MACHINES}
    assert _enum("mission-event", "/properties/type") == events["mission"]
    assert _enum("vp-session-registry", "/$defs/session_event/properties/type") == events["session"]
    for machine in MACHINES:
        assert all(name.startswith(f"vp.{machine}.") for name in events[machine])


def test_actors_kinds_and_holders_are_the_declared_ones() -> None:
    assert _enum("mission-event", "/$defs/actor/properties/kind") == _names(TABLES["actors"])
    assert _enum("vp-session-registry", "/$defs/mission_record/properties/kind") == _names(TABLES["kinds"])
    assert _enum("vp-session-registry", "/$defs/mission_record/properties/holder") == _names(TABLES["holders"])


def test_a_problem_names_the_codes_of_the_catalogue() -> None:
    assert _enum("errors", "/properties/code") == _names(CATALOGUE["errors"], "code")


@pytest.mark.parametrize("machine", MACHINES)
def test_nothing_is_declared_in_vain(machine: str) -> None:
    triggers = _names(TABLES["triggers"][machine])
    guards = [guard["name"] for guard in TABLES["guards"] if guard["machine"] == machine]
    steps = [step for step in TABLES["transitions"] if step["machine"] == machine]
    assert set(triggers) == _named_by_steps("triggers", machine)
    assert set(guards) == _named_by_steps("when", machine) | _named_by_steps("guards", machine)
    declared = {event["name"] for event in TABLES["events"] if event["machine"] == machine}
    # These two are told apart by what the command brings: an artifact in a report, a budget in an approval.
    by_content = {"vp.mission.artifact", "vp.mission.budget_changed"} if machine == "mission" else set()
    assert declared == {step["event"] for step in steps if step["event"]} | by_content


@pytest.mark.parametrize("machine", MACHINES)
def test_every_state_is_reached_and_every_open_one_is_left(machine: str) -> None:
    steps = [step for step in TABLES["transitions"] if step["machine"] == machine]
    reached: set[str] = {step["to"] for step in steps if not step["from"]}
    for _ in TABLES["states"][machine]:
        reached |= {step["to"] for step in steps if step["to"] and reached & set(step["from"])}
    assert reached == set(_names(TABLES["states"][machine]))
    for state in TABLES["states"][machine]:
        leaves = any(state["name"] in step["from"] and step["to"] not in {None, state["name"]} for step in steps)
        assert leaves is not state["terminal"]


@pytest.mark.parametrize("machine", MACHINES)
def test_a_guard_that_refuses_says_with_which_code(machine: str) -> None:
    refusal = {guard["name"]: guard["refusal"] for guard in TABLES["guards"] if guard["machine"] == machine}
    assert all(refusal[name] is not None for name in _named_by_steps("guards", machine))


def test_cancel_comes_before_time_before_recovery_before_all_others() -> None:
    precedence = {"C": 0, "T": 1, "R": 2}
    order = [precedence.get(step["id"][0], 3) for step in TABLES["transitions"] if step["machine"] == "mission"]
    assert order == sorted(order)


def test_only_these_reasons_let_the_primary_path_take_over() -> None:
    assert {reason["code"] for reason in TABLES["reasons"] if reason["fallback"]} == {
        "executor_error",
        "executor_crashed",
        "idle_timeout",
        "lease_lost",
        "start_timeout",
        "session_unresumable",
        "lane_draining",
    }


def test_a_final_event_is_left_by_every_step_into_a_terminal_state() -> None:
    terminal = {state["name"] for state in TABLES["states"]["mission"] if state["terminal"]}
    for step in TABLES["transitions"]:
        if step["machine"] == "mission" and step["event"]:
            final = step["event"].removeprefix("vp.mission.") in terminal
            assert final is (step["to"] in terminal), step["id"]
            assert not final or step["event"] == f"vp.mission.{step['to']}", step["id"]
