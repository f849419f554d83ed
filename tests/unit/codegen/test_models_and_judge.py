"""Schema, judge and model agree on every document. The contracts' examples are run in `tests/unit/specs`."""

import importlib
import json
import math
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from dragancorp_contracts import SPECS, judge, resources


def model_of(name: str) -> Any:
    """The root model of a contract."""
    title = resources.read_document(name)["title"]
    module = importlib.import_module(f"dragancorp_contracts.models.{name.replace('-', '_')}_v1")
    return getattr(module, title)


def test_every_contract_has_a_model_that_knows_its_name():
    for name, version in SPECS.items():
        assert model_of(name).__contract__ == f"{name}/{version}"


@pytest.fixture
def note(toy: Path) -> Any:
    return importlib.import_module("toy_contracts.models.note_v1").Note


@pytest.fixture
def toy_judge(toy: Path) -> Any:
    return importlib.import_module("toy_contracts.judge")


GOOD = {"vp_id": "vp.coder.primary", "text": "hello"}

# Every way to break the toy contract, and the rule that says so.
BROKEN: list[tuple[dict[str, Any], str, str]] = [
    ({"text": "x"}, "", "note/v1#/required"),
    (GOOD | {"vp_id": "CODIE"}, "/vp_id", "common/v1#/$defs/vp_id/pattern"),
    (GOOD | {"text": 5}, "/text", "note/v1#/properties/text/type"),
    (GOOD | {"text": None}, "/text", "note/v1#/properties/text/type"),
    (GOOD | {"idempotency_key": None}, "/idempotency_key", "note/v1#/properties/idempotency_key/type"),
    (GOOD | {"text": "x" * 21}, "/text", "note/v1#/properties/text/maxLength"),
    (GOOD | {"a/b~c": "1"}, "/a~1b~0c", "note/v1#/properties/a~1b~0c/type"),
    (GOOD | {"weight": True}, "/weight", "note/v1#/properties/weight/type"),
    (GOOD | {"weight": "3"}, "/weight", "note/v1#/properties/weight/type"),
    (GOOD | {"weight": 1.5}, "/weight", "note/v1#/properties/weight/type"),
    (GOOD | {"weight": -1}, "/weight", "note/v1#/properties/weight/minimum"),
    (GOOD | {"kind": "loud"}, "", "note/v1#/allOf/0/then/required"),
    (GOOD | {"kind": None}, "/kind", "note/v1#/properties/kind/enum"),
    (GOOD | {"from_": "x"}, "", "note/v1#/additionalProperties"),
    (GOOD | {"written_at": "2026-11-22"}, "/written_at", "common/v1#/$defs/timestamp/pattern"),
    (GOOD | {"written_at": "2026-13-22T10:00:00Z"}, "/written_at", "common/v1#/$defs/timestamp/format"),
    (GOOD | {"written_at": 1763800000}, "/written_at", "common/v1#/$defs/timestamp/type"),
    (GOOD | {"replies": [GOOD, {"vp_id": "vp.x"}]}, "/replies/1", "note/v1#/required"),
    (GOOD | {"replies": [GOOD] * 4}, "/replies", "note/v1#/properties/replies/maxItems"),
]


@pytest.mark.parametrize(("document", "pointer", "rule"), BROKEN, ids=lambda value: str(value)[-40:])
def test_what_the_schema_refuses_the_model_refuses(note: Any, toy_judge: Any, document: Any, pointer: str, rule: str):
    found = [(one.pointer, one.rule) for one in toy_judge.violations("note", document)]
    assert (pointer, rule) in found
    assert not toy_judge.is_valid("note", document)
    with pytest.raises(ValidationError, match="Note"):
        note.model_validate(document)
    with pytest.raises(ValidationError):
        note(**document)
    with pytest.raises(ValidationError):
        note.from_json(json.dumps(document))


ACCEPTED: list[dict[str, Any]] = [
    GOOD,
    GOOD | {"weight": 3.0},
    GOOD | {"weight": 10**300},
    GOOD | {"weight": 1e300},
    GOOD | {"from": "here", "a/b~c": -7},
    GOOD | {"written_at": "2024-02-29T23:59:59Z"},
    GOOD | {"written_at": "2026-11-22T10:00:00.120+01:00"},
    GOOD | {"kind": "loud", "weight": 0},
    GOOD | {"replies": [GOOD | {"replies": [GOOD]}]},
    GOOD | {"text": "\U0001f600" * 20},
]


@pytest.mark.parametrize("document", ACCEPTED, ids=lambda value: str(value)[40:90])
def test_what_the_schema_accepts_the_model_accepts_and_gives_back(note: Any, toy_judge: Any, document: dict[str, Any]):
    assert toy_judge.violations("note", document) == []
    assert note.model_validate(document).as_document() == document
    assert note.from_json(json.dumps(document)) == note(**document)


def test_a_member_left_out_is_told_from_a_default(note: Any):
    one = note(**GOOD)
    assert one.kind == "plain"
    assert "kind" not in one.as_document()


def test_a_model_cannot_be_changed_but_a_changed_copy_is_judged(note: Any):
    one = note(**GOOD)
    with pytest.raises(ValidationError, match="frozen"):
        one.text = "other"
    assert one.model_copy(update={"text": "other"}).text == "other"
    with pytest.raises(ValidationError, match="maxLength"):
        one.model_copy(update={"text": "x" * 21})


def test_models_nest_as_values_too(note: Any):
    assert note(**GOOD, replies=[note(**GOOD)]).as_document() == GOOD | {"replies": [GOOD]}


def test_every_broken_rule_is_told_not_only_the_first(toy_judge: Any):
    found = toy_judge.violations("note", {"vp_id": 5, "text": "", "weight": -1, "other": 1})
    assert {one.rule.rpartition("/")[2] for one in found} == {"type", "minLength", "minimum", "additionalProperties"}


def test_a_violation_as_json_is_what_the_errors_contract_says(toy_judge: Any):
    one = toy_judge.Violation(pointer="/a", rule="note/v1#/x", message="no")
    assert one.as_json() == {"pointer": "/a", "rule": "note/v1#/x", "message": "no"}
    assert toy_judge.Violation(pointer="", rule="r", message="m", line=3).as_json()["line"] == 3
    reference = "errors/v1/schema.json#/$defs/violation"
    for document, _, _ in BROKEN:
        for violation in toy_judge.violations("note", document):
            assert toy_judge.violations_at(reference, violation.as_json()) == []


def test_a_value_that_json_cannot_hold_is_a_violation_and_no_crash(toy_judge: Any, note: Any):
    for value in (math.nan, {1: 2}, {"vp_id": b"x"}, object()):
        assert toy_judge.violations("note", value)
        assert not toy_judge.is_valid("note", value)
        with pytest.raises(ValidationError):
            note.model_validate(value)
    with pytest.raises(ValidationError):
        note.model_validate({"text": "\ud800", "vp_id": "vp.x"})


def test_a_value_deeper_than_any_text_may_be_ends_in_an_error_and_not_in_a_crash(note: Any):
    deep: dict[str, Any] = dict(GOOD)
    for _ in range(5000):
        deep = GOOD | {"replies": [deep]}
    with pytest.raises(ValidationError):
        note.model_validate(deep)


def test_the_number_of_violations_is_bounded(toy_judge: Any):
    found = toy_judge.violations("note", GOOD | {f"extra{number}": 1 for number in range(5)})
    assert len(found) <= toy_judge.MOST
    many = {"errors": [{"code": "X"}] * 2000}
    assert len(toy_judge.violations_at("errors/v1/schema.json#/$defs/catalogue", many)) == toy_judge.MOST


def test_an_unknown_contract_is_a_key_error_that_lists_the_known_ones():
    with pytest.raises(KeyError, match="mission-envelope"):
        judge.violations("mission-envelop", {})
    with pytest.raises(KeyError):
        resources.read_document("../specs/common")


def test_a_document_that_was_read_may_be_changed_without_changing_the_next():
    resources.read_document("common")["title"] = "changed"
    assert resources.read_document("common")["title"] == "Common"
