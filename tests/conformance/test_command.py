"""The command: exit codes, gaps, and what it says when it cannot run."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dragancorp_conformance.command import WrongUsage

from .broken.missions import OldestFirst
from .minimal_server.server import FULL_TOKEN, LANE
from .serving import served

Asked = Callable[..., tuple[int, dict[str, Any]]]
WAYS = {"dragan": ["-m", "dragancorp.cli", "conformance", "run"], "module": ["-m", "dragancorp_conformance"]}


@pytest.fixture(params=WAYS, ids=str)
def way(request: pytest.FixtureRequest) -> list[str]:
    return [sys.executable, *WAYS[request.param]]


def ran(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=100, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def test_it_exits_0_when_the_server_conforms_and_writes_the_report(
    minimal: str, way: list[str], tmp_path: Path
) -> None:
    only = ["--only", "CAN-1", "--only", "HLT-1"]
    done = ran(*way, "--url", minimal, "--token", FULL_TOKEN, *only, "--json", "r.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "conforms"
    assert json.loads((tmp_path / "r.json").read_text())["conformant"] is True


def test_it_exits_1_when_it_does_not_and_says_how_to_see_it_again(way: list[str], tmp_path: Path) -> None:
    with served(OldestFirst()) as url:
        done = ran(*way, "--url", url, "--token", FULL_TOKEN, "--only", "PAG-2", cwd=tmp_path)
    assert done.returncode == 1
    assert "FAILED       PAG-2" in done.stderr
    assert "again: dragan conformance run --url" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--token", "wrong"], "does not know the token"),
        (["--token", FULL_TOKEN, "--only", "XYZ-1"], "no requirement XYZ-1"),
        (["--token", FULL_TOKEN, "--mission", "none.json"], "none.json"),
        (["--token", FULL_TOKEN, "--gaps", "none.gaps"], "none.gaps"),
        (["--token", FULL_TOKEN, "--lane", "vp.no.such", "--only", "CAN-1"], "takes none of the usual missions"),
        (["--token", FULL_TOKEN, "--operation", "fly", "--only", "GEN-1"], "no operation fly"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_it_exits_2_when_it_is_used_wrongly(
    minimal: str, way: list[str], tmp_path: Path, words: list[str], said: str
) -> None:
    done = ran(*way, "--url", minimal, *words, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr


def test_it_exits_3_when_nobody_answers(way: list[str], tmp_path: Path) -> None:
    done = ran(*way, "--url", "http://127.0.0.1:9", "--token", "x", cwd=tmp_path)
    assert done.returncode == 3
    assert "does not answer" in done.stderr


def test_a_declared_gap_is_named_with_its_reason_and_does_not_fail_the_run(asked: Asked, tmp_path: Path) -> None:
    gaps = tmp_path / "gaps"
    gaps.write_text("# what we know\nPAG-2 the store has no order yet  # soon\n")
    with served(OldestFirst()) as url:
        exit_code, report = asked(url, "PAG-2", gaps=gaps)
    [result] = report["results"]
    assert (exit_code, result["outcome"], result["reason"]) == (0, "not_implemented", "the store has no order yet")


def test_a_declared_gap_that_passes_fails_the_run(minimal: str, asked: Asked, tmp_path: Path) -> None:
    gaps = tmp_path / "gaps"
    gaps.write_text("PAG-2 the store has no order yet\n")
    exit_code, report = asked(minimal, "PAG-2", gaps=gaps)
    [result] = report["results"]
    assert (exit_code, result["outcome"], result["declared"]) == (1, "failed", True)
    assert "take it off the list" in result["failures"][0]["why"]


@pytest.mark.parametrize("line", ["PAG-2", "PAG-99 because", "pages are hard"])
def test_a_gap_needs_an_id_and_a_reason(minimal: str, asked: Asked, tmp_path: Path, line: str) -> None:
    gaps = tmp_path / "gaps"
    gaps.write_text(f"{line}\n")
    with pytest.raises(WrongUsage, match="line 1"):
        asked(minimal, "PAG-2", gaps=gaps)


def test_a_mission_of_ones_own_is_varied_and_not_changed(minimal: str, asked: Asked, tmp_path: Path) -> None:
    mission = {
        "vp_id": LANE,
        "mission_type": "research",
        "objective": "Find out why.",
        "idempotency_key": "fixed",
        "success_criteria": ["a reason"],
    }
    path = tmp_path / "mission.json"
    path.write_text(json.dumps(mission))
    exit_code, report = asked(minimal, "MIS-2", "MIS-4", "IDM-1", mission=path, lane=None)
    assert (exit_code, report["totals"]["passed"]) == (0, 3)


def test_a_must_that_was_not_covered_stands_in_the_way(minimal: str, asked: Asked) -> None:
    exit_code, report = asked(minimal, "AUT-5", limited_token=None)
    [result] = report["results"]
    assert (exit_code, result["outcome"]) == (1, "not_covered")
    assert "--limited-token" in result["reason"]
