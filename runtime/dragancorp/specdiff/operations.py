"""The operations of an OpenAPI document: what a caller may send, and what it may meet in an answer.

Requests are read strictly whatever their schemas say elsewhere, answers tolerantly. An operation that was only planned
answered 501 to everybody: it may change freely until it is served.
"""

from collections.abc import Iterator
from typing import Any

from dragancorp.specdiff.change import Change, changed
from dragancorp.specdiff.facets import text
from dragancorp.specdiff.rules import Reader
from dragancorp.specdiff.schema import Place, Schema
from dragancorp.specdiff.shapes import Walk
from dragancorp.specdiff.snapshot import Snapshot

__all__ = ["compare", "is_openapi"]

_METHODS = ("delete", "get", "head", "options", "patch", "post", "put", "trace")
_PLANNED = "planned"
_AT_ROOT = [{"url": "/"}]
"""Where the operations stand when the document does not say."""
_FORM = frozenset({"cookie", "query"})
"""Where a parameter's style is `form` when it does not say; elsewhere it is `simple`."""


def is_openapi(document: Any) -> bool:
    """Whether a document describes HTTP operations."""
    return isinstance(document, dict) and "openapi" in document and isinstance(document.get("paths"), dict)


def compare(old: Snapshot, new: Snapshot, file: str, walk: Walk) -> Iterator[Change]:
    """Every change of the operations."""
    before, after = _operations(old, file), _operations(new, file)
    root = Schema.at(new, file)
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            yield changed("operation_removed", before[name].place, name)
        elif name not in before:
            yield changed("operation_added", after[name].place, name)
        elif before[name].value.get("x-dragan-status") == _PLANNED:
            if before[name].value != after[name].value:
                served = after[name].value.get("x-dragan-status") != _PLANNED
                yield changed("operation_served" if served else "planned_changed", after[name].place, name)
        else:
            yield from _operation(before[name], after[name], walk)
    earlier = Schema.at(old, file)
    yield from _security(_ways(earlier.value), _ways(root.value), root.place / "security")
    yield from _schemes(earlier.value, root.value, root.place / "components" / "securitySchemes")
    yield from _servers(earlier.value, root.value, root.place / "servers")


def _operations(snapshot: Snapshot, file: str) -> dict[str, Schema]:
    root = Schema.at(snapshot, file)
    return {
        f"{method.upper()} {path}": root.child("paths", path, method)
        for path, item in root.value["paths"].items()
        for method in _METHODS
        if method in item
    }


def _operation(before: Schema, after: Schema, walk: Walk) -> Iterator[Change]:
    old, new, place = before.value, after.value, after.place
    if old.get("operationId") != new.get("operationId"):
        what = f"{old.get('operationId')} became {new.get('operationId')}"
        yield changed("operation_renamed", place / "operationId", what)
    if new.get("x-dragan-status") == _PLANNED:
        yield changed("operation_withdrawn", place / "x-dragan-status", "served became planned")
    if old.get("x-dragan-level") != new.get("x-dragan-level"):
        what = f"{text(old.get('x-dragan-level'))} became {text(new.get('x-dragan-level'))}"
        yield changed("level_changed", place / "x-dragan-level", what)
    earlier, now = set(old.get("x-dragan-scopes", ())), set(new.get("x-dragan-scopes", ()))
    for scope in sorted(now - earlier):
        yield changed("scope_added", place / "x-dragan-scopes", scope)
    for scope in sorted(earlier - now):
        yield changed("scope_removed", place / "x-dragan-scopes", scope)
    yield from _limits(old.get("x-dragan-limits", {}), new.get("x-dragan-limits", {}), place / "x-dragan-limits")
    yield from _parameters(before, after, walk)
    yield from _body(before, after, walk)
    yield from _responses(before, after, walk)
    if "security" in old or "security" in new:  # else it is what the document says, and told there
        yield from _security(_ways(old, _document(before)), _ways(new, _document(after)), place / "security")


def _limits(before: dict[str, Any], after: dict[str, Any], place: Place) -> Iterator[Change]:
    unbounded = float("inf")
    for name in sorted(before.keys() | after.keys()):
        earlier, now = before.get(name, unbounded), after.get(name, unbounded)
        if earlier != now:
            what = f"{text(before.get(name))} became {text(after.get(name))}"
            yield changed("limit_lowered" if now < earlier else "limit_raised", place / name, what)


def _parameters(before: Schema, after: Schema, walk: Walk) -> Iterator[Change]:
    earlier, now = _parameters_of(before), _parameters_of(after)
    for key in sorted(earlier.keys() | now.keys()):
        name = f"{key[1]} in {key[0]}"
        if key not in now:
            yield changed("parameter_removed", earlier[key].place, name)
            continue
        required = bool(now[key].value.get("required"))
        if key not in earlier:
            yield changed("parameter_demanded" if required else "parameter_added", now[key].place, name)
            continue
        if required != bool(earlier[key].value.get("required")):
            yield changed("parameter_required" if required else "parameter_optional", now[key].place, name)
        written = [_written(side.value) for side in (earlier[key], now[key])]
        if written[0] != written[1]:
            what = f"{name}: {text(written[0])} became {text(written[1])}"
            yield changed("parameter_written", now[key].place, what)
        yield from _shape(earlier[key], now[key], Reader.STRICT, walk)


def _written(parameter: dict[str, Any]) -> dict[str, Any]:
    """How a parameter's value becomes text, with what stands for a member that is left out."""
    style = parameter.get("style", "form" if parameter.get("in") in _FORM else "simple")
    return {
        "style": style,
        "explode": parameter.get("explode", style == "form"),
        "allowReserved": parameter.get("allowReserved", False),
        "content": sorted(parameter.get("content", ())),
    }


def _parameters_of(operation: Schema) -> dict[tuple[str, str], Schema]:
    """By location and name: the path's own, and those of the operation over them."""
    item = Schema.at(operation.snapshot, operation.place.file, *operation.place.steps[:-1])
    held = [
        _followed(owner.child("parameters", str(index)))
        for owner in (item, operation)
        for index in range(len(owner.value.get("parameters", ())))
    ]
    return {(str(one.value.get("in")), str(one.value.get("name"))): one for one in held}


def _body(before: Schema, after: Schema, walk: Walk) -> Iterator[Change]:
    earlier, now = _member(before, "requestBody"), _member(after, "requestBody")
    place = (now or after).place
    demanded = bool(earlier and earlier.value.get("required"))
    demands = bool(now and now.value.get("required"))
    if demanded != demands:
        yield changed("body_required" if demands else "body_optional", place, "the request's body")
    for kind, old, new in _contents(earlier, now):
        if old is None or new is None:
            yield changed("body_optional" if old is None else "body_removed", place, kind)
        else:
            yield from _shape(old, new, Reader.STRICT, walk)


def _responses(before: Schema, after: Schema, walk: Walk) -> Iterator[Change]:
    earlier, now = _responses_of(before), _responses_of(after)
    for status in sorted(earlier.keys() | now.keys()):
        place = after.place / "responses" / status
        added = "failure_added" if status[0] in "45" or status == "default" else "success_added"
        if status not in now:
            yield changed("response_removed", place, status)
            continue
        if status not in earlier:
            yield changed(added, place, status)
            continue
        old_one, new_one = earlier[status], now[status]
        for kind, old, new in _contents(old_one, new_one):
            if old is None or new is None:
                yield changed(added if old is None else "response_removed", place / "content", kind)
            else:
                yield from _shape(old, new, Reader.TOLERANT, walk)
        yield from _headers(old_one, new_one, place / "headers", walk)


def _headers(before: Schema, after: Schema, place: Place, walk: Walk) -> Iterator[Change]:
    earlier, now = before.value.get("headers", {}), after.value.get("headers", {})
    for name in sorted(earlier.keys() - now.keys()):
        yield changed("header_removed", place / name, name)
    for name in sorted(now.keys() - earlier.keys()):
        yield changed("header_added", place / name, name)
    for name in sorted(earlier.keys() & now.keys()):
        sides = [_followed(side.child("headers", name)) for side in (before, after)]
        if sides[0].value.get("required") and not sides[1].value.get("required"):
            yield changed("header_optional", place / name, name)
        yield from _shape(sides[0], sides[1], Reader.TOLERANT, walk)


def _responses_of(operation: Schema) -> dict[str, Schema]:
    return {status: _followed(operation.child("responses", status)) for status in operation.value.get("responses", {})}


def _contents(before: Schema | None, after: Schema | None) -> Iterator[tuple[str, Schema | None, Schema | None]]:
    """The kinds of a body: media type, before, after."""
    sides = [
        {kind: side.child("content", kind) for kind in side.value.get("content", {})} if side is not None else {}
        for side in (before, after)
    ]
    for kind in sorted(sides[0].keys() | sides[1].keys()):
        yield kind, sides[0].get(kind), sides[1].get(kind)


def _shape(before: Schema, after: Schema, reader: Reader, walk: Walk) -> Iterator[Change]:
    sides = [side.child("schema") if "schema" in side.value else Schema(side.snapshot, side.place, {})
             for side in (before, after)]  # fmt: skip
    yield from walk.changes(sides[0], sides[1], reader)


def _member(owner: Schema, name: str) -> Schema | None:
    return _followed(owner.child(name)) if name in owner.value else None


def _followed(schema: Schema) -> Schema:
    """What a reference to a shared parameter, body, answer or header leads to."""
    reference = schema.value.get("$ref")
    return (schema.target(reference) or schema) if isinstance(reference, str) else schema


def _document(operation: Schema) -> dict[str, Any]:
    document: dict[str, Any] = Schema.at(operation.snapshot, operation.place.file).value
    return document


def _ways(owner: dict[str, Any], document: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """The ways to be let in, any of which is enough; one that asks for nothing where anybody is let in."""
    return owner.get("security", (document or {}).get("security")) or [{}]


def _security(before: list[dict[str, Any]], after: list[dict[str, Any]], place: Place) -> Iterator[Change]:
    """A way is still there when some way asks for no more than it did."""
    for way in before:
        if not any(_asks_no_more(one, way) for one in after):
            yield changed("security_removed", place, text(way) if way else "nothing was asked for")


def _asks_no_more(way: dict[str, Any], than: dict[str, Any]) -> bool:
    return all(name in than and set(scopes) <= set(than[name]) for name, scopes in way.items())


def _schemes(before: dict[str, Any], after: dict[str, Any], place: Place) -> Iterator[Change]:
    """A scheme that is gone is told where it was asked for."""
    earlier, now = (side.get("components", {}).get("securitySchemes", {}) for side in (before, after))
    for name in sorted(earlier.keys() & now.keys()):
        sides = [{key: value for key, value in side[name].items() if key != "description"} for side in (earlier, now)]
        if sides[0] != sides[1]:
            yield changed("scheme_changed", place / name, f"{text(sides[0])} became {text(sides[1])}")


def _servers(before: dict[str, Any], after: dict[str, Any], place: Place) -> Iterator[Change]:
    earlier, now = ({str(one.get("url")) for one in side.get("servers") or _AT_ROOT} for side in (before, after))
    for url in sorted(earlier - now):
        yield changed("server_removed", place, url)
