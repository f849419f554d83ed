"""What a gateway hands in, and what comes out beside the primary path's own events."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from dragancorp.errors import DraganError, ErrorCode
from dragancorp_contracts.lifecycle import ReasonCode

EventT = TypeVar("EventT")


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One thing a caller asks of a gateway.

    `mission` holds members of the envelope that the gateway sets itself, e.g. extensions, budget or constraints; an
    objective there stands instead of the text.
    """

    text: str
    session_id: str
    turn_id: str | None = None
    source: str = "user"
    mission: Mapping[str, Any] = field(default_factory=dict)


Primary = Callable[[Turn], AsyncIterator[EventT]]
"""The `Primary` port: the gateway's own agent. Its events, of its own type, are passed on as they are."""


def error_text(error: Exception) -> str:
    """What an error says, as text that can be stored: half a surrogate pair is escaped."""
    try:
        said = str(error)
    except Exception:  # it is the primary's own, and what it was about must not be lost over its words
        said = "(it cannot say what it is)"
    return f"{type(error).__name__}: {said}"[:8000].encode("utf-8", "backslashreplace").decode()[:8000]


@asynccontextmanager
async def closing(events: AsyncIterator[EventT]) -> AsyncIterator[AsyncIterator[EventT]]:
    """Iterate inside; at the end close what can be closed, so that nothing is left to the garbage collector."""
    try:
        yield events
    finally:
        if isinstance(events, AsyncGenerator):
            await events.aclose()


class DelegationRefusedError(DraganError):
    """The mission ended for a reason that has no fallback; `reason` and `mission_id` say which and what."""

    def __init__(self, mission_id: str, state: str, reason: ReasonCode | None) -> None:
        why = reason.value if reason is not None else state
        super().__init__(
            ErrorCode.DELEGATION_REFUSED,
            f"the mission {mission_id!r} ended {state}: {why}",
            facts={"mission_id": mission_id, "state": state, "reason_code": why},
        )
        self.mission_id = mission_id
        self.state = state
        self.reason = reason
