"""The second implementation: level core, from the contracts alone."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dragancorp_contracts import judge

from .conftest import PATIENT
from .minimal_server.server import Minimal
from .serving import served

Asked = Callable[..., tuple[int, dict[str, Any]]]


@pytest.mark.timeout(300)
def test_the_minimal_server_conforms_at_level_core(minimal: str, asked: Asked, core_ids: tuple[str, ...]) -> None:
    exit_code, report = asked(minimal, *core_ids, pace=PATIENT)
    wrong = {one["requirement_id"]: one for one in report["results"] if one["outcome"] in ("failed", "not_covered")}
    assert wrong == {}
    assert exit_code == 0
    assert judge.violations("conformance-report", report) == []


@pytest.mark.timeout(600)
@pytest.mark.parametrize("requirement", ["GEN-1", "GEN-2", "GEN-3"])
def test_the_minimal_server_answers_what_is_drawn(minimal: str, asked: Asked, requirement: str) -> None:
    exit_code, report = asked(minimal, requirement, pace=replace(PATIENT, examples=6))  # the reference gets many
    [result] = report["results"]
    assert (exit_code, result.get("failures")) == (0, None)


class Lacking(Minimal):
    planned = ("list_mission_artifacts",)


def test_what_is_lacking_is_named_with_the_reason(asked: Asked) -> None:
    with served(Lacking()) as url:
        _, report = asked(url, "OPS-1", "OPS-14")
    dispatch, artifacts = report["results"]
    assert dispatch["outcome"] == "passed"
    assert (artifacts["outcome"], artifacts["declared"]) == ("not_implemented", True)
    assert "planned" in artifacts["reason"]


def test_it_imports_nothing_of_the_runtime() -> None:
    root = Path(__file__).parents[2]
    code = (
        "import sys, tests.conformance.minimal_server.server\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('dragancorp', 'litestar', 'sqlmodel')])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
