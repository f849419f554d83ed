"""The generated tables and the hand-written core: each names what the other has, and nothing else."""

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from dragancorp.lifecycle import mission_guards, session_guards
from dragancorp_contracts import lifecycle
from dragancorp_contracts.errors import CATALOGUE, ErrorCode
from dragancorp_contracts.lifecycle import TRIGGER_REASONS, Actor, Holder, MissionKind, MissionTrigger, ReasonCode

MACHINES: tuple[tuple[str, Mapping[str, Any], Mapping[str, Any], tuple[Any, ...], tuple[Any, ...]], ...] = (
    (
        "mission",
        lifecycle.MISSION_GUARDS,
        mission_guards.PREDICATES,
        tuple(lifecycle.MISSION_TRANSITIONS),
        tuple(lifecycle.MISSION_REFUSALS),
    ),
    (
        "session",
        lifecycle.SESSION_GUARDS,
        session_guards.PREDICATES,
        tuple(lifecycle.SESSION_TRANSITIONS),
        tuple(lifecycle.SESSION_REFUSALS),
    ),
)
SETTINGS = {
    "approval_seconds", "attempt", "backoff", "cancel_requested", "cause", "continuity", "drain_open", "epoch",
    "executor_session", "failures", "hold_seconds", "holder", "keep_holder", "last_error", "lease", "parked",
    "reason_from_cause", "resume",
}  # fmt: skip
SAID_BY_EXECUTORS = {
    ReasonCode.EXECUTOR_ERROR,
    ReasonCode.EXECUTOR_CRASHED,
    ReasonCode.SESSION_UNRESUMABLE,
    ReasonCode.TOOL_FORBIDDEN,
    ReasonCode.OUTPUTS_MISSING,
    ReasonCode.EXTENSION_UNSUPPORTED,
    ReasonCode.CONSTRAINT_REFUSED,
}

machines = pytest.mark.parametrize(
    ("guards", "predicates", "transitions", "refusals"),
    [machine[1:] for machine in MACHINES],
    ids=["mission", "session"],
)


def every(transitions: Iterable[Any], name: str) -> set[Any]:
    return {one for row in transitions for one in getattr(row, name)}


@machines
def test_every_guard_has_a_predicate_and_every_predicate_a_guard(
    guards: Mapping[str, Any], predicates: Mapping[str, Any], transitions: Any, refusals: Any
) -> None:
    assert set(predicates) == set(guards)


@machines
def test_every_guard_guards_a_row(guards: Any, predicates: Any, transitions: Any, refusals: Any) -> None:
    assert set(guards) == every(transitions, "when") | every(transitions, "guards")


@machines
def test_a_guard_that_can_refuse_says_with_what(guards: Any, predicates: Any, transitions: Any, refusals: Any) -> None:
    for name in every(transitions, "guards"):
        assert guards[name].refusal in CATALOGUE, name


@machines
def test_the_rows_set_nothing_the_core_does_not_know(
    guards: Any, predicates: Any, transitions: Any, refusals: Any
) -> None:
    assert {name for row in transitions for name in row.sets} <= SETTINGS


def test_the_core_knows_nothing_the_rows_do_not_set() -> None:
    assert {name for machine in MACHINES for row in machine[3] for name in row.sets} == SETTINGS


@machines
def test_no_row_stands_in_the_shadow_of_an_earlier_one(
    guards: Any, predicates: Any, transitions: Any, refusals: Any
) -> None:
    for place, row in enumerate(transitions):
        for earlier in transitions[:place]:
            covers = row.sources <= earlier.sources and row.triggers <= earlier.triggers
            assert not (covers and set(earlier.when) <= set(row.when)), f"{earlier.id} hides {row.id}"


def test_every_state_and_trigger_and_role_takes_part() -> None:
    for machine, states, triggers in (
        (MACHINES[0], lifecycle.MissionState, lifecycle.MissionTrigger),
        (MACHINES[1], lifecycle.SessionState, lifecycle.SessionTrigger),
    ):
        rows = machine[3]
        assert every(rows, "triggers") == set(triggers)
        assert {row.target for row in rows if row.target is not None} == set(states)
    assert every(MACHINES[0][3], "who") | every(MACHINES[1][3], "who") == set(Actor)


def test_every_event_type_is_written_by_a_row() -> None:
    written = {row.event for machine in MACHINES for row in machine[3] if row.event is not None}
    by_content = {lifecycle.EventType.MISSION_ARTIFACT, lifecycle.EventType.MISSION_BUDGET_CHANGED}
    assert written | by_content == set(lifecycle.EventType)


def test_every_reason_is_given_by_a_row_or_may_be_given_by_a_command() -> None:
    rows = MACHINES[0][3]
    by_rows = {row.reason for row in rows if row.reason is not None}
    by_causes = {ReasonCode(row.sets["cause"]) for row in rows if row.sets.get("cause", "command") != "command"}
    by_commands = {reason for trigger, reasons in TRIGGER_REASONS.items() if trigger != "fail" for reason in reasons}
    assert by_rows | by_causes | by_commands | SAID_BY_EXECUTORS == set(ReasonCode)
    assert TRIGGER_REASONS[MissionTrigger.FAIL] >= SAID_BY_EXECUTORS


def test_every_row_that_ends_or_blocks_a_mission_knows_why() -> None:
    for row in MACHINES[0][3]:
        ends = row.target in {"blocked", "failed", "cancelled", "timed_out"}
        if ends and row.reason is None:
            assert row.sets.get("reason_from_cause") or row.triggers <= set(TRIGGER_REASONS), row.id


def test_fallback_follows_the_lanes_failures_and_nothing_an_operator_decided() -> None:
    assert {reason.value for reason in lifecycle.FALLBACK_REASONS} == {
        "executor_error",
        "executor_crashed",
        "idle_timeout",
        "lease_lost",
        "start_timeout",
        "session_unresumable",
        "lane_draining",
    }


def test_the_states_and_roles_that_are_stored_keep_their_names() -> None:
    assert [state.value for state in lifecycle.MissionState] == [
        "queued",
        "running",
        "blocked",
        "completed",
        "failed",
        "cancelled",
        "timed_out",
    ]
    assert [state.value for state in lifecycle.SessionState] == [
        "idle",
        "active",
        "paused",
        "degraded",
        "recovering",
        "retired",
    ]
    assert [holder.value for holder in Holder] == ["none", "lane", "primary"]
    assert [kind.value for kind in MissionKind] == ["dispatched", "delegated", "shadow"]


def test_whatever_finds_no_row_is_refused_as_the_life_cycles_say() -> None:
    found = {row.code for machine in MACHINES for row in machine[4]}
    assert found == {ErrorCode.MISSION_TERMINAL, ErrorCode.LANE_RETIRED, ErrorCode.LEASE_HELD}
