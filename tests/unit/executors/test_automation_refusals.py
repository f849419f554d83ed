from typing import Any

import pytest

from dragancorp.errors import DraganError, ErrorCode
from dragancorp.executors.automation import AUTOMATION_URI
from dragancorp.executors.catalogue import make_executor
from dragancorp.executors.protocol import Stop

CONFIG = {"type": "automation", "allow": ["git", "python3 -m unittest"]}


def envelope(*commands: list[str], **constraints: list[str]) -> dict[str, Any]:
    return {
        "constraints": constraints,
        "extensions": [
            {"uri": "https://example.org/other", "required": False, "value": {}},
            {"uri": AUTOMATION_URI, "required": True, "value": {"steps": [{"run": run} for run in commands]}},
        ],
    }


def refusals(mission: dict[str, Any]) -> list[tuple[str, str]]:
    return [(unfit.pointer, unfit.text) for unfit in make_executor(CONFIG).refuse(mission)]


def test_it_declares_what_it_cannot_do() -> None:
    capabilities = make_executor(CONFIG).capabilities
    assert capabilities.resume_session
    assert not capabilities.suspend
    assert not capabilities.approvals
    assert not capabilities.usage
    assert capabilities.stop is Stop.KILLED
    assert capabilities.extensions == {AUTOMATION_URI}


def test_commands_on_the_allow_list_are_not_refused() -> None:
    assert refusals(envelope(["git", "apply", "-"], ["python3", "-m", "unittest"])) == []


@pytest.mark.parametrize("mission", [{}, {"extensions": []}, {"extensions": [envelope()["extensions"][0]]}])
def test_a_mission_without_the_extension_is_refused(mission: dict[str, Any]) -> None:
    [(pointer, sentence)] = refusals(mission)
    assert pointer == "/extensions"
    assert AUTOMATION_URI in sentence


def test_a_required_extension_that_it_does_not_know_refuses_the_mission() -> None:
    mission = envelope(["git"])
    mission["extensions"][0]["required"] = True
    [unfit] = make_executor(CONFIG).refuse(mission)
    assert (unfit.pointer, unfit.error) == ("/extensions/0", ErrorCode.EXTENSION_UNSUPPORTED)
    assert "https://example.org/other" in unfit.sentence


def test_every_broken_rule_of_the_value_is_named() -> None:
    mission = envelope(["git"])
    mission["extensions"][1]["value"] = {"steps": [{"run": []}, {"run": ["git"], "kind": "joke"}]}
    found = dict(refusals(mission))
    assert set(found) == {"/extensions/1/value/steps/0/run", "/extensions/1/value/steps/1/kind"}
    assert "automation-mission/v1#" in found["/extensions/1/value/steps/1/kind"]


def test_every_command_outside_the_allow_list_is_named() -> None:
    found = refusals(envelope(["rm", "-r", "/"], ["git", "status"], ["python3", "-c", "1"]))
    assert [pointer for pointer, _ in found] == ["/extensions/1/value/steps/0/run", "/extensions/1/value/steps/2/run"]
    assert "`rm -r /`" in found[0][1]


def test_a_denial_wins_over_the_allow_list_and_over_allowed_tools() -> None:
    [(pointer, sentence)] = refusals(envelope(["git"], allowed_tools=["git"], forbidden_tools=["x", "g*"]))
    assert pointer == "/extensions/1/value/steps/0/run"
    assert "/constraints/forbidden_tools/1" in sentence


def test_allowed_tools_once_given_deny_the_rest() -> None:
    assert refusals(envelope(["git"], allowed_tools=["g?t"])) == []
    assert len(refusals(envelope(["git"], allowed_tools=["python*"]))) == 1
    assert len(refusals(envelope(["git"], allowed_tools=[]))) == 1


def test_an_approval_it_cannot_ask_for_is_refused_but_not_the_one_before_the_start() -> None:
    [(pointer, sentence)] = refusals(envelope(["git"], approval_required=["*", "python*", "gi*"]))
    assert pointer == "/constraints/approval_required/2"
    assert "approval" in sentence
    assert refusals(envelope(["git"], approval_required=["*"])) == []


def test_the_extension_may_stand_only_once() -> None:
    mission = envelope(["git"])
    mission["extensions"].append(mission["extensions"][1])
    assert [pointer for pointer, _ in refusals(mission)] == ["/extensions/2"]


@pytest.mark.parametrize("config", [{"type": "oracle"}, {}, {"type": "automation", "allow": ["sh -c 'oops"]}])
def test_a_configuration_that_makes_no_executor_is_a_clear_error(config: dict[str, Any]) -> None:
    with pytest.raises(DraganError) as caught:
        make_executor(config)
    assert caught.value.code is ErrorCode.LANES_FILE_INVALID
