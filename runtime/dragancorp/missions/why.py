"""Why a mission is not running, or not finished: one answer, from facts. The refusal of a claim *is* the answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dragancorp.lifecycle import decide
from dragancorp.lifecycle.change import Refusal
from dragancorp.lifecycle.commands import By, Fence, MissionCommand
from dragancorp.lifecycle.facts import MissionFacts
from dragancorp.lifecycle.ledger_entry import utc_text
from dragancorp.lifecycle.rows import MissionRow
from dragancorp.registry.queries import LaneRecord
from dragancorp_contracts.lifecycle import Actor, Holder, MissionState, MissionTrigger, ReasonCode, SessionState

# What a refused claim means to somebody who waits for the mission.
WAITING = {
    "session_active": "the lane takes no missions now",
    "quota_free": "the lane is busy",
    "due": "its time has not come",
    "contracts_readable": "the lane's worker does not read this version of the envelope",
}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A stable code, a sentence for people, and the facts behind both."""

    code: str
    sentence: str
    facts: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What stands around a mission: its lane, how many missions it holds and took lately, how many come first."""

    lane: LaneRecord
    held_by_lane: int
    claims_last_hour: int
    ahead: int


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
            facts=_given(cancel_requested_at=row.cancel_requested_at, holder=row.holder.value),
        )
    match row.state:
        case MissionState.BLOCKED:
            return _blocked(row)
        case MissionState.RUNNING:
            return _running(row)
    return _queued(row, around, now)


def _blocked(row: MissionRow) -> Answer:
    reason = row.reason_code or ReasonCode.APPROVAL_WANTED
    if reason is ReasonCode.AWAITING_FALLBACK:
        sentence = "The lane could not finish it; the primary path may take over."
    else:
        sentence = f"It waits for a decision: {reason.value}."
    return Answer(
        code=reason.value,
        sentence=sentence,
        facts=_given(
            cause=row.cause.value if row.cause is not None else None,
            decide_before=row.approval_expires_at,
            hold_expires_at=row.hold_expires_at,
            usage=dict(row.usage) or None,
        ),
    )


def _running(row: MissionRow) -> Answer:
    who = "the primary path" if row.holder is Holder.PRIMARY else "the lane"
    return Answer(
        code="running",
        sentence=f"It runs: {who} works on it, attempt {row.attempt}.",
        facts=_given(
            holder=row.holder.value,
            vp_runtime_id=row.vp_runtime_id,
            attempt=row.attempt,
            since=row.attempt_started_at,
            hold_expires_at=row.hold_expires_at,
        ),
    )


def _queued(row: MissionRow, around: Surroundings, now: datetime) -> Answer:
    session, policy = around.lane.row, around.lane.policy
    lane = _given(
        status=session.status.value,
        lease_owner=session.lease_owner,
        lease_expires_at=session.lease_expires_at,
        last_error=session.last_error,
    )
    if not session.held:
        return Answer(code="lane_unheld", sentence="Nobody holds the lane's lease.", facts=lane)
    refusal = decide(
        row,
        MissionCommand(
            trigger=MissionTrigger.CLAIM,
            by=By(kind=Actor.LANE, name=session.lease_owner or ""),
            fence=Fence(attempt=row.attempt, holder=Holder.LANE, lease_epoch=session.lease_epoch),
        ),
        MissionFacts(
            lane=policy,
            session=session,
            held_by_lane=around.held_by_lane,
            claims_last_hour=around.claims_last_hour,
        ),
        now,
    )
    if not isinstance(refusal, Refusal):
        return Answer(
            code="queued",
            sentence=f"It is due; {around.ahead} of the lane's missions come first.",
            facts={"ahead": around.ahead, **lane},
        )
    guard = str(refusal.facts.get("guard", refusal.code.value))
    code = f"lane_{session.status.value}" if guard == "session_active" else CODES.get(guard, guard)
    sentence = WAITING.get(guard, refusal.detail)
    if session.status is SessionState.PAUSED:
        sentence = "the lane is paused; an operator may resume it"
    times = _given(not_before=row.not_before, window_start_at=row.window_start_at, window_end_at=row.window_end_at)
    return Answer(
        code=code,
        sentence=f"It waits: {sentence}.",
        facts={"guard": guard, "ahead": around.ahead, "held_by_lane": around.held_by_lane, **times, **lane},
    )


CODES = {"quota_free": "lane_busy", "due": "not_due", "contracts_readable": "contract_unreadable"}


def _given(**facts: Any) -> dict[str, Any]:
    """The facts that there are, times as texts."""
    return {
        name: utc_text(value) if isinstance(value, datetime) else value
        for name, value in facts.items()
        if value is not None
    }
