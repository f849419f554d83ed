"""Turns are counted in memory and written later; a refusal loses none."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dragancorp.errors import DraganError, ErrorCode
from dragancorp.gateway.routing import Decision, Route, RoutingReason
from dragancorp.gateway.turn_counts import TurnCounts
from dragancorp.registry.operations import CountTurns
from dragancorp.settings import LaneFlags

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 1, 1, 12, 0, 30, 5, tzinfo=UTC)
LANE = Route("vp.a", {"vp_id": "vp.a"}, LaneFlags(enabled=True))


class Shelf:
    """The part of a store that counts go to."""

    def __init__(self) -> None:
        self.written: list[CountTurns] = []
        self.refusing = False

    async def execute(self, operation: Any) -> None:
        if self.refusing:
            raise DraganError(ErrorCode.STORAGE_BUSY, "busy")
        self.written.append(operation)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def decided(reason: RoutingReason, route: Route | None = LANE) -> Decision:
    return Decision(reason=reason, route=route)


async def test_turns_are_counted_by_lane_reason_and_minute() -> None:
    counts, shelf = TurnCounts(), Shelf()
    for seconds in (0, 29, 30):
        counts.add(decided(RoutingReason.ELIGIBLE), NOW + timedelta(seconds=seconds))
    counts.add(decided(RoutingReason.SOURCE_EXCLUDED), NOW)
    counts.add(decided(RoutingReason.FEATURE_DISABLED, None), NOW)  # no lane, nothing to count it for
    await counts.flush(shelf)  # type: ignore[arg-type]
    (written,) = shelf.written
    assert written.counts == {
        ("vp.a", "eligible", "2026-01-01T12:00:00.000000Z"): 2,
        ("vp.a", "eligible", "2026-01-01T12:01:00.000000Z"): 1,
        ("vp.a", "source_excluded", "2026-01-01T12:00:00.000000Z"): 1,
    }


async def test_nothing_counted_writes_nothing_and_nothing_is_written_twice() -> None:
    counts, shelf = TurnCounts(), Shelf()
    await counts.flush(shelf)  # type: ignore[arg-type]
    assert shelf.written == []
    counts.add(decided(RoutingReason.ELIGIBLE), NOW)
    await counts.flush(shelf)  # type: ignore[arg-type]
    await counts.flush(shelf)  # type: ignore[arg-type]
    assert len(shelf.written) == 1


async def test_a_refusal_keeps_what_was_counted() -> None:
    counts, shelf = TurnCounts(), Shelf()
    counts.add(decided(RoutingReason.ELIGIBLE), NOW)
    shelf.refusing = True
    with pytest.raises(DraganError):
        await counts.flush(shelf)  # type: ignore[arg-type]
    counts.add(decided(RoutingReason.ELIGIBLE), NOW)
    shelf.refusing = False
    await counts.flush(shelf)  # type: ignore[arg-type]
    assert list(shelf.written[0].counts.values()) == [2]
