"""Anyone's folder: refused with the reason where a reader would read it differently, and never half made."""

import json
from pathlib import Path
from typing import Any

import pytest

from dragancorp.codegen import SpecsInvalid, check, generate, lint

from .conftest import write

PLAIN: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "integer"}}}


def text(**more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": {"type": "string", **more}}}


REFUSED: list[tuple[Any, str, str]] = [
    ({"type": "number", "multipleOf": 0.1}, "SUB-8", "integer minor units"),
    ({"type": "number", "multipleOf": 2.0}, "SUB-8", "integer minor units"),
    ({"$ref": "missing.json"}, "SUB-5", "one.json"),
    ({"$ref": "#"}, "SUB-5", "leads back to itself"),
    ({"anyOf": [{"type": "null"}, {"$ref": "#/$defs/a"}], "$defs": {"a": {"not": {"$ref": "#"}}}}, "SUB-5", "member"),
    ({"$defs": {"a": {"$anchor": "x"}, "b": {"$anchor": "x"}}}, "SUB-4", "an address of its own"),
    ({"$ref": "#/$defs/missing"}, "SUB-5", "leads nowhere"),
    ({"$ref": "https://elsewhere.example/x.json"}, "SUB-5", "a schema of this folder"),
    (text(pattern="^\\d+$"), "SUB-10", "[0-9]"),
    (text(pattern="\\bword"), "SUB-10", "\\b"),
    (text(pattern="\\p{L}"), "SUB-10", "\\p"),
    (text(pattern="(?i)a"), "SUB-10", "group"),
    (text(pattern="(a)\\1"), "SUB-10", "refers back"),
    (text(pattern="\\<word\\>"), "SUB-10", "\\<"),
    (text(pattern="("), "SUB-10", "no regular expression"),
    (text(pattern="[a&&b]"), "SUB-10", "set arithmetic"),
    (text(pattern="a{,2}"), "SUB-10", "bracket"),
    ({"type": "object", "patternProperties": {"\\w": True}}, "SUB-10", "\\w"),
    ({"type": "object", "dependencies": {"a": ["b"]}}, "SUB-11", "dependentRequired"),
    ({"type": "array", "additionalItems": False}, "SUB-11", "prefixItems"),
    ({"$recursiveRef": "#"}, "SUB-11", "$ref"),
    ({"type": "intger"}, "SUB-9", "meta-schema"),
    ({"type": "object", "properties": []}, "SUB-9", "meta-schema"),
    ({"minLength": -1}, "SUB-9", "meta-schema"),
    ({"$schema": "http://json-schema.org/draft-07/schema#"}, "SUB-9", "draft 2020-12"),
    (text(**{"$schema": "http://json-schema.org/draft-07/schema#"}), "SUB-9", "inside a schema"),
    ([1, 2], "SUB-9", "no schemas"),
]


@pytest.mark.parametrize(("schema", "rule", "said"), REFUSED, ids=lambda value: str(value)[:50])
def test_what_a_reader_would_read_differently_is_refused_with_the_reason(
    tmp_path: Path, schema: Any, rule: str, said: str
) -> None:
    write(tmp_path / "specs" / "one.json", schema)
    write(tmp_path / "specs" / "fine.json", PLAIN)
    found = lint(tmp_path / "specs")
    assert {one.rule for one in found} == {rule}
    assert found[0].file == tmp_path / "specs" / "one.json"
    assert said in str(found[0])
    with pytest.raises(SpecsInvalid, match=rule):
        generate(tmp_path / "specs", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_two_schemas_with_one_address_are_refused(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path / f"{name}.json", {"$id": "https://example.com/same", **PLAIN})
    assert [one.rule for one in lint(tmp_path)] == ["SUB-4"]


def test_text_that_is_no_strict_json_is_refused_with_the_file(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text('{"type": "object", "type": "array"}')
    with pytest.raises(SpecsInvalid, match=r"one\.json.*stands twice"):
        lint(tmp_path)


def test_the_house_rules_may_be_asked_of_anyone(tmp_path: Path) -> None:
    write(tmp_path / "one.json", PLAIN)
    assert lint(tmp_path) == []
    assert {one.rule for one in lint(tmp_path, "house")} >= {"SUB-1", "SUB-2", "SUB-3", "SUB-4", "SUB-6"}


def test_a_package_of_any_folder_is_checked_for_drift_like_ours(tmp_path: Path) -> None:
    specs, out = tmp_path / "specs", tmp_path / "out"
    write(specs / "deep" / "er" / "one.schema.json", PLAIN)
    assert out / "models" / "deep_er_one.py" in generate(specs, out)
    assert check(specs, out) == []
    write(specs / "deep" / "er" / "one.schema.json", {**PLAIN, "required": ["a"]})
    assert [line.splitlines()[0] for line in check(specs, out)] == [
        "changed: models/deep_er_one.py",
        "changed: schemas/deep/er/one.json",
    ]


def test_a_file_of_somebody_else_in_the_package_stops_everything(tmp_path: Path) -> None:
    write(tmp_path / "specs" / "one.json", PLAIN)
    write(tmp_path / "out" / "mine.py", {"precious": True})
    with pytest.raises(FileExistsError, match=r"mine\.py was not generated"):
        generate(tmp_path / "specs", tmp_path / "out")
    assert json.loads((tmp_path / "out" / "mine.py").read_text()) == {"precious": True}
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.py"]
