"""Documents for a schema: valid ones as a rule, and single mutations of them.

Everything is drawn from one `random.Random`, so a seed gives the same documents again.
"""

import copy
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

DEEPEST = 5
TEXTS = (
    "",
    "a",
    "ab",
    "x-1",
    "vp.coder.primary",
    "2026-11-22T09:30:00Z",
    "https://x/",
    "é",
    "e\u0301",
    "\U0001f600\U0001f600",
    "A" * 40,
    "0",
)
NUMBERS = (
    0,
    1,
    -1,
    2,
    3,
    5,
    7,
    1.0,
    1.5,
    -0.0,
    2.0,
    0.1,
    100,
    2**31,
    2**53,
    2**53 + 1,
    10**20,
    10**30,
    1e30,
    1e300,
    1662.0,
)
SCALARS: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    1.0,
    "",
    "1",
    "true",
    [],
    [None],
    {},
    {"a": 1},
    [1, True],
    "\u0000",
    "\n",
)
ODD_TEXTS = ("\n", "\u0000", "\u0085", "\ufeff", "\u2028", "\uff10", "é", "\U0001f9ea", " ")

Resolve = Callable[[str, str], tuple[str, Any]]
"""Given the address a reference stands at and the reference: the address it leads to, and the schema there."""


@dataclass
class Documents:
    """A source of documents for the schemas that `resolve` finds."""

    resolve: Resolve
    random: random.Random

    def valid(self, base: str, schema: Any, depth: int = 0) -> Any:
        """A document that is meant to be valid; conditions are met often, not always."""
        if not isinstance(schema, dict) or depth > 2 * DEEPEST:
            return self.pick(SCALARS) if depth < DEEPEST else None
        if "$ref" in schema:
            at, target = self.resolve(base, schema["$ref"])
            merged = (
                {**target, **{k: v for k, v in schema.items() if k != "$ref"}} if isinstance(target, dict) else target
            )
            return self.valid(at, merged, depth + 1)
        if "const" in schema:
            return copy.deepcopy(schema["const"])
        if "enum" in schema:
            return copy.deepcopy(self.pick(schema["enum"]))
        for keyword in ("oneOf", "anyOf"):
            if keyword in schema and self.random.random() < 0.9:
                chosen = self.pick(schema[keyword])
                rest = {key: value for key, value in schema.items() if key != keyword}
                return self.valid(base, _merged(rest, self._flat(base, chosen)), depth + 1)
        if "allOf" in schema:
            whole = {key: value for key, value in schema.items() if key != "allOf"}
            for member in schema["allOf"]:
                whole = _merged(whole, self._condition(self._flat(base, member)))
            return self.valid(base, whole, depth + 1)
        if "if" in schema:
            return self.valid(base, _merged(self._condition(schema), {}), depth + 1)
        kind = schema.get("type") or self._likely(schema)
        return self._of_type(base, schema, self.pick(kind) if isinstance(kind, list) else kind, depth)

    def mutated(self, document: Any) -> Any:
        """The document with one thing changed, somewhere in it; the rest is shared with the original."""
        if not isinstance(document, dict | list) or not document or self.random.random() < 0.02:
            return self._other(document)
        keys = list(document) if isinstance(document, dict) else range(len(document))
        key = self.pick(keys)
        changed: Any = document.copy()
        inner = document[key]
        if isinstance(inner, dict | list) and inner and self.random.random() < 0.75:
            changed[key] = self.mutated(inner)
        elif self.random.random() < 0.65:
            changed[key] = self._other(inner)
        elif isinstance(changed, dict):
            self._members_changed(changed, key)
        else:
            self._items_changed(changed, key)
        return changed

    def _members_changed(self, document: dict[str, Any], key: str) -> None:
        kind = self.random.randrange(3)
        if kind == 0:
            del document[key]
        elif kind == 1:
            name = self.pick(("x-unheard-of", "", "a", f"{key} ", key.upper(), "é", "$ref", "__class__"))
            document[name] = self.pick(SCALARS)
        else:
            document[self.pick(("zz", f"{key}_"))] = document.pop(key)

    def _items_changed(self, items: list[Any], key: int) -> None:
        kind = self.random.randrange(3)
        if kind == 0:
            items.pop(key)
        elif kind == 1:
            items.append(items[key])
        else:
            items.insert(0, self.pick(SCALARS))

    def raw(self, document: Any) -> str:
        """The document as text with one member written twice, or another defect that only text can have."""
        text = json.dumps(document)
        broken = self.pick(('{"a":1,"a":1}', "NaN", "1e400", '"\\ud800"', "[1,]", "\ufeff{}", "01", "'a'"))
        if isinstance(document, dict) and document and self.random.random() < 0.5:
            name, value = self.pick(list(document.items()))
            return "{" + f"{json.dumps(name)}:{json.dumps(value)}," + text[1:]
        return broken

    def pick(self, values: Any) -> Any:
        return values[self.random.randrange(len(values))]

    def _other(self, value: Any) -> Any:
        """A near value, or one of another kind."""
        if self.random.random() < 0.35:
            return copy.deepcopy(self.pick(SCALARS))
        if isinstance(value, bool):
            return self.pick((not value, int(value), str(value).lower()))
        if isinstance(value, int | float):
            near = (
                value + 1,
                value - 1,
                -value,
                float(value),
                value + 0.5,
                int(value),
                str(value),
                2**53,
                1e300,
                10**30,
                bool(value),
            )
            return self.pick(near)
        if isinstance(value, str):
            cut = self.random.randrange(len(value) + 1)
            odd = self.pick(ODD_TEXTS)
            return self.pick(
                (
                    value[:cut] + odd + value[cut:],
                    value + odd,
                    value[:cut],
                    value * 2,
                    value.upper(),
                    value + "x" * self.pick((1, 40, 300)),
                    value.swapcase(),
                )
            )
        if isinstance(value, list):
            return self.pick((value * 2, value[:1], list(reversed(value)), {"0": value}, [*value, None]))
        if isinstance(value, dict):
            return self.pick(({}, [value], {**value, "x-more": 1}, dict(list(value.items())[:1]), list(value)))
        return self.pick(SCALARS)

    def _of_type(self, base: str, schema: dict[str, Any], kind: str, depth: int) -> Any:
        if kind == "object":
            return self._object(base, schema, depth)
        if kind == "array":
            return self._array(base, schema, depth)
        if kind == "string":
            return self._string(schema)
        if kind in {"integer", "number"}:
            return self._number(schema, kind)
        return {"boolean": self.random.random() < 0.5, "null": None}.get(kind)

    def _object(self, base: str, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        document = {}
        required = set(schema.get("required", ()))
        share = 0.1 if depth > DEEPEST else self.pick((0.1, 0.3, 0.8))
        for name, inner in schema.get("properties", {}).items():
            if name in required or (inner is not False and self.random.random() < share):
                document[name] = self.valid(base, inner, depth + 1)
        for name in required - document.keys():
            document[name] = self.pick(SCALARS)
        for pattern, inner in schema.get("patternProperties", {}).items():
            if self.random.random() < 0.5:
                document[self.text(pattern)] = self.valid(base, inner, depth + 1)
        more, names = schema.get("additionalProperties", True), schema.get("propertyNames", {})
        wanted = schema.get("minProperties", 0)
        while more is not False and (len(document) < wanted or self.random.random() < 0.3) and len(document) < 12:
            name = (
                self.valid(base, {"type": "string", **names}, depth + 1)
                if isinstance(names, dict) and names
                else self.pick(TEXTS)
            )
            document[str(name)] = self.valid(base, more, depth + 1) if isinstance(more, dict) else self.pick(SCALARS)
            wanted -= 1  # a name drawn twice must not hold us here
        return document

    def _array(self, base: str, schema: dict[str, Any], depth: int) -> list[Any]:
        least = int(schema.get("minItems", 0))
        most = min(int(schema.get("maxItems", least + 3)), least + 3)
        length = least if depth > DEEPEST else self.random.randint(least, max(least, most))
        first = schema.get("prefixItems", [])
        items = [self.valid(base, inner, depth + 1) for inner in first[: max(length, len(first))]]
        while len(items) < length and schema.get("items") is not False:
            items.append(self.valid(base, schema.get("items", True), depth + 1))
        if "contains" in schema and self.random.random() < 0.8:
            items.append(self.valid(base, schema["contains"], depth + 1))
        if schema.get("uniqueItems"):
            items = list({json.dumps(item, sort_keys=True): item for item in items}.values())
        return items

    def _string(self, schema: dict[str, Any]) -> str:
        if "pattern" in schema:
            return self.text(schema["pattern"])
        least = int(schema.get("minLength", 0))
        most = int(schema.get("maxLength", least + 12))
        edge = self.random.random()
        length = (
            least
            if edge < 0.2
            else most
            if edge < 0.3 and most <= 300
            else self.random.randint(least, min(most, least + 12))
        )
        if schema.get("format") == "date-time":
            return "2026-11-22T09:30:00Z"
        return "".join(self.pick("ab1 é\U0001f600-_.") for _ in range(length))

    def text(self, pattern: str) -> str:
        """A text that the pattern matches, as a rule."""
        return _Matching(pattern, self.random).text()

    def _number(self, schema: dict[str, Any], kind: str) -> int | float:
        low = schema.get("minimum", schema.get("exclusiveMinimum", -5))
        high = schema.get("maximum", schema.get("exclusiveMaximum", max(low, 0) + 10))
        options = [low, high, low + 1, low + 1.5, high - 1, self.pick(NUMBERS), int(low) + 2, float(int(low) + 2)]
        value = self.pick(options)
        if "multipleOf" in schema:
            value = int(value) // int(schema["multipleOf"]) * int(schema["multipleOf"])
        return int(value) if kind == "integer" and self.random.random() < 0.8 else value

    def _likely(self, schema: dict[str, Any]) -> str:
        for kind, keywords in (
            ("object", {"properties", "required", "additionalProperties", "patternProperties", "dependentRequired"}),
            ("array", {"items", "prefixItems", "contains", "uniqueItems", "minItems"}),
            ("string", {"pattern", "minLength", "maxLength", "format"}),
            ("number", {"minimum", "maximum", "multipleOf"}),
        ):
            if keywords & schema.keys() and self.random.random() < 0.9:
                return kind
        return self.pick(("object", "array", "string", "integer", "number", "boolean", "null"))

    def _flat(self, base: str, schema: Any) -> Any:
        while isinstance(schema, dict) and "$ref" in schema:
            _, target = self.resolve(base, schema["$ref"])
            if not isinstance(target, dict):
                return {}
            schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
        return schema

    def _condition(self, schema: Any) -> Any:
        """A schema with its condition decided one way or the other."""
        if not isinstance(schema, dict) or "if" not in schema:
            return schema
        rest = {key: value for key, value in schema.items() if key not in {"if", "then", "else"}}
        if self.random.random() < 0.6:
            return _merged(_merged(rest, schema["if"]), schema.get("then", {}))
        return _merged(rest, schema.get("else", {}))


def _merged(one: Any, other: Any) -> Any:
    """Both schemas at once, roughly: the later wins, members are joined."""
    if not isinstance(one, dict) or not isinstance(other, dict):
        return other if isinstance(one, dict) and not one else one
    result = {**one, **other}
    if "properties" in one and "properties" in other:
        result["properties"] = {**one["properties"], **{
            name: _merged(one["properties"].get(name, {}), inner) for name, inner in other["properties"].items()
        }}  # fmt: skip
    if "required" in one and "required" in other:
        result["required"] = list({**dict.fromkeys(one["required"]), **dict.fromkeys(other["required"])})
    if "allOf" in one and "allOf" in other:
        result["allOf"] = [*one["allOf"], *other["allOf"]]
    return result


class _Matching:
    """A text for a pattern, by the parser that Python's own `re` uses."""

    def __init__(self, pattern: str, source: random.Random) -> None:
        from re import _parser  # type: ignore[attr-defined]

        self._random = source
        self._parsed = _parser.parse(pattern)

    def text(self) -> str:
        return self._sequence(self._parsed)

    def _sequence(self, parts: Any) -> str:
        return "".join(self._part(str(name), value) for name, value in parts)

    def _part(self, name: str, value: Any) -> str:
        if name == "LITERAL":
            return chr(value)
        if name == "NOT_LITERAL":
            return "b" if chr(value) != "b" else "c"
        if name == "ANY":
            return "x"
        if name == "IN":
            return self._member(value)
        if name in {"MAX_REPEAT", "MIN_REPEAT"}:
            low, high, inner = value
            edge = self._random.random()
            times = (
                low
                if edge < 0.3
                else min(int(high), low + 300)
                if edge < 0.36
                else min(int(high), low + self._random.randrange(6))
            )
            return "".join(self._sequence(inner) for _ in range(times))
        if name == "SUBPATTERN":
            return self._sequence(value[-1])
        if name == "BRANCH":
            return self._sequence(value[1][self._random.randrange(len(value[1]))])
        return self._sequence(value[1]) if name == "ASSERT" else ""

    def _member(self, options: Any) -> str:
        if str(options[0][0]) == "NEGATE":
            barred = list(options[1:])
            return next(c for c in "aZ5_- é\U0001f600\u2603" if not any(_holds(pair, ord(c)) for pair in barred))
        name, value = options[self._random.randrange(len(options))]
        return (
            chr(value)
            if str(name) == "LITERAL"
            else chr(self._random.randint(value[0], value[1]))
            if str(name) == "RANGE"
            else "a"
        )


def _holds(pair: Any, code: int) -> bool:
    name, value = str(pair[0]), pair[1]
    return bool(value == code) if name == "LITERAL" else bool(value[0] <= code <= value[1])
