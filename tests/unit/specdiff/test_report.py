"""What is refused, what was allowed with a reason, and where the contracts are read from."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dragancorp import specdiff
from dragancorp.specdiff import RULES, Reader, SnapshotUnreadable, WaiversInvalid, diff
from dragancorp.specdiff.snapshot import from_revision
from tests.unit.specdiff.contracts import CONTRACT, FILE, schema

NARROW = {"a": {"type": "string", "maxLength": 5}}
WIDE = {"a": {"type": "string", "maxLength": 9}}
PLACE = f"{CONTRACT}#/properties/a/maxLength"


def folder(at: Path, members: dict[str, Any], *versions: str) -> str:
    for version in versions or ("v1",):
        path = at / "thing" / version / "schema.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(schema("strict", members)))
    return str(at)


def test_a_breaking_change_inside_a_version_is_refused_with_the_folder_to_make_instead(tmp_path: Path) -> None:
    report = diff(folder(tmp_path / "old", WIDE), folder(tmp_path / "new", NARROW))

    assert [one.rule.id for one in report.refused] == ["DIF-25"]
    (advice,) = report.advice()
    assert "thing/v2" in advice
    assert "--allow" in advice


def test_the_same_change_in_a_new_version_is_safe(tmp_path: Path) -> None:
    old = folder(tmp_path / "old", WIDE)
    new = folder(tmp_path / "new", WIDE)
    folder(tmp_path / "new", NARROW, "v2")

    report = diff(old, new)

    assert not report.refused
    assert [(one.rule.id, one.contract) for one in report.changes] == [("DIF-2", "thing/v2")]


def test_a_version_that_was_released_stays(tmp_path: Path) -> None:
    report = diff(folder(tmp_path / "old", WIDE), folder(tmp_path / "new", WIDE, "v2"))

    assert [one.rule.id for one in report.refused] == ["DIF-1"]
    assert "put thing/v1 back" in report.advice()[0]


def test_a_recorded_waiver_lets_one_change_through_and_one_that_nothing_needs_is_named(tmp_path: Path) -> None:
    allow = tmp_path / "waivers.json"
    waivers = [
        {"rule": "DIF-25", "place": PLACE, "reason": "Nobody sends longer ones."},
        {"rule": "DIF-21", "place": "thing/v1#/*", "reason": "Left over."},
    ]
    allow.write_text(json.dumps({"waivers": waivers}))

    report = diff(folder(tmp_path / "old", WIDE), folder(tmp_path / "new", NARROW), allow=allow)

    assert not report.refused
    assert report.as_json()["changes"][0]["waived"] == "Nobody sends longer ones."
    assert report.as_json()["unused_waivers"] == ["DIF-21 at thing/v1#/*"]


@pytest.mark.parametrize(
    "text",
    [
        "[]", "{", '{"waivers": [{"rule": "DIF-25", "place": "x"}]}',
        '{"waivers": [{"rule": "DIF-25", "place": "x", "reason": " "}]}',
        '{"waivers": [{"rule": "DIF-25", "place": "x", "reason": "y", "until": "z"}]}',
    ],
)  # fmt: skip
def test_a_waiver_without_rule_place_and_reason_is_refused(tmp_path: Path, text: str) -> None:
    allow = tmp_path / "waivers.json"
    allow.write_text(text)
    specs = folder(tmp_path / "old", WIDE)

    with pytest.raises(WaiversInvalid):
        diff(specs, specs, allow=allow)


def test_a_revision_is_read_without_changing_the_checkout(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    git("init", "--quiet")
    folder(tmp_path / "specs", WIDE)
    git("add", ".")
    git("commit", "--quiet", "-m", "first")
    git("tag", "v0.1.0")
    folder(tmp_path / "specs", NARROW)

    before = from_revision("v0.1.0", repository=tmp_path)

    assert before.documents[FILE]["properties"] == WIDE
    assert json.loads((tmp_path / "specs" / FILE).read_text())["properties"] == NARROW
    for unknown, place in (("v9", "specs"), ("v0.1.0", "contracts"), ("--help", "specs")):
        with pytest.raises(SnapshotUnreadable):
            from_revision(unknown, folder=place, repository=tmp_path)


def test_a_folder_without_contracts_or_with_a_broken_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    broken = tmp_path / "broken" / "thing" / "v1"
    broken.mkdir(parents=True)
    (broken / "schema.json").write_text("{")

    for at in ("empty", "broken"):
        with pytest.raises(SnapshotUnreadable):
            specdiff.read(str(tmp_path / at))


def test_examples_are_not_compared(tmp_path: Path) -> None:
    old, new = folder(tmp_path / "old", WIDE), folder(tmp_path / "new", WIDE)
    example = Path(new) / "thing" / "v1" / "examples" / "valid" / "one.json"
    example.parent.mkdir(parents=True)
    example.write_text("{}")

    assert diff(old, new).changes == ()


def test_a_folder_of_anyones_schemas_can_be_compared(tmp_path: Path) -> None:
    for side, limit in (("old", 9), ("new", 5)):
        (tmp_path / side).mkdir()
        shared = {"$defs": {"name": {"type": "string", "maxLength": limit}}}
        (tmp_path / side / "shared.json").write_text(json.dumps(shared))
        order = {"type": "array", "items": {"$ref": "shared.json#/$defs/name"}}
        (tmp_path / side / "order.json").write_text(json.dumps(order))

    report = diff(str(tmp_path / "old"), str(tmp_path / "new"))

    assert [(one.rule.id, one.contract) for one in report.refused] == [("DIF-25", "shared")]


def test_every_rule_has_one_id_and_says_whom_it_breaks() -> None:
    assert len({one.id for one in RULES}) == len({one.name for one in RULES}) == len(RULES)
    assert all(one.title and one.breaks(Reader.STRICT) <= set(specdiff.Audience) for one in RULES)
