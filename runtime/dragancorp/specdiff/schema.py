"""A schema at its place in a snapshot, and what it says once its references are followed."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

from dragancorp.specdiff.snapshot import Snapshot, contract_of

__all__ = ["ANNOTATIONS", "Place", "Schema", "subschemas"]

ANNOTATIONS = frozenset(
    {"$anchor", "$comment", "$defs", "$id", "$schema", "definitions", "deprecated", "description", "examples", "title"}
)
"""Keywords that judge no document. `default` is not one of them here: it says what an absent member means."""

ONE = ("additionalProperties", "contains", "else", "if", "items", "not", "propertyNames", "then",
       "unevaluatedItems", "unevaluatedProperties")  # fmt: skip
LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
MAPS = ("dependentSchemas", "patternProperties", "properties")

_DEEPEST = 50  # references followed one after the other; more is a circle


@dataclass(frozen=True)
class Place:
    """A place in a document: the file and the steps of a JSON pointer."""

    file: str
    steps: tuple[str, ...] = ()

    def __truediv__(self, step: str) -> "Place":
        return Place(self.file, (*self.steps, step))

    def __str__(self) -> str:
        pointer = "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in self.steps)
        name = self.file.rpartition("/")[2]
        return f"{contract_of(self.file) if name in {'schema.json', 'openapi.json'} else self.file}#{pointer}"


@dataclass(frozen=True)
class Schema:
    """One schema, where it is written."""

    snapshot: Snapshot
    place: Place
    value: Any

    @classmethod
    def at(cls, snapshot: Snapshot, file: str, *steps: str) -> "Schema":
        """The schema at those steps of a document. Raises `KeyError` when there is none."""
        value = snapshot.documents[file]
        for step in steps:
            value = value[int(step)] if isinstance(value, list) else value[step]
        return cls(snapshot, Place(file, steps), value)

    def child(self, *steps: str) -> "Schema":
        """The schema some steps below this one."""
        value = self.value
        for step in steps:
            value = value[int(step)] if isinstance(value, list) else value[step]
        return Schema(self.snapshot, Place(self.place.file, (*self.place.steps, *steps)), value)

    def target(self, reference: str) -> "Schema | None":
        """What a reference leads to, or None."""
        base = "file:///" + self.place.file
        joined, fragment = urldefrag(urljoin(base, reference))
        file = self.snapshot.addresses.get(joined) or unquote(joined).removeprefix("file:///")
        try:
            steps = tuple(unquote(step).replace("~1", "/").replace("~0", "~") for step in fragment.split("/")[1:])
            return Schema.at(self.snapshot, file, *steps)
        except (KeyError, IndexError, ValueError, TypeError):
            return None

    @cached_property
    def embedded(self) -> "Schema | None":
        """The root of another contract, where this is a reference to one: a document inside another one is read, and
        judged, by its own contract."""
        reference = self.value.get("$ref") if isinstance(self.value, dict) else None
        target = self.target(reference) if isinstance(reference, str) else None
        if target is None or target.place.steps or target.place.file == self.place.file:
            return None
        return target if isinstance(target.value, dict) and "x-dragan-reader" in target.value else None

    @cached_property
    def keywords(self) -> dict[str, "Schema"]:
        """Every keyword that judges, by name, with references followed; what a reference and its sibling both say of
        one keyword stands as a further `allOf`."""
        return self._keywords(0)

    def _keywords(self, depth: int) -> dict[str, "Schema"]:
        if self.value is False:
            return {"not": Schema(self.snapshot, self.place, {})}
        if not isinstance(self.value, dict):
            return {}
        found: dict[str, Schema] = {}
        reference = self.value.get("$ref")
        target = self.target(reference) if isinstance(reference, str) else None
        if isinstance(reference, str) and (target is None or depth > _DEEPEST):
            found["$ref"] = self.child("$ref")
        elif target is not None:
            found.update(target._keywords(depth + 1))
        for name in self.value:
            if name == "$ref" or name in ANNOTATIONS or name.startswith("x-"):
                continue
            if name in found and name != "default":
                twice = Schema(self.snapshot, self.place, [{name: self.value[name]}])
                earlier = found.get("allOf")
                found["allOf"] = Schema(self.snapshot, self.place, [*(earlier.value if earlier else ()), *twice.value])
            else:
                found[name] = self.child(name)
        return found

    def plain(self, keyword: str, default: Any = None) -> Any:
        """The value of a keyword, or the default."""
        held = self.keywords.get(keyword)
        return default if held is None else held.value


def subschemas(value: dict[str, Any]) -> Iterator[tuple[str, tuple[str, ...], Any]]:
    """The schemas directly inside a schema: keyword, steps from here, schema."""
    for keyword in ONE:
        if keyword in value:
            yield keyword, (keyword,), value[keyword]
    for keyword in LISTS:
        held = value.get(keyword)
        for index, inner in enumerate(held if isinstance(held, list) else ()):
            yield keyword, (keyword, str(index)), inner
    for keyword in MAPS:
        held = value.get(keyword)
        for name, inner in held.items() if isinstance(held, dict) else ():
            yield keyword, (keyword, name), inner
