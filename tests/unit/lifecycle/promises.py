"""What holds for every change of a mission or a session, whatever led to it; judged by the table as it is written."""

from typing import Any

from dragancorp.jsonio import digest
from dragancorp.lifecycle import Change
from dragancorp.lifecycle.rows import MissionRow, SessionRow
from dragancorp.rules import violations
from dragancorp_contracts import resources
from dragancorp_contracts.lifecycle import Holder, MissionState, SessionState

TABLE: dict[str, Any] = {
    row["id"]: row for row in resources.read_document("lifecycle", file="lifecycle.json")["transitions"]
}
COUNTED = ("llm_calls", "input_tokens", "output_tokens", "cost_microusd", "runtime_seconds")
FINAL = {"completed", "failed", "cancelled", "timed_out"}


def mission_kept_its_promises(before: MissionRow, change: Change[MissionRow]) -> None:
    """Assert all of them for one change of a mission."""
    after = change.row
    _ledger_goes_on(before, change)
    for event in change.events:
        assert violations("mission-event", event) == []
        assert event["attempt"] == after.attempt
    assert before.state.value not in FINAL, f"{change.transition} moved a mission that had ended"
    assert after.state.value == (TABLE[change.transition]["to"] or before.state.value)
    assert after.attempt - before.attempt in {0, 1}
    assert after.failures - before.failures in {0, 1}
    assert after.lease_epoch >= before.lease_epoch
    assert all(after.usage.get(name, 0) >= before.usage.get(name, 0) for name in COUNTED)
    assert after.runtime_seconds >= before.runtime_seconds
    assert before.cancel_requested_at is None or after.cancel_requested_at == before.cancel_requested_at
    assert [entry.body for entry in change.outbox] == (list(change.events) if after.callback_url else [])
    mission_is_sound(after)


def mission_is_sound(row: MissionRow) -> None:
    """Assert what holds for a mission at rest."""
    if row.state is MissionState.RUNNING:
        assert row.holder is not Holder.NONE
        assert row.reason_code is None
    elif row.state is not MissionState.BLOCKED:
        assert row.holder is Holder.NONE
        assert row.hold_expires_at is None
    assert (row.attempt_started_at is not None) == (row.state is MissionState.RUNNING)
    assert (row.finished_at is not None) == (row.state.value in FINAL)
    assert (row.approval_expires_at is None) or row.state is MissionState.BLOCKED
    assert not (row.state is MissionState.COMPLETED and row.cancel_requested_at is not None)
    assert not row.parked or row.state is MissionState.FAILED
    assert (row.completed_via is not None) == (row.state is MissionState.COMPLETED)
    if row.state in {MissionState.BLOCKED, MissionState.FAILED, MissionState.CANCELLED, MissionState.TIMED_OUT}:
        assert row.reason_code is not None, "nobody could say why"


def session_kept_its_promises(before: SessionRow, change: Change[SessionRow]) -> None:
    """Assert all of them for one change of a session."""
    after = change.row
    _ledger_goes_on(before, change)
    for event in change.events:
        assert violations("vp-session-registry", {"session_event": event}) == []
        assert event["lease_epoch"] == after.lease_epoch
    assert before.status is not SessionState.RETIRED, f"{change.transition} moved a retired lane"
    assert after.status.value == (TABLE[change.transition]["to"] or before.status.value)
    assert after.lease_epoch - before.lease_epoch in {0, 1}
    assert after.beat >= before.beat
    if after.lease_owner != before.lease_owner and after.lease_owner is not None:
        assert after.lease_epoch == before.lease_epoch + 1, "a new holder under an old epoch"
    session_is_sound(after)


def session_is_sound(row: SessionRow) -> None:
    """Assert what holds for a session at rest."""
    assert row.held == (row.lease_expires_at is not None) == (row.vp_runtime_id is not None)
    if row.status in {SessionState.ACTIVE, SessionState.RECOVERING}:
        assert row.held
    if row.status in {SessionState.IDLE, SessionState.RETIRED}:
        assert not row.held
    assert not row.drain_open or row.status in {SessionState.PAUSED, SessionState.RETIRED}


def _ledger_goes_on(before: MissionRow | SessionRow, change: Change[Any]) -> None:
    sequence, previous = before.last_sequence, before.last_digest
    for event in change.events:
        assert event["sequence"] == sequence + 1
        assert event.get("previous_digest") == previous
        assert event["digest"] == digest({name: value for name, value in event.items() if name != "digest"})
        assert event["transition"] == change.transition
        state = change.row.state if isinstance(change.row, MissionRow) else change.row.status
        assert event["status"] == state.value
        sequence, previous = event["sequence"], event["digest"]
    assert (change.row.last_sequence, change.row.last_digest) == (sequence, previous)
    written = TABLE[change.transition]["event"]
    assert (written is None) == (change.events == ())
    if written == "vp.mission.progress":
        assert change.events[-1]["type"] in {written, "vp.mission.artifact"}
    elif written is not None:
        assert change.events[-1]["type"] == written
