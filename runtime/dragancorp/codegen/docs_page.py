"""The human page of the API: one HTML file made of the bundled document, with nothing to fetch from anywhere."""

import re
from typing import Any

from dragancorp.codegen import prose
from dragancorp.codegen.openapi import METHODS
from dragancorp.codegen.templating import render

_CODE = re.compile(r"`([^`]+)`")


def page(document: dict[str, Any]) -> str:
    """The page of a bundled OpenAPI document."""
    text = render(
        "docs/page.html.jinja",
        info=document["info"],
        groups=groups(document),
        schemas=[_schema(name, one) for name, one in document["components"].get("schemas", {}).items()],
        rich=rich,
    )
    return re.sub(r"\n\s*\n", "\n", text)  # what the template's own lines leave behind


def rich(text: str) -> Any:
    """A text with its `code` marked up and everything else escaped."""
    from markupsafe import Markup, escape  # comes with the template engine

    parts = _CODE.split(text)
    marked = [f"<code>{escape(part)}</code>" if index % 2 else str(escape(part)) for index, part in enumerate(parts)]
    return Markup("".join(marked))  # noqa: S704 - every part was escaped above


def groups(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The operations by their first tag, in the order of the document's tags."""
    groups = {tag["name"]: {**tag, "operations": []} for tag in document.get("tags", ())}
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                tag = next(iter(item[method].get("tags", ())), "other")
                group = groups.setdefault(tag, {"name": tag, "description": "", "operations": []})
                group["operations"].append(_operation(document, path, item, method))
    return [group for group in groups.values() if group["operations"]]


def _operation(document: dict[str, Any], path: str, item: dict[str, Any], method: str) -> dict[str, Any]:
    source = item[method]
    parameters = [_followed(document, one) for one in (*item.get("parameters", ()), *source.get("parameters", ()))]
    body = _followed(document, source["requestBody"]) if "requestBody" in source else None
    responses = {status: _followed(document, answer) for status, answer in source["responses"].items()}
    return {
        "id": source["operationId"],
        "method": method.upper(),
        "path": path,
        "summary": source["summary"],
        "description": source.get("description", ""),
        "scopes": source.get("x-dragan-scopes", []),
        "public": source.get("security", document.get("security")) == [],
        "level": source.get("x-dragan-level", ""),
        "planned": source.get("x-dragan-status") == "planned",
        "limits": source.get("x-dragan-limits", {}),
        "parameters": [_parameter(document, one) for one in parameters],
        "body": body and {"description": body.get("description", ""), "content": _content(body)},
        "answers": [
            {"status": status, "description": answer.get("description", ""), "content": _content(answer)}
            for status, answer in sorted(responses.items())
        ],
    }


def _parameter(document: dict[str, Any], one: dict[str, Any]) -> dict[str, Any]:
    schema = one["schema"]
    target = _followed(document, schema)
    return {
        "name": one["name"],
        "where": one["in"],
        "required": one.get("required", False),
        "kind": prose.kind(target, _name),
        "bounds": list(prose.bounds({**target, **schema})),
        "description": one.get("description") or target.get("description", ""),
    }


def _content(holder: dict[str, Any]) -> list[dict[str, str]]:
    found = []
    for media_type, media in holder.get("content", {}).items():
        schema = media.get("schema", {})
        target = _name(schema["$ref"]) if "$ref" in schema else ""
        found.append({"media_type": media_type, "schema": target, "kind": prose.kind(schema, _name)})
    return found


def _schema(name: str, schema: Any) -> dict[str, Any]:
    described = schema if isinstance(schema, dict) else {}
    return {
        "name": name,
        "description": described.get("description", ""),
        "kind": prose.kind(schema, _name),
        "bounds": list(prose.bounds(schema)),
        "rows": list(prose.rows(schema, _name)),
        "conditions": list(prose.conditions(described)),
        "open": described.get("additionalProperties", True) is not False,
    }


def _followed(document: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        target: Any = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part.replace("~1", "/").replace("~0", "~")]
        node = target
    return node


def _name(reference: str) -> str:
    return reference.rpartition("/")[2]
