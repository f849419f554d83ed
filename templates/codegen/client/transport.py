"""How the client speaks HTTP: requests, answers, problems, retries, server-sent events."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx
import stamina

from .. import strict_json
from ..api.operations import Operation
from ..api.records import ServerEvent
from ..errors import ErrorCode
from ..judge import ContractRoot, Violation

__all__ = ["AnswerUnreadable", "ProblemError", "Reply", "ServerUnreachable", "Transport"]

Document = Mapping[str, Any] | ContractRoot

ATTEMPTS = 4
LONGEST_PAUSE_SECONDS = 5.0


class ProblemError(Exception):
    """The server answered with problem details.

    `code` is a code of the catalogue wherever the server and this client know the same one.
    """

    def __init__(self, status: int, problem: Mapping[str, Any], *, retry_after: float | None = None) -> None:
        self.status = status
        self.code: ErrorCode | str = _known(str(problem.get("code", "")))
        self.title = str(problem.get("title", ""))
        self.detail = str(problem.get("detail", ""))
        self.hint = str(problem.get("hint", ""))
        self.retryable = problem.get("retryable") is True
        self.violations = tuple(_violation(one) for one in problem.get("violations", ()) if isinstance(one, dict))
        self.facts: dict[str, Any] = dict(problem.get("facts") or {})
        self.trace_id: str | None = problem.get("trace_id")
        self.retry_after = retry_after
        """When to try again, in seconds, where the server said so."""
        super().__init__(f"{status} {self.code}: {self.detail or self.title}")


class ServerUnreachable(Exception):  # noqa: N818 - the name says what happened
    """No answer came: the connection could not be made, broke, or took too long."""


class AnswerUnreadable(Exception):  # noqa: N818 - the name says what happened
    """An answer came that is not what the contract says."""


class _TryAgain(Exception):  # noqa: N818
    """The request may be repeated; carries what is raised when no attempt is left."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """A success: status, headers (names in lower case) and the document, or text where the operation answers text."""

    status: int
    headers: Mapping[str, str]
    document: Any = field(repr=False)


class Transport:
    """One connection pool to one server."""

    def __init__(
        self,
        base_url: str,
        token: str | None = None,
        *,
        timeout: float = 30.0,
        attempts: int = ATTEMPTS,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`timeout` is in seconds for each request; `attempts` bounds how often one that may be repeated is sent."""
        headers = {"Accept": "application/json", "User-Agent": "dragancorp-client/1"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        self._timeout = timeout
        self._attempts = attempts
        self._http = httpx.AsyncClient(
            base_url=base_url, headers=headers, timeout=timeout, follow_redirects=False, transport=transport
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def call(
        self, operation: Operation, arguments: Mapping[str, Any], *, document: Document | None = None
    ) -> Reply:
        """Call an operation. Arguments are by their Python names; None leaves one out.

        GET, and POST of a document with an `idempotency_key`, are repeated after connection errors and 503.
        Raises `ProblemError`, `ServerUnreachable`, `AnswerUnreadable`.
        """
        plain = document.as_document() if isinstance(document, ContractRoot) else document
        request = self._request(operation, arguments, plain)
        attempts = self._attempts if _repeatable(operation, plain) else 1
        try:
            async for attempt in stamina.retry_context(
                on=_TryAgain, attempts=attempts, timeout=None, wait_initial=0.1, wait_max=LONGEST_PAUSE_SECONDS, wait_jitter=0.2
            ):
                with attempt:
                    return await self._once(request, operation)
        except _TryAgain as error:
            raise error.error from error.error.__cause__
        raise AssertionError("the loop returns or raises")

    async def _once(self, request: httpx.Request, operation: Operation) -> Reply:
        try:
            response = await self._http.send(request)
        except httpx.TransportError as error:
            problem = ServerUnreachable(f"{request.method} {request.url}: {error or type(error).__name__}")
            problem.__cause__ = error
            raise _TryAgain(problem) from error
        if not response.is_success:
            refused = _problem(response)
            if response.status_code == 503:
                raise _TryAgain(refused)
            raise refused
        return Reply(status=response.status_code, headers=response.headers, document=_content(response, operation))

    async def stream(self, operation: Operation, arguments: Mapping[str, Any]) -> AsyncIterator[ServerEvent]:
        """The server-sent events of an operation, until the server ends the stream."""
        request = self._request(operation, arguments, None)
        request.headers["Accept"] = "text/event-stream"
        # The stream may stay quiet for long; only connecting is bounded.
        request.extensions["timeout"] = httpx.Timeout(self._timeout, read=None).as_dict()
        try:
            response = await self._http.send(request, stream=True)
            try:
                if not response.is_success:
                    await response.aread()
                    raise _problem(response)
                async for event in _events(response.aiter_lines()):
                    yield event
            finally:
                await response.aclose()
        except httpx.TransportError as error:
            raise ServerUnreachable(f"{request.method} {request.url}: {error or type(error).__name__}") from error

    def _request(self, operation: Operation, arguments: Mapping[str, Any], document: Any) -> httpx.Request:
        path = operation.path
        query: list[tuple[str, str | int | float | bool | None]] = []
        headers: dict[str, str] = {}
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
        # An operation that may wait for news is given that time on top.
        timeout = self._timeout + float(arguments.get("wait") or 0.0)
        return self._http.build_request(
            operation.method,
            path,
            params=httpx.QueryParams(query),
            headers=headers,
            json=document if operation.body else None,
            timeout=timeout,
        )


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _repeatable(operation: Operation, document: Any) -> bool:
    return operation.method == "GET" or (isinstance(document, Mapping) and bool(document.get("idempotency_key")))


def _content(response: httpx.Response, operation: Operation) -> Any:
    media_type = response.headers.get("content-type", "").partition(";")[0].strip()
    if response.status_code == 204 or not response.content:
        return None
    if operation.media_type != "application/json" and media_type == operation.media_type:
        return response.text
    try:
        return strict_json.loads(response.content)
    except strict_json.JsonInvalid as error:
        raise AnswerUnreadable(f"{response.request.method} {response.request.url}: {error}") from error


def _problem(response: httpx.Response) -> ProblemError:
    try:
        problem = strict_json.loads(response.content)
    except strict_json.JsonInvalid:
        problem = None
    if not isinstance(problem, dict):  # something between the server and us answered
        problem = {"code": "", "title": response.reason_phrase, "detail": response.text[:500]}
    after = response.headers.get("retry-after", "")
    return ProblemError(response.status_code, problem, retry_after=float(after) if after.isdigit() else None)


def _known(code: str) -> ErrorCode | str:
    try:
        return ErrorCode(code)
    except ValueError:
        return code


def _violation(one: Mapping[str, Any]) -> Violation:
    line = one.get("line")
    return Violation(
        pointer=str(one.get("pointer", "")),
        rule=str(one.get("rule", "")),
        message=str(one.get("message", "")),
        line=line if isinstance(line, int) else None,
    )


async def _events(lines: AsyncIterator[str]) -> AsyncIterator[ServerEvent]:
    data: list[str] = []
    event: str | None = None
    last_id: str | None = None
    async for line in lines:
        if not line:
            if data:
                yield ServerEvent(data="\n".join(data), event=event, id=last_id)
            data, event = [], None
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            data.append(value)
        elif name == "event":
            event = value
        elif name == "id":
            last_id = value
