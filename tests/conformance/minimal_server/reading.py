"""From a request to what it asks for: who, which parameters, which document."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request

from dragancorp_contracts import strict_json
from dragancorp_contracts.api.operations import Body, Operation, Parameter
from dragancorp_contracts.errors import ErrorCode
from dragancorp_contracts.judge import violations_at

from .refusing import Refused, Violation

ENOUGH = 8 * 1024 * 1024
INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,18})")
NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,18})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?")


class Reading:
    """The checks before a request is obeyed; a broken server overrides one of them."""

    tokens: Mapping[str, frozenset[str]]

    def admit(self, operation: Operation, request: Request) -> None:
        """Refuse who may not ask."""
        scopes = self.tokens.get(self.token(request))
        if scopes is None:
            raise Refused(ErrorCode.UNAUTHENTICATED, "who is it?", headers={"WWW-Authenticate": "Bearer"})
        missing = [scope for scope in operation.scopes if scope not in scopes]
        if missing:
            raise Refused(ErrorCode.SCOPE_MISSING, f"missing: {', '.join(missing)}")

    def token(self, request: Request) -> str:
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        return text if scheme.lower() == "bearer" and text else request.headers.get("x-ua-ops-token", "")

    def arguments(self, operation: Operation, request: Request) -> dict[str, Any]:
        """The parameters, all judged."""
        query = self.query(request)
        known = [one.name for one in operation.parameters if one.where == "query"]
        broken: list[Violation] = [
            _violation(f"/query/{name}", "ops-api/v1#parameters", "it is unknown")
            for name in query
            if name not in known
        ]
        found = {}
        for one in operation.parameters:
            given = self.given(one, request, query)
            value, wrong = self.argument(one, given)
            found[one.argument] = value
            broken += wrong
        if broken:
            raise Refused(ErrorCode.PARAMETER_INVALID, "look at the violations", broken)
        return found

    def given(self, one: Parameter, request: Request, query: Mapping[str, list[str]]) -> list[str]:
        if one.where == "header":
            return request.headers.getlist(one.name)
        return query.get(one.name, []) if one.where == "query" else [request.path_params[one.name]]

    def query(self, request: Request) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        try:
            text = request.scope["query_string"].decode("ascii")
            for name, value in parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=200):
                found.setdefault(name, []).append(value)
        except ValueError as error:
            raise Refused(ErrorCode.PARAMETER_INVALID, f"the query cannot be read: {error}"[:200]) from None
        return found

    def argument(self, one: Parameter, given: list[str]) -> tuple[Any, list[Violation]]:
        place = f"/{one.where}/{one.name}"
        if not given:
            return one.default, []
        try:
            value = _read(one.kind, given[0])
        except ValueError:
            return None, [_violation(place, one.reference, f"it is no {one.kind}")]
        if len(given) > 1:
            return None, [_violation(place, one.reference, "it stands twice")]
        return value, [_violation(place, broken.rule, broken.message) for broken in violations_at(one.reference, value)]

    async def document(self, body: Body, request: Request) -> dict[str, Any] | None:
        """The body's document; None where it was left out and may be."""
        if not body.required and request.headers.get("content-length") in (None, "0") and not _chunked(request):
            return None
        self.media_type(request)
        return self.parsed(body, await self.content(body, request))

    def media_type(self, request: Request) -> None:
        kind, _, parameters = request.headers.get("content-type", "").lower().partition(";")
        plain = parameters.strip().removeprefix("charset=") in ("", "utf-8")
        if kind.strip() != "application/json" or not plain or "content-encoding" in request.headers:
            raise Refused(ErrorCode.MEDIA_TYPE_UNSUPPORTED, "send application/json")

    async def content(self, body: Body, request: Request) -> bytes:
        content, size = b"", 0
        async for part in request.stream():
            size += len(part)
            if size <= body.limit:
                content += part
            if size > body.limit + ENOUGH:
                break
        if size > body.limit:
            raise Refused(ErrorCode.BODY_TOO_LARGE, f"at most {body.limit} bytes")
        return content

    def parsed(self, body: Body, content: bytes) -> dict[str, Any] | None:
        if not content and not body.required:
            return None
        try:
            document: dict[str, Any] = strict_json.loads(content)
        except strict_json.JsonInvalid as error:
            raise Refused(ErrorCode.JSON_INVALID, str(error)) from None
        broken = violations_at(body.reference, document)
        if broken:
            raise Refused(ErrorCode.DOCUMENT_INVALID, "look at the violations", [one.as_json() for one in broken])
        return document


def _violation(pointer: str, rule: str, message: str) -> Violation:
    return {"pointer": pointer[:2000], "rule": rule, "message": message}


def _chunked(request: Request) -> bool:
    return "transfer-encoding" in request.headers


def _read(kind: str, text: str) -> Any:
    if kind == "boolean":
        return {"true": True, "false": False}[text] if text in ("true", "false") else _no()
    if kind == "integer":
        return int(text) if INTEGER.fullmatch(text) else _no()
    if kind == "number":
        return float(text) if NUMBER.fullmatch(text) else _no()
    return text


def _no() -> Any:
    raise ValueError
