"""Three readers of one contract accept the same documents: the judge, Python's `jsonschema` and the generated model.

They are asked about every example, and about every valid example with one value exchanged for one that readers are
known to see differently.
"""

import copy
import importlib
import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import jsonschema
import pytest
from jsonschema.validators import Draft202012Validator, extend
from pydantic import ValidationError
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from dragancorp_contracts import judge, resources

SPECS = resources.specs_root()
COUNTS = {"maxItems", "minItems", "maxLength"}
ODD_VALUES = (None, True, 0, 1.0, "", "1", "true", [], [None], {})
ODD_NUMBERS = (False, 1, -1, 1.5, -0.0, 2**53, 10**20, 1e300, "0")
ODD_TEXTS = (
    " ", "null", "x\n", "x\u0000", "\u0085", "\ufeff", "é", "\uff10", "\U0001f9ea", "vp.coder.primary\n", "2026-11-22",
    "2026-11-22T09:30:00Z\n", "2026-11-22T24:00:00Z", "2016-12-31T23:59:60Z", "2026-11-22T09:30:00+00:60", "1763802600",
    "https://x/\u0085", "https://x/\ufeff", "https://x/a b",
)  # fmt: skip


def _pattern_as_in_ecma_262(
    validator: Any, pattern: str, instance: Any, schema: Any
) -> Iterator[jsonschema.ValidationError]:
    # Python's `$` also matches before a final newline; that of ECMA-262, and of JSON Schema, does not.
    exact = re.sub(r"\$$", r"\\Z", pattern)
    if validator.is_type(instance, "string") and not re.search(exact, instance):
        yield jsonschema.ValidationError(f"{instance!r} does not match {pattern!r}")


_Reader = extend(Draft202012Validator, {"pattern": _pattern_as_in_ecma_262})


@cache
def _registry() -> Registry:
    schemas = [json.loads(path.read_text(encoding="utf-8")) for path in SPECS.glob("*/v1/schema.json")]
    for schema in schemas:
        del schema["$schema"]  # it would call in the library's own reader, with Python's `$`
    counted = [_counts_first(schema) for schema in schemas]
    return Registry().with_resources((schema["$id"], DRAFT202012.create_resource(schema)) for schema in counted)


def _counts_first(node: Any) -> Any:
    """The same schema with its counts in front: ten thousand items too many need not be read to be refused."""
    if isinstance(node, dict):
        return {key: _counts_first(node[key]) for key in sorted(node, key=lambda key: key not in COUNTS)}
    return [_counts_first(item) for item in node] if isinstance(node, list) else node


@cache
def _in_python(reference: str) -> Any:
    contract, _, place = reference.partition("#")
    address = f"https://dragancorp.dev/specs/{contract}/v1/schema.json#{place}"
    return _Reader({"$ref": address}, registry=_registry(), format_checker=Draft202012Validator.FORMAT_CHECKER)


@cache
def _model(contract: str) -> Any:
    module = importlib.import_module(f"dragancorp_contracts.models.{contract.replace('-', '_')}_v1")
    return getattr(module, resources.read_document(contract)["title"])


def _accepted_by_model(contract: str, document: Any) -> bool:
    try:
        _model(contract).model_validate(document)
    except ValidationError:
        return False
    return True


def _accepted_by_judge(shape: Any, document: Any) -> bool:
    if not shape.place:
        return judge.is_valid(shape.contract, document)
    return not judge.violations_at(f"{shape.contract}/v1/schema.json#/$defs/{shape.place}", document)


def _variants(documents: list[Any]) -> Iterator[tuple[str, Any]]:
    """The documents with one of their values exchanged; each place in the contract once, in the smallest document."""
    places: set[str] = set()
    for document in sorted(documents, key=lambda one: len(json.dumps(one))):
        for path in _paths(document, ()):
            place = judge.pointer(["*" if isinstance(part, int) else part for part in path])
            if place in places:
                continue
            places.add(place)
            for odd in _odd_values(document, path):
                yield f"{place} = {odd!r}", _exchanged(document, path, odd)


def _odd_values(document: Any, path: tuple[Any, ...]) -> tuple[Any, ...]:
    for part in path:
        document = document[part]
    if isinstance(document, str):
        return ODD_VALUES + ODD_TEXTS
    return ODD_VALUES if isinstance(document, bool | list | dict) else ODD_VALUES + ODD_NUMBERS


def _exchanged(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    changed = copy.deepcopy(document)
    place = changed
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    return changed


def _paths(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from _paths(item, (*path, key))


def _answers(shape: Any, document: Any) -> dict[str, bool]:
    """Who accepts the document; only a root has a model."""
    answers = {
        "judge": _accepted_by_judge(shape, document),
        "python": _in_python(shape.reference).is_valid(document),
    }
    return answers if shape.place else answers | {"model": _accepted_by_model(shape.contract, document)}


def test_two_schema_readers_and_the_model_say_the_same_of_an_example(shape: Any) -> None:
    told = {}
    for one in [*shape.valid(), *shape.invalid()]:
        kept = "#/" not in one.breaks  # a rule with a short id is beyond what a schema can say
        answers = _answers(shape, one.document)
        if set(answers.values()) != {kept}:
            told[f"{one} is {'valid' if kept else 'invalid'}"] = answers
    assert told == {}


def test_the_model_gives_back_a_valid_example_as_it_was(contract: str) -> None:
    for path in sorted((SPECS / contract / "v1/examples/valid").glob("*.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        model = _model(contract).model_validate(document)
        assert model.as_document() == document, path
        assert model.model_dump(mode="json", by_alias=True, exclude_unset=True) == document, path


def test_a_tolerant_reader_keeps_a_member_it_does_not_know(contract: str) -> None:
    path = next((SPECS / contract / "v1/examples/valid").glob("minimal.json"))
    document = {**json.loads(path.read_text(encoding="utf-8")), "x-unheard-of": {"a": [1, None]}}
    if resources.read_document(contract)["x-dragan-reader"] == "tolerant" and contract != "vp-session-registry":
        assert _model(contract).model_validate(document).as_document() == document
    else:  # the registry's root is tolerant, but holds one record only
        assert not _accepted_by_model(contract, document)


def test_readers_agree_about_odd_values(shape: Any) -> None:
    differences = []
    for told, variant in _variants([one.document for one in shape.valid()]):
        answers = _answers(shape, variant)
        if len(set(answers.values())) > 1:
            differences.append((told, answers))
    assert differences == []


@pytest.mark.parametrize("path", sorted(SPECS.glob("*/v1/schema.json")), ids=lambda path: path.parent.parent.name)
def test_patterns_are_written_in_the_shared_syntax(path: Any) -> None:
    for pattern in re.findall(r'"pattern": ("(?:[^"\\]|\\.)*")', path.read_text(encoding="utf-8")):
        text = json.loads(pattern)
        assert re.match(r"^\^.*\$$", text), text
        outside_classes = re.sub(r"\[(?:[^\]\\]|\\.)*\]", "", text)
        assert not re.search(r"[\^$]", outside_classes[1:-1]), text
        assert not re.search(r"\(\?|[*+?}][?+]|\\[dDsSwWbBpP1-9AzZ]", text), text
        depth = 0
        for character in outside_classes:
            depth += {"(": 1, ")": -1}.get(character, 0)
            assert character != "|" or depth > 0, text
