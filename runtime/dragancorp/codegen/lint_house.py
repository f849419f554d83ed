"""The rules of the subset that only contracts of the house keep: how one schema is written."""

import re
from collections.abc import Iterator
from typing import Any

from dragancorp.codegen.findings import Finding, found
from dragancorp.codegen.references import Place, References, root
from dragancorp.codegen.schema_tree import REFINING
from dragancorp.codegen.sources import BASE, Spec

_TITLE = re.compile(r"^[A-Z][A-Za-z0-9]*$")
_LARGEST = 2**53

# Every keyword a contract may hold. One that is not here is lost to some reader, or to all.
_KNOWN = {
    "$schema", "$id", "$ref", "$defs", "$comment", "title", "description", "default", "examples", "deprecated",
    "type", "enum", "const", "properties", "required", "additionalProperties", "propertyNames", "minProperties",
    "maxProperties", "items", "minItems", "maxItems", "uniqueItems", "minLength", "maxLength", "pattern", "format",
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
    "allOf", "anyOf", "oneOf", "not", "if", "then", "else",
    "patternProperties",  # refused by a rule of its own
}  # fmt: skip
_INSTEAD = {
    "prefixItems": "an object with named members",
    "contains": "a rule with a short id, or a member of its own",
    "dependentRequired": "`if`/`then` in `allOf`",
    "dependentSchemas": "`if`/`then` in `allOf`",
    "unevaluatedProperties": "one flat object with `additionalProperties`",
    "unevaluatedItems": "`items`",
    "definitions": "`$defs`",
    "$anchor": "a reference to `#/$defs/NAME`",
    "$dynamicRef": "`$ref`",
    "$dynamicAnchor": "a reference to `#/$defs/NAME`",
}
_FORMATS = {"date-time"}
_OF_TYPE = {
    "object": {"properties", "required", "additionalProperties", "propertyNames", "minProperties", "maxProperties"},
    "array": {"items", "minItems", "maxItems", "uniqueItems"},
    "string": {"minLength", "maxLength", "pattern", "format"},
    "number": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"},
}


def findings(spec: Spec, references: References) -> Iterator[Finding]:
    """Every rule that the schema of one contract breaks."""
    start = root(spec)
    if not isinstance(spec.schema, dict):
        yield found(spec.path, (), "SUB-1", "the root is no object", 'write "type": "object" and "properties"')
        return
    yield from _root(spec, spec.schema)
    yield from _schema(start, references, refining=False)


def _root(spec: Spec, schema: dict[str, Any]) -> Iterator[Finding]:
    if schema.get("type") != "object" or not isinstance(schema.get("properties"), dict) or "$ref" in schema:
        message = "the root is no plain object, so it would become no model with members"
        yield found(spec.path, (), "SUB-1", message, 'write "type": "object" and "properties"')
    if not _TITLE.match(str(schema.get("title", ""))) or not schema.get("description"):
        message = "the root does not name and explain itself; the model would have no name"
        yield found(spec.path, (), "SUB-1", message, "write a PascalCase `title` and a `description`")
    for keyword in ("oneOf", "anyOf"):
        if keyword in schema:
            message = f"`{keyword}` at the root: its members would not be those of one model"
            instead = "write one flat object with a `type` enum and if/then in `allOf`"
            yield found(spec.path, (keyword,), "SUB-1", message, instead)
    wanted = f"{BASE}{spec.contract}/schema.json"
    if schema.get("$id") != wanted:
        message = "`$id` is not the contract's address, so references to it would lead elsewhere"
        yield found(spec.path, ("$id",), "SUB-4", message, f'write "$id": "{wanted}"')
    if schema.get("x-dragan-reader") not in {"strict", "tolerant"}:
        message = "nothing says whether a member nobody knows is refused or kept"
        instead = 'write "x-dragan-reader": "strict" for what is received, "tolerant" for what is answered'
        yield found(spec.path, (), "SUB-6", message, instead)


def _schema(place: Place, references: References, *, refining: bool) -> Iterator[Finding]:
    schema, path, file = place.schema, place.path, place.spec.path
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "object" and "additionalProperties" not in schema and not refining:
        message = "an object that does not say `additionalProperties`: one reader would drop what another keeps"
        yield found(file, path, "SUB-2", message, "write false (strict) or true (tolerant)")
    if "patternProperties" in schema:
        message = "`patternProperties` has no typed view"
        instead = "write an object with `propertyNames` and one schema in `additionalProperties`"
        yield found(file, (*path, "patternProperties"), "SUB-7", message, instead)
    for keyword in schema.keys() - _KNOWN:
        if not keyword.startswith("x-dragan-"):
            instead = _INSTEAD.get(keyword, "a keyword of the subset; a remark of our own starts with `x-dragan-`")
            message = f"`{keyword}` is outside the subset, and lost to some reader"
            yield found(file, (*path, keyword), "SUB-11", message, f"write {instead}")
    if not refining:
        yield from _untyped(place)
        yield from _described(place, references)
    yield from _values(place)
    for keyword, inner in place.inner():
        yield from _schema(inner, references, refining=refining or keyword in REFINING)


def _untyped(place: Place) -> Iterator[Finding]:
    given = place.schema.get("type", [])
    types = {given} if isinstance(given, str) else set(given)
    types |= {"number"} if "integer" in types else set()
    for name, keywords in _OF_TYPE.items():
        used = keywords & place.schema.keys()
        if used and name not in types and types != {"null"}:
            message = f"`{sorted(used)[0]}` says nothing about a value that is no {name}, which is accepted here"
            instead = f'write "type": "{name}" beside it'
            yield found(place.spec.path, (*place.path, sorted(used)[0]), "SUB-12", message, instead)


def _described(place: Place, references: References) -> Iterator[Finding]:
    for keyword, inner in place.inner():
        if keyword != "properties" or not isinstance(inner.schema, dict) or inner.schema.get("description"):
            continue
        reference = inner.schema.get("$ref")
        target = references.find(inner.base, reference) if isinstance(reference, str) else None
        if target is None or not isinstance(target.schema, dict) or not target.schema.get("description"):
            message = f"the property `{inner.path[-1]}` says nothing of itself"
            yield found(inner.spec.path, inner.path, "SUB-3", message, "write a `description`")


def _values(place: Place) -> Iterator[Finding]:
    """The rules about what a keyword's value may be."""
    schema, file = place.schema, place.spec.path
    for keyword in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"):
        if abs(schema.get(keyword, 0)) > _LARGEST:
            message = "a bound beyond 2^53, where readers that count in doubles lose digits"
            yield found(file, (*place.path, keyword), "SUB-14", message, "write at most 9007199254740991")
    for keyword in ("enum", "const"):
        values = schema.get(keyword, []) if keyword == "enum" else [schema.get("const", "")]
        if not all(isinstance(value, str | bool | None) for value in values) or len({*map(str, values)}) < len(values):
            message = (
                "choices that are not different texts or booleans: readers disagree whether 1, 1.0 and true are one"
            )
            yield found(file, (*place.path, keyword), "SUB-15", message, "write texts, each once")
    items = schema.get("items")
    if schema.get("uniqueItems") and not (
        isinstance(items, dict) and (items.get("type") == "string" or "$ref" in items)
    ):
        message = "`uniqueItems` over what is no text: readers disagree whether 1 and 1.0 are the same"
        yield found(file, (*place.path, "uniqueItems"), "SUB-17", message, "make the items texts")
    if "format" in schema and (schema["format"] not in _FORMATS or "pattern" not in schema):
        message = f"the format {schema['format']!r} is checked differently by different readers, or not at all"
        yield found(
            file, (*place.path, "format"), "SUB-18", message, "write a `pattern`; beside one, `date-time` may stand"
        )
