"""`dragan spec diff` as people and CI run it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import dragancorp
import dragancorp_contracts
from tests.unit.specdiff.contracts import CONTRACT, FILE, schema

NARROW = {"a": {"type": "string", "maxLength": 5}}
WIDE = {"a": {"type": "string", "maxLength": 9}}


def dragan(at: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    packages = [str(Path(str(package.__file__)).parent.parent) for package in (dragancorp, dragancorp_contracts)]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("UA_")}
    return subprocess.run(
        [sys.executable, "-m", "dragancorp.cli", "spec", "diff", *arguments],
        cwd=at, env={**kept, "PYTHONPATH": os.pathsep.join(packages)}, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip


def contracts(at: Path) -> None:
    for side, members in (("old", WIDE), ("specs", NARROW)):
        path = at / side / FILE
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(schema("strict", members)))


def test_a_breaking_change_ends_with_1_and_says_what_to_do(tmp_path: Path) -> None:
    contracts(tmp_path)

    done = dragan(tmp_path, "old")

    assert done.returncode == 1
    assert "breaking  /properties/a/maxLength  for producers" in done.stdout
    assert "DIF-25 a bound is tighter: 9 became 5" in done.stdout
    assert "a new folder thing/v2" in done.stderr


def test_as_json_the_same_is_one_document(tmp_path: Path) -> None:
    contracts(tmp_path)

    done = dragan(tmp_path, "old", "specs", "--json")

    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert (report["refused"], report["breaking"], report["safe"]) == (1, 1, 0)
    assert report["changes"] == [
        {
            "rule": "DIF-25",
            "class": "breaking",
            "breaks": ["producers"],
            "contract": CONTRACT,
            "place": f"{CONTRACT}#/properties/a/maxLength",
            "title": "a bound is tighter",
            "what": "9 became 5",
            "certain": True,
        }
    ]


def test_a_waiver_or_the_safe_direction_ends_with_0(tmp_path: Path) -> None:
    contracts(tmp_path)
    waiver = {"rule": "DIF-25", "place": f"{CONTRACT}#/properties/a/maxLength", "reason": "Never sent."}
    (tmp_path / "waivers.json").write_text(json.dumps({"waivers": [waiver]}))

    assert dragan(tmp_path, "specs", "old").returncode == 0
    assert dragan(tmp_path, "old", "specs", "--allow", "waivers.json").returncode == 0


def test_what_cannot_be_read_ends_with_3_and_says_what_is_missing(tmp_path: Path) -> None:
    contracts(tmp_path)

    done = dragan(tmp_path, "v0.1.0", "--json")

    assert done.returncode == 3
    assert "neither a folder nor a revision" in json.loads(done.stderr.splitlines()[-1])["detail"]
