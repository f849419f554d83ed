"""What goes to a server: an operation and its arguments as an HTTP request."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx

from ..api.operations import Operation
from ..judge import ContractRoot

__all__ = ["Document", "plain", "prepared", "repeatable"]

Document = Mapping[str, Any] | ContractRoot


def plain(document: Document | None) -> Mapping[str, Any] | None:
    """A document as it is sent."""
    return document.as_document() if isinstance(document, ContractRoot) else document


def prepared(
    operation: Operation, arguments: Mapping[str, Any], document: Mapping[str, Any] | None, timeout: float
) -> dict[str, Any]:
    """The request as `httpx` builds it. Arguments are by their Python names; None leaves one out.

    `timeout` is in seconds; an operation that may wait for news, by an argument or a member `wait`, is given that time
    on top.
    """
    path = operation.path
    query: list[tuple[str, str | int | float | bool | None]] = []
    headers: dict[str, str] = {}
    if operation.media_type != "application/json":
        headers["Accept"] = f"{operation.media_type}, application/problem+json"
    for parameter in operation.parameters:
        value = arguments.get(parameter.argument)
        if value is None:
            continue
        if parameter.where == "path":
            path = path.replace(f"{{{parameter.name}}}", quote(_text(value), safe=""))
        elif parameter.where == "header":
            headers[parameter.name] = _text(value)
        else:
            values = value if parameter.kind == "array" else [value]
            query += [(parameter.name, _text(one)) for one in values]
    wait = arguments.get("wait") or (document or {}).get("wait")
    return {
        "method": operation.method,
        "url": path,
        "params": httpx.QueryParams(query),
        "headers": headers,
        "json": document if operation.body else None,
        "timeout": timeout + float(wait or 0.0),
    }


def repeatable(operation: Operation, document: Mapping[str, Any] | None) -> bool:
    """Whether sending it twice does what sending it once does."""
    return operation.method == "GET" or (document is not None and bool(document.get("idempotency_key")))


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
