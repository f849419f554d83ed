"""The order in which a lane's missions run, as a pure function of what is queued."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dragancorp.lifecycle.rows import MissionRow
from dragancorp.missions.scheduler import PriorityScheduler
from dragancorp.registry.port import QueueView
from dragancorp.registry.rows import claim_key, ends_at
from dragancorp_contracts.lifecycle import MissionKind, MissionState

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def queued(mission_id: str, **changes: Any) -> MissionRow:
    values: dict[str, Any] = {
        "vp_id": "vp.coder.primary",
        "vp_session_id": "s-1",
        "kind": MissionKind.DISPATCHED,
        "state": MissionState.QUEUED,
        "source_instance_id": "gateway-1",
        "idempotency_key": mission_id,
        "request_digest": "e" * 64,
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "created_at": NOW,
        "updated_at": NOW,
    }
    return MissionRow(mission_id=mission_id, **values | changes)


def chosen(rows: Sequence[MissionRow], *, limit: int = 10, free_slots: int = 10) -> list[str]:
    view = QueueView(vp_id="vp.coder.primary", candidates=rows, free_slots=free_slots)
    return list(PriorityScheduler().choose(view, NOW, limit))


def test_urgency_comes_first_and_a_priority_of_zero_is_the_most_urgent() -> None:
    rows = [queued("background"), queued("deadline", priority_rank=1), queued("interactive", priority_rank=0)]
    assert chosen(rows) == ["interactive", "deadline", "background"]


def test_no_more_are_chosen_than_asked_for_and_than_there_are_slots() -> None:
    rows = [queued("one"), queued("two"), queued("three")]
    assert chosen(rows, limit=2) == ["one", "two"]
    assert chosen(rows, free_slots=1) == ["one"]
    assert chosen(rows, free_slots=0) == []


def test_what_waits_out_its_backoff_is_passed_over() -> None:
    rows = [queued("waiting", priority_rank=0, not_before=NOW + timedelta(seconds=1)), queued("due", not_before=NOW)]
    assert chosen(rows) == ["due"]


def test_the_end_of_a_mission_is_the_earlier_of_deadline_and_window() -> None:
    early, late = NOW + timedelta(hours=1), NOW + timedelta(hours=2)
    assert ends_at(queued("m")) is None
    assert ends_at(queued("m", deadline_at=late)) == late
    assert ends_at(queued("m", deadline_at=late, window_end_at=early)) == early


moments = st.none() | st.datetimes(datetime(1000, 1, 1), datetime(2999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
rows = st.lists(st.tuples(st.integers(0, 2), moments), max_size=12).map(
    lambda drawn: [
        queued(f"m-{number}", priority_rank=rank, deadline_at=deadline) for number, (rank, deadline) in enumerate(drawn)
    ]
)


@given(rows)
def test_the_database_and_the_scheduler_have_one_order(drawn: list[MissionRow]) -> None:
    by_key = sorted(drawn, key=claim_key)
    assert chosen(drawn, limit=50, free_slots=50) == [row.mission_id for row in by_key]
