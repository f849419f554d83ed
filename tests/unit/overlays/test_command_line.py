"""`dragan overlay`, in processes of its own."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from dragancorp_contracts import resources

CONTRACTS = {"overlay": "agent-skill-overlay", "base": "base-profile", "caps": "control-plane-caps"}


@dataclass
class Done:
    """How a command ended."""

    exit_code: int
    out: str
    err: str


@dataclass
class Files:
    """The three files of a question."""

    folder: Path

    def write(self, what: str, text: str, suffix: str = ".json") -> None:
        for path in self.folder.glob(f"{what}.*"):
            path.unlink()
        (self.folder / f"{what}{suffix}").write_text(text, encoding="utf-8")

    def ask(self, command: str, *more: str) -> Done:
        names = {what: next(self.folder.glob(f"{what}.*")).name for what in CONTRACTS}
        arguments = [command, names["overlay"], "--base", names["base"], "--caps", names["caps"], *more]
        done = subprocess.run(
            [sys.executable, "-m", "dragancorp.cli", "overlay", *arguments],
            cwd=self.folder,
            env={name: value for name, value in os.environ.items() if not name.startswith("UA_")},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Three documents that fit together, as JSON."""
    files = Files(tmp_path)
    for what, contract in CONTRACTS.items():
        path = resources.specs_root() / contract / "v1/examples/valid/full.json"
        files.write(what, path.read_text(encoding="utf-8"))
    return files


def test_an_overlay_that_fits_is_valid(files: Files) -> None:
    done = files.ask("validate")
    assert (done.exit_code, done.out) == (0, "")
    assert "overlay.json fits base.json and caps.json" in done.err
    assert json.loads(files.ask("validate", "--json").out) == {"valid": True, "findings": []}


BROKEN = """\
overlay_id: research-week-48
base_profile:
  profile_id: factory-standard
  version: "1.2.0"
agents:
  enable: [reseacher]
  disable:
    - code-writer
    - safety-officer
limits:
  max_cost_usd: 1000
"""


def test_everything_wrong_is_told_with_line_rule_and_fix(files: Files) -> None:
    files.write("overlay", BROKEN, ".yaml")
    done = files.ask("validate")
    assert done.exit_code == 1
    assert done.out.splitlines() == [
        "overlay.yaml:6: /agents/enable/0: the catalogue has no reseacher among the agents [OVR-5]",
        "  fix: write researcher, if that is meant",
        "overlay.yaml:9: /agents/disable/1: the policy safety-first requires safety-officer to be on [OVR-6]",
        "  fix: take safety-officer out of agents.disable",
        "overlay.yaml:11: /limits/max_cost_usd: 1000 is more than 25, which the cap host-7 allows [OVR-9]",
        "  fix: write 25 or less",
    ]
    assert done.err.strip() == "3 findings"


def test_findings_as_json_have_document_pointer_rule_fix_and_line(files: Files) -> None:
    files.write("overlay", BROKEN, ".yml")
    done = files.ask("validate", "--json")
    assert done.exit_code == 1
    answer = json.loads(done.out)
    assert answer["valid"] is False
    assert [(one["document"], one["rule"], one["line"]) for one in answer["findings"]] == [
        ("overlay", "OVR-5", 6),
        ("overlay", "OVR-6", 9),
        ("overlay", "OVR-9", 11),
    ]


def test_a_broken_base_profile_is_told_with_its_own_line(files: Files) -> None:
    base = json.loads((files.folder / "base.json").read_text(encoding="utf-8"))
    base["defaults"]["agents"].append("nobody")
    files.write("base", yaml.safe_dump(base, sort_keys=False), ".yaml")
    done = files.ask("validate", "--json")
    assert done.exit_code == 1
    (finding,) = json.loads(done.out)["findings"]
    assert (finding["document"], finding["rule"], finding["pointer"]) == ("base", "BAS-2", "/defaults/agents/2")
    lines = (files.folder / "base.yaml").read_text(encoding="utf-8").splitlines()
    assert "nobody" in lines[finding["line"] - 1]


@pytest.mark.parametrize(
    ("text", "suffix", "rule", "line"),
    [
        ("overlay_id: a\noverlay_id: b\n", ".yaml", "YAML", 2),
        ("overlay_id: &x a\n", ".yaml", "YAML", 1),
        ("limits:\n  max_cost_usd: .inf\n", ".yaml", "YAML", 2),
        ("a: [\n", ".yaml", "YAML", 2),
        ('{\n"a": 1,\n"a": 2}', ".json", "JSON", None),  # which of the two is meant, nobody knows
        ('{\n"ä": [1,\n2,,]}', ".json", "JSON", 3),
        ('{"a": NaN}', ".json", "JSON", None),
        ("", ".json", "JSON", 1),
    ],
)
def test_what_cannot_be_read_strictly_is_a_finding_with_its_line(
    files: Files, text: str, suffix: str, rule: str, line: int | None
) -> None:
    files.write("overlay", text, suffix)
    done = files.ask("validate", "--json")
    assert done.exit_code == 1
    finding = json.loads(done.out)["findings"][0]
    assert (finding["rule"], finding["document"], finding.get("line")) == (rule, "overlay", line)


def test_explain_shows_every_value_with_its_source(files: Files) -> None:
    done = files.ask("explain")
    assert done.exit_code == 0
    rows: dict[str, list[str]] = {}
    for line in done.out.splitlines():
        name, *rest = line.split("\t")
        rows[name] = rest
    assert rows["name"] == ["value", "source", "by"]
    assert rows["agents.safety-officer"] == ["on", "mandatory_policy", "safety-first"]
    assert rows["skills.shell"] == ["off", "cap", "host-7"]
    assert rows["limits.max_llm_calls"] == ["500", "overlay", "research-week-48"]
    assert rows["agents.reviewer"] == ["off", "base_default", "factory-standard"]
    assert len(rows) == 1 + 10 + 1 + 8 + 5


def test_explain_as_json_has_the_same_values_and_their_digest(files: Files) -> None:
    answer = json.loads(files.ask("explain", "--json").out)
    assert answer["skills"]["shell"] == {"value": False, "source": "cap", "by": "host-7"}
    assert len(answer["digest"]) == 64
    assert answer["digest"] in files.ask("explain").err


def test_an_overlay_that_does_not_fit_is_not_explained(files: Files) -> None:
    files.write("overlay", BROKEN, ".yaml")
    done = files.ask("explain")
    assert done.exit_code == 1
    assert "[OVR-6]" in done.out
    assert json.loads(files.ask("explain", "--json").out)["valid"] is False


def test_what_a_document_says_cannot_move_the_cursor(files: Files) -> None:
    overlay: dict[str, Any] = json.loads((files.folder / "overlay.json").read_text(encoding="utf-8"))
    overlay["prompt_overlays"][0]["prompt"] = "\u001b[2J\u202eevil\nline"
    files.write("overlay", json.dumps(overlay))
    out = files.ask("explain").out
    assert "\u001b" not in out
    assert "\u202e" not in out
    assert "\\x1b[2J" in out or "\\u001b[2J" in out


@pytest.mark.parametrize(
    "arguments", [["validate"], ["validate", "overlay.json"], ["explain", "nowhere.json"], ["mend"]]
)
def test_wrong_usage_ends_with_two(files: Files, arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dragancorp.cli", "overlay", *arguments],
        cwd=files.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
