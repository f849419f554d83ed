"""What comes back from a server: replies, problems, models; and what is raised when it cannot be used."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx

from .. import strict_json
from ..api.operations import Operation
from ..errors import ErrorCode
from ..judge import ContractRoot, Violation

__all__ = ["AnswerUnreadable", "ProblemError", "Reply", "ServerUnreachable", "as_model", "as_object"]

Model = TypeVar("Model", bound=ContractRoot)


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """A success: status, headers (names in lower case) and the document, or text where the operation answers text."""

    status: int
    headers: Mapping[str, str]
    document: Any = field(repr=False)


def as_model(model: type[Model], document: Any) -> Model:
    """The document as the model its contract promises. Raises `AnswerUnreadable`."""
    try:
        return model.model_validate(document)
    except ValueError as error:
        raise AnswerUnreadable(str(error)) from error


def as_object(document: Any) -> dict[str, Any]:
    """The document where an object was promised. Raises `AnswerUnreadable`."""
    if not isinstance(document, dict):
        raise AnswerUnreadable(f"an object was promised, not {type(document).__name__}")
    return document


def content(response: httpx.Response, operation: Operation) -> Any:
    """The document of a success, or its text where the operation answers text. Raises `AnswerUnreadable`."""
    if response.status_code == 204 or not response.content:
        return None
    media_type = response.headers.get("content-type", "").partition(";")[0].strip()
    if operation.answers_bytes and media_type == operation.media_type:
        return response.content
    if not operation.answers_json and media_type == operation.media_type:
        return response.text
    try:
        return strict_json.loads(response.content)
    except strict_json.JsonInvalid as error:
        raise AnswerUnreadable(f"{response.request.method} {response.request.url}: {error}") from error


def problem_of(response: httpx.Response) -> ProblemError:
    """The problem that a refusal carries; of whatever answers without one, what can be told."""
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
