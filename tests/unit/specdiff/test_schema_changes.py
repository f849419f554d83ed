"""One change of a schema each: which rule names it, and whom it breaks for either reader."""

from typing import Any

import pytest

from tests.unit.specdiff.contracts import FILE, differences, schema, summary

TEXT = {"type": "string", "maxLength": 10}
COUNT = {"type": "integer", "minimum": 0, "maximum": 9}
CLOSED = {"type": "object", "properties": {"x": TEXT}, "additionalProperties": False}
OPEN = {**CLOSED, "additionalProperties": True}
KINDS = {"type": "string", "enum": ["one", "two"]}
NEEDS_B = {"if": {"properties": {"a": {"const": "one"}}, "required": ["a"]}, "then": {"required": ["b"]}}
NEEDS_B_FOR_TWO = {"if": {"properties": {"a": {"const": "two"}}, "required": ["a"]}, "then": {"required": ["b"]}}


def member(before: Any, after: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """A change inside the member `a`."""
    return {"properties": {"a": before}}, {"properties": {"a": after}}


# name, before, after, rule, broken where read strictly, broken where read tolerantly
CHANGES: list[tuple[str, dict[str, Any], dict[str, Any], str, str, str]] = [
    ("a required member is new", {"properties": {"a": TEXT}},
     {"properties": {"a": TEXT, "b": COUNT}, "required": ["b"]}, "DIF-10", "P", "P"),
    ("an optional member is new",
     {"properties": {"a": TEXT}}, {"properties": {"a": TEXT, "b": COUNT}}, "DIF-11", "", ""),
    ("a member is gone", {"properties": {"a": TEXT, "b": COUNT}}, {"properties": {"a": TEXT}}, "DIF-12", "KP", "CK"),
    ("a member has another name", {"properties": {"a": TEXT}}, {"properties": {"b": TEXT}}, "DIF-13", "KP", "CK"),
    ("a required member has another name", {"properties": {"a": TEXT}, "required": ["a"]},
     {"properties": {"b": TEXT}, "required": ["b"]}, "DIF-13", "KP", "CKP"),
    ("a member is required now", {"properties": {"a": TEXT}}, {"properties": {"a": TEXT}, "required": ["a"]},
     "DIF-14", "P", "P"),
    ("a member may be left out", {"properties": {"a": TEXT}, "required": ["a"]}, {"properties": {"a": TEXT}},
     "DIF-15", "", "C"),
    ("an object is closed", *member(OPEN, CLOSED), "DIF-16", "P", "P"),
    ("an object is opened", *member(CLOSED, OPEN), "DIF-17", "", "C"),
    ("other members are bound to a shape", *member(OPEN, {**OPEN, "additionalProperties": TEXT}), "DIF-16", "P", "P"),
    ("a map's values are shorter", *member({"type": "object", "additionalProperties": TEXT},
     {"type": "object", "additionalProperties": {**TEXT, "maxLength": 5}}), "DIF-25", "P", "P"),
    ("null is no longer allowed", *member({"type": ["string", "null"]}, {"type": "string"}), "DIF-18", "P", "P"),
    ("null is allowed", *member({"type": "string"}, {"type": ["string", "null"]}), "DIF-19", "", "C"),
    ("an integer may be any number", *member({"type": "integer"}, {"type": "number"}), "DIF-19", "", "C"),
    ("a number must be an integer", *member({"type": "number"}, {"type": "integer"}), "DIF-18", "P", "P"),
    ("a text became a number", *member({"type": "string"}, {"type": "integer"}), "DIF-20", "KP", "CKP"),
    ("a listed value is gone", *member(KINDS, {**KINDS, "enum": ["one"]}), "DIF-21", "KP", "KP"),
    ("a listed value is new", *member(KINDS, {**KINDS, "enum": ["one", "two", "three"]}), "DIF-22", "", "C"),
    ("values are listed", *member({"type": "string"}, KINDS), "DIF-23", "P", "P"),
    ("values are no longer listed", *member(KINDS, {"type": "string"}), "DIF-24", "", "C"),
    ("a constant became one of two", *member({"const": 1}, {"enum": [1, 2]}), "DIF-22", "", "C"),
    ("a text may be less long", *member(TEXT, {**TEXT, "maxLength": 9}), "DIF-25", "P", "P"),
    ("a text may be longer", *member(TEXT, {**TEXT, "maxLength": 11}), "DIF-26", "", "C"),
    ("a text must be longer", *member(TEXT, {**TEXT, "minLength": 1}), "DIF-25", "P", "P"),
    ("a bound is gone", *member(TEXT, {"type": "string"}), "DIF-26", "", "C"),
    ("a number must be larger", *member(COUNT, {**COUNT, "minimum": 1}), "DIF-25", "P", "P"),
    ("a number may be larger", *member(COUNT, {**COUNT, "maximum": 10}), "DIF-26", "", "C"),
    ("a bound excludes itself", *member({"type": "number", "maximum": 5}, {"type": "number", "exclusiveMaximum": 5}),
     "DIF-25", "P", "P"),
    ("a number must be a multiple", *member(COUNT, {**COUNT, "multipleOf": 2}), "DIF-25", "P", "P"),
    ("a multiple is finer", *member({**COUNT, "multipleOf": 4}, {**COUNT, "multipleOf": 2}), "DIF-26", "", "C"),
    ("a list holds more", *member({"type": "array", "items": TEXT, "maxItems": 3},
     {"type": "array", "items": TEXT, "maxItems": 4}), "DIF-26", "", "C"),
    ("a list must hold something", *member({"type": "array", "items": TEXT},
     {"type": "array", "items": TEXT, "minItems": 1}), "DIF-25", "P", "P"),
    ("a list holds each only once", *member({"type": "array", "items": TEXT},
     {"type": "array", "items": TEXT, "uniqueItems": True}), "DIF-25", "P", "P"),
    ("a list's items are bound", *member({"type": "array"}, {"type": "array", "items": {"maxLength": 4}}),
     "DIF-25", "P", "P"),
    ("a pattern is asked for",
     *member({"type": "string"}, {"type": "string", "pattern": "^[a-z]+$"}), "DIF-27", "P", "P"),
    ("a format is asked for",
     *member({"type": "string"}, {"type": "string", "format": "date-time"}), "DIF-27", "P", "P"),
    ("a pattern is gone", *member({"type": "string", "pattern": "^[a-z]+$"}, {"type": "string"}), "DIF-28", "", "C"),
    ("a pattern is another one", *member({"type": "string", "pattern": "^[a-z]+$"},
     {"type": "string", "pattern": "^[a-y]+$"}), "DIF-29", "P", "CP"),
    ("a condition is new", {"properties": {"a": KINDS, "b": TEXT}},
     {"properties": {"a": KINDS, "b": TEXT}, "allOf": [NEEDS_B]}, "DIF-30", "P", "P"),
    ("a condition is gone", {"properties": {"a": KINDS, "b": TEXT}, "allOf": [NEEDS_B, NEEDS_B_FOR_TWO]},
     {"properties": {"a": KINDS, "b": TEXT}, "allOf": [NEEDS_B]}, "DIF-31", "", "C"),
    ("a condition is another one", {"properties": {"a": KINDS, "b": TEXT}, "allOf": [NEEDS_B]},
     {"properties": {"a": KINDS, "b": TEXT}, "allOf": [NEEDS_B_FOR_TWO]}, "DIF-32", "P", "CP"),
    ("something is ruled out",
     *member({"type": "string"}, {"type": "string", "not": {"const": "x"}}), "DIF-30", "P", "P"),
    ("names of members are bound", *member({"type": "object", "additionalProperties": TEXT},
     {"type": "object", "additionalProperties": TEXT, "propertyNames": {"maxLength": 3}}), "DIF-30", "P", "P"),
    ("another member comes along", {"properties": {"a": TEXT, "b": TEXT}},
     {"properties": {"a": TEXT, "b": TEXT}, "dependentRequired": {"a": ["b"]}}, "DIF-30", "P", "P"),
    ("one of two shapes is narrower", *member({"anyOf": [TEXT, {"type": "null"}]},
     {"anyOf": [{**TEXT, "maxLength": 5}, {"type": "null"}]}), "DIF-25", "P", "P"),
    ("a third shape is allowed", *member({"anyOf": [TEXT, {"type": "null"}]},
     {"anyOf": [TEXT, {"type": "null"}, {"type": "boolean"}]}), "DIF-31", "", "C"),
    ("what is left out means something else",
     *member({**COUNT, "default": 1}, {**COUNT, "default": 2}), "DIF-33", "P", "C"),
    ("what is left out means nothing", *member({**COUNT, "default": 1}, COUNT), "DIF-33", "P", "C"),
    ("a member of a closed object is new", *member(CLOSED, {**CLOSED, "properties": {"x": TEXT, "y": TEXT}}),
     "DIF-11", "", "C"),
    ("a nested member is gone", *member(OPEN, {**OPEN, "properties": {}}), "DIF-12", "KP", "CK"),
    ("a definition is gone", {"properties": {"a": TEXT}, "$defs": {"d": TEXT}}, {"properties": {"a": TEXT}},
     "DIF-7", "K", "K"),
    ("a definition is new",
     {"properties": {"a": TEXT}}, {"properties": {"a": TEXT}, "$defs": {"d": TEXT}}, "DIF-8", "", ""),
    ("a definition is narrower", {"$defs": {"d": TEXT}, "properties": {"a": {"$ref": "#/$defs/d"}}},
     {"$defs": {"d": {**TEXT, "maxLength": 2}}, "properties": {"a": {"$ref": "#/$defs/d"}}}, "DIF-25", "P", "P"),
    ("the class has another name", {"properties": {"a": TEXT}}, {"properties": {"a": TEXT}, "title": "Other"},
     "DIF-6", "K", "K"),
    ("the address is another one", {"properties": {"a": TEXT}}, {"properties": {"a": TEXT}, "$id": "https://x/y"},
     "DIF-3", "CKP", "CKP"),
    ("only words changed", *member({**TEXT, "description": "Old."}, {**TEXT, "description": "New."}), "DIF-9", "", ""),
]  # fmt: skip


@pytest.mark.parametrize("reader", ["strict", "tolerant"])
@pytest.mark.parametrize(("before", "after", "rule", "strict", "tolerant"), [c[1:] for c in CHANGES],
                         ids=[c[0] for c in CHANGES])  # fmt: skip
def test_a_change_is_classified_by_the_one_rule_that_names_it(
    before: dict[str, Any], after: dict[str, Any], rule: str, strict: str, tolerant: str, reader: str
) -> None:
    sides = [{FILE: schema(reader, side.pop("properties", {}), **side)} for side in (dict(before), dict(after))]

    found = summary(differences(*sides))

    assert found == {rule: strict if reader == "strict" else tolerant}


def test_at_least_forty_kinds_of_change_are_tried() -> None:
    assert len(CHANGES) >= 40
    assert len({change[0] for change in CHANGES}) == len(CHANGES)


@pytest.mark.parametrize(("before", "after", "rule", "broken"), [
    ("strict", "tolerant", "DIF-5", "C"), ("tolerant", "strict", "DIF-4", "P")])  # fmt: skip
def test_a_contract_that_is_read_otherwise_breaks_who_relied_on_it(
    before: str, after: str, rule: str, broken: str
) -> None:
    sides = [{FILE: {**schema("strict", {"a": TEXT}), "x-dragan-reader": reader}} for reader in (before, after)]

    assert summary(differences(*sides)) == {rule: broken}


@pytest.mark.parametrize(("before", "rule", "broken"), [("strict", "DIF-5", "C"), ("tolerant", "DIF-4", "P")])
def test_a_contract_that_no_longer_says_how_it_is_read_may_be_read_the_other_way(
    before: str, rule: str, broken: str
) -> None:
    silent = schema(before, {"a": TEXT})
    del silent["x-dragan-reader"]

    found = differences({FILE: schema(before, {"a": TEXT})}, {FILE: silent})

    assert summary(found) == {rule: broken}
    assert not found[0].certain


def test_a_shape_that_moves_into_a_definition_is_no_change() -> None:
    inline = schema("strict", {"a": {"description": "A.", **TEXT}})
    moved = schema("strict", {"a": {"description": "A.", "$ref": "#/$defs/d"}}, **{"$defs": {"d": TEXT}})

    assert summary(differences({FILE: inline}, {FILE: moved})) == {"DIF-8": ""}


def test_what_two_contracts_borrow_is_named_once_and_breaks_the_readers_of_both() -> None:
    def contracts(limit: int) -> dict[str, Any]:
        common = schema("strict", {}, **{"$defs": {"name": {"type": "string", "maxLength": limit}}})
        borrowed = {"a": {"$ref": "../../thing/v1/schema.json#/$defs/name"}}
        answer = {**schema("tolerant", borrowed), "$id": "https://dragancorp.dev/specs/answer/v1/schema.json"}
        return {FILE: common, "answer/v1/schema.json": answer}

    (change,) = differences(contracts(5), contracts(6))

    assert change.place == "thing/v1#/$defs/name/maxLength"
    assert {str(audience) for audience in change.breaks} == {"consumers"}


def test_a_document_inside_another_one_is_read_by_its_own_contract() -> None:
    def contracts(members: dict[str, Any]) -> dict[str, Any]:
        record = schema("tolerant", {"thing": {"$ref": "../../thing/v1/schema.json"}})
        record["$id"] = "https://dragancorp.dev/specs/record/v1/schema.json"
        return {FILE: schema("strict", members), "record/v1/schema.json": record}

    assert summary(differences(contracts({"a": TEXT}), contracts({"a": TEXT, "b": COUNT}))) == {"DIF-11": ""}


def test_a_shape_that_holds_itself_is_walked_once() -> None:
    def tree(limit: int) -> dict[str, Any]:
        node = {
            "type": "object",
            "properties": {"name": {"type": "string", "maxLength": limit}, "child": {"$ref": "#/$defs/node"}},
            "additionalProperties": False,
        }
        return {FILE: schema("strict", {"root": {"$ref": "#/$defs/node"}}, **{"$defs": {"node": node}})}

    (change,) = differences(tree(5), tree(4))

    assert (change.rule.id, change.place) == ("DIF-25", "thing/v1#/$defs/node/properties/name/maxLength")


def test_where_the_judge_cannot_decide_the_stricter_class_stands_and_says_so() -> None:
    sides = [{FILE: schema("strict", {"a": {"type": "string", "pattern": text}})} for text in ("^a+$", "^a*$")]

    (change,) = differences(*sides)

    assert not change.safe
    assert not change.certain


def test_a_rule_that_no_schema_can_say_breaks_producers_when_it_is_new() -> None:
    from dragancorp.specdiff import Snapshot, compare

    document = {FILE: schema("strict", {"a": TEXT})}
    sides = [
        Snapshot(label="", documents=document, readmes={"thing/v1": text})
        for text in ("| THG-1 | a before b |\n", "| THG-1 | a before b |\n| `THG-2` | never both |\n")
    ]

    assert summary(compare(*sides)) == {"DIF-36": "P"}
    assert summary(compare(*reversed(sides))) == {"DIF-37": ""}
