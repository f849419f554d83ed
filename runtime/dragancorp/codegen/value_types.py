"""Which types the values of a schema may have."""

from typing import Any

from dragancorp.codegen.references import Place, References

EVERY = ("object", "array", "string", "integer", "number", "boolean", "null")
"""All types; here `number` is the numbers that are not integers."""


class Types:
    """The types of schemas that refer to each other."""

    def __init__(self, references: References) -> None:
        self._references = references
        self._typing: list[tuple[str, str]] = []

    def of(self, place: Place) -> list[str]:
        """The types a valid value may have, or more of them."""
        schema, key = place.schema, (place.spec.module, place.pointer)
        if not isinstance(schema, dict) or key in self._typing:
            return list(EVERY)
        self._typing.append(key)
        try:
            possible = set(EVERY) & declared(schema)
            target = followed(place, self._references)
            if target is not None:
                possible &= set(self.of(target))
            choices: dict[str, set[str]] = {}
            for keyword, inner in place.inner():
                if keyword == "allOf":
                    possible &= set(self.of(inner))
                elif keyword in {"anyOf", "oneOf"}:
                    choices.setdefault(keyword, set()).update(self.of(inner))
            for types in choices.values():
                possible &= types
        finally:
            self._typing.pop()
        return [name for name in EVERY if name in possible]


def followed(place: Place, references: References) -> Place | None:
    """What the `$ref` of a schema leads to, or None without one."""
    reference = place.schema.get("$ref")
    return references.find(place.base, reference) if isinstance(reference, str) else None


def declared(schema: dict[str, Any]) -> set[str]:
    """The types that the schema itself leaves, by `type`, `const` and `enum`."""
    given = schema.get("type", list(EVERY))
    types = {given} if isinstance(given, str) else set(given)
    types |= {"integer"} if "number" in types else set()
    if "const" in schema:
        types &= types_of([schema["const"]])
    if isinstance(schema.get("enum"), list):
        types &= types_of(schema["enum"])
    return types


def types_of(values: list[Any]) -> set[str]:
    """The types of some values."""
    return {type_of(value) for value in values}


def type_of(value: Any) -> str:
    """The type of a value, in the words of `EVERY`."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return "integer"
    kinds = {float: "number", str: "string", list: "array", dict: "object"}
    return next((name for kind, name in kinds.items() if isinstance(value, kind)), "null")
