"""A mission's ledger as server-sent events: the mission as it is, then what happens, until its end.

A stream ends early, and quietly, when the registry closes or fails, and when its reader does not keep up. The reader
comes back with Last-Event-ID and has missed nothing, since what it was sent is what the ledger holds, in order.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

import structlog

from dragancorp.clock import Clock
from dragancorp.errors import DraganError, ErrorCode, Violation
from dragancorp.jsonio import canonical
from dragancorp.missions.ledger_readers import LedgerReaders
from dragancorp.registry.queries import LedgerPart
from dragancorp_contracts.api.records import ServerEvent

KEEP_ALIVE_SECONDS = 15.0  # the contract's bound
PATIENCE_SECONDS = 20.0  # how long a reader may take for one part; then it is told, and let go

log = structlog.get_logger("dragancorp.api")


def refuse_unknown_position(mission_id: str, after: int, last_sequence: int) -> None:
    """Raise `parameter_invalid` for an id that this ledger never gave: nothing sensible follows it."""
    if after <= last_sequence:
        return
    violation = Violation(
        pointer="/header/Last-Event-ID",
        rule="ops-api/v1#stream_mission_events/Last-Event-ID",
        message=f"the newest event of {mission_id!r} is {last_sequence}",
    )
    raise DraganError(ErrorCode.PARAMETER_INVALID, "not valid: /header/Last-Event-ID", violations=[violation])


class MissionStream:
    """One reader's stream of one mission."""

    def __init__(self, readers: LedgerReaders, clock: Clock, mission_id: str) -> None:
        self._readers = readers
        self._clock = clock
        self._mission_id = mission_id

    async def events(self, after: int, snapshot: Mapping[str, Any] | None = None) -> AsyncGenerator[ServerEvent, None]:
        """The stream after a sequence, which `snapshot` stands for."""
        if snapshot is not None:
            yield ServerEvent(event="snapshot", id=str(after), data=canonical(snapshot))
        try:
            async with aclosing(self._readers.follow(self._mission_id, after=after, quiet=KEEP_ALIVE_SECONDS)) as parts:
                async for part in parts:
                    began = self._clock.monotonic()
                    for event in told(part):
                        yield event
                    if self._clock.monotonic() - began > PATIENCE_SECONDS:
                        yield self._gap(part)
                        return
        except DraganError as error:
            log.info("a stream ends", action="stream.ended", mission_id=self._mission_id, code=error.code.value)

    def _gap(self, part: LedgerPart) -> ServerEvent:
        after = part.events[-1]["sequence"] if part.events else part.last_sequence
        gap = {"mission_id": self._mission_id, "after": after, "last_sequence": part.last_sequence}
        return ServerEvent(event="gap", data=canonical(gap))


def told(part: LedgerPart) -> list[ServerEvent]:
    """The events of a part as they are sent; a comment where there are none."""
    if not part.events:
        return [ServerEvent()]
    return [
        ServerEvent(event="mission_event", id=str(event["sequence"]), data=canonical(event)) for event in part.events
    ]
