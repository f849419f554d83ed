"""What crosses between the controllers and the service: who asks, what is answered, what went wrong."""

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import CATALOGUE, CatalogueEntry, ErrorCode
from ..judge import Violation

__all__ = ["Answer", "ApiProblem", "ByteStream", "EventStream", "Principal", "ServerEvent"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Principal:
    """Who asks: what a token stands for."""

    name: str
    scopes: frozenset[str]
    vp_ids: frozenset[str] | None = None
    """The lanes it may see; None: all."""
    source_instance_id: str | None = None
    """The source it speaks for; None: any."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a service method answers: a JSON document, or text where the operation answers text."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerEvent:
    """One server-sent event. `data` is one line, JSON as a rule; an event without data is a comment that keeps the
    connection alive."""

    data: str | None = None
    event: str | None = None
    id: str | None = None

    def encoded(self) -> bytes:
        """The event as it goes over the wire."""
        if self.data is None:
            return b": keep-alive\n\n"
        lines = [f"id: {self.id}"] if self.id is not None else []
        lines += [f"event: {self.event}"] if self.event is not None else []
        lines += [f"data: {line}" for line in self.data.split("\n")]
        return ("\n".join(lines) + "\n\n").encode()


@dataclass(frozen=True, kw_only=True, slots=True)
class EventStream:
    """What a service method answers where the operation streams; the iterator is closed when the reader leaves."""

    events: AsyncIterator[ServerEvent]
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class ByteStream:
    """What a service method answers where the operation answers a file; the iterator is closed when the reader leaves."""

    parts: AsyncIterator[bytes]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class ApiProblem(Exception):  # noqa: N818 - it is what problem details are made of
    """A request that is refused, with a code of the catalogue."""

    def __init__(
        self,
        code: ErrorCode,
        detail: str,
        *,
        violations: Iterable[Violation] = (),
        facts: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code.value}: {detail}")
        self.code = code
        self.detail = detail
        self.violations = tuple(violations)
        self.facts = dict(facts or {})
        self.headers = dict(headers or {})

    @property
    def entry(self) -> CatalogueEntry:
        """The catalogue's entry: status, title, hint, retryable."""
        return CATALOGUE[self.code]
