"""What the comparison calls safe is safe: random contracts, random edits, real documents, the validator decides.

Documents are written from the old contract: the members it lists, in every size its bounds allow. If the comparison
says that an edit breaks no producer, every one of them is valid under the new contract; if it says that it breaks no
consumer, every document of the new contract is valid under the old one, which a tolerant reader still reads by.
"""

import copy
import random
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.specdiff.contracts import FILE, differences, schema

WORDS = ["one", "two", "three", "four"]
PATTERNS = ["^[a-z]*$", "^[a-m]*$", "^t.*$"]
NAMES = ["a", "b", "c", "d"]
DOCUMENTS = 40


def shape(source: random.Random, depth: int = 0) -> dict[str, Any]:
    """A random schema of one value."""
    kind = source.choice(
        ["text", "count", "enum", "flag", "list", "object", "either"] if depth < 2 else ["text", "count"]
    )
    if kind == "text":
        low = source.randint(0, 2)
        made: dict[str, Any] = {"type": "string", "minLength": low, "maxLength": low + source.randint(0, 4)}
        return {**made, "pattern": source.choice(PATTERNS)} if source.random() < 0.3 else made
    if kind == "count":
        low = source.randint(-3, 3)
        return {"type": source.choice(["integer", "number"]), "minimum": low, "maximum": low + source.randint(0, 5)}
    if kind == "enum":
        return {"type": "string", "enum": source.sample(WORDS, source.randint(1, 3))}
    if kind == "flag":
        return {"type": ["boolean", "null"] if source.random() < 0.5 else "boolean"}
    if kind == "list":
        return {"type": "array", "items": shape(source, depth + 1), "maxItems": source.randint(1, 3)}
    if kind == "either":
        return {"anyOf": [shape(source, depth + 1), {"type": "null"}]}
    names = source.sample(NAMES, source.randint(1, 3))
    return {
        "type": "object",
        "properties": {name: shape(source, depth + 1) for name in names},
        "required": source.sample(names, source.randint(0, len(names))),
        "additionalProperties": source.random() < 0.5,
    }


def shapes_in(node: dict[str, Any]) -> list[dict[str, Any]]:
    """Every schema in a schema, itself first."""
    inner = [*node.get("properties", {}).values(), *node.get("anyOf", ())]
    if "items" in node:
        inner.append(node["items"])
    return [node, *(below for one in inner for below in shapes_in(one))]


def edit(node: dict[str, Any], source: random.Random) -> None:
    """One random edit, somewhere in it."""
    at = source.choice(shapes_in(node))
    numeric = [name for name in ("minLength", "maxLength", "minimum", "maximum", "maxItems") if name in at]
    ways = ["bound"] * bool(numeric) + ["enum"] * ("enum" in at) + ["member"] * 3 * ("properties" in at)
    ways += ["pattern"] * (at.get("type") == "string") + ["items"] * ("items" in at) + ["branch"] * ("anyOf" in at)
    way = source.choice(ways or ["type"])
    if way == "bound":
        name = source.choice(numeric)
        if source.random() < 0.2:
            del at[name]
        else:
            at[name] = max(at[name] + source.choice([-1, 1]), 0 if "L" in name or "I" in name else -9)
    elif way == "enum":
        at["enum"] = source.sample(WORDS, source.randint(1, 4))
    elif way == "pattern":
        at["pattern"] = source.choice(PATTERNS)
    elif way == "items":
        at["items"] = shape(source, 1)
    elif way == "branch":
        at["anyOf"].append(shape(source, 2)) if source.random() < 0.5 else at["anyOf"].pop(0)
    elif way == "type":
        at["type"] = source.choice(["boolean", ["boolean", "null"], ["boolean", "string"]])
    else:
        members(at, source)


def members(at: dict[str, Any], source: random.Random) -> None:
    listed, required = at["properties"], at.setdefault("required", [])
    way = source.choice(["add", "remove", "demand", "free", "close", "condition"])
    if way == "add":
        name = source.choice(["e", "f"])
        listed[name] = shape(source, 1)
        if source.random() < 0.3:
            required.append(name)
    elif way == "remove" and listed:
        name = source.choice(sorted(listed))
        del listed[name]
        at["required"] = [one for one in required if one != name]
    elif way == "demand" and listed:
        at["required"] = sorted({*required, source.choice(sorted(listed))})
    elif way == "free":
        at["required"] = required[1:]
    elif way == "close":
        at["additionalProperties"] = not at["additionalProperties"]
    elif len(listed) > 1:
        first, second = source.sample(sorted(listed), 2)
        at["allOf"] = [{"if": {"required": [first]}, "then": {"required": [second]}}]


def document(node: dict[str, Any], source: random.Random) -> Any:
    """A document as a writer of the contract writes it; it may still break a pattern or a condition."""
    if "anyOf" in node:
        return document(source.choice(node["anyOf"]), source)
    if "enum" in node:
        return source.choice(node["enum"])
    kind = node.get("type")
    kind = source.choice(kind) if isinstance(kind, list) else kind
    if kind == "string":
        low = node.get("minLength", 0)
        length = source.randint(low, max(low, node.get("maxLength", low + 6)))
        return "".join(source.choice("abmtz") for _ in range(length))
    if kind in {"integer", "number"}:
        low = node.get("minimum", -12)
        value = source.randint(low, max(low, node.get("maximum", low + 12)))
        return min(value + 0.5, node.get("maximum", value)) if kind == "number" and source.random() < 0.5 else value
    if kind == "boolean":
        return source.random() < 0.5
    if kind == "array":
        return [document(node["items"], source) for _ in range(source.randint(0, node.get("maxItems", 3)))]
    if kind == "object":
        asked = set(node.get("required", ()))
        return {
            name: document(inner, source)
            for name, inner in node["properties"].items()
            if name in asked or source.random() < 0.7
        }
    return None


def written(contract: dict[str, Any], source: random.Random) -> list[Any]:
    """Valid documents of a contract."""
    judge = jsonschema_rs.Draft202012Validator(contract, validate_formats=True)
    made = (document(contract, source) for _ in range(DOCUMENTS))
    return [one for one in made if judge.is_valid(one)]


@pytest.mark.parametrize("reader", ["strict", "tolerant"])
@settings(max_examples=250, derandomize=True, deadline=None, database=None)
@given(seed=st.integers(min_value=0, max_value=2**32))
def test_documents_of_the_old_contract_keep_a_new_one_that_is_called_safe(reader: str, seed: int) -> None:
    source = random.Random(seed)
    before = schema(reader, {name: shape(source) for name in source.sample(NAMES, source.randint(1, 3))})
    before["required"] = source.sample(sorted(before["properties"]), 1)
    after = copy.deepcopy(before)
    for _ in range(source.randint(1, 2)):
        edit(after, source)

    broken = {str(audience) for one in differences({FILE: before}, {FILE: after}) for audience in one.breaks}

    for name, writer, judge in (("producers", before, after), ("consumers", after, before)):
        if name in broken or (name == "consumers" and reader == "strict"):
            continue
        validator = jsonschema_rs.Draft202012Validator(judge, validate_formats=True)
        for one in written(writer, source):
            assert validator.is_valid(one), (name, one, before, after)


def test_both_answers_are_given_often_enough_to_mean_something() -> None:
    """A comparison that calls everything breaking would pass the test above."""
    answers = []
    for seed in range(200):
        source = random.Random(seed)
        before = schema("strict", {name: shape(source) for name in NAMES[:2]})
        after = copy.deepcopy(before)
        edit(after, source)
        answers.append(any(one.breaks for one in differences({FILE: before}, {FILE: after})))
    assert 40 < sum(answers) < 160
