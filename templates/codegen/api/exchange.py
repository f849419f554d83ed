"""From a request to arguments, and from an answer to a response: the checks that every operation shares.

The order is the same everywhere: who asks (401), what it may (403), whether the operation exists yet (501), parameters
(400), media type (415), size (413), JSON (400), the document (422). So nobody learns what exists before it may know.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from litestar import Request, Response
from litestar.response import Stream

from .. import strict_json
from ..errors import ErrorCode
from ..judge import Violation, pointer, rule_id, violations_at
from .operations import Body, Operation, Parameter
from .records import Answer, ApiProblem, ByteStream, EventStream, Principal

__all__ = ["AnyRequest", "Authenticate", "Call", "receive", "respond", "while_connected"]

AnyRequest = Request[Any, Any, Any]
AnswerT = TypeVar("AnswerT")

Authenticate = Callable[[Mapping[str, str]], Principal | Awaitable[Principal]]
"""Given the request's headers (names in lower case), who asks; raises when nobody known does."""

DRAINED_BYTES = 8 * 1024 * 1024
"""How much of a body that is too large is still read and dropped, so that its sender lives to see the 413."""

_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,18})")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,18})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?")
_UNREADABLE = object()


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A request that passed every check. For a public operation there is no principal."""

    _principal: Principal | None
    arguments: Mapping[str, Any]
    """The service method's keyword arguments."""

    @property
    def principal(self) -> Principal:
        """Who asks."""
        if self._principal is None:
            raise TypeError("a public operation knows nobody")
        return self._principal

    @property
    def waits(self) -> bool:
        """Whether the caller asks to wait for news."""
        document = self.arguments.get("document") or {}
        return bool(self.arguments.get("wait") or document.get("wait"))


async def receive(operation: Operation, request: AnyRequest, authenticate: Authenticate) -> Call:
    """Check the request and read what the service needs. Raises `ApiProblem`, or what `authenticate` raises."""
    principal = None if operation.public else await _admitted(operation, request, authenticate)
    if not operation.served:
        raise ApiProblem(
            ErrorCode.NOT_IMPLEMENTED, f"{operation.id} is planned; this server does not serve it yet"
        )
    arguments = _arguments(operation, request)
    if operation.body is not None and operation.body.binary:
        _check_media_type(operation.body, request)
        arguments["content"] = _parts(operation.body.limit, request)
    elif operation.body is not None:
        arguments |= await _document(operation.body, request)
    return Call(_principal=principal, arguments=arguments)


async def _admitted(operation: Operation, request: AnyRequest, authenticate: Authenticate) -> Principal:
    found = authenticate({name.lower(): value for name, value in request.headers.items()})
    principal = await found if isawaitable(found) else found
    missing = [scope for scope in operation.scopes if scope not in principal.scopes]
    if missing:
        raise ApiProblem(
            ErrorCode.SCOPE_MISSING,
            f"{operation.id} needs {', '.join(missing)}, which the token {principal.name!r} does not have",
            facts={"missing_scopes": missing},
        )
    return principal


def _arguments(operation: Operation, request: AnyRequest) -> dict[str, Any]:
    query = _query(request)
    known = {parameter.name for parameter in operation.parameters if parameter.where == "query"}
    broken = [
        Violation(
            pointer=pointer(["query", name]),
            rule=f"ops-api/v1#{operation.id}/parameters",
            message=f"there is no query parameter of this name; known: {', '.join(sorted(known)) or 'none'}",
        )
        for name in query
        if name not in known
    ]
    arguments: dict[str, Any] = {}
    for parameter in operation.parameters:
        value, found = _argument(parameter, _given(parameter, request, query))
        arguments[parameter.argument] = value
        broken += found
    if broken:
        names = ", ".join(sorted({one.pointer for one in broken}))
        raise ApiProblem(ErrorCode.PARAMETER_INVALID, f"not valid: {names}"[:1000], violations=broken)
    return arguments


def _query(request: AnyRequest) -> dict[str, list[str]]:
    try:
        pairs = parse_qsl(
            request.scope["query_string"].decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=200
        )
    except ValueError as error:  # not ASCII, escapes that are not UTF-8, or too many fields
        raise ApiProblem(ErrorCode.PARAMETER_INVALID, f"the query cannot be read: {error}"[:300]) from None
    query: dict[str, list[str]] = {}
    for name, value in pairs:
        query.setdefault(name, []).append(value)
    return query


def _given(parameter: Parameter, request: AnyRequest, query: Mapping[str, list[str]]) -> list[str]:
    if parameter.where == "query":
        return query.get(parameter.name, [])
    if parameter.where == "path":
        return [str(request.path_params[parameter.name])]
    value = request.headers.get(parameter.name)
    return [] if value is None else [value]


def _argument(parameter: Parameter, given: list[str]) -> tuple[Any, list[Violation]]:
    place = pointer([parameter.where, parameter.name])
    if not given:
        if not parameter.required:
            return parameter.default, []
        return None, [Violation(pointer=place, rule=rule_id(parameter.reference), message="it is required")]
    if parameter.kind == "array":
        value: Any = given
    elif len(given) > 1:
        return None, [Violation(pointer=place, rule=rule_id(parameter.reference), message="it may be given once only")]
    else:
        value = _read(parameter.kind, given[0])
    if value is _UNREADABLE:
        message = f"{given[0][:100]!r} is no {parameter.kind}"
        return None, [Violation(pointer=place, rule=rule_id(parameter.reference), message=message)]
    found = violations_at(parameter.reference, value)
    return value, [Violation(pointer=place + one.pointer, rule=one.rule, message=one.message) for one in found]


def _read(kind: str, text: str) -> Any:
    if kind == "string":
        return text
    if kind == "boolean":
        return {"true": True, "false": False}.get(text, _UNREADABLE)
    if kind == "integer":
        return int(text) if _INTEGER.fullmatch(text) else _UNREADABLE
    return float(text) if _NUMBER.fullmatch(text) else _UNREADABLE


async def _document(body: Body, request: AnyRequest) -> dict[str, Any]:
    if not body.required and request.headers.get("content-length", "") == "0":
        return {"document": None, "text": None}
    _check_media_type(body, request)
    content = await _content(body.limit, request)
    if not content and not body.required:
        return {"document": None, "text": None}
    try:
        document = strict_json.loads(content)
    except strict_json.JsonInvalid as error:
        facts = {"reason": error.reason} | ({} if error.offset is None else {"offset": error.offset})
        raise ApiProblem(ErrorCode.JSON_INVALID, str(error), facts=facts) from None
    broken = violations_at(body.reference, document)
    if broken:
        rules = "1 rule" if len(broken) == 1 else f"{len(broken)} rules"
        raise ApiProblem(ErrorCode.DOCUMENT_INVALID, f"the document breaks {rules}", violations=broken)
    return {"document": document, "text": content.decode("utf-8")}


def _check_media_type(body: Body, request: AnyRequest) -> None:
    media_type, _, parameters = request.headers.get("content-type", "").partition(";")
    charset = parameters.strip().lower().removeprefix("charset=").strip('"')
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if media_type.strip().lower() != body.media_type or charset not in {"", "utf-8"} or encoding != "identity":
        said = ", ".join(filter(None, [media_type.strip()[:100], parameters.strip()[:100], encoding[:100]]))
        wanted = body.media_type if body.binary else f"{body.media_type} in UTF-8"
        raise ApiProblem(ErrorCode.MEDIA_TYPE_UNSUPPORTED, f"the body is not plain {wanted}: {said}")


async def _parts(limit: int, request: AnyRequest) -> AsyncIterator[bytes]:
    size = 0
    async for part in request.stream():
        size += len(part)
        if size <= limit:
            yield part
        elif size > limit + DRAINED_BYTES:
            break
    if size > limit:
        raise _too_large(limit)


async def _content(limit: int, request: AnyRequest) -> bytes:
    # Content-Length is what the sender says; what arrives is what is counted.
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit + DRAINED_BYTES:
            break
        if size <= limit:
            parts.append(part)
        else:
            parts.clear()
    if size > limit:
        raise _too_large(limit)
    return b"".join(parts)


def _too_large(limit: int) -> ApiProblem:
    return ApiProblem(
        ErrorCode.BODY_TOO_LARGE, f"the body is larger than {limit} bytes", facts={"limit_bytes": limit}
    )


async def while_connected(request: AnyRequest, asked: Coroutine[Any, Any, AnswerT]) -> AnswerT:
    """The answer, unless the caller leaves before it: then nothing more is done for it, and nothing given to it."""
    work, left = asyncio.ensure_future(asked), asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({work, left}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise ApiProblem(ErrorCode.INTERNAL_ERROR, "the caller left before there was an answer")
        return work.result()
    finally:
        for task in (work, left):
            task.cancel()
        await asyncio.gather(work, left, return_exceptions=True)


async def _left(request: AnyRequest) -> None:
    """Return when the caller has closed the connection; what it still sends is dropped."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def respond(operation: Operation, answer: Answer | ByteStream | EventStream) -> Response[Any]:
    """The response of a success. Raises `ValueError` for a status that the document does not declare."""
    if isinstance(answer, EventStream):
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no", **answer.headers}
        return Stream(_encoded(answer), media_type="text/event-stream", status_code=200, headers=headers)
    if answer.status not in operation.statuses:
        raise ValueError(f"{operation.id} answered {answer.status}; declared are {operation.statuses}")
    if isinstance(answer, ByteStream):
        headers = dict(answer.headers)
        return Stream(answer.parts, media_type=operation.media_type, status_code=answer.status, headers=headers)
    if answer.status in (204, 304):
        return Response(None, status_code=answer.status, headers=dict(answer.headers))
    if isinstance(answer.body, str) and not operation.answers_json:
        content = answer.body.encode()
    else:
        content = json.dumps(answer.body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    return Response(
        content, status_code=answer.status, media_type=operation.media_type, headers=dict(answer.headers)
    )


async def _encoded(stream: EventStream) -> AsyncIterator[bytes]:
    try:
        async for event in stream.events:
            yield event.encoded()
    finally:
        close = getattr(stream.events, "aclose", None)
        if close is not None:
            with suppress(RuntimeError):  # it is already closing
                await close()
