"""One lane and its missions in plain values: rows to start from, and commands as their senders make them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from dragancorp.lifecycle import Change, Refusal, decide
from dragancorp.lifecycle.commands import By, Fence, MissionCommand, SessionCommand
from dragancorp.lifecycle.facts import LanePolicy, MissionFacts, SessionFacts
from dragancorp.lifecycle.rows import MissionRow, SessionRow
from dragancorp_contracts.errors import ErrorCode
from dragancorp_contracts.lifecycle import (
    Actor,
    Holder,
    MissionKind,
    MissionState,
    MissionTrigger,
    ReasonCode,
    SessionState,
    SessionTrigger,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LANE = "vp.coder.primary"
RUNTIME = "host-7f3a"  # the unique name of the process that holds the lease
EPOCH = 4
CALLBACK = "https://factory.example/callbacks"
POLICY = LanePolicy(vp_id=LANE, max_attempts=3, backoff=5.0, parallel_missions=1, queue_limit=10)
ARTIFACT = {"name": "out/diff.txt", "sha256": "a" * 64, "size_bytes": 12}


def by(actor: Actor) -> By:
    """Somebody in that role."""
    return By(kind=actor, name=RUNTIME if actor is Actor.LANE else actor.value)


# Sessions


def session(status: SessionState = SessionState.ACTIVE, *, held: bool = True, **changes: Any) -> SessionRow:
    """A session that has a ledger already, held under `EPOCH` or not held."""
    row = SessionRow(
        vp_id=LANE,
        vp_session_id="s-1",
        status=status,
        lease_owner=RUNTIME if held else None,
        vp_runtime_id="rt-1" if held else None,
        lease_expires_at=NOW + timedelta(minutes=5) if held else None,
        lease_epoch=EPOCH,
        beat=7,
        executor_session_id="exec-1",
        continuity_id="c-1",
        created_at=NOW - timedelta(hours=2),
        updated_at=NOW - timedelta(minutes=2),
        last_sequence=3,
        last_digest="d" * 64,
    )
    return replace(row, **changes)


def session_draft() -> SessionRow:
    """A session that is about to be configured."""
    draft = session(SessionState.IDLE, held=False, beat=0, executor_session_id=None, lease_epoch=0)
    return replace(draft, last_sequence=0, last_digest=None, created_at=NOW, updated_at=NOW)


def session_command(trigger: SessionTrigger, actor: Actor, **changes: Any) -> SessionCommand:
    """A command; a lane sends the owner and the epoch of the present lease."""
    command = SessionCommand(trigger=trigger, by=by(actor))
    if actor is Actor.LANE:
        command = replace(command, owner=RUNTIME, lease_epoch=EPOCH, vp_runtime_id="rt-1")
    return replace(command, **changes)


def session_facts(**changes: Any) -> SessionFacts:
    """Nothing held, nothing expired."""
    return replace(SessionFacts(lane=POLICY, fresh_id="c-2"), **changes)


# Missions


def draft(kind: MissionKind = MissionKind.DISPATCHED, **changes: Any) -> MissionRow:
    """A mission that is about to be dispatched."""
    row = MissionRow(
        mission_id="m-1",
        vp_id=LANE,
        vp_session_id="s-1",
        kind=kind,
        state=MissionState.QUEUED,
        source_instance_id="gateway-1",
        idempotency_key="key-1",
        request_digest="e" * 64,
        trace_id="0af7651916cd43dd8448eb211c80319c",
        callback_url=CALLBACK,
        created_at=NOW - timedelta(minutes=10),
        updated_at=NOW - timedelta(minutes=10),
    )
    return replace(row, **changes)


def queued(kind: MissionKind = MissionKind.DISPATCHED, **changes: Any) -> MissionRow:
    """A mission that waits for a claim."""
    return draft(kind, **{"last_sequence": 1, "last_digest": "f" * 64, **changes})


def running(kind: MissionKind = MissionKind.DISPATCHED, **changes: Any) -> MissionRow:
    """A mission the lane works on, in its first attempt, with some usage."""
    facts: dict[str, Any] = {
        "state": MissionState.RUNNING,
        "attempt": 1,
        "holder": Holder.LANE,
        "lease_epoch": EPOCH,
        "vp_runtime_id": "rt-1",
        "continuity_id": "c-1",
        "usage": {"llm_calls": 3, "cost_microusd": 500},
        "started_at": NOW - timedelta(minutes=4),
        "attempt_started_at": NOW - timedelta(minutes=4),
    }
    return queued(kind, **{**facts, **changes})


def with_primary(**changes: Any) -> MissionRow:
    """A delegated mission the primary path took over."""
    taken = {"attempt": 2, "holder": Holder.PRIMARY, "fallback": True, "hold_expires_at": NOW + timedelta(minutes=5)}
    return running(MissionKind.DELEGATED, **{**taken, **changes})


def blocked(kind: MissionKind = MissionKind.DISPATCHED, **changes: Any) -> MissionRow:
    """A mission that wants an approval and still has its slot."""
    facts: dict[str, Any] = {
        "state": MissionState.BLOCKED,
        "reason_code": ReasonCode.APPROVAL_WANTED,
        "attempt_started_at": None,
        "runtime_seconds": 240.0,
        "hold_expires_at": NOW + timedelta(seconds=300),
        "approval_expires_at": NOW + timedelta(hours=24),
    }
    return running(kind, **{**facts, **changes})


def suspended(kind: MissionKind = MissionKind.DISPATCHED, **changes: Any) -> MissionRow:
    """A mission that wants an approval and has given up its slot."""
    return blocked(kind, **{"holder": Holder.NONE, "hold_expires_at": None, **changes})


def awaiting_fallback(**changes: Any) -> MissionRow:
    """A delegated mission the lane could not finish and nobody has taken over yet."""
    facts: dict[str, Any] = {
        "reason_code": ReasonCode.AWAITING_FALLBACK,
        "cause": ReasonCode.EXECUTOR_CRASHED,
        "approval_expires_at": None,
        "hold_expires_at": NOW + timedelta(seconds=30),
    }
    return suspended(MissionKind.DELEGATED, **{**facts, **changes})


def cancel_asked(row: MissionRow) -> MissionRow:
    """The same mission after somebody asked for its end."""
    return replace(row, cancel_requested_at=NOW - timedelta(seconds=5))


def ended(state: MissionState) -> MissionRow:
    """A mission that is over."""
    return running(state=state, holder=Holder.NONE, attempt_started_at=None, finished_at=NOW)


def fence_of(row: MissionRow) -> Fence:
    """What the present holder of the mission writes with."""
    return Fence(attempt=row.attempt, holder=row.holder, lease_epoch=row.lease_epoch)


def command(trigger: MissionTrigger, actor: Actor, row: MissionRow, **changes: Any) -> MissionCommand:
    """A command as that actor sends it after reading `row`: a holder with its fence, the others with the attempt."""
    made = MissionCommand(trigger=trigger, by=by(actor))
    if trigger is MissionTrigger.CLAIM:
        made = replace(made, fence=Fence(attempt=row.attempt, holder=Holder.LANE, lease_epoch=EPOCH))
    elif actor in {Actor.LANE, Actor.PRIMARY} or (actor is Actor.STORE and trigger is MissionTrigger.BLOCK):
        made = replace(made, fence=fence_of(row))
    elif actor in {Actor.RECONCILER, Actor.GATEWAY}:
        made = replace(made, attempt_as_read=row.attempt)
    return replace(made, **changes)


def facts(**changes: Any) -> MissionFacts:
    """The lane is active and free, the receipt is stored."""
    return replace(MissionFacts(lane=POLICY, session=session(), receipt=True, artifacts=(ARTIFACT,)), **changes)


# Answers


def changed(row: Any, asked: Any, known: Any, now: datetime = NOW) -> Change[Any]:
    """The change; a refusal fails the test and says why."""
    answer = decide(row, asked, known, now)
    assert isinstance(answer, Change), answer
    return answer


def refused(row: Any, asked: Any, known: Any, now: datetime = NOW) -> ErrorCode:
    """The refusal's code; a change fails the test and says which row was taken."""
    answer = decide(row, asked, known, now)
    assert isinstance(answer, Refusal), f"{answer.transition} was taken"
    assert answer.detail
    return answer.code
