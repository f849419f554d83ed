"""How failures are said: on stderr, with an exit code that tells who has to act."""

import json
from typing import Any

import pytest
import typer

from dragancorp.cli.problems import Refusal, reported
from dragancorp.errors import CATALOGUE, DraganError, ErrorCode, Violation
from dragancorp_contracts import judge
from dragancorp_contracts.client import AnswerUnreadable, ProblemError, ServerUnreachable


def failing(error: Exception, capsys: pytest.CaptureFixture[str], *, as_json: bool = False) -> tuple[int, str]:
    with pytest.raises(typer.Exit) as caught, reported(as_json):
        raise error
    captured = capsys.readouterr()
    assert captured.out == ""
    return caught.value.exit_code, captured.err


@pytest.mark.parametrize("code", list(CATALOGUE))
def test_every_code_is_a_no_or_an_unfit_environment_with_its_hint(
    code: ErrorCode, capsys: pytest.CaptureFixture[str]
) -> None:
    exit_code, text = failing(DraganError(code, "what happened"), capsys)

    assert exit_code == 4 if code is ErrorCode.GATE_HELD else exit_code in (1, 3)
    assert f"({code.value})" in text
    assert "what happened" in text
    assert f"hint: {CATALOGUE[code].hint}" in text


@pytest.mark.parametrize(
    "error",
    [
        DraganError(ErrorCode.PORT_IN_USE, "x"),
        ServerUnreachable("x"),
        AnswerUnreadable("x"),
        ProblemError(502, {"code": "", "title": "Bad Gateway", "detail": "<html>"}),
        Refusal("x", "y", "z", exit_code=3),
    ],
)
def test_an_unfit_environment_ends_with_three(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    assert failing(error, capsys)[0] == 3


def test_json_of_a_problem_keeps_the_contract(capsys: pytest.CaptureFixture[str]) -> None:
    violation = Violation(pointer="/lanes/0", rule="LAN-1", message="too slow", line=3)
    error = DraganError(ErrorCode.LANES_FILE_INVALID, "x", violations=[violation], facts={"a": 1})

    _, text = failing(error, capsys, as_json=True)

    problem: dict[str, Any] = json.loads(text)
    assert judge.violations("errors", problem) == []
    assert problem["violations"] == [violation.as_json()]


def test_what_a_server_says_never_controls_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "\x1b[2J\u202e"
    violations = [{"pointer": hostile, "rule": hostile, "message": hostile}]
    problem = {"code": hostile, "title": hostile, "detail": hostile, "hint": hostile, "violations": violations}

    for as_json in (False, True):
        _, text = failing(ProblemError(422, problem), capsys, as_json=as_json)
        assert not set(text) & set(hostile) - set("[2J")


def test_a_violation_is_shown_with_line_place_and_rule(capsys: pytest.CaptureFixture[str]) -> None:
    violation = Violation(pointer="/lanes/0", rule="LAN-1", message="too slow", line=3)

    _, text = failing(DraganError(ErrorCode.LANES_FILE_INVALID, "x", violations=[violation]), capsys)

    assert "line 3, /lanes/0: too slow [LAN-1]" in text


def test_a_defect_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError), reported(False):
        raise ZeroDivisionError
