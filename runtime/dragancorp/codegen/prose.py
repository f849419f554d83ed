"""What a schema says, in words: the rows that reference pages and the human page of the API are made of."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Link = Callable[[str], str]
"""Given a reference, how it is shown: its name, linked where the page can."""

_LIMITS = (
    ("minLength", "at least {} characters"), ("maxLength", "at most {} characters"),
    ("minItems", "at least {} items"), ("maxItems", "at most {} items"),
    ("minProperties", "at least {} members"), ("maxProperties", "at most {} members"),
    ("minimum", "at least {}"), ("maximum", "at most {}"),
    ("exclusiveMinimum", "more than {}"), ("exclusiveMaximum", "less than {}"), ("multipleOf", "a multiple of {}"),
)  # fmt: skip
_WORDS = {"object": "object", "array": "list", "string": "text", "integer": "integer", "number": "number"}
_DEEPEST = 6


@dataclass(frozen=True, kw_only=True)
class Row:
    """One member: where it stands (`steps[].run`), its type and bounds, and what it means."""

    name: str
    kind: str
    required: bool
    bounds: tuple[str, ...]
    description: str


def rows(schema: Any, link: Link, name: str = "", depth: int = 0) -> Iterator[Row]:
    """The members of an object, those of inline objects below them."""
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return
    required = schema.get("required", ())
    for member, inner in schema.get("properties", {}).items():
        at = f"{name}.{member}" if name else member
        yield Row(
            name=at,
            kind=kind(inner, link),
            required=member in required,
            bounds=tuple(bounds(inner)),
            description=inner.get("description", "") if isinstance(inner, dict) else "",
        )
        yield from _below(inner, link, at, depth)


def _below(schema: Any, link: Link, at: str, depth: int) -> Iterator[Row]:
    if not isinstance(schema, dict) or "$ref" in schema:
        return
    yield from rows(schema, link, at, depth + 1)
    if isinstance(schema.get("items"), dict):
        yield from _below(schema["items"], link, f"{at}[]", depth + 1)
    if isinstance(schema.get("additionalProperties"), dict):
        yield from _below(schema["additionalProperties"], link, f"{at}.*", depth + 1)


def kind(schema: Any, link: Link) -> str:
    """The type in words: `list of text`, `text or null`, `mission_id`."""
    if not isinstance(schema, dict):
        return "anything" if schema is True else "nothing"
    if "$ref" in schema:
        return link(schema["$ref"])
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema and "type" not in schema:
            return " or ".join(dict.fromkeys(kind(one, link) for one in schema[keyword]))
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    if set(types) >= {"object", "array", "string", "number", "boolean", "null"} or not types:
        return "one of the values" if {"enum", "const"} & schema.keys() else "anything"
    return " or ".join(_word(one, schema, link) for one in types)


def _word(name: str, schema: dict[str, Any], link: Link) -> str:
    if name == "array" and "items" in schema:
        return f"list of {kind(schema['items'], link)}"
    if name == "object" and "properties" not in schema and isinstance(schema.get("additionalProperties"), dict):
        return f"map to {kind(schema['additionalProperties'], link)}"
    return _WORDS.get(name, name)


def bounds(schema: Any) -> Iterator[str]:
    """What a value must keep beside its type, each as a phrase; code stands in backticks."""
    if not isinstance(schema, dict):
        return
    for keyword, phrase in _LIMITS:
        if keyword in schema:
            told = phrase.format(f"{schema[keyword]:,}" if isinstance(schema[keyword], int) else schema[keyword])
            yield told.removesuffix("s") if schema[keyword] == 1 and told.endswith("s") else told
    if "const" in schema:
        yield f"always `{_shown(schema['const'])}`"
    if "enum" in schema:
        yield "one of " + ", ".join(f"`{_shown(value)}`" for value in schema["enum"])
    if "pattern" in schema:
        yield f"matches `{schema['pattern']}`"
    if "format" in schema:
        yield f"format `{schema['format']}`"
    if schema.get("uniqueItems"):
        yield "each item once"
    if "default" in schema:
        yield f"default `{_shown(schema['default'])}`"
    items = schema.get("items")
    if isinstance(items, dict) and "$ref" not in items:
        yield from (f"each {phrase}" for phrase in bounds(items))


def conditions(schema: Any) -> Iterator[str]:
    """What is asked for only sometimes, as sentences."""
    for one in [schema, *(schema.get("allOf", ()) if isinstance(schema, dict) else ())]:
        if not isinstance(one, dict) or "if" not in one:
            continue
        when = " and ".join(_condition(one["if"])) or "the condition of the schema holds"
        for keyword, start in (("then", f"When {when}"), ("else", f"Unless {when}")):
            asked = list(_asked(one.get(keyword)))
            if asked:
                yield f"{start}: {', '.join(asked)}."


def _condition(schema: Any) -> Iterator[str]:
    for name, inner in (schema.get("properties", {}) if isinstance(schema, dict) else {}).items():
        told = list(bounds(inner))
        yield f"`{name}` is {told[0].removeprefix('always ')}" if told else f"`{name}` is given"


def _asked(schema: Any) -> Iterator[str]:
    if not isinstance(schema, dict):
        return
    if schema.get("required"):
        yield "required " + ", ".join(f"`{name}`" for name in schema["required"])
    barred = schema.get("not", {})
    if isinstance(barred, dict) and barred.get("required"):
        yield "not allowed " + ", ".join(f"`{name}`" for name in barred["required"])
    for name, inner in schema.get("properties", {}).items():
        for phrase in bounds(inner):
            yield f"`{name}` {phrase}"


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
