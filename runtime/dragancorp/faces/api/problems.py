"""Every error as problem details, with the trace id that stands in the log."""

import json
import re
from typing import Any

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException

from dragancorp.errors import DraganError, ErrorCode
from dragancorp.registry.identifiers import new_trace_id
from dragancorp_contracts.api.records import ApiProblem

RETRY_AFTER_SECONDS = 1
TRACE_PARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
HTTP_CODES = {
    400: ErrorCode.PARAMETER_INVALID,
    404: ErrorCode.ROUTE_UNKNOWN,
    405: ErrorCode.METHOD_NOT_ALLOWED,
    413: ErrorCode.BODY_TOO_LARGE,
}

log = structlog.get_logger("dragancorp.api")
AnyRequest = Request[Any, Any, Any]


def answer_refusal(request: AnyRequest, error: Exception) -> Response[bytes]:
    """The answer to a refusal with a stable code."""
    refused = error if isinstance(error, DraganError) else _as_dragan_error(error)
    headers = dict(error.headers) if isinstance(error, ApiProblem) else {}
    return _problem(request, refused, headers)


def answer_http_error(request: AnyRequest, error: HTTPException) -> Response[bytes]:
    """The answer to what the framework refuses by itself: an unknown address or method."""
    code = HTTP_CODES.get(error.status_code, ErrorCode.INTERNAL_ERROR)
    return _problem(request, DraganError(code, error.detail or code.value), dict(error.headers or {}))


def answer_failure(request: AnyRequest, error: Exception) -> Response[bytes]:
    """The answer to a defect of ours: nothing of it is shown, all of it is logged."""
    trace_id = trace_id_of(request)
    log.error("a request failed", action="api.internal_error", path=request.url.path, trace_id=trace_id, exc_info=error)
    refused = DraganError(ErrorCode.INTERNAL_ERROR, "the server's log has the details")
    return _problem(request, refused, {}, trace_id)


def trace_id_of(request: AnyRequest) -> str:
    """The request's W3C trace id, or a new one."""
    found = TRACE_PARENT.fullmatch(request.headers.get("traceparent", ""))
    return found.group(1) if found and found.group(1).strip("0") else new_trace_id()


def _as_dragan_error(error: Exception) -> DraganError:
    if not isinstance(error, ApiProblem):
        raise error
    return DraganError(error.code, error.detail, violations=error.violations, facts=error.facts)


def _problem(
    request: AnyRequest, error: DraganError, headers: dict[str, str], trace_id: str | None = None
) -> Response[bytes]:
    status = error.entry.status
    if status in (429, 503):
        headers.setdefault("Retry-After", str(RETRY_AFTER_SECONDS))
    document = error.problem(instance=request.url.path, trace_id=trace_id or trace_id_of(request))
    return Response(
        # ASCII escapes: what a caller sent may hold characters that cannot be encoded.
        content=json.dumps(document, ensure_ascii=True).encode(),
        status_code=status,
        media_type="application/problem+json",
        headers=headers,
    )
