"""`dragan spec codegen`: the generator behind a command."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from dragancorp_contracts import resources


@pytest.fixture
def specs(folder: Path) -> Path:
    """Two contracts: what is written here is small, and made in a moment."""
    for name in ("common", "errors"):
        shutil.copytree(resources.specs_root() / name, folder / "specs" / name)
    return folder / "specs"


def test_what_was_generated_does_not_differ_until_somebody_changes_it(alone: Any, specs: Path, folder: Path) -> None:
    made = alone("spec", "codegen", "--specs", "specs", "--out", "package", "--json")
    same = alone("spec", "codegen", "--specs", "specs", "--out", "package", "--check")
    changed = folder / "package" / "errors.py"
    changed.write_text(changed.read_text() + "# by hand\n")
    (folder / "package" / "stray.py").touch()
    differs = alone("spec", "codegen", "--specs", "specs", "--out", "package", "--check", "--json")

    assert made.exit_code == 0, made.err
    assert "package/models/errors_v1.py" in made.json["files"]
    assert (same.exit_code, same.out) == (0, "")
    assert differs.exit_code == 1
    assert [one.splitlines()[0] for one in differs.json["differences"]] == ["extra: stray.py", "changed: errors.py"]
    assert "# by hand" in changed.read_text()


def test_a_file_that_was_not_generated_is_never_overwritten(alone: Any, specs: Path, folder: Path) -> None:
    (folder / "package").mkdir()
    (folder / "package" / "mine.py").write_text("x = 1\n")

    done = alone("spec", "codegen", "--specs", "specs", "--out", "package")

    assert done.exit_code == 3
    assert "mine.py" in done.err
    assert [path.name for path in (folder / "package").iterdir()] == ["mine.py"]


def test_specs_that_break_the_subset_are_refused_by_place_and_rule(alone: Any, folder: Path) -> None:
    spec = folder / "specs" / "thing" / "v1"
    spec.mkdir(parents=True)
    (spec / "schema.json").write_text('{"type": "number", "multipleOf": 0.01}')

    done = alone("spec", "codegen", "--specs", "specs", "--out", "package")
    as_json = alone("spec", "codegen", "--specs", "specs", "--out", "package", "--json")

    assert done.exit_code == as_json.exit_code == 3
    assert "SUB-8" in done.err
    assert "SUB-8" in as_json.problem["detail"]
    assert not (folder / "package").exists()


def test_a_missing_folder_of_specs_is_said(alone: Any) -> None:
    done = alone("spec", "codegen", "--specs", "nowhere", "--out", "package")

    assert done.exit_code == 3
    assert "nowhere" in done.err
