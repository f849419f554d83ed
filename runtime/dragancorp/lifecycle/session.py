"""`decide` for lane sessions: the table row, applied to the session's row."""

from datetime import datetime, timedelta
from typing import Any

from dragancorp.lifecycle.change import Change, Refusal
from dragancorp.lifecycle.commands import SessionCommand
from dragancorp.lifecycle.facts import SessionFacts
from dragancorp.lifecycle.ledger_entry import ERROR_LIMIT, chained, utc_text
from dragancorp.lifecycle.rows import SessionRow, changed
from dragancorp.lifecycle.session_guards import PREDICATES
from dragancorp.lifecycle.table import choose
from dragancorp_contracts.errors import ErrorCode
from dragancorp_contracts.lifecycle import (
    SESSION_GUARDS,
    SESSION_REFUSALS,
    SESSION_TRANSITIONS,
    Actor,
    SessionState,
    SessionTrigger,
    Transition,
)

SessionTransition = Transition[SessionState, SessionTrigger]


def decide_session(
    row: SessionRow, command: SessionCommand, facts: SessionFacts, now: datetime
) -> Change[SessionRow] | Refusal:
    """What `command` does to the lane session, or why nothing. Pure.

    For the trigger `configure`, `row` is the draft of the session to be, with `last_sequence` 0.
    """
    drafting = row.last_sequence == 0
    holds_lease = command.by.kind is Actor.LANE and command.trigger is not SessionTrigger.ACQUIRE
    if (
        holds_lease
        and not drafting
        and row.status is not SessionState.RETIRED
        and not PREDICATES["epoch"](row, command, facts, now)
    ):
        return Refusal(
            code=ErrorCode.STALE_EPOCH,
            detail="the lease is held by another runtime, or under another epoch",
            facts={"lease_owner": row.lease_owner, "lease_epoch": row.lease_epoch, "status": row.status.value},
        )
    step = choose(
        SESSION_TRANSITIONS,
        SESSION_REFUSALS,
        SESSION_GUARDS,
        state=None if drafting else row.status,
        trigger=command.trigger,
        actor=command.by.kind,
        holds=lambda name: PREDICATES[name](row, command, facts, now),
    )
    if isinstance(step, Refusal):
        return step
    if step.sets.get("lease") == "acquire" and not command.owner:
        return Refusal(
            code=ErrorCode.DOCUMENT_INVALID,
            detail="a lease has an owner: the unique name of the process that acquires it",
            facts={"row": step.id},
        )
    moved = _moved(step, row, command, facts, now)
    if step.event is None:
        return Change(row=moved, transition=step.id)
    event = chained(
        _event(step, moved, command, now), sequence=moved.last_sequence + 1, previous_digest=moved.last_digest
    )
    moved = changed(moved, last_sequence=event["sequence"], last_digest=event["digest"])
    return Change(row=moved, events=(event,), transition=step.id)


def _moved(
    step: SessionTransition, row: SessionRow, command: SessionCommand, facts: SessionFacts, now: datetime
) -> SessionRow:
    sets = step.sets
    if step.event is None and not sets:  # a repeat: it only acknowledges what was asked before
        return row
    changes: dict[str, Any] = {"updated_at": now}
    if step.target is not None:
        changes["status"] = SessionState(step.target)
    if sets.get("epoch") == "+1":
        changes["lease_epoch"] = row.lease_epoch + 1
    lease = sets.get("lease")
    if lease == "acquire":
        changes |= {
            "lease_owner": command.owner,
            "vp_runtime_id": command.vp_runtime_id,
            "lease_expires_at": now + timedelta(seconds=facts.lane.lease_ttl),
            "lease_embedded": command.embedded,
            "heartbeat_at": now,
            "beat": row.beat + 1,
        }
    elif lease == "renew":
        changes |= {
            "lease_expires_at": now + timedelta(seconds=facts.lane.lease_ttl),
            "heartbeat_at": now,
            "beat": row.beat + 1,
        }
    elif lease == "clear":
        changes |= {"lease_owner": None, "vp_runtime_id": None, "lease_expires_at": None, "lease_embedded": False}
    if sets.get("executor_session") == "command":
        changes["executor_session_id"] = command.executor_session_id
        changes["workspace"] = command.workspace or row.workspace
    elif sets.get("executor_session") == "drop":
        changes["executor_session_id"] = None
    continuity = sets.get("continuity")
    if continuity == "new" or (continuity == "new_if_replaced" and command.outcome == "replaced"):
        changes["continuity_id"] = facts.fresh_id
    if sets.get("last_error") == "clear":
        changes["last_error"] = None
    elif sets.get("last_error") == "command":
        changes["last_error"] = None if command.error is None else command.error[:ERROR_LIMIT]
    elif sets.get("last_error"):
        changes["last_error"] = sets["last_error"]
    if "drain_open" in sets:
        changes["drain_open"] = sets["drain_open"]
    return changed(row, **changes)


def _event(step: SessionTransition, row: SessionRow, command: SessionCommand, now: datetime) -> dict[str, Any]:
    detail = {
        "owner": command.owner,
        "vp_runtime_id": command.vp_runtime_id,
        "embedded": command.embedded or None,
        "executor_session_id": command.executor_session_id,
        "outcome": command.outcome,
        "error": command.error,
        "workspace": command.workspace,
        "continuity_id": row.continuity_id if step.sets.get("continuity") else None,
        "reason": "lease_lost" if command.trigger is SessionTrigger.LEASE_LOST else None,
    }
    return {
        "vp_id": row.vp_id,
        "vp_session_id": row.vp_session_id,
        "type": step.event.value if step.event else "",
        "status": row.status.value,
        "lease_epoch": row.lease_epoch,
        "transition": step.id,
        "actor": command.by.as_json(),
        "detail": {name: value for name, value in detail.items() if value is not None},
        "emitted_at": utc_text(now),
    }
