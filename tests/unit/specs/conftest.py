"""The contracts as the tests see them: their shapes, their examples, and every bound their schemas set.

Tests that ask for `shape` or `contract` run once for each. There are thousands of examples: a test takes those of a
shape in one go and names each that is not what it should be.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dragancorp_contracts import resources

SPECS = resources.specs_root()

# What a schema may hold, by what it means for these tests. A keyword that is in none of these fails the tests.
BOUNDS = {
    "type", "enum", "const", "required", "minLength", "maxLength", "pattern", "format", "minimum", "maximum",
    "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minItems", "maxItems", "uniqueItems", "minProperties",
    "maxProperties", "anyOf", "oneOf", "not",
}  # fmt: skip
HOLDING_ONE = {"items", "then", "else"}
HOLDING_MANY = {"properties", "$defs"}
SILENT = {"$schema", "$id", "$ref", "title", "description", "default", "if", "x-dragan-reader", "x-dragan-untrusted"}
EVERY_TYPE = {"object", "array", "string", "number", "boolean", "null"}


@dataclass(frozen=True)
class Shape:
    """A contract's root, or a shape of its `$defs` that has examples of its own."""

    contract: str
    place: str = ""

    @property
    def reference(self) -> str:
        """As `dragancorp.rules` names it."""
        return f"{self.contract}#/$defs/{self.place}" if self.place else self.contract

    def examples(self, kind: str) -> list[Path]:
        return sorted((SPECS / self.contract / "v1" / "examples" / kind / self.place).glob("*.json"))

    def valid(self) -> "list[Example]":
        return [Example(self, path, json.loads(path.read_text(encoding="utf-8"))) for path in self.examples("valid")]

    def invalid(self) -> "list[Example]":
        return [_broken(self, path) for path in self.examples("invalid")]


@dataclass(frozen=True)
class Example:
    """One example file; `breaks` and `pointer` are empty for a valid one."""

    shape: Shape
    path: Path
    document: Any = field(repr=False)
    breaks: str = ""
    pointer: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, (self.shape.contract, self.shape.place, self.path.stem)))


def contracts() -> list[str]:
    return [name for name in resources.names() if (SPECS / name / "v1" / "schema.json").is_file()]


def shapes() -> Iterator[Shape]:
    for name in contracts():
        yield Shape(name)
        for folder in sorted((SPECS / name / "v1" / "examples" / "valid").glob("*/")):
            yield Shape(name, folder.name)


def _broken(shape: Shape, path: Path) -> Example:
    written = json.loads(path.read_text(encoding="utf-8"))
    return Example(shape, path, expanded(written), written["breaks"], written["pointer"])


def expanded(written: dict[str, Any]) -> Any:
    """The document of an invalid example, its `repeat` carried out."""
    document = json.loads(json.dumps(written["document"]))
    if "repeat" not in written:
        return document
    pointer, unit, times = (written["repeat"][member] for member in ("pointer", "unit", "times"))
    *way, last = pointer.split("/")[1:]
    place = document
    for part in way:
        place = place[int(part) if isinstance(place, list) else part]
    key: Any = int(last) if isinstance(place, list) else last
    place[key] = unit * times if isinstance(place[key], str) else [_numbered(unit, n) for n in range(times)]
    return document


def _numbered(unit: Any, number: int) -> Any:
    if isinstance(unit, str):
        return unit.replace("{n}", str(number))
    if isinstance(unit, list):
        return [_numbered(item, number) for item in unit]
    if isinstance(unit, dict):
        return {key: _numbered(value, number) for key, value in unit.items()}
    return unit


def bounds(contract: str) -> set[str]:
    """The ids of every rule that a contract's own schema sets, and that can be broken alone."""
    return {f"{contract}/v1#{pointer}" for pointer in _bounds(resources.read_document(contract), "")}


def _bounds(schema: dict[str, Any], at: str) -> Iterator[str]:
    for keyword, value in schema.items():
        here = f"{at}/{keyword}"
        if keyword == "additionalProperties":
            if value is False:
                yield here
            elif value is not True:
                yield from _bounds(value, here)
        elif keyword in BOUNDS:
            if not (keyword == "type" and _says_nothing_alone(schema)):
                yield here
        elif keyword in HOLDING_ONE:
            yield from _bounds(value, here)
        elif keyword in HOLDING_MANY:
            for name, inner in value.items():
                yield from _bounds(inner, f"{here}/{name}")
        elif keyword == "allOf":
            for index, inner in enumerate(value):
                yield from _bounds(inner, f"{here}/{index}")
        elif keyword not in SILENT:
            raise ValueError(f"{here}: these tests do not know the keyword {keyword}")


def _says_nothing_alone(schema: dict[str, Any]) -> bool:
    """A value of another type is not among the `enum` either; and every value has one of all types."""
    return "enum" in schema or (isinstance(schema["type"], list) and set(schema["type"]) >= EVERY_TYPE)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for name, source in {"contract": contracts, "shape": shapes}.items():
        if name in metafunc.fixturenames:
            found = list(source())
            metafunc.parametrize(name, found, ids=[one.reference if isinstance(one, Shape) else one for one in found])


@pytest.fixture
def bounds_of_contract(contract: str) -> set[str]:
    return bounds(contract)


@pytest.fixture
def examples_of_contract(contract: str) -> list[Example]:
    """The invalid examples of a contract, of its root and of its other shapes."""
    return [example for shape in shapes() if shape.contract == contract for example in shape.invalid()]
