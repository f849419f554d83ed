"""Contracts that are JSON Schemas: the root and every definition, under the reader that the root names."""

from collections.abc import Iterator
from typing import Any

from dragancorp.specdiff.change import Change, changed
from dragancorp.specdiff.containment import Verdict, accepts, bundle
from dragancorp.specdiff.facets import text
from dragancorp.specdiff.rules import Audience, Reader
from dragancorp.specdiff.schema import ANNOTATIONS, Place, Schema
from dragancorp.specdiff.shapes import Walk
from dragancorp.specdiff.snapshot import Snapshot

__all__ = ["compare", "is_schema"]

_KEYWORDS = frozenset(
    {"$defs", "$ref", "additionalProperties", "allOf", "anyOf", "enum", "items", "oneOf", "properties"}
)


def is_schema(document: Any) -> bool:
    """Whether a document is a JSON Schema, by what it holds."""
    if not isinstance(document, dict) or "openapi" in document or "asyncapi" in document:
        return False
    return "$schema" in document or bool(_KEYWORDS & document.keys())


def compare(old: Snapshot, new: Snapshot, file: str, walk: Walk) -> Iterator[Change]:
    """Every change of one schema file that both snapshots hold."""
    before, after = Schema.at(old, file), Schema.at(new, file)
    root, reader = after.place, _reader(before)
    found = list(walk.changes(before, after, reader))
    found += [
        *_head(before.value, after.value, root),
        *_judged(before, after, reader, found),
        *_definitions(before, after, reader, walk),
    ]
    yield from found
    if not found and _words(before.value) != _words(after.value):
        yield changed("words_changed", root, "titles, descriptions, examples or comments")


def _reader(schema: Schema) -> Reader:
    # A schema that does not say how it is read is held to both directions.
    return Reader.STRICT if schema.value.get("x-dragan-reader") == "strict" else Reader.TOLERANT


def _head(before: dict[str, Any], after: dict[str, Any], root: Place) -> Iterator[Change]:
    for member, name in (("$id", "address_changed"), ("title", "class_renamed")):
        earlier, now = before.get(member), after.get(member)
        if earlier is not None and earlier != now:
            yield changed(name, root / member, f"{text(earlier)} became {text(now)}")
    earlier, now = before.get("x-dragan-reader"), after.get("x-dragan-reader")
    if earlier != now and (now or earlier) is not None:
        # One that no longer says how it is read may be read the other way.
        strict = now == "strict" if now is not None else earlier != "strict"
        name = "reader_strict" if strict else "reader_tolerant"
        what = f"{text(earlier)} became {text(now)}"
        yield changed(name, root / "x-dragan-reader", what, certain=now is not None)


def _judged(before: Schema, after: Schema, reader: Reader, found: list[Change]) -> Iterator[Change]:
    """What the judge knows of the whole document and the walk did not see: the stricter of the two stands."""
    if bundle(before) == bundle(after):
        return
    broken = frozenset[Audience]().union(*(one.breaks for one in found))
    if Audience.PRODUCERS not in broken and accepts(after, before) is Verdict.NO:
        yield changed("judged_narrower", after.place, "the document as a whole", reader=reader)
    if reader is Reader.TOLERANT and Audience.CONSUMERS not in broken and accepts(before, after) is Verdict.NO:
        yield changed("judged_wider", after.place, "the document as a whole", reader=reader)


def _definitions(before: Schema, after: Schema, reader: Reader, walk: Walk) -> Iterator[Change]:
    earlier, now = before.value.get("$defs", {}), after.value.get("$defs", {})
    for name in sorted(earlier.keys() - now.keys()):
        yield changed("definition_removed", before.place / "$defs" / name, name)
    for name in sorted(now.keys() - earlier.keys()):
        yield changed("definition_added", after.place / "$defs" / name, name)
    for name in sorted(earlier.keys() & now.keys()):
        yield from walk.changes(before.child("$defs", name), after.child("$defs", name), reader)


def _words(node: Any) -> list[Any]:
    """Everything that is said and judges nothing, in order."""
    if isinstance(node, list):
        return [_words(item) for item in node]
    if not isinstance(node, dict):
        return []
    said = [node[name] for name in sorted(ANNOTATIONS - {"$defs", "$id", "title"}) if name in node]
    return [said, *(_words(node[name]) for name in sorted(node))]
