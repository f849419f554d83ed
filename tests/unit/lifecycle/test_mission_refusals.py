"""What the mission's guards keep out, row by row, with the code each refusal carries: written by hand."""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from dragancorp.lifecycle.commands import Fence
from dragancorp.lifecycle.facts import MissionFacts
from dragancorp.lifecycle.rows import MissionRow
from dragancorp_contracts.errors import ErrorCode as Code
from dragancorp_contracts.lifecycle import MISSION_TRANSITIONS, Actor, Holder, MissionKind, MissionState, SessionState
from dragancorp_contracts.lifecycle import MissionTrigger as Does
from dragancorp_contracts.lifecycle import ReasonCode as Why

from .lane_world import (
    EPOCH,
    NOW,
    POLICY,
    awaiting_fallback,
    blocked,
    cancel_asked,
    command,
    draft,
    ended,
    facts,
    queued,
    refused,
    running,
    session,
    suspended,
    with_primary,
)

CALLER, GATEWAY, LANE, PRIMARY = Actor.CALLER, Actor.GATEWAY, Actor.LANE, Actor.PRIMARY
STORE, RECONCILER, OPERATOR = Actor.STORE, Actor.RECONCILER, Actor.OPERATOR
DELEGATED, SHADOW = MissionKind.DELEGATED, MissionKind.SHADOW


@dataclass(frozen=True)
class Refused:
    """One line: from `start`, `actor` does not get to do `does`, and hears `code`."""

    id: str
    why: str
    start: MissionRow
    actor: Actor
    does: Does
    code: Code
    says: dict[str, Any] = field(default_factory=dict)
    known: MissionFacts = field(default_factory=facts)


LATER, EARLIER = NOW + timedelta(minutes=1), NOW - timedelta(minutes=1)
STALE = {"fence": Fence(attempt=1, holder=Holder.LANE, lease_epoch=EPOCH - 1)}
UNREAD = {"attempt_as_read": None}
RETIRED, PAUSED, DEGRADED = (
    facts(session=session(status)) for status in (SessionState.RETIRED, SessionState.PAUSED, SessionState.DEGRADED)
)
REGAINED = facts(session=session(lease_epoch=EPOCH + 1))
ABOVE_PARENT = facts(excess_over_parent=("max_llm_calls",))
NO_CLAIMS_LEFT = facts(lane=replace(POLICY, claims_per_hour=5), claims_last_hour=5)
FEWER_CALLS = {"content": {"usage": {"llm_calls": 2}}}
NEGATIVE_CALLS = {"content": {"usage": {"llm_calls": -1}}}
MORE_CALLS = {"content": {"max_llm_calls": 9}}
ASKS = {"reason": Why.INPUT_WANTED}
OVERSPENT = {"reason": Why.BUDGET_EXHAUSTED}
OVER_BUDGET = {"reason_code": Why.BUDGET_EXHAUSTED, "max_llm_calls": 2}

REFUSALS = [
    Refused("M1", "no lane", draft(), CALLER, Does.DISPATCH, Code.LANE_RETIRED, known=facts(lane=None)),
    Refused("M1", "lane retired", draft(), CALLER, Does.DISPATCH, Code.LANE_RETIRED, known=RETIRED),
    Refused("M1", "queue full", draft(), CALLER, Does.DISPATCH, Code.QUEUE_FULL, known=facts(queued=10)),
    Refused("M1", "above parent", draft(), CALLER, Does.DISPATCH, Code.CHILD_EXCEEDS_PARENT, known=ABOVE_PARENT),
    Refused("M1", "by a lane", draft(), LANE, Does.DISPATCH, Code.ACTOR_NOT_PERMITTED),
    Refused("M1", "there already", queued(), CALLER, Does.DISPATCH, Code.TRANSITION_REFUSED),
    Refused("M2", "by an operator", queued(), OPERATOR, Does.HOLD_FOR_APPROVAL, Code.ACTOR_NOT_PERMITTED),
    Refused("M3", "not there", draft(), LANE, Does.CLAIM, Code.TRANSITION_REFUSED),
    Refused("M3", "lane paused", queued(), LANE, Does.CLAIM, Code.LANE_PAUSED, known=PAUSED),
    Refused("M3", "lane degraded", queued(), LANE, Does.CLAIM, Code.LANE_PAUSED, known=DEGRADED),
    Refused("M3", "old epoch", queued(), LANE, Does.CLAIM, Code.STALE_EPOCH, says=STALE),
    Refused("M3", "no fence", queued(), LANE, Does.CLAIM, Code.STALE_EPOCH, says={"fence": None}),
    Refused("M3", "backing off", queued(not_before=LATER), LANE, Does.CLAIM, Code.TRANSITION_REFUSED),
    Refused("M3", "window not open", queued(window_start_at=LATER), LANE, Does.CLAIM, Code.TRANSITION_REFUSED),
    Refused("M3", "window closed", queued(window_end_at=NOW), LANE, Does.CLAIM, Code.TRANSITION_REFUSED),
    Refused("M3", "deadline passed", queued(deadline_at=EARLIER), LANE, Does.CLAIM, Code.TRANSITION_REFUSED),
    Refused("M3", "slot taken", queued(), LANE, Does.CLAIM, Code.LANE_BUSY, known=facts(held_by_lane=1)),
    Refused("M3", "quota used up", queued(), LANE, Does.CLAIM, Code.LANE_BUSY, known=NO_CLAIMS_LEFT),
    Refused(
        "M3", "unreadable", queued(), LANE, Does.CLAIM, Code.TRANSITION_REFUSED, known=facts(contracts_readable=False)
    ),
    Refused("M3", "taken already", running(), LANE, Does.CLAIM, Code.TRANSITION_REFUSED),
    Refused("M4", "old epoch", running(), LANE, Does.REPORT, Code.STALE_EPOCH, says=STALE),
    Refused("M4", "usage fell", running(), LANE, Does.REPORT, Code.USAGE_DECREASED, says=FEWER_CALLS),
    Refused("M4", "negative", running(usage={}), LANE, Does.REPORT, Code.USAGE_DECREASED, says=NEGATIVE_CALLS),
    Refused("M4", "while blocked", blocked(), LANE, Does.REPORT, Code.TRANSITION_REFUSED),
    Refused("M5", "no receipt", running(), LANE, Does.COMPLETE, Code.RECEIPT_MISSING, known=facts(receipt=False)),
    Refused(
        "M5", "outputs missing", running(), LANE, Does.COMPLETE, Code.RECEIPT_MISSING, known=facts(missing_outputs="a")
    ),
    Refused("M5", "usage fell", running(), LANE, Does.COMPLETE, Code.USAGE_DECREASED, says=FEWER_CALLS),
    Refused("M5", "lease taken over", running(), LANE, Does.COMPLETE, Code.STALE_EPOCH, known=REGAINED),
    Refused("M6", "old epoch", running(), LANE, Does.FAIL, Code.STALE_EPOCH, says=STALE),
    Refused("M7", "lease taken over", running(DELEGATED), LANE, Does.FAIL, Code.STALE_EPOCH, known=REGAINED),
    Refused(
        "F1", "other attempt", awaiting_fallback(), GATEWAY, Does.TAKE_FALLBACK, Code.STALE_EPOCH,
        says={"attempt_as_read": 7},
    ),
    Refused("F1", "not read", awaiting_fallback(), GATEWAY, Does.TAKE_FALLBACK, Code.STALE_EPOCH, says=UNREAD),
    Refused(
        "F1", "cancel asked", cancel_asked(awaiting_fallback()), GATEWAY, Does.TAKE_FALLBACK, Code.TRANSITION_REFUSED
    ),
    Refused("F1", "wants an approval", suspended(DELEGATED), GATEWAY, Does.TAKE_FALLBACK, Code.TRANSITION_REFUSED),
    Refused("F1", "by an operator", awaiting_fallback(), OPERATOR, Does.TAKE_FALLBACK, Code.ACTOR_NOT_PERMITTED),
    Refused("F2", "claimed", running(DELEGATED), GATEWAY, Does.START_TIMEOUT, Code.TRANSITION_REFUSED),
    Refused("F2", "dispatched", queued(), GATEWAY, Does.START_TIMEOUT, Code.TRANSITION_REFUSED),
    Refused("F2", "shadow", queued(SHADOW), GATEWAY, Does.START_TIMEOUT, Code.TRANSITION_REFUSED),
    Refused("F2", "not read", queued(DELEGATED), GATEWAY, Does.START_TIMEOUT, Code.STALE_EPOCH, says=UNREAD),
    Refused("F3", "ended by a lane", with_primary(), LANE, Does.COMPLETE, Code.STALE_EPOCH),
    Refused("F4", "taken", with_primary(), RECONCILER, Does.FALLBACK_EXPIRED, Code.TRANSITION_REFUSED),
    Refused("F4", "wants an approval", blocked(), RECONCILER, Does.FALLBACK_EXPIRED, Code.TRANSITION_REFUSED),
    Refused("B1", "cancel asked", cancel_asked(running()), LANE, Does.BLOCK, Code.TRANSITION_REFUSED, says=ASKS),
    Refused("B1", "lease lost", running(), STORE, Does.BLOCK, Code.STALE_EPOCH, says=OVERSPENT, known=REGAINED),
    Refused("B1", "no reason", running(), LANE, Does.BLOCK, Code.DOCUMENT_INVALID),
    Refused("B1", "by the primary", with_primary(), PRIMARY, Does.BLOCK, Code.TRANSITION_REFUSED, says=ASKS),
    Refused("B2", "cancel asked", cancel_asked(blocked()), OPERATOR, Does.APPROVE, Code.TRANSITION_REFUSED),
    Refused("B2", "still over budget", blocked(**OVER_BUDGET), OPERATOR, Does.APPROVE, Code.DOCUMENT_INVALID),
    Refused(
        "B2", "above parent", blocked(), OPERATOR, Does.APPROVE, Code.DOCUMENT_INVALID,
        says=MORE_CALLS, known=ABOVE_PARENT,
    ),
    Refused("B2", "by the caller", blocked(), CALLER, Does.APPROVE, Code.ACTOR_NOT_PERMITTED),
    Refused("B3", "awaiting fallback", awaiting_fallback(), OPERATOR, Does.APPROVE, Code.TRANSITION_REFUSED),
    Refused("B3", "still over budget", suspended(**OVER_BUDGET), OPERATOR, Does.APPROVE, Code.DOCUMENT_INVALID),
    Refused("B4", "slot gone", suspended(), RECONCILER, Does.SUSPEND, Code.TRANSITION_REFUSED),
    Refused("B4", "old epoch", blocked(), LANE, Does.SUSPEND, Code.STALE_EPOCH, says=STALE),
    Refused("B5", "awaiting fallback", awaiting_fallback(), OPERATOR, Does.DENY, Code.TRANSITION_REFUSED),
    Refused("B6", "awaiting fallback", awaiting_fallback(), RECONCILER, Does.APPROVAL_EXPIRED, Code.TRANSITION_REFUSED),
    Refused("B7", "old epoch", running(SHADOW), LANE, Does.BLOCK, Code.STALE_EPOCH, says=STALE),
    Refused("C1", "by the reconciler", queued(), RECONCILER, Does.CANCEL, Code.ACTOR_NOT_PERMITTED),
    Refused("C2", "by the holder", running(), LANE, Does.CANCEL, Code.ACTOR_NOT_PERMITTED),
    Refused("C3", "nobody asked", running(), LANE, Does.STOPPED, Code.TRANSITION_REFUSED),
    Refused("C3", "old epoch", cancel_asked(running()), LANE, Does.STOPPED, Code.STALE_EPOCH, says=STALE),
    Refused("C4", "nobody asked", running(), RECONCILER, Does.CANCEL_DEADLINE, Code.TRANSITION_REFUSED),
    Refused("C4", "by an operator", cancel_asked(running()), OPERATOR, Does.CANCEL_DEADLINE, Code.ACTOR_NOT_PERMITTED),
    Refused("T1", "by the caller", queued(), CALLER, Does.TIME_OVER, Code.ACTOR_NOT_PERMITTED),
    Refused("T1", "no reason", queued(), RECONCILER, Does.TIME_OVER, Code.DOCUMENT_INVALID),
    Refused("T2", "old epoch", running(), LANE, Does.TIME_OVER, Code.STALE_EPOCH, says=STALE),
    Refused("T2", "cancel asked", cancel_asked(running()), RECONCILER, Does.TIME_OVER, Code.TRANSITION_REFUSED),
    Refused("T3", "not read", running(), RECONCILER, Does.IDLE, Code.STALE_EPOCH, says=UNREAD),
    Refused("T3", "held by the primary", with_primary(), RECONCILER, Does.IDLE, Code.TRANSITION_REFUSED),
    Refused(
        "R1", "other attempt", running(attempt=2), RECONCILER, Does.LEASE_LOST, Code.STALE_EPOCH,
        says={"attempt_as_read": 1},
    ),
    Refused("R1", "by an operator", running(), OPERATOR, Does.LEASE_LOST, Code.ACTOR_NOT_PERMITTED),
    Refused("R4", "held by the primary", with_primary(), RECONCILER, Does.LEASE_LOST, Code.TRANSITION_REFUSED),
    Refused("R5", "held by the lane", running(), RECONCILER, Does.HOLD_EXPIRED, Code.TRANSITION_REFUSED),
    Refused("D1", "old epoch", running(), LANE, Does.HAND_BACK, Code.STALE_EPOCH, says=STALE),
    Refused("D1", "held by the primary", with_primary(), PRIMARY, Does.HAND_BACK, Code.TRANSITION_REFUSED),
    Refused("terminal", "report", ended(MissionState.COMPLETED), LANE, Does.REPORT, Code.MISSION_TERMINAL),
    Refused("terminal", "cancel", ended(MissionState.FAILED), OPERATOR, Does.CANCEL, Code.MISSION_TERMINAL),
    Refused("terminal", "approve", ended(MissionState.TIMED_OUT), OPERATOR, Does.APPROVE, Code.MISSION_TERMINAL),
    Refused("terminal", "claim", ended(MissionState.CANCELLED), LANE, Does.CLAIM, Code.MISSION_TERMINAL),
]  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: f"{case.id}-{case.why}")
def test_the_guard_refuses_with_the_right_code(case: Refused) -> None:
    assert refused(case.start, command(case.does, case.actor, case.start, **case.says), case.known) is case.code


def test_every_row_of_the_life_cycle_has_a_refusal_of_its_own() -> None:
    families = {row.id.partition("-")[0] for row in MISSION_TRANSITIONS}
    assert families - {case.id for case in REFUSALS} == {"R2", "R3"}  # they differ from R1 in facts alone
