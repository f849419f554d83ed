"""`dragan spec validate` and `dragan spec codegen`, as a person runs them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]


def dragan(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dragancorp.cli", "spec", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def folder(path: Path, **schemas: Any) -> Path:
    path.mkdir()
    for name, schema in schemas.items():
        (path / f"{name}.json").write_text(json.dumps(schema))
    return path


def test_our_own_contracts_are_valid() -> None:
    done = dragan("validate", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"valid": True, "findings": []})


def test_a_finding_has_file_pointer_rule_and_the_way_out(tmp_path: Path) -> None:
    specs = folder(tmp_path / "specs", price={"type": "number", "multipleOf": 0.01})
    done = dragan("validate", "--specs", specs, "--json")
    assert done.returncode == 1
    (finding,) = json.loads(done.stdout)["findings"]
    assert (finding["file"], finding["pointer"], finding["rule"]) == (str(specs / "price.json"), "/multipleOf", "SUB-8")
    assert "integer minor units" in finding["instead"]
    shown = dragan("validate", "--specs", specs)
    assert (shown.returncode, "SUB-8" in shown.stdout) == (1, True)


def test_a_folder_of_anybody_becomes_a_package(tmp_path: Path) -> None:
    specs = folder(tmp_path / "specs", prices={"type": "array", "items": {"type": "integer", "minimum": 0}})
    out = tmp_path / "priced"
    assert dragan("codegen", "--specs", specs, "--out", out).returncode == 0
    assert dragan("codegen", "--specs", specs, "--out", out, "--check").returncode == 0
    code = "from priced.models.prices import Prices; print(Prices.from_json('[1, 2]').as_document())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout == "[1, 2]\n"


def test_what_cannot_be_generated_from_is_refused_with_the_reason(tmp_path: Path) -> None:
    specs = folder(tmp_path / "specs", code={"type": "string", "pattern": "^\\d$"})
    done = dragan("codegen", "--specs", specs, "--out", tmp_path / "out")
    assert done.returncode == 3
    assert "SUB-10" in done.stderr
    assert not (tmp_path / "out").exists()


def test_other_schemas_are_never_written_over_our_package(tmp_path: Path) -> None:
    specs = folder(tmp_path / "specs", prices={"type": "array"})
    done = dragan("codegen", "--specs", specs)
    assert done.returncode == 2
    assert "--out" in done.stderr
