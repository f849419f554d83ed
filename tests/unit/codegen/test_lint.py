"""A spec outside the subset is refused before anything is generated, with its place and what to write instead."""

import json
from pathlib import Path
from typing import Any

import pytest

from dragancorp.codegen import SpecsInvalid, generate, lint

from .conftest import BASE, ROOT, openapi, write, write_specs


def test_the_specs_of_the_repository_keep_the_subset():
    assert lint(ROOT / "specs") == []


def test_the_toy_contract_keeps_it_too(tmp_path: Path):
    assert lint(write_specs(tmp_path)) == []


def changed(pointer: str, value: Any) -> Any:
    """A change of a document: put the value at the pointer, or remove what is there for None."""

    def change(document: dict[str, Any]) -> dict[str, Any]:
        *parents, last = pointer.split("/")[1:]
        node = document
        for part in parents:
            node = node[part]
        if value is None:
            del node[last]
        else:
            node[last] = value
        return document

    return change


@pytest.mark.parametrize(
    ("change", "rule", "pointer", "advice"),
    [
        (changed("/type", "array"), "SUB-1", "", '"type": "object"'),
        (changed("/title", "a note"), "SUB-1", "", "PascalCase"),
        (changed("/description", None), "SUB-1", "", "description"),
        (changed("/oneOf", [{"required": ["text"]}]), "SUB-1", "/oneOf", "if/then"),
        (changed("/additionalProperties", None), "SUB-2", "", "false (strict)"),
        (changed("/properties/weight", {"type": "integer"}), "SUB-3", "/properties/weight", "description"),
        (changed("/$id", f"{BASE}other/v1/schema.json"), "SUB-4", "/$id", f"{BASE}note/v1/schema.json"),
        (changed("/$id", None), "SUB-4", "/$id", f"{BASE}note/v1/schema.json"),
        (
            changed("/properties/vp_id/$ref", "../../common/v1/schema.json#/$defs/vpid"),
            "SUB-5",
            "/properties/vp_id/$ref",
            "#/$defs/NAME",
        ),
        (
            changed("/properties/vp_id/$ref", f"{BASE}common/v1/schema.json#/$defs/vp_id"),
            "SUB-5",
            "/properties/vp_id/$ref",
            "../../NAME/v1/schema.json",
        ),
        (changed("/x-dragan-reader", None), "SUB-6", "", "tolerant"),
        (changed("/patternProperties", {"^x-": True}), "SUB-7", "/patternProperties", "propertyNames"),
        (changed("/properties/weight/multipleOf", 0.5), "SUB-8", "/properties/weight/multipleOf", "integer"),
        (
            changed("/properties/replies/items", {"type": "object", "description": "A reply."}),
            "SUB-2",
            "/properties/replies/items",
            "additionalProperties",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_broken_rule_is_named_with_its_place_and_the_way_out(
    tmp_path: Path, note: dict[str, Any], change: Any, rule: str, pointer: str, advice: str
):
    specs = write_specs(tmp_path / "specs", note=change(note))
    found = [finding for finding in lint(specs) if finding.rule == rule]
    assert [finding.pointer for finding in found] == [pointer]
    assert found[0].file == specs / "note" / "v1" / "schema.json"
    assert advice in str(found[0])
    assert found[0].message
    assert found[0].instead
    with pytest.raises(SpecsInvalid, match=rule):
        generate(specs, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_every_finding_is_told_not_only_the_first(tmp_path: Path, note: dict[str, Any]):
    del note["additionalProperties"]
    note["properties"]["weight"]["multipleOf"] = 0.1
    assert {finding.rule for finding in lint(write_specs(tmp_path, note=note))} == {"SUB-2", "SUB-8"}


def test_a_condition_only_refines_and_need_not_say_everything_again(tmp_path: Path, note: dict[str, Any]):
    note["allOf"].append(
        {"if": {"type": "object", "properties": {"text": {"const": "x"}}}, "then": {"minProperties": 3}}
    )
    assert lint(write_specs(tmp_path, note=note)) == []


def test_a_file_that_is_not_json_is_named(tmp_path: Path):
    specs = write_specs(tmp_path / "specs")
    (specs / "note" / "v1" / "schema.json").write_text("{")
    with pytest.raises(SpecsInvalid, match=r"note/v1/schema\.json"):
        generate(specs, tmp_path / "out")


def test_an_operation_that_says_too_little_is_refused(tmp_path: Path):
    api = openapi()
    del api["paths"]["/notes"]["get"]["x-dragan-scopes"]
    specs = write_specs(tmp_path / "specs", api=api)
    with pytest.raises(SpecsInvalid, match=r"/paths/~1notes/get: add x-dragan-scopes"):
        generate(specs, tmp_path / "out")


def test_a_body_without_a_limit_is_refused(tmp_path: Path):
    api = openapi()
    del api["paths"]["/notes"]["post"]["x-dragan-limits"]
    with pytest.raises(SpecsInvalid, match="body_bytes"):
        generate(write_specs(tmp_path / "specs", api=api), tmp_path / "out")


def test_a_reference_of_the_api_that_leads_nowhere_is_refused(tmp_path: Path):
    api = openapi()
    api["paths"]["/notes"]["get"]["parameters"][0] = {"$ref": "#/components/parameters/limits"}
    with pytest.raises(SpecsInvalid, match="limits' leads nowhere"):
        generate(write_specs(tmp_path / "specs", api=api), tmp_path / "out")


@pytest.fixture
def table() -> dict[str, Any]:
    """The real life cycles, to be broken."""
    document: dict[str, Any] = json.loads((ROOT / "specs" / "lifecycle" / "v1" / "lifecycle.json").read_text())
    return document


@pytest.mark.parametrize(
    ("member", "value", "message"),
    [
        ("from", ["runing"], "there is no state 'runing'"),
        ("to", "done", "there is no state 'done'"),
        ("triggers", ["poke"], "there is no trigger 'poke'"),
        ("who", ["nobody"], "there is no actor 'nobody'"),
        ("when", ["moonlight"], "there is no guard 'moonlight'"),
        ("guards", ["moonlight"], "there is no guard 'moonlight'"),
        ("event", "vp.mission.lost", "there is no event 'vp.mission.lost'"),
        ("reason", "boredom", "there is no reason 'boredom'"),
    ],
)
def test_a_row_that_names_what_no_table_has_is_refused(
    tmp_path: Path, table: dict[str, Any], member: str, value: Any, message: str
):
    table["transitions"][0][member] = value
    specs = write_specs(tmp_path / "specs")
    write(specs / "lifecycle" / "v1" / "lifecycle.json", table)
    with pytest.raises(SpecsInvalid, match=f"{table['transitions'][0]['id']}: {message}"):
        generate(specs, tmp_path / "out")


def test_an_id_that_stands_twice_is_refused(tmp_path: Path, table: dict[str, Any]):
    table["transitions"].append(table["transitions"][0])
    specs = write_specs(tmp_path / "specs")
    write(specs / "lifecycle" / "v1" / "lifecycle.json", table)
    with pytest.raises(SpecsInvalid, match="stands twice"):
        generate(specs, tmp_path / "out")


def test_tables_that_are_missing_beside_their_schema_are_refused(tmp_path: Path):
    specs = write_specs(tmp_path / "specs")
    schema = json.loads((ROOT / "specs" / "lifecycle" / "v1" / "schema.json").read_text())
    write(specs / "lifecycle" / "v1" / "schema.json", schema)
    with pytest.raises(SpecsInvalid, match=r"lifecycle\.json is missing"):
        generate(specs, tmp_path / "out")
