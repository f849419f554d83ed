"""The ledger entries of a mission's step, and the callbacks that carry them."""

from collections.abc import Mapping
from typing import Any

from dragancorp.lifecycle.change import OutboxEntry
from dragancorp.lifecycle.ledger_entry import ERROR_LIMIT, chained, utc_text
from dragancorp.lifecycle.mission_step import BUDGET_LIMITS, MissionStep
from dragancorp.lifecycle.rows import MissionRow, changed
from dragancorp_contracts.lifecycle import EventType, MissionState, MissionTrigger, ReasonCode

Event = dict[str, Any]
# Members of a command's content that go into the event as they are.
EVENT_CONTENT = ("summary", "artifact_refs", "usage", "result", "wanted", "decision")
NEXT_ACTION = {
    MissionState.COMPLETED: "Review the result.",
    MissionState.FAILED: "Read the reason, mend the cause and dispatch the mission again.",
    MissionState.CANCELLED: "Nothing, unless the work is still wanted: then dispatch it again.",
    MissionState.TIMED_OUT: "Give it more time or a smaller objective and dispatch it again.",
}


def with_events(step: MissionStep, moved: MissionRow) -> tuple[MissionRow, tuple[Event, ...]]:
    """The entries of the step, and the row `moved` with the ledger's new end."""
    events = []
    for event_type in _event_types(step):
        event = chained(
            _event(event_type, step, moved), sequence=moved.last_sequence + 1, previous_digest=moved.last_digest
        )
        moved = changed(moved, last_sequence=event["sequence"], last_digest=event["digest"])
        events.append(event)
    return moved, tuple(events)


def callbacks(row: MissionRow, events: tuple[Event, ...]) -> tuple[OutboxEntry, ...]:
    """One callback an entry, where the mission has an endpoint."""
    if row.callback_url is None:
        return ()
    return tuple(
        OutboxEntry(mission_id=row.mission_id, sequence=event["sequence"], endpoint=row.callback_url, body=event)
        for event in events
    )


def _event_types(step: MissionStep) -> list[EventType]:
    own, content = step.transition.event, step.command.content
    if own is None:
        return []
    if step.command.trigger is MissionTrigger.REPORT and content.get("artifact_refs"):
        return [EventType.MISSION_ARTIFACT]
    if step.command.trigger is MissionTrigger.APPROVE and any(limit in content for limit in BUDGET_LIMITS):
        return [EventType.MISSION_BUDGET_CHANGED, own]
    return [own]


def _event(event_type: EventType, step: MissionStep, row: MissionRow) -> Event:
    command, content = step.command, step.command.content
    event: Event = {
        "mission_id": row.mission_id,
        "vp_id": row.vp_id,
        "vp_session_id": row.vp_session_id,
        "type": event_type.value,
        "status": row.state.value,
        "attempt": row.attempt,
        "transition": step.transition.id,
        "actor": command.by.as_json(),
        "trace_id": row.trace_id,
        "emitted_at": utc_text(step.now),
    }
    if row.lease_epoch:
        event["lease_epoch"] = row.lease_epoch
    if step.reason is not None:
        event["reason_code"] = step.reason.value
    if step.cause is not None:
        event["cause"] = step.cause.value
    # A report is found again by one entry, the one that moved the mission.
    if command.idempotency_key is not None and event_type is not EventType.MISSION_BUDGET_CHANGED:
        event["idempotency_key"] = command.idempotency_key
    if step.transition.id == "C3":
        event |= _late_result(step)
        content = {}
    event |= {name: content[name] for name in EVENT_CONTENT if content.get(name)}
    event |= _remembered(event_type, step, row)
    if step.ran_seconds is not None:
        event["ran_seconds"] = step.ran_seconds
    if event_type is EventType.MISSION_FALLBACK:
        event["fallback"] = _fallback(step)
    if row.terminal:
        event |= _final(step, row, content)
    return event


def _remembered(event_type: EventType, step: MissionStep, row: MissionRow) -> Event:
    """What the row now holds and nothing else in the ledger says: with it, entries alone rebuild the row."""
    if event_type is EventType.MISSION_DISPATCHED:
        facts: Event = {"kind": row.kind.value, "retry_of": row.retry_of}
    elif event_type is EventType.MISSION_ACCEPTED:
        facts = {"vp_runtime_id": row.vp_runtime_id, "continuity_id": row.continuity_id}
    elif event_type is EventType.MISSION_BUDGET_CHANGED:
        content = step.command.content
        facts = {"budget": {limit: content[limit] for limit in BUDGET_LIMITS if content.get(limit) is not None}}
    elif step.transition.sets.get("backoff") and row.not_before is not None:
        facts = {"not_before": utc_text(row.not_before)}
    else:
        return {}
    return {name: fact for name, fact in facts.items() if fact is not None}


def _late_result(step: MissionStep) -> Event:
    command = step.command
    if command.trigger is MissionTrigger.STOPPED and not command.content:
        return {}
    late: Event = {**command.content, "trigger": command.trigger.value}
    if command.reason is not None:
        late["reason_code"] = command.reason.value
    return {"late_result": late}


def _fallback(step: MissionStep) -> Event:
    content = step.command.content
    # The ledger knows best why the lane could not finish; where nothing was started, it did not start.
    reason = step.row.cause or step.reason or ReasonCode.START_TIMEOUT
    fallback: Event = {"reason": reason.value, "path": content.get("path", "primary")}
    if content.get("error"):
        fallback["error"] = content["error"][:ERROR_LIMIT]
    return fallback


def _final(step: MissionStep, row: MissionRow, content: Mapping[str, Any]) -> Event:
    final: Event = {
        "artifact_index": [dict(reference) for reference in step.facts.artifacts],
        "recommended_next_action": content.get("recommended_next_action") or NEXT_ACTION[row.state],
        "latency_seconds": max(0.0, (step.now - row.created_at).total_seconds()),
    }
    if row.started_at is not None:
        final["queue_seconds"] = max(0.0, (row.started_at - row.created_at).total_seconds())
    if row.completed_via is not None:
        final["completed_via"] = row.completed_via
    return final
