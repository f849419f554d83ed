"""The page of the HTTP operations."""

from collections.abc import Iterator
from typing import Any

from dragancorp.codegen import docs_page
from dragancorp.codegen.markdown import BANNER, table
from dragancorp.codegen.openapi import FILE, NAME, Document
from dragancorp.codegen.sources import Sources


def page(sources: Sources) -> str | None:
    """The page of `specs/ops-api/v1/openapi.json`, where that contract exists."""
    source = sources.data(NAME, FILE)
    if source is None:
        return None
    document = Document(sources, source).bundled()
    codes: dict[str, list[str]] = {}
    for entry in (sources.data("errors", "errors.json") or {"errors": []})["errors"]:
        codes.setdefault(str(entry["status"]), []).append(entry["code"])
    return "\n".join(_parts(document, codes))


def _parts(document: dict[str, Any], codes: dict[str, list[str]]) -> Iterator[str]:
    info = document["info"]
    yield f"{BANNER}\n# Operations\n\n{info['title']} {info['version']}. {info.get('description', '')}\n"
    groups = docs_page.groups(document)
    rows = [
        (
            f"`{one['method']} {one['path']}`",
            f"[{one['id']}](#{one['id']})",
            _scopes(one),
            "planned" if one["planned"] else "served",
        )
        for group in groups
        for one in group["operations"]
    ]
    yield table(("request", "operation", "scopes", "status"), rows)
    for group in groups:
        yield f"## {group['name']}\n\n{group.get('description', '')}\n"
        for one in group["operations"]:
            yield from _operation(one, codes)


def _operation(one: dict[str, Any], codes: dict[str, list[str]]) -> Iterator[str]:
    yield f"### {one['id']}\n\n`{one['method']} {one['path']}`\n\n{one['summary']}. {one['description']}\n"
    facts = [
        f"Scopes: {_scopes(one)}",
        f"level: {one['level']}",
        f"status: {'planned' if one['planned'] else 'served'}",
    ]
    facts += [
        f"{name.replace('_', ' ')}: at most {value:,}"
        for name, value in one["limits"].items()
        if isinstance(value, int)
    ]
    yield f"{'; '.join(facts)}.\n"
    if one["parameters"]:
        rows = [
            (
                f"`{p['name']}`",
                p["where"],
                p["kind"],
                "yes" if p["required"] else "",
                "; ".join(p["bounds"]),
                p["description"],
            )
            for p in one["parameters"]
        ]
        yield table(("parameter", "in", "type", "required", "bounds", "meaning"), rows)
    if one["body"]:
        yield f"Takes {_content(one['body']['content'])}. {one['body']['description']}\n"
    answers = [
        (f"`{answer['status']}`", _content(answer["content"]), answer["description"], _codes(answer["status"], codes))
        for answer in one["answers"]
    ]
    yield table(("status", "body", "when", "codes"), answers)


def _scopes(one: dict[str, Any]) -> str:
    return ", ".join(f"`{scope}`" for scope in one["scopes"]) or ("none" if one["public"] else "any token")


def _content(found: list[dict[str, str]]) -> str:
    return ", ".join(f"`{one['media_type']}` {one['schema'] or one['kind']}" for one in found)


def _codes(status: str, codes: dict[str, list[str]]) -> str:
    """The codes of the catalogue with that status; which of them an operation can answer is told by its description."""
    return ", ".join(f"`{code}`" for code in codes.get(status, ())) if status[0] in "45" else ""
