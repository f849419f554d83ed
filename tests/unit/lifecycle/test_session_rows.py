"""The lane session's life cycle, row by row, as a person reads it: written by hand, not from the tables."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from dragancorp.lifecycle.facts import SessionFacts
from dragancorp.lifecycle.rows import SessionRow
from dragancorp_contracts.errors import ErrorCode as Code
from dragancorp_contracts.lifecycle import SESSION_TRANSITIONS, Actor
from dragancorp_contracts.lifecycle import SessionState as Is
from dragancorp_contracts.lifecycle import SessionTrigger as Does

from .lane_world import (
    EPOCH,
    NOW,
    POLICY,
    RUNTIME,
    changed,
    refused,
    session,
    session_command,
    session_draft,
    session_facts,
)

LANE, RECONCILER, OPERATOR, STORE, PLANE = (
    Actor.LANE,
    Actor.RECONCILER,
    Actor.OPERATOR,
    Actor.STORE,
    Actor.CONTROL_PLANE,
)
RENEWED = NOW + timedelta(seconds=POLICY.lease_ttl)


@dataclass(frozen=True)
class Step:
    """One line: from `start`, `actor` does `does`; the event is `event`, the status afterwards `to`."""

    id: str
    start: SessionRow
    actor: Actor
    does: Does
    event: str
    to: Is
    held: bool
    epoch: int = 0
    says: dict[str, Any] = field(default_factory=dict)
    known: SessionFacts = field(default_factory=session_facts)
    then: dict[str, Any] = field(default_factory=dict)


def unheld(status: Is, **changes: Any) -> SessionRow:
    return session(status, held=False, **changes)


EXPIRED = session_facts(observed_expired=True)
LATE = {"error": "no heartbeat for 38 s"}
IN_TROUBLE = {"last_error": "no heartbeat for 38 s"}
WELL = {"last_error": None}
ACQUIRED = {"lease_owner": RUNTIME, "lease_expires_at": RENEWED, "beat": 8}
LOST = {"last_error": "lease_lost", "lease_owner": None, "vp_runtime_id": None}
RESUMED = {"outcome": "resumed", "executor_session_id": "exec-1"}
REPLACED = {"outcome": "replaced", "executor_session_id": "exec-2"}
STARTED_OVER = {"executor_session_id": None, "continuity_id": "c-2", "last_error": None, "drain_open": False}

STEPS = [
    Step("S1", session_draft(), PLANE, Does.CONFIGURE, "created", Is.IDLE, held=False),
    Step("S2", unheld(Is.IDLE), LANE, Does.ACQUIRE, "activated", Is.ACTIVE, held=True, epoch=+1, then=ACQUIRED),
    Step(
        "S2-opened", session(executor_session_id=None), LANE, Does.READY, "opened", Is.ACTIVE, held=True,
        says={"outcome": "opened", "executor_session_id": "exec-9", "workspace": "/w"},
        then={"executor_session_id": "exec-9", "workspace": "/w", "continuity_id": "c-1"},
    ),
    Step(
        "S2-opened", session(Is.PAUSED), LANE, Does.READY, "opened", Is.PAUSED, held=True, says=REPLACED,
        then={"executor_session_id": "exec-2", "continuity_id": "c-2"},
    ),
    Step(
        "S2-opened", session(Is.DEGRADED, **IN_TROUBLE), LANE, Does.READY, "opened", Is.DEGRADED, held=True,
        says=RESUMED,
    ),
    Step("S3", session(), LANE, Does.RELEASE, "released", Is.IDLE, held=False),
    Step("S3", session(Is.RECOVERING), LANE, Does.RELEASE, "released", Is.IDLE, held=False),
    Step("S3", session(Is.DEGRADED), LANE, Does.RELEASE, "released", Is.IDLE, held=False),
    Step("S4", session(), RECONCILER, Does.DEGRADE, "degraded", Is.DEGRADED, held=True, says=LATE, then=IN_TROUBLE),
    Step("S4", session(Is.RECOVERING), LANE, Does.DEGRADE, "degraded", Is.DEGRADED, held=True, says=LATE),
    Step("S5", session(Is.DEGRADED, **IN_TROUBLE), LANE, Does.RECOVER, "recovered", Is.ACTIVE, held=True, then=WELL),
    Step(
        "S6", session(), RECONCILER, Does.LEASE_LOST, "degraded", Is.DEGRADED, held=False, epoch=+1, known=EXPIRED,
        then=LOST,
    ),
    Step(
        "S6", session(Is.DEGRADED), RECONCILER, Does.LEASE_LOST, "degraded", Is.DEGRADED, held=False, epoch=+1,
        known=EXPIRED,
    ),
    Step(
        "S7", unheld(Is.DEGRADED), LANE, Does.ACQUIRE, "recovering", Is.RECOVERING, held=True, epoch=+1,
        then=ACQUIRED,
    ),
    Step(
        "S8", session(Is.RECOVERING, **IN_TROUBLE), LANE, Does.READY, "recovered", Is.ACTIVE, held=True, says=RESUMED,
        then={"last_error": None, "continuity_id": "c-1"},
    ),
    Step(
        "S8-replaced", session(Is.RECOVERING), LANE, Does.READY, "recovered", Is.ACTIVE, held=True, says=REPLACED,
        then={"executor_session_id": "exec-2", "continuity_id": "c-2"},
    ),
    Step("S9", session(), OPERATOR, Does.DRAIN, "paused", Is.PAUSED, held=True, then={"drain_open": True}),
    Step("S9", unheld(Is.IDLE), OPERATOR, Does.DRAIN, "paused", Is.PAUSED, held=False),
    Step("S9-repeat", session(Is.PAUSED), OPERATOR, Does.DRAIN, "", Is.PAUSED, held=True, then={"drain_open": False}),
    Step(
        "S10", session(Is.PAUSED, drain_open=True), STORE, Does.DRAINED, "drained", Is.PAUSED, held=True,
        then={"drain_open": False},
    ),
    Step(
        "S11-acquire", unheld(Is.PAUSED), LANE, Does.ACQUIRE, "activated", Is.PAUSED, held=True, epoch=+1,
        then=ACQUIRED,
    ),
    Step(
        "S11-renew", session(Is.PAUSED), LANE, Does.RENEW, "", Is.PAUSED, held=True,
        then={"lease_expires_at": RENEWED, "beat": 8},
    ),
    Step("S11-renew", session(), LANE, Does.RENEW, "", Is.ACTIVE, held=True, then={"beat": 8, "heartbeat_at": NOW}),
    Step("S11-release", session(Is.PAUSED), LANE, Does.RELEASE, "released", Is.PAUSED, held=False),
    Step(
        "S11-expiry", session(Is.PAUSED), RECONCILER, Does.LEASE_LOST, "degraded", Is.PAUSED, held=False, epoch=+1,
        known=EXPIRED, then=LOST,
    ),
    Step("S12", session(), OPERATOR, Does.RESET, "reset", Is.IDLE, held=False, epoch=+1, then=STARTED_OVER),
    Step(
        "S12", unheld(Is.PAUSED, drain_open=True), OPERATOR, Does.RESET, "reset", Is.IDLE, held=False, epoch=+1,
        then=STARTED_OVER,
    ),
    Step("S13-held", session(Is.PAUSED), OPERATOR, Does.RESUME, "resumed", Is.ACTIVE, held=True),
    Step(
        "S13", unheld(Is.PAUSED, drain_open=True), OPERATOR, Does.RESUME, "resumed", Is.IDLE, held=False,
        then={"drain_open": False},
    ),
    Step("S14", unheld(Is.IDLE), OPERATOR, Does.RETIRE, "retired", Is.RETIRED, held=False),
    Step("S14", unheld(Is.DEGRADED), OPERATOR, Does.RETIRE, "retired", Is.RETIRED, held=False),
    Step("S14", unheld(Is.PAUSED), OPERATOR, Does.RETIRE, "retired", Is.RETIRED, held=False),
]  # fmt: skip


@pytest.mark.parametrize("step", STEPS, ids=lambda step: f"{step.id}-{step.start.status}-{step.to}")
def test_the_step_is_what_the_life_cycle_says(step: Step) -> None:
    change = changed(step.start, session_command(step.does, step.actor, **step.says), step.known)
    row = change.row
    assert change.transition == step.id
    assert [event["type"] for event in change.events] == ([f"vp.session.{step.event}"] if step.event else [])
    assert (row.status, row.held) == (step.to, step.held)
    assert row.lease_epoch == step.start.lease_epoch + step.epoch
    assert {name: getattr(row, name) for name in step.then} == step.then


def test_the_hand_written_rows_cover_the_table() -> None:
    assert {step.id for step in STEPS} == {row.id for row in SESSION_TRANSITIONS}


def test_a_drain_asked_for_twice_changes_nothing_not_even_the_time_of_the_row() -> None:
    paused = session(Is.PAUSED, drain_open=True)
    change = changed(paused, session_command(Does.DRAIN, OPERATOR), session_facts(), NOW + timedelta(seconds=9))
    assert (change.row, change.events) == (paused, ())


@dataclass(frozen=True)
class Refused:
    """One line: from `start`, `actor` does not get to do `does`, and hears `code`."""

    id: str
    why: str
    start: SessionRow
    actor: Actor
    does: Does
    code: Code
    says: dict[str, Any] = field(default_factory=dict)
    known: SessionFacts = field(default_factory=session_facts)


ZOMBIE = {"lease_epoch": EPOCH - 1}
STRANGER = {"owner": "host-9999"}
HOLDS = session_facts(held_missions=1, unfinished_missions=1)
WAITS = session_facts(unfinished_missions=1)

REFUSALS = [
    Refused("S1", "by an operator", session_draft(), OPERATOR, Does.CONFIGURE, Code.ACTOR_NOT_PERMITTED),
    Refused("S1", "by a lane", session_draft(), LANE, Does.CONFIGURE, Code.ACTOR_NOT_PERMITTED),
    Refused("S1", "there already", unheld(Is.IDLE), PLANE, Does.CONFIGURE, Code.TRANSITION_REFUSED),
    Refused("S2", "held", session(), LANE, Does.ACQUIRE, Code.LEASE_HELD, says=STRANGER),
    Refused("S2", "held by itself", session(), LANE, Does.ACQUIRE, Code.LEASE_HELD),
    Refused("S2", "recovering", session(Is.RECOVERING), LANE, Does.ACQUIRE, Code.LEASE_HELD, says=STRANGER),
    Refused("S2", "nobody's lease", unheld(Is.IDLE), LANE, Does.ACQUIRE, Code.DOCUMENT_INVALID, says={"owner": None}),
    Refused("S2", "by an operator", unheld(Is.IDLE), OPERATOR, Does.ACQUIRE, Code.ACTOR_NOT_PERMITTED),
    Refused("S2", "ready without a lease", unheld(Is.IDLE), LANE, Does.READY, Code.STALE_EPOCH),
    Refused("S3", "holds a mission", session(), LANE, Does.RELEASE, Code.LANE_BUSY, known=HOLDS),
    Refused("S3", "old epoch", session(), LANE, Does.RELEASE, Code.STALE_EPOCH, says=ZOMBIE),
    Refused("S3", "no longer held", unheld(Is.DEGRADED), LANE, Does.RELEASE, Code.STALE_EPOCH),
    Refused("S4", "old epoch", session(), LANE, Does.DEGRADE, Code.STALE_EPOCH, says=ZOMBIE),
    Refused("S4", "degraded already", session(Is.DEGRADED), RECONCILER, Does.DEGRADE, Code.TRANSITION_REFUSED),
    Refused("S5", "old epoch", session(Is.DEGRADED), LANE, Does.RECOVER, Code.STALE_EPOCH, says=ZOMBIE),
    Refused("S5", "no longer held", unheld(Is.DEGRADED), LANE, Does.RECOVER, Code.STALE_EPOCH),
    Refused("S6", "heartbeat seen", session(), RECONCILER, Does.LEASE_LOST, Code.TRANSITION_REFUSED),
    Refused("S6", "lost already", unheld(Is.DEGRADED), RECONCILER, Does.LEASE_LOST, Code.STALE_EPOCH, known=EXPIRED),
    Refused("S6", "by the lane", session(), LANE, Does.LEASE_LOST, Code.ACTOR_NOT_PERMITTED, known=EXPIRED),
    Refused("S7", "still held", session(Is.DEGRADED), LANE, Does.ACQUIRE, Code.LEASE_HELD, says=STRANGER),
    Refused("S8", "old epoch", session(Is.RECOVERING), LANE, Does.READY, Code.STALE_EPOCH, says=ZOMBIE | RESUMED),
    Refused("S8", "a stranger", session(Is.RECOVERING), LANE, Does.READY, Code.STALE_EPOCH, says=STRANGER | REPLACED),
    Refused("S9", "by the lane", session(), LANE, Does.DRAIN, Code.ACTOR_NOT_PERMITTED),
    Refused(
        "S10", "holds a mission", session(Is.PAUSED, drain_open=True), STORE, Does.DRAINED, Code.LANE_BUSY,
        known=HOLDS,
    ),
    Refused("S10", "announced already", session(Is.PAUSED), STORE, Does.DRAINED, Code.TRANSITION_REFUSED),
    Refused("S10", "not draining", session(), STORE, Does.DRAINED, Code.TRANSITION_REFUSED),
    Refused("S11", "held", session(Is.PAUSED), LANE, Does.ACQUIRE, Code.LEASE_HELD, says=STRANGER),
    Refused("S11", "old epoch", session(Is.PAUSED), LANE, Does.RENEW, Code.STALE_EPOCH, says=ZOMBIE),
    Refused("S11", "renewed after release", unheld(Is.IDLE), LANE, Does.RENEW, Code.STALE_EPOCH),
    Refused("S11", "holds a mission", session(Is.PAUSED), LANE, Does.RELEASE, Code.LANE_BUSY, known=HOLDS),
    Refused("S11", "heartbeat seen", session(Is.PAUSED), RECONCILER, Does.LEASE_LOST, Code.TRANSITION_REFUSED),
    Refused("S12", "by the lane", session(), LANE, Does.RESET, Code.ACTOR_NOT_PERMITTED),
    Refused("S13", "not paused", session(), OPERATOR, Does.RESUME, Code.TRANSITION_REFUSED),
    Refused("S13", "by the lane", session(Is.PAUSED), LANE, Does.RESUME, Code.ACTOR_NOT_PERMITTED),
    Refused("S14", "held", session(Is.PAUSED), OPERATOR, Does.RETIRE, Code.LEASE_HELD),
    Refused("S14", "active", session(), OPERATOR, Does.RETIRE, Code.TRANSITION_REFUSED),
    Refused("S14", "mission waits", unheld(Is.IDLE), OPERATOR, Does.RETIRE, Code.LANE_BUSY, known=WAITS),
    Refused("S14", "acquired again", unheld(Is.RETIRED), LANE, Does.ACQUIRE, Code.LANE_RETIRED),
    Refused("S14", "renewed", unheld(Is.RETIRED), LANE, Does.RENEW, Code.LANE_RETIRED),
]  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: f"{case.id}-{case.why}")
def test_the_guard_refuses_with_the_right_code(case: Refused) -> None:
    assert refused(case.start, session_command(case.does, case.actor, **case.says), case.known) is case.code


def test_every_row_of_the_life_cycle_has_a_refusal_of_its_own() -> None:
    assert {case.id for case in REFUSALS} == {row.id.partition("-")[0] for row in SESSION_TRANSITIONS}
