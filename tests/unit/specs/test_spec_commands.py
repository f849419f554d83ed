"""`dragan spec list` and `dragan spec show`, in processes of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dragancorp import rules
from dragancorp_contracts import resources


def _dragan(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dragancorp.cli", "spec", *arguments],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if not name.startswith("UA_")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_every_contract_is_listed_with_how_it_is_read(tmp_path: Path) -> None:
    done = _dragan(tmp_path, "list", "--json")
    assert done.returncode == 0
    listed = {one["name"]: one for one in json.loads(done.stdout)["contracts"]}
    assert set(listed) == set(resources.names())
    assert listed["mission-envelope"]["reader"] == "strict"
    assert listed["mission-event"]["title"] == "MissionEvent"
    assert listed["callbacks"]["reader"] is None
    assert all(one["description"] for one in listed.values())
    lines = _dragan(tmp_path, "list").stdout.splitlines()
    assert len(lines) == 1 + len(listed)


@pytest.mark.parametrize("name", ["mission-envelope", "errors", "agent-skill-overlay"])
def test_a_contract_is_shown_with_its_rules(tmp_path: Path, name: str) -> None:
    done = _dragan(tmp_path, "show", name)
    assert done.returncode == 0
    assert f"https://dragancorp.dev/specs/{name}/v1/schema.json" in done.stdout
    shown = dict(line.split("\t") for line in done.stdout.splitlines() if "\t" in line)
    for place, group in rules.RULES.items():
        if place.partition("#")[0] == name:
            assert {rule.id: rule.sentence for rule in group}.items() <= shown.items()
    assert rules.ACROSS.get(name, {}).items() <= shown.items()


def test_examples_and_data_are_named(tmp_path: Path) -> None:
    shown = json.loads(_dragan(tmp_path, "show", "rollout-policy", "--version", "v1", "--json").stdout)
    assert shown["data"] == ["rollout-policy.json"]
    assert "minimal" in shown["examples"]["valid"]
    assert "ROL-3-gate-that-never-opens" in shown["examples"]["invalid"]


def test_the_life_cycles_are_shown_as_tables(tmp_path: Path) -> None:
    text = _dragan(tmp_path, "show", "lifecycle").stdout
    tables = resources.read_document("lifecycle", file="lifecycle.json")
    for step in tables["transitions"]:
        assert f"\n{step['id']}\t" in text
    for reason in tables["reasons"]:
        assert f"\n{reason['code']}\t" in text
    assert json.loads(_dragan(tmp_path, "show", "lifecycle", "--json").stdout)["tables"] == tables


@pytest.mark.parametrize("arguments", [["nonsense"], ["../common"], ["lane", "--version", "v99"]])
def test_a_contract_there_is_not_is_refused_with_those_there_are(tmp_path: Path, arguments: list[str]) -> None:
    done = _dragan(tmp_path, "show", *arguments)
    assert done.returncode == 1
    assert "mission-envelope" in done.stderr
    assert "Traceback" not in done.stderr
