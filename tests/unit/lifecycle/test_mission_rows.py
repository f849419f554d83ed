"""The mission's life cycle, row by row, as a person reads it: written by hand, not from the tables."""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from dragancorp.lifecycle.commands import MissionCommand
from dragancorp.lifecycle.facts import MissionFacts
from dragancorp.lifecycle.rows import MissionRow
from dragancorp_contracts.lifecycle import MISSION_TRANSITIONS, Actor, Holder, MissionKind
from dragancorp_contracts.lifecycle import MissionTrigger as Does
from dragancorp_contracts.lifecycle import ReasonCode as Why

from .lane_world import (
    EPOCH,
    NOW,
    POLICY,
    awaiting_fallback,
    blocked,
    cancel_asked,
    changed,
    command,
    draft,
    facts,
    queued,
    running,
    suspended,
    with_primary,
)

CALLER, GATEWAY, LANE, PRIMARY = Actor.CALLER, Actor.GATEWAY, Actor.LANE, Actor.PRIMARY
STORE, RECONCILER, OPERATOR = Actor.STORE, Actor.RECONCILER, Actor.OPERATOR
DELEGATED, SHADOW = MissionKind.DELEGATED, MissionKind.SHADOW
NOBODY, BY_LANE, BY_PRIMARY = Holder.NONE, Holder.LANE, Holder.PRIMARY
DAY = timedelta(hours=24)


@dataclass(frozen=True)
class Step:
    """One line: from `start`, `actor` does `does`; it becomes `to`, held by `holder`, for the reason `why`."""

    id: str
    start: MissionRow
    actor: Actor
    does: Does
    to: str
    event: str = ""  # named like the state where it is left out
    holder: Holder = NOBODY
    why: Why | None = None
    because: Why | None = None  # the same reason, given by the command
    attempt: int = 0
    failures: int = 0
    says: dict[str, Any] = field(default_factory=dict)
    known: MissionFacts = field(default_factory=facts)
    then: dict[str, Any] = field(default_factory=dict)

    @property
    def command(self) -> MissionCommand:
        """What the actor sends."""
        return command(self.does, self.actor, self.start, **{"reason": self.because, **self.says})


NO_RETRY = facts(lane=replace(POLICY, retry=False))
LAST_TRY = facts(lane=replace(POLICY, max_attempts=1))

STEPS = [
    Step("M1", draft(), CALLER, Does.DISPATCH, "queued", "dispatched"),
    Step(
        "M2", queued(), STORE, Does.HOLD_FOR_APPROVAL, "blocked",
        why=Why.APPROVAL_REQUIRED, then={"hold_expires_at": None, "approval_expires_at": NOW + DAY},
    ),
    Step(
        "M3", queued(), LANE, Does.CLAIM, "running", "accepted", holder=BY_LANE, attempt=+1,
        then={"lease_epoch": EPOCH, "vp_runtime_id": "rt-1", "continuity_id": "c-1", "started_at": NOW},
    ),
    Step(
        "M4", running(), LANE, Does.REPORT, "running", "progress", holder=BY_LANE,
        says={"content": {"summary": "half"}},
    ),
    Step(
        "M4", with_primary(), PRIMARY, Does.REPORT, "running", "artifact", holder=BY_PRIMARY,
        says={"content": {"artifact_refs": [{"name": "out/diff.txt", "sha256": "a" * 64, "size_bytes": 12}]}},
    ),
    Step("M5", running(), LANE, Does.COMPLETE, "completed", then={"completed_via": "lane"}),
    Step("M6", running(), LANE, Does.FAIL, "failed", because=Why.EXECUTOR_ERROR),
    Step("M6", running(DELEGATED), LANE, Does.FAIL, "failed", because=Why.TOOL_FORBIDDEN),
    Step(
        "M7", running(DELEGATED), LANE, Does.FAIL, "blocked", why=Why.AWAITING_FALLBACK,
        says={"reason": Why.EXECUTOR_CRASHED},
        then={"cause": Why.EXECUTOR_CRASHED, "hold_expires_at": NOW + timedelta(seconds=30)},
    ),
    Step(
        "F1", awaiting_fallback(), GATEWAY, Does.TAKE_FALLBACK, "running", "fallback", holder=BY_PRIMARY, attempt=+1,
        says={"content": {"path": "code-writer", "error": "exit 3"}}, then={"fallback": True, "cause": None},
    ),
    Step(
        "F2", queued(DELEGATED), GATEWAY, Does.START_TIMEOUT, "running", "fallback", holder=BY_PRIMARY, attempt=+1,
        then={"fallback": True},
    ),
    Step("F3-completed", with_primary(), PRIMARY, Does.COMPLETE, "completed", then={"completed_via": "primary"}),
    Step("F3-failed", with_primary(), PRIMARY, Does.FAIL, "failed", why=Why.FALLBACK_FAILED),
    Step(
        "F4", awaiting_fallback(hold_expires_at=NOW), RECONCILER, Does.FALLBACK_EXPIRED, "failed",
        why=Why.EXECUTOR_CRASHED,
    ),
    Step(
        "B1", running(), LANE, Does.BLOCK, "blocked", holder=BY_LANE, why=Why.INPUT_WANTED,
        says={"reason": Why.INPUT_WANTED},
        then={"hold_expires_at": NOW + timedelta(seconds=300), "approval_expires_at": NOW + DAY},
    ),
    Step("B1", running(), STORE, Does.BLOCK, "blocked", holder=BY_LANE, because=Why.BUDGET_EXHAUSTED),
    Step(
        "B2", blocked(), OPERATOR, Does.APPROVE, "running", "resumed", holder=BY_LANE,
        then={"hold_expires_at": None, "approval_expires_at": None},
    ),
    Step("B3", suspended(), OPERATOR, Does.APPROVE, "queued", "resumed", then={"resume": True}),
    Step(
        "B4", blocked(), LANE, Does.SUSPEND, "blocked", "progress", why=Why.APPROVAL_WANTED,
        then={"hold_expires_at": None},
    ),
    Step("B4", blocked(DELEGATED), RECONCILER, Does.LEASE_LOST, "blocked", "progress", why=Why.APPROVAL_WANTED),
    Step("B5", blocked(), OPERATOR, Does.DENY, "failed", because=Why.APPROVAL_DENIED),
    Step("B5", suspended(), OPERATOR, Does.DENY, "failed", because=Why.BUDGET_DENIED),
    Step("B6", blocked(approval_expires_at=NOW), RECONCILER, Does.APPROVAL_EXPIRED, "failed", why=Why.APPROVAL_EXPIRED),
    Step("B7", running(SHADOW), LANE, Does.BLOCK, "failed", why=Why.SHADOW_BLOCKED),
    Step("C1", queued(), CALLER, Does.CANCEL, "cancelled", why=Why.CANCEL_REQUESTED),
    Step("C1", suspended(), GATEWAY, Does.CANCEL, "cancelled", because=Why.CALLER_GONE),
    Step("C1", awaiting_fallback(), OPERATOR, Does.CANCEL, "cancelled", why=Why.CANCEL_REQUESTED),
    Step(
        "C2", running(), CALLER, Does.CANCEL, "running", "cancel_requested", holder=BY_LANE,
        then={"cancel_requested_at": NOW},
    ),
    Step(
        "C2", blocked(), STORE, Does.CANCEL, "blocked", "cancel_requested", holder=BY_LANE, why=Why.APPROVAL_WANTED,
        says={"reason": Why.PARENT_ENDED}, then={"cancel_requested_at": NOW},
    ),
    Step(
        "C2", with_primary(), OPERATOR, Does.CANCEL, "running", "cancel_requested", holder=BY_PRIMARY,
        then={"cancel_requested_at": NOW},
    ),
    Step("C3", cancel_asked(running()), LANE, Does.STOPPED, "cancelled", why=Why.CANCEL_REQUESTED),
    Step("C3", cancel_asked(blocked()), LANE, Does.FAIL, "cancelled", why=Why.CANCEL_REQUESTED),
    Step("C3", cancel_asked(running()), LANE, Does.HAND_BACK, "cancelled", why=Why.CANCEL_REQUESTED),
    Step("C3", cancel_asked(with_primary()), PRIMARY, Does.COMPLETE, "cancelled", why=Why.CANCEL_REQUESTED),
    Step("C4", cancel_asked(running()), RECONCILER, Does.CANCEL_DEADLINE, "cancelled", why=Why.CANCEL_FORCED),
    Step("C4", cancel_asked(blocked()), RECONCILER, Does.LEASE_LOST, "cancelled", why=Why.CANCEL_FORCED),
    Step("C4", cancel_asked(with_primary()), RECONCILER, Does.HOLD_EXPIRED, "cancelled", why=Why.CANCEL_FORCED),
    Step("T1", queued(), RECONCILER, Does.TIME_OVER, "timed_out", because=Why.DEADLINE_PASSED),
    Step("T1", blocked(), RECONCILER, Does.TIME_OVER, "timed_out", because=Why.WINDOW_CLOSED),
    Step("T2", running(), LANE, Does.TIME_OVER, "timed_out", because=Why.MAX_RUNTIME_EXCEEDED),
    Step("T2", with_primary(), RECONCILER, Does.TIME_OVER, "timed_out", because=Why.BACKSTOP_REACHED),
    Step("T3", running(), LANE, Does.IDLE, "failed", why=Why.IDLE_TIMEOUT),
    Step(
        "T3-fallback", running(DELEGATED), RECONCILER, Does.IDLE, "blocked", why=Why.AWAITING_FALLBACK,
        then={"cause": Why.IDLE_TIMEOUT},
    ),
    Step(
        "R1", running(failures=1), RECONCILER, Does.LEASE_LOST, "queued", "requeued", why=Why.LEASE_LOST, failures=+1,
        then={"not_before": NOW + timedelta(seconds=10), "resume": True, "parked": False},
    ),
    Step(
        "R2", running(failures=2), RECONCILER, Does.LEASE_LOST, "failed", why=Why.ATTEMPTS_EXHAUSTED, failures=+1,
        then={"parked": True},
    ),
    Step(
        "R2", running(), RECONCILER, Does.LEASE_LOST, "failed", why=Why.ATTEMPTS_EXHAUSTED, failures=+1,
        known=LAST_TRY,
    ),
    Step(
        "R3", running(), RECONCILER, Does.LEASE_LOST, "failed", why=Why.LEASE_LOST, failures=+1, known=NO_RETRY,
        then={"parked": False},
    ),
    Step("R3", running(SHADOW), RECONCILER, Does.LEASE_LOST, "failed", why=Why.LEASE_LOST, failures=+1),
    Step(
        "R4", running(DELEGATED), RECONCILER, Does.LEASE_LOST, "blocked", why=Why.AWAITING_FALLBACK,
        then={"cause": Why.LEASE_LOST, "hold_expires_at": NOW + timedelta(seconds=30)},
    ),
    Step("R5", with_primary(hold_expires_at=NOW), RECONCILER, Does.HOLD_EXPIRED, "failed", why=Why.PRIMARY_LOST),
    Step("D1", running(failures=1), LANE, Does.HAND_BACK, "queued", "requeued", why=Why.DRAINED, then={"resume": True}),
    Step(
        "D1-fallback", running(DELEGATED), LANE, Does.HAND_BACK, "blocked", why=Why.AWAITING_FALLBACK,
        then={"cause": Why.LANE_DRAINING},
    ),
    Step("D1-shadow", running(SHADOW), LANE, Does.HAND_BACK, "cancelled", why=Why.DRAINED),
]  # fmt: skip


@pytest.mark.parametrize("step", STEPS, ids=lambda step: f"{step.id}-{step.does}-{step.to}")
def test_the_step_is_what_the_life_cycle_says(step: Step) -> None:
    change = changed(step.start, step.command, step.known)
    row = change.row
    assert change.transition == step.id
    assert [event["type"] for event in change.events] == [f"vp.mission.{step.event or step.to}"]
    assert (row.state.value, row.holder, row.reason_code) == (step.to, step.holder, step.why or step.because)
    assert row.attempt == step.start.attempt + step.attempt
    assert row.failures == step.start.failures + step.failures
    assert {name: getattr(row, name) for name in step.then} == step.then


def test_the_hand_written_rows_cover_the_table() -> None:
    assert {step.id for step in STEPS} | {"C2-repeat"} == {row.id for row in MISSION_TRANSITIONS}


def test_a_repeated_cancel_changes_nothing_not_even_the_time_of_the_row() -> None:
    for row in (cancel_asked(running()), cancel_asked(blocked()), cancel_asked(with_primary())):
        change = changed(row, command(Does.CANCEL, OPERATOR, row), facts(), NOW + timedelta(seconds=9))
        assert (change.transition, change.row, change.events, change.outbox) == ("C2-repeat", row, (), ())
