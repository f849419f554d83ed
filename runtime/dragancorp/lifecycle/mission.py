"""`decide` for missions: the table row, applied to the mission's row."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from dragancorp.lifecycle.change import Change, OutboxEntry, Refusal
from dragancorp.lifecycle.commands import By, MissionCommand
from dragancorp.lifecycle.facts import MissionFacts
from dragancorp.lifecycle.ledger_entry import chained, utc_text
from dragancorp.lifecycle.mission_guards import PREDICATES, over_budget
from dragancorp.lifecycle.rows import MissionRow
from dragancorp.lifecycle.table import choose
from dragancorp_contracts.errors import ErrorCode
from dragancorp_contracts.lifecycle import (
    MISSION_GUARDS,
    MISSION_REFUSALS,
    MISSION_TRANSITIONS,
    TERMINAL_MISSION_STATES,
    Actor,
    EventType,
    Holder,
    MissionState,
    MissionTrigger,
    ReasonCode,
    Transition,
)

MissionTransition = Transition[MissionState, MissionTrigger]
MAX_BACKOFF = 3600.0  # seconds; the lane contract's bound
HOLDERS = frozenset({Actor.LANE, Actor.PRIMARY})
# Members of a command's content that go into the event as they are.
EVENT_CONTENT = ("summary", "artifact_refs", "usage", "result", "wanted")
NEXT_ACTION = {
    MissionState.COMPLETED: "Review the result.",
    MissionState.FAILED: "Read the reason, mend the cause and dispatch the mission again.",
    MissionState.CANCELLED: "Nothing, unless the work is still wanted: then dispatch it again.",
    MissionState.TIMED_OUT: "Give it more time or a smaller objective and dispatch it again.",
}


def decide_mission(
    row: MissionRow, command: MissionCommand, facts: MissionFacts, now: datetime
) -> Change[MissionRow] | Refusal:
    """What `command` does to the mission, or why nothing. Pure.

    For the trigger `dispatch`, `row` is the draft of the mission to be, with `last_sequence` 0.
    """
    drafting = row.last_sequence == 0
    step = choose_step(row, command, facts, now, drafting=drafting)
    if isinstance(step, Refusal):
        return step
    return _apply(step, row, command, facts, now)


def choose_step(
    row: MissionRow, command: MissionCommand, facts: MissionFacts, now: datetime, *, drafting: bool = False
) -> MissionTransition | Refusal:
    """The row of the table that answers, or the refusal."""

    if not row.terminal:
        stale = _stale(row, command, facts, now)
        if stale is not None:
            return stale
    return choose(
        MISSION_TRANSITIONS,
        MISSION_REFUSALS,
        MISSION_GUARDS,
        state=None if drafting else row.state,
        trigger=command.trigger,
        actor=command.by.kind,
        holds=lambda name: PREDICATES[name](row, command, facts, now),
    )


def _stale(row: MissionRow, command: MissionCommand, facts: MissionFacts, now: datetime) -> Refusal | None:
    """Whatever the step: a holder's word is fenced, and a condition on what was read is kept."""
    claims = command.trigger is MissionTrigger.CLAIM
    fenced = command.by.kind in HOLDERS and not claims
    if (fenced and not PREDICATES["fence"](row, command, facts, now)) or (
        command.attempt_as_read is not None and command.attempt_as_read != row.attempt
    ):
        return Refusal(
            code=ErrorCode.STALE_EPOCH,
            detail="the write carries an attempt, holder or epoch that is out of date",
            facts={"attempt": row.attempt, "holder": row.holder.value, "state": row.state.value},
        )
    return None


def _apply(
    step: MissionTransition, row: MissionRow, command: MissionCommand, facts: MissionFacts, now: datetime
) -> Change[MissionRow]:
    reason = _reason(step, row, command)
    cause = _cause(step, row, command)
    moved = _moved(step, row, command, facts, now, reason, cause)
    events: list[dict[str, Any]] = []
    for event_type in _event_types(step, command):
        event = _event(event_type, step, moved, command, facts, now, reason, cause)
        chained(event, sequence=moved.last_sequence + 1, previous_digest=moved.last_digest)
        moved = replace(moved, last_sequence=event["sequence"], last_digest=event["digest"])
        events.append(event)
    outbox: tuple[OutboxEntry, ...] = ()
    if moved.callback_url is not None:
        outbox = tuple(
            OutboxEntry(mission_id=moved.mission_id, sequence=e["sequence"], endpoint=moved.callback_url, body=e)
            for e in events
        )
    return Change(row=moved, events=tuple(events), outbox=outbox, transition=step.id)


def _reason(step: MissionTransition, row: MissionRow, command: MissionCommand) -> ReasonCode | None:
    if step.sets.get("reason_from_cause"):
        return row.cause or ReasonCode.EXECUTOR_ERROR
    return step.reason or command.reason


def _cause(step: MissionTransition, row: MissionRow, command: MissionCommand) -> ReasonCode | None:
    cause = step.sets.get("cause")
    if cause is None:
        return None
    return command.reason if cause == "command" else ReasonCode(cause)


def _moved(
    step: MissionTransition,
    row: MissionRow,
    command: MissionCommand,
    facts: MissionFacts,
    now: datetime,
    reason: ReasonCode | None,
    cause: ReasonCode | None,
) -> MissionRow:
    sets, target = step.sets, step.target
    changes: dict[str, Any] = {"updated_at": now}
    state = row.state if target is None else MissionState(target)
    leaves = state is not row.state
    if leaves:
        changes["state"] = state
        changes |= _clock_changes(row, state, now)
        if not sets.get("keep_holder"):
            changes |= {"holder": Holder.NONE, "hold_expires_at": None}
        changes["approval_expires_at"] = None
        changes["reason_code"] = reason if state is not MissionState.RUNNING else None
        changes["cause"] = cause
    if sets.get("attempt") == "+1":
        changes["attempt"] = row.attempt + 1
    if sets.get("failures") == "+1":
        changes["failures"] = row.failures + 1
    if "holder" in sets:
        changes |= {"holder": Holder(sets["holder"]), "hold_expires_at": None}
    if "hold_seconds" in sets:
        changes["hold_expires_at"] = now + timedelta(seconds=sets["hold_seconds"])
    elif step.id == "B2":
        changes["hold_expires_at"] = None
    if "approval_seconds" in sets:
        changes["approval_expires_at"] = now + timedelta(seconds=sets["approval_seconds"])
    if sets.get("cancel_requested"):
        changes["cancel_requested_at"] = now
    for flag in ("parked", "resume"):
        if sets.get(flag):
            changes[flag] = True
    if sets.get("backoff"):
        changes["not_before"] = now + timedelta(seconds=backoff(facts, row.failures))
    changes |= _content_changes(step, row, command, facts, state)
    return replace(row, **changes)


def backoff(facts: MissionFacts, failures: int) -> float:
    """Seconds to wait after the failure that follows `failures` earlier ones: doubled each time, an hour at most."""
    base = facts.lane.backoff if facts.lane is not None else 0.0
    return float(min(MAX_BACKOFF, base * 2 ** min(failures, 32)))


def _clock_changes(row: MissionRow, state: MissionState, now: datetime) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if row.state is MissionState.RUNNING:
        changes |= {"runtime_seconds": row.runtime_at(now), "attempt_started_at": None}
    if state is MissionState.RUNNING:
        changes["attempt_started_at"] = now
        if row.started_at is None:
            changes["started_at"] = now
    if state in TERMINAL_MISSION_STATES:
        changes["finished_at"] = now
    return changes


def _content_changes(
    step: MissionTransition, row: MissionRow, command: MissionCommand, facts: MissionFacts, state: MissionState
) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    content = command.content
    if "usage" in content:
        changes["usage"] = {**row.usage, **content["usage"]}
    if command.trigger is MissionTrigger.CLAIM and facts.session is not None:
        changes |= {
            "lease_epoch": facts.session.lease_epoch,
            "vp_runtime_id": facts.session.vp_runtime_id,
            "continuity_id": facts.session.continuity_id,
        }
    if step.event is EventType.MISSION_FALLBACK:
        changes["fallback"] = True
    if state is MissionState.COMPLETED:
        changes["completed_via"] = row.holder.value
    if command.trigger is MissionTrigger.APPROVE:
        for limit in ("max_llm_calls", "max_cost_microusd"):
            if limit in content:
                changes[limit] = content[limit]
    return changes


def _event_types(step: MissionTransition, command: MissionCommand) -> list[EventType]:
    if step.event is None:
        return []
    if command.trigger is MissionTrigger.REPORT and command.content.get("artifact_refs"):
        return [EventType.MISSION_ARTIFACT]
    if command.trigger is MissionTrigger.APPROVE and (
        "max_llm_calls" in command.content or "max_cost_microusd" in command.content
    ):
        return [EventType.MISSION_BUDGET_CHANGED, step.event]
    return [step.event]


def _event(
    event_type: EventType,
    step: MissionTransition,
    row: MissionRow,
    command: MissionCommand,
    facts: MissionFacts,
    now: datetime,
    reason: ReasonCode | None,
    cause: ReasonCode | None,
) -> dict[str, Any]:
    event: dict[str, Any] = {
        "mission_id": row.mission_id,
        "vp_id": row.vp_id,
        "vp_session_id": row.vp_session_id,
        "type": event_type.value,
        "status": row.state.value,
        "attempt": row.attempt,
        "transition": step.id,
        "actor": command.by.as_json(),
        "trace_id": row.trace_id,
        "emitted_at": utc_text(now),
    }
    if row.lease_epoch:
        event["lease_epoch"] = row.lease_epoch
    if reason is not None and row.state is not MissionState.RUNNING:
        event["reason_code"] = reason.value
    if cause is not None:
        event["cause"] = cause.value
    if command.idempotency_key is not None:
        event["idempotency_key"] = command.idempotency_key
    content = command.content
    if step.id == "C3":
        event["late_result"] = {"trigger": command.trigger.value, **content}
        content = {}
    event |= {name: content[name] for name in EVENT_CONTENT if content.get(name)}
    if event_type is EventType.MISSION_FALLBACK:
        event["fallback"] = _fallback(command)
    if row.terminal:
        event |= _final(row, content, facts, now)
    return event


def _fallback(command: MissionCommand) -> dict[str, Any]:
    fallback = {
        "reason": (command.reason or ReasonCode.EXECUTOR_ERROR).value,
        "path": command.content.get("path", "primary"),
    }
    if command.content.get("error"):
        fallback["error"] = command.content["error"]
    return fallback


def _final(row: MissionRow, content: Mapping[str, Any], facts: MissionFacts, now: datetime) -> dict[str, Any]:
    final: dict[str, Any] = {
        "artifact_index": [dict(reference) for reference in facts.artifacts],
        "recommended_next_action": content.get("recommended_next_action") or NEXT_ACTION[row.state],
        "latency_seconds": max(0.0, (now - row.created_at).total_seconds()),
    }
    if row.started_at is not None:
        final["queue_seconds"] = max(0.0, (row.started_at - row.created_at).total_seconds())
    if row.completed_via is not None:
        final["completed_via"] = row.completed_via
    return final


def follow_up(row: MissionRow, command: MissionCommand) -> MissionCommand | None:
    """What the store must ask next in the same transaction: a hold before the start, or a stop at the budget."""
    if command.trigger is MissionTrigger.DISPATCH and command.content.get("hold_for_approval"):
        return MissionCommand(trigger=MissionTrigger.HOLD_FOR_APPROVAL, by=By(kind=Actor.STORE, name="registry"))
    if command.trigger is MissionTrigger.REPORT and over_budget(row.usage, row.max_llm_calls, row.max_cost_microusd):
        return MissionCommand(
            trigger=MissionTrigger.BLOCK,
            by=By(kind=Actor.STORE, name="registry"),
            fence=command.fence,
            reason=ReasonCode.BUDGET_EXHAUSTED,
            content={"wanted": {"kind": "budget", "usage": dict(row.usage)}},
        )
    return None
