"""What two versions of one schema say of a value by itself: its type, listed values, bounds, form and default."""

import json
from collections.abc import Iterator
from typing import Any

from dragancorp.specdiff.change import Change, changed
from dragancorp.specdiff.rules import Audience, Reader
from dragancorp.specdiff.schema import Schema

__all__ = ["bounds", "default", "forms", "same", "text", "types", "values"]

_ALL_TYPES = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})
_LENGTH = 80

# upper and lower bound, the lower one's value when it is not written
_COUNTED = (
    ("maxLength", "minLength"),
    ("maxItems", "minItems"),
    ("maxProperties", "minProperties"),
)


def same(one: Any, other: Any) -> bool:
    """Whether JSON Schema calls two values equal: 1 and 1.0 are, 1 and true are not."""
    return _key(one) == _key(other)


def text(value: Any) -> str:
    """A value for people, on one line and not long."""
    written = json.dumps(value, ensure_ascii=False)
    return written if len(written) <= _LENGTH else written[: _LENGTH - 1] + "…"


def types(old: Schema, new: Schema, reader: Reader) -> Iterator[Change]:
    """The types a value may have."""
    before, after = _types(old), _types(new)
    gone, come = _without(before, after), _without(after, before)
    if not gone and not come:
        return
    what = f"{_named(before)} became {_named(after)}"
    if gone and come:
        yield changed("type_changed", _place(old, new, "type"), what, reader=reader)
    else:
        yield changed("type_narrowed" if gone else "type_widened", _place(old, new, "type"), what, reader=reader)


def values(old: Schema, new: Schema, reader: Reader) -> Iterator[Change]:
    """The values that are listed."""
    before, after = _listed(old), _listed(new)
    place = _place(old, new, "const" if "const" in new.keywords else "enum")
    if before is None or after is None:
        if before is not after:
            listed = after if before is None else before
            name = "values_listed" if before is None else "values_freed"
            yield changed(name, place, ", ".join(text(value) for value in (listed or {}).values()), reader=reader)
        return
    for key in before.keys() - after.keys():
        yield changed("value_removed", place, text(before[key]), reader=reader)
    for key in after.keys() - before.keys():
        yield changed("value_added", place, text(after[key]), reader=reader)


def bounds(old: Schema, new: Schema, reader: Reader) -> Iterator[Change]:
    """Bounds of numbers, lengths and counts, and what a number must be a multiple of."""
    infinity = float("inf")
    for upper, lower in _COUNTED:
        yield from _bound(old, new, upper, old.plain(upper, infinity), new.plain(upper, infinity), reader)
        yield from _bound(old, new, lower, -old.plain(lower, 0), -new.plain(lower, 0), reader)
    yield from _bound(old, new, "maximum", _end(old, "maximum", 1), _end(new, "maximum", 1), reader)
    yield from _bound(old, new, "minimum", _end(old, "minimum", -1), _end(new, "minimum", -1), reader)
    unique = [bool(side.plain("uniqueItems", False)) for side in (old, new)]
    yield from _bound(old, new, "uniqueItems", -unique[0], -unique[1], reader)
    yield from _multiples(old, new, reader)


def forms(old: Schema, new: Schema, reader: Reader) -> Iterator[Change]:
    """Patterns and formats. Which of two patterns allows more is not decided: the stricter class stands."""
    for keyword in ("pattern", "format"):
        before, after = old.plain(keyword), new.plain(keyword)
        if before == after:
            continue
        name = "form_tightened" if before is None else "form_loosened" if after is None else "form_changed"
        what = f"{text(before)} became {text(after)}" if before and after else text(before or after)
        yield changed(name, _place(old, new, keyword), what, reader=reader, certain=name != "form_changed")


def default(old: Schema, new: Schema, reader: Reader) -> Iterator[Change]:
    """What a member that is left out means. A default where there was none only says what was so."""
    if "default" not in old.keywords:
        return
    before, after = old.plain("default"), new.plain("default")
    if "default" not in new.keywords or not same(before, after):
        now = text(after) if "default" in new.keywords else "none"
        yield changed("default_changed", _place(old, new, "default"), f"{text(before)} became {now}", reader=reader)


def _place(old: Schema, new: Schema, keyword: str) -> Any:
    """Where the keyword is written: in the new version, or where it stood in the old one."""
    held = new.keywords.get(keyword) or old.keywords.get(keyword)
    return held.place if held is not None else new.place / keyword


def _key(value: Any) -> str:
    def plain(node: Any) -> Any:
        if isinstance(node, float) and node.is_integer():
            return int(node)
        if isinstance(node, list):
            return [plain(item) for item in node]
        return {name: plain(inner) for name, inner in node.items()} if isinstance(node, dict) else node

    return json.dumps(plain(value), sort_keys=True)


def _types(schema: Schema) -> frozenset[str]:
    said = schema.plain("type")
    if isinstance(said, str):
        return frozenset({said})
    return frozenset(said) if isinstance(said, list) else _ALL_TYPES


def _without(some: frozenset[str], others: frozenset[str]) -> frozenset[str]:
    return some - others - (frozenset({"integer"}) if "number" in others else frozenset())


def _named(some: frozenset[str]) -> str:
    return "any type" if some == _ALL_TYPES else " or ".join(sorted(some))


def _listed(schema: Schema) -> dict[str, Any] | None:
    listed = [schema.plain("const")] if "const" in schema.keywords else schema.plain("enum")
    return {_key(value): value for value in listed} if isinstance(listed, list) else None


def _end(schema: Schema, keyword: str, sign: int) -> tuple[float, int]:
    """The bound of a number, larger is wider: the value and whether it is itself allowed."""
    exclusive = "exclusive" + keyword[0].upper() + keyword[1:]
    ends = [(sign * schema.plain(name), allowed) for name, allowed in ((keyword, 1), (exclusive, 0))
            if name in schema.keywords]  # fmt: skip
    return min(ends, default=(float("inf"), 1))


def _bound(old: Schema, new: Schema, keyword: str, before: Any, after: Any, reader: Reader) -> Iterator[Change]:
    """One bound, given so that larger is wider."""
    if before == after:
        return
    written = next((name for name in (keyword, "exclusive" + keyword.capitalize())
                    if name in new.keywords or name in old.keywords), keyword)  # fmt: skip
    sides = [text(side.plain(written)) if written in side.keywords else "none" for side in (old, new)]
    what = f"{sides[0]} became {sides[1]}"
    name = "bound_narrowed" if after < before else "bound_widened"
    yield changed(name, _place(old, new, written), what, reader=reader)


def _multiples(old: Schema, new: Schema, reader: Reader) -> Iterator[Change]:
    before, after = old.plain("multipleOf"), new.plain("multipleOf")
    if before == after:
        return
    place, what = _place(old, new, "multipleOf"), f"{text(before)} became {text(after)}"
    if before is None or (after is not None and after % before == 0):
        yield changed("bound_narrowed", place, what, reader=reader)
    elif after is None or before % after == 0:
        yield changed("bound_widened", place, what, reader=reader)
    else:
        yield changed("bound_narrowed", place, what, reader=reader, also=() if reader is Reader.STRICT else (
            Audience.CONSUMERS,))  # fmt: skip
