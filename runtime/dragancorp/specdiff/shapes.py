"""The walk through two versions of one schema: it names each change, and a rule classifies it.

References are followed on both sides, so moving a shape into a definition is no change. A change stands where it is
written: what an envelope borrows from `common` is reported in `common`, once, and breaks whoever any of its readers
breaks.
"""

from collections.abc import Iterator
from typing import Any

from dragancorp.specdiff import conditions, facets
from dragancorp.specdiff.change import Change, changed
from dragancorp.specdiff.containment import bundle
from dragancorp.specdiff.rules import Audience, Reader
from dragancorp.specdiff.schema import Place, Schema

__all__ = ["Walk"]


class Walk:
    """Compares schemas of two snapshots; each pair once for each way it is read."""

    def __init__(self) -> None:
        self._seen: set[tuple[Place, Place, Reader]] = set()

    def changes(self, old: Schema, new: Schema, reader: Reader) -> Iterator[Change]:
        """Every change between the two, deepest last."""
        if new.embedded is not None:
            reader = Reader(new.embedded.value["x-dragan-reader"])
        key = (old.place, new.place, reader)
        if key in self._seen:
            return
        self._seen.add(key)
        apart = list(facets.types(old, new, reader))
        yield from apart
        if any(one.rule.name == "type_changed" for one in apart):
            return  # nothing else of the two can be compared
        for facet in (facets.values, facets.bounds, facets.forms, facets.default):
            yield from facet(old, new, reader)
        yield from self._members(old, new, reader)
        yield from self._others(old, new, reader)
        yield from self._items(old, new, reader)
        for before, after in conditions.pairs(old, new):
            yield from self.changes(before, after, reader)
        yield from conditions.changes(old, new, reader)

    def _items(self, old: Schema, new: Schema, reader: Reader) -> Iterator[Change]:
        before, after = old.keywords.get("items"), new.keywords.get("items")
        if before is not None or after is not None:
            yield from self.changes(before or _anything(old, "items"), after or _anything(new, "items"), reader)

    def _members(self, old: Schema, new: Schema, reader: Reader) -> Iterator[Change]:
        before, after = _properties(old), _properties(new)
        demanded, demands = set(old.plain("required", ())), set(new.plain("required", ()))
        gone, come = before.keys() - after.keys(), after.keys() - before.keys()
        renamed = _renamed({name: before[name] for name in gone}, {name: after[name] for name in come})
        for earlier, name in renamed.items():
            # Whoever writes it has to write the new name, where it may not be left out.
            also = (Audience.PRODUCERS,) if name in demands else ()
            yield changed("member_renamed", after[name].place, f"{earlier} became {name}", reader=reader, also=also)
        for name in sorted(gone - renamed.keys()):
            # A closed object refuses what was a member, so whoever writes it breaks too.
            also = (Audience.PRODUCERS,) if _others(new) is False else ()
            yield changed("member_removed", before[name].place, name, reader=reader, also=also)
        for name in sorted(come - set(renamed.values())):
            rule = "required_member_added" if name in demands - demanded else "member_added"
            # Where the object was closed, a reader that has not changed yet refuses it.
            also = (Audience.CONSUMERS,) if reader is Reader.TOLERANT and _others(old) is False else ()
            yield changed(rule, after[name].place, name, reader=reader, also=also)
            others = old.keywords.get("additionalProperties")
            if others is not None and isinstance(others.value, dict):
                yield from self.changes(others, after[name], reader)
        for name in sorted((demands - demanded) - come):
            yield changed("member_required", _required(new), name, reader=reader)
        for name in sorted((demanded - demands) - gone):
            yield changed("member_optional", _required(new), name, reader=reader)
        for name in sorted(before.keys() & after.keys()):
            yield from self.changes(before[name], after[name], reader)

    def _others(self, old: Schema, new: Schema, reader: Reader) -> Iterator[Change]:
        """The members beside those that are listed."""
        before, after = _others(old), _others(new)
        if isinstance(before, dict) and isinstance(after, dict):
            yield from self.changes(old.keywords["additionalProperties"], new.keywords["additionalProperties"], reader)
        elif before is not after:
            held = new.keywords.get("additionalProperties")
            place = held.place if held is not None else new.place / "additionalProperties"
            opened = before is False or after is True
            what = f"{facets.text(before)} became {facets.text(after)}"
            yield changed("object_opened" if opened else "object_closed", place, what, reader=reader)


def _properties(schema: Schema) -> dict[str, Schema]:
    listed = schema.keywords.get("properties")
    return {} if listed is None else {name: listed.child(name) for name in listed.value}


def _others(schema: Schema) -> Any:
    """What is allowed beside the listed members: True, False, or a schema."""
    said = schema.plain("additionalProperties", True)
    return True if said == {} else said


def _required(schema: Schema) -> Place:
    held = schema.keywords.get("required")
    return held.place if held is not None else schema.place / "required"


def _anything(schema: Schema, keyword: str) -> Schema:
    return Schema(schema.snapshot, schema.place / keyword, {})


def _renamed(gone: dict[str, Schema], come: dict[str, Schema]) -> dict[str, str]:
    """The one member that only has another name: everything else about it is as it was."""
    if len(gone) != 1 or len(come) != 1:
        return {}
    (earlier, before), (name, after) = *gone.items(), *come.items()
    return {earlier: name} if bundle(before) == bundle(after) else {}
