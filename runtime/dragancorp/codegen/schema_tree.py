"""Where schemas stand inside a schema, and JSON pointers to them."""

from collections.abc import Iterator
from typing import Any

Path = tuple[str, ...]

# Keywords whose value is one schema, a list of schemas, or a map of schemas.
ONE = (
    "items", "additionalProperties", "propertyNames", "contains", "not", "if", "then", "else", "unevaluatedProperties",
    "unevaluatedItems",
)  # fmt: skip
LIST = ("allOf", "anyOf", "oneOf", "prefixItems")
MAP = ("properties", "$defs", "definitions", "dependentSchemas", "patternProperties")
# Below these a schema only refines another one, and need not say everything again.
REFINING = frozenset({"if", "then", "else", "allOf", "anyOf", "oneOf", "not", "dependentSchemas"})


def children(schema: Any) -> Iterator[tuple[str, Path, Any]]:
    """The schemas directly inside a schema: (keyword, path from here, schema)."""
    if not isinstance(schema, dict):
        return
    for keyword in ONE:
        if keyword in schema:
            yield keyword, (keyword,), schema[keyword]
    for keyword in LIST:
        inner = schema.get(keyword)
        for index, value in enumerate(inner if isinstance(inner, list) else ()):
            yield keyword, (keyword, str(index)), value
    for keyword in MAP:
        inner = schema.get(keyword)
        for name, value in inner.items() if isinstance(inner, dict) else ():
            yield keyword, (keyword, name), value


def places(schema: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every schema in a schema, itself first: (path, schema)."""
    yield path, schema
    for _, step, inner in children(schema):
        yield from places(inner, (*path, *step))


def pointer(path: Path) -> str:
    """A path as a JSON pointer."""
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in path)


def steps(fragment: str) -> Path | None:
    """A JSON pointer as a path, or None for what is none."""
    if fragment and not fragment.startswith("/"):
        return None
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in fragment.split("/")[1:])


def resolve(document: Any, fragment: str) -> Any:
    """The part of a document that a JSON pointer names, or None."""
    path = steps(fragment)
    if path is None:
        return None
    node = document
    for key in path:
        if isinstance(node, dict):
            node = node.get(key)
        elif isinstance(node, list) and key.isdigit() and int(key) < len(node):
            node = node[int(key)]
        else:
            return None
    return node
