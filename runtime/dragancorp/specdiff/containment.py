"""The judge of two schemas: whether one accepts every document that the other allows.

`jsonschema_rs` decides on canonical forms, and answers yes, no or unknown. It is asked about a bundle: one document
whose references all start with `#/`, without addresses and annotations.
"""

from enum import StrEnum
from typing import Any

import jsonschema_rs

from dragancorp.specdiff.schema import ANNOTATIONS, LISTS, MAPS, ONE, Schema

__all__ = ["Verdict", "accepts", "bundle", "covers"]

# Below these a schema refines another one, so the members it lists are not all there are.
_REFINING = frozenset({"allOf", "anyOf", "dependentSchemas", "else", "if", "not", "oneOf", "then"})


class Verdict(StrEnum):
    """What the judge says."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


def accepts(wide: Schema, narrow: Schema) -> Verdict:
    """Whether `wide` accepts every document that a writer of `narrow` writes.

    A writer writes the members that its contract lists: an open object allows others so that a later version can name
    them, not so that anybody puts something there. So `narrow` is taken with its open objects closed.
    """
    return covers(bundle(wide), bundle(narrow, written=True))


def covers(wide: dict[str, Any], narrow: dict[str, Any]) -> Verdict:
    """Whether one schema, given as a plain document with `#/` references, accepts all that the other one does."""
    try:
        canonical = [jsonschema_rs.canonicalize(one, validate_formats=True) for one in (wide, narrow)]
        said = canonical[0].covers(canonical[1])
    except (ValueError, TypeError, jsonschema_rs.ReferencingError):
        # A form that cannot be made canonical is one that nothing is known about.
        return Verdict.UNKNOWN
    known = {jsonschema_rs.canonical.Containment.YES: Verdict.YES, jsonschema_rs.canonical.Containment.NO: Verdict.NO}
    return known.get(said, Verdict.UNKNOWN)


def bundle(schema: Schema, *, written: bool = False) -> dict[str, Any]:
    """The schema as one document. With `written`, open objects allow the members they list and no others."""
    return _Bundle(written).of(schema)


class _Bundle:
    def __init__(self, written: bool) -> None:
        self._written = written
        self._names: dict[tuple[object, bool], str] = {}
        self._definitions: dict[str, Any] = {}

    def of(self, schema: Schema) -> dict[str, Any]:
        body = self._copied(schema, refining=False)
        return {"allOf": [body], "$defs": self._definitions} if isinstance(body, bool) else {
            **body, "$defs": self._definitions
        }  # fmt: skip

    def _copied(self, schema: Schema, *, refining: bool) -> Any:
        value = schema.value
        if not isinstance(value, dict):
            return value
        copied: dict[str, Any] = {}
        for keyword, inner in value.items():
            if keyword in ANNOTATIONS or keyword.startswith("x-") or keyword == "default":
                continue
            below = refining or keyword in _REFINING
            if keyword == "$ref" and schema.embedded is not None:
                # Whatever the other contract allows: it is compared by itself, under its own reader.
                copied["$comment"] = str(schema.embedded.place)
            elif keyword == "$ref":
                copied[keyword] = self._reference(schema, inner, refining=refining or self._refined(value))
            elif keyword in ONE and isinstance(inner, dict):
                copied[keyword] = self._copied(schema.child(keyword), refining=below)
            elif keyword in LISTS:
                copied[keyword] = [
                    self._copied(schema.child(keyword, str(index)), refining=below) for index in range(len(inner))
                ]
            elif keyword in MAPS:
                copied[keyword] = {name: self._copied(schema.child(keyword, name), refining=below) for name in inner}
            else:
                copied[keyword] = inner
        if self._written and not refining and self._closable(value):
            copied["additionalProperties"] = False
        return copied

    def _reference(self, schema: Schema, reference: str, *, refining: bool) -> str:
        target = schema.target(reference)
        if target is None:
            return reference
        key = (target.place, refining)
        if key not in self._names:
            name = self._names[key] = f"d{len(self._names)}"
            self._definitions[name] = self._copied(target, refining=refining)
        return f"#/$defs/{self._names[key]}"

    @staticmethod
    def _refined(value: dict[str, Any]) -> bool:
        """Whether more than annotations stands beside a reference, so that the target is not the whole object."""
        return any(keyword not in ANNOTATIONS and keyword not in {"$ref", "default"} for keyword in value)

    @staticmethod
    def _closable(value: dict[str, Any]) -> bool:
        """Whether an open object lists all the members that a writer would write."""
        listed = value.get("properties")
        if not isinstance(listed, dict) or value.get("additionalProperties", True) is not True or "$ref" in value:
            return False
        conditions = {keyword: value[keyword] for keyword in _REFINING if keyword in value}
        return _members(conditions) <= listed.keys()


def _members(node: Any) -> set[str]:
    """Every member that a condition names; one behind a reference has no name here, and is no listed member."""
    if isinstance(node, list):
        return set().union(*(_members(item) for item in node)) if node else set()
    if not isinstance(node, dict):
        return set()
    named = set(node.get("properties", ())) | set(node.get("required", ()))
    if "$ref" in node:
        named.add("$ref")
    for keyword in ("allOf", "anyOf", "oneOf", "not", "if", "then", "else"):
        named |= _members(node.get(keyword))
    return named.union(*(_members(inner) for inner in node.get("dependentSchemas", {}).values()))
