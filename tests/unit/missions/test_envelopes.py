"""From an envelope to the row a mission begins as."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dragancorp.missions.envelopes import draft, new_trace_id, request_digest
from dragancorp_contracts.lifecycle import MissionKind, MissionState

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ENVELOPE = {"vp_id": "vp.coder.primary", "mission_type": "coding", "objective": "Do.", "idempotency_key": "k"}


def made(**members: Any) -> Any:
    return draft(ENVELOPE | members, source_instance_id="f-1", kind=MissionKind.DISPATCHED, now=NOW)


def test_a_minimal_envelope_is_a_queued_background_mission_of_real_traffic() -> None:
    row = made().row
    assert (row.state, row.priority_rank, row.traffic, row.attempt, row.last_sequence) == (
        MissionState.QUEUED,
        2,
        "real",
        0,
        0,
    )
    assert row.max_llm_calls is row.max_cost_microusd is row.max_runtime_seconds is row.deadline_at is None


def test_what_the_caller_gave_is_kept_and_the_rest_assigned() -> None:
    given = {"mission_id": "m-1", "trace_id": "0af7651916cd43dd8448eb211c80319c", "created_at": "2026-03-01T11:59:00Z"}
    assert made(**given).assigned == given | {"source_instance_id": "f-1"}
    assert made().assigned["created_at"] == "2026-03-01T12:00:00.000000Z"


def test_the_row_is_created_when_it_was_accepted_whatever_the_caller_says() -> None:
    assert made(created_at="2020-01-01T00:00:00Z").row.created_at == NOW


@pytest.mark.parametrize(
    ("cost", "microusd"), [(0, 0), (2.5, 2_500_000), (0.1, 100_000), (0.000001, 1), (1234567.891234, 1_234_567_891_234)]
)
def test_a_cost_becomes_whole_millionths_without_rounding_up(cost: float, microusd: int) -> None:
    assert made(budget={"max_cost_usd": cost}).row.max_cost_microusd == microusd


def test_a_budget_of_nothing_is_not_no_budget() -> None:
    row = made(budget={"max_llm_calls": 0, "max_cost_usd": 0}).row
    assert (row.max_llm_calls, row.max_cost_microusd) == (0, 0)


def test_times_are_kept_in_utc() -> None:
    row = made(deadline_at="2026-03-01T15:30:00+02:00").row
    assert row.deadline_at == datetime(2026, 3, 1, 13, 30, tzinfo=UTC)
    assert row.deadline_at.utcoffset() == timedelta(0)


@pytest.mark.parametrize(("tools", "held"), [(["*"], True), (["git", "*"], True), (["git"], False), ([], False)])
def test_a_star_asks_for_an_approval_before_the_start(tools: list[str], held: bool) -> None:
    assert made(constraints={"approval_required": tools}).hold_for_approval is held


@pytest.mark.parametrize(
    "member", ["mission_id", "vp_session_id", "vp_runtime_id", "source_instance_id", "trace_id", "created_at"]
)
def test_what_may_be_assigned_makes_no_other_request(member: str) -> None:
    assert request_digest(ENVELOPE | {member: "x"}) == request_digest(ENVELOPE)


@pytest.mark.parametrize("member", ["objective", "budget", "traffic", "extensions", "retry_of"])
def test_everything_else_makes_another_request(member: str) -> None:
    assert request_digest(ENVELOPE | {member: "x"}) != request_digest(ENVELOPE)


def test_a_trace_id_is_never_all_zero() -> None:
    ids = {new_trace_id() for _ in range(500)}
    assert len(ids) == 500
    assert all(len(one) == 32 and int(one, 16) for one in ids)
