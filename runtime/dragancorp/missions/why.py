"""Why a mission is not running, or not finished: one answer, from facts. The refusal of a claim *is* the answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dragancorp.lifecycle import decide
from dragancorp.lifecycle.change import Refusal
from dragancorp.lifecycle.commands import By, Fence, MissionCommand
from dragancorp.lifecycle.facts import MissionFacts
from dragancorp.lifecycle.ledger_entry import utc_text
from dragancorp.lifecycle.rows import MissionRow, SessionRow
from dragancorp.registry.queries import COUNTED_AHEAD, LaneRecord
from dragancorp_contracts.lifecycle import Actor, Holder, MissionState, MissionTrigger, ReasonCode, SessionState

# What a refused claim means to somebody who waits for the mission: by the guard that refused it.
WAITING = {
    "session_active": "the lane takes no missions now",
    "contracts_readable": "the lane's worker does not read this version of the envelope",
}
CODES = {"contracts_readable": "contract_unreadable"}
STATUS = {
    SessionState.PAUSED: "the lane is paused; an operator may resume it",
    SessionState.RETIRED: "the lane is retired for good",
    SessionState.DEGRADED: "the lane is in trouble; it goes on by itself once that is over",
    SessionState.RECOVERING: "the lane is being set up again",
}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A stable code, a sentence for people, and the facts behind both."""

    code: str
    sentence: str
    facts: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What stands around a mission: its lane, how many missions it holds and took lately, how many come first.

    `wanted` is what a blocked mission waits for; `contracts_readable`, whether the lane's worker reads its envelope.
    """

    lane: LaneRecord
    held_by_lane: int = 0
    claims_last_hour: int = 0
    ahead: int = 0
    wanted: Mapping[str, Any] | None = None
    contracts_readable: bool = True


def explain(row: MissionRow, around: Surroundings, now: datetime) -> Answer:
    """The one reason that decides at `now`. Pure."""
    if row.terminal:
        reason = row.reason_code.value if row.reason_code is not None else None
        parked = " and was set aside for an operator" if row.parked else ""
        because = f": {reason}" if reason else ""
        return Answer(
            code="parked" if row.parked else "ended",
            sentence=f"It has ended as {row.state.value}{because}{parked}.",
            facts=_given(state=row.state.value, reason_code=reason, finished_at=row.finished_at),
        )
    if row.cancel_requested_at is not None:
        return Answer(
            code="cancel_requested",
            sentence="Its end was asked for; the holder is given time to stop.",
            facts=_given(
                cancel_requested_at=row.cancel_requested_at,
                ends_before=row.cancel_requested_at + timedelta(seconds=around.lane.policy.cancel_deadline),
                holder=row.holder.value,
            ),
        )
    match row.state:
        case MissionState.BLOCKED:
            return _blocked(row, around)
        case MissionState.RUNNING:
            return _running(row, around)
    return _queued(row, around, now)


def _blocked(row: MissionRow, around: Surroundings) -> Answer:
    reason = row.reason_code or ReasonCode.APPROVAL_WANTED
    if reason is ReasonCode.AWAITING_FALLBACK:
        sentence = "The lane could not finish it; the primary path may take over."
    elif reason is ReasonCode.BUDGET_EXHAUSTED:
        sentence = "Its budget is used up; an operator may raise it, or deny that."
    else:
        sentence = f"It waits for a decision: {reason.value}."
    return Answer(
        code=reason.value,
        sentence=sentence,
        facts=_given(
            cause=row.cause.value if row.cause is not None else None,
            wanted=around.wanted,
            decide_before=row.approval_expires_at,
            holder=row.holder.value,
            hold_expires_at=row.hold_expires_at,
            usage=dict(row.usage) or None,
            max_llm_calls=row.max_llm_calls,
            max_cost_microusd=row.max_cost_microusd,
        ),
    )


def _running(row: MissionRow, around: Surroundings) -> Answer:
    lane = around.lane.row
    facts = _given(
        holder=row.holder.value,
        vp_runtime_id=row.vp_runtime_id,
        attempt=row.attempt,
        since=row.attempt_started_at,
        hold_expires_at=row.hold_expires_at,
    )
    if row.holder is Holder.PRIMARY:
        return Answer(
            code="running", sentence=f"It runs: the primary path works on it, attempt {row.attempt}.", facts=facts
        )
    facts |= _lane_facts(lane)
    if lane.status in (SessionState.DEGRADED, SessionState.RECOVERING):
        sentence = f"Its lane is {lane.status.value}: what becomes of attempt {row.attempt} shows when its lease ends."
        return Answer(code=f"lane_{lane.status.value}", sentence=sentence, facts=facts)
    return Answer(code="running", sentence=f"It runs: the lane works on it, attempt {row.attempt}.", facts=facts)


def _queued(row: MissionRow, around: Surroundings, now: datetime) -> Answer:
    """What comes first decides: a lane that takes nothing, then the mission's own time, then who might claim it."""
    session = around.lane.row
    counted = around.ahead < COUNTED_AHEAD
    ahead = "ahead" if counted else "ahead_at_least"
    facts = {ahead: around.ahead, "held_by_lane": around.held_by_lane, **_lane_facts(session)}
    if session.status in (SessionState.PAUSED, SessionState.RETIRED):
        return _waits(f"lane_{session.status.value}", STATUS[session.status], facts)
    not_due = _not_due(row, now)
    if not_due is not None:
        return _waits(*not_due, facts | _times(row))
    if not session.held:
        return Answer(code="lane_unheld", sentence="Nobody holds the lane's lease.", facts=facts)
    refusal = _refusal_of_claim(row, around, now)
    if refusal is None:
        first = f"{around.ahead}" if counted else f"{around.ahead} or more"
        return Answer(code="queued", sentence=f"It is due; {first} of the lane's missions come first.", facts=facts)
    guard = str(refusal.facts.get("guard", refusal.code.value))
    facts["guard"] = guard
    if guard == "session_active":
        return _waits(f"lane_{session.status.value}", STATUS.get(session.status, WAITING[guard]), facts)
    if guard == "quota_free":
        return _quota(around, facts)
    return _waits(CODES.get(guard, guard), WAITING.get(guard, refusal.detail), facts)


def _refusal_of_claim(row: MissionRow, around: Surroundings, now: datetime) -> Refusal | None:
    session = around.lane.row
    answer = decide(
        row,
        MissionCommand(
            trigger=MissionTrigger.CLAIM,
            by=By(kind=Actor.LANE, name=session.lease_owner or ""),
            fence=Fence(attempt=row.attempt, holder=Holder.LANE, lease_epoch=session.lease_epoch),
        ),
        MissionFacts(
            lane=around.lane.policy,
            session=session,
            held_by_lane=around.held_by_lane,
            claims_last_hour=around.claims_last_hour,
            contracts_readable=around.contracts_readable,
        ),
        now,
    )
    return answer if isinstance(answer, Refusal) else None


def _not_due(row: MissionRow, now: datetime) -> tuple[str, str] | None:
    if row.deadline_at is not None and now >= row.deadline_at:
        return "deadline_passed", "its deadline has passed, and it is about to time out"
    if row.window_end_at is not None and now >= row.window_end_at:
        return "window_closed", "its window has closed, and it is about to time out"
    if row.window_start_at is not None and now < row.window_start_at:
        return "window_not_open", "its window has not opened"
    if row.not_before is not None and now < row.not_before:
        return "not_due", "it was handed back and waits before its next attempt"
    return None


def _quota(around: Surroundings, facts: dict[str, Any]) -> Answer:
    policy = around.lane.policy
    if policy.claims_per_hour is not None and around.claims_last_hour >= policy.claims_per_hour:
        facts |= {"claims_last_hour": around.claims_last_hour, "claims_per_hour": policy.claims_per_hour}
        return _waits("quota_used_up", "the lane has claimed as many missions in the last hour as it may", facts)
    facts["parallel_missions"] = policy.parallel_missions
    return _waits("lane_busy", "the lane is busy", facts)


def _waits(code: str, because: str, facts: Mapping[str, Any]) -> Answer:
    return Answer(code=code, sentence=f"It waits: {because}.", facts=facts)


def _lane_facts(session: SessionRow) -> dict[str, Any]:
    """Who holds the lane until when, and its trouble."""
    return _given(
        status=session.status.value,
        lease_owner=session.lease_owner,
        lease_expires_at=session.lease_expires_at,
        last_error=session.last_error,
    )


def _times(row: MissionRow) -> dict[str, Any]:
    return _given(
        not_before=row.not_before,
        window_start_at=row.window_start_at,
        window_end_at=row.window_end_at,
        deadline_at=row.deadline_at,
    )


def _given(**facts: Any) -> dict[str, Any]:
    """The facts that there are, times as texts."""
    return {
        name: utc_text(value) if isinstance(value, datetime) else value
        for name, value in facts.items()
        if value is not None
    }
