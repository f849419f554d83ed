"""Operations on lane sessions, inside one transaction."""

from dataclasses import asdict
from datetime import datetime

from dragancorp.errors import DraganError, ErrorCode
from dragancorp.lifecycle import decide
from dragancorp.lifecycle.commands import By, MissionCommand, SessionCommand
from dragancorp.lifecycle.facts import SessionFacts
from dragancorp.lifecycle.rows import SessionRow
from dragancorp.registry import statements
from dragancorp.registry.identifiers import new_id
from dragancorp.registry.mission_writes import announce_drained, step
from dragancorp.registry.operations import (
    ConfigureLane,
    CountTurns,
    ProbeWrite,
    Renewal,
    RenewLease,
    SessionStepped,
    StepMission,
    Stepped,
    StepSession,
)
from dragancorp.registry.statements import LaneLock
from dragancorp.registry.transaction import UNFINISHED, Transaction, required
from dragancorp_contracts.lifecycle import (
    Actor,
    MissionTrigger,
    SessionState,
    SessionTrigger,
)

FREES_MISSIONS = frozenset({SessionTrigger.LEASE_LOST, SessionTrigger.RESET})
RECONCILER = By(kind=Actor.RECONCILER, name="reconciler")


def configure(tx: Transaction, operation: ConfigureLane) -> SessionRow:
    """S1 the first time; the policy each time."""
    policy = operation.policy
    known = tx.connection.execute(statements.SESSION_BY_ID[LaneLock.CHANGE], {"vp_id": policy.vp_id}).first()
    if known is not None:
        tx.connection.execute(statements.UPDATE_POLICY, {"of_lane": policy.vp_id, "new_policy": asdict(policy)})
        tx.forget_session(policy.vp_id)
        return tx.session(policy.vp_id)[0]
    draft = SessionRow(
        vp_id=policy.vp_id,
        vp_session_id=new_id("s"),
        status=SessionState.IDLE,
        continuity_id=new_id("c"),
        created_at=tx.now,
        updated_at=tx.now,
    )
    facts = SessionFacts(lane=policy, fresh_id=draft.continuity_id)
    command = SessionCommand(trigger=SessionTrigger.CONFIGURE, by=operation.by)
    change = required(decide(draft, command, facts, tx.now))
    tx.insert_session(change, asdict(policy))
    return tx.session(policy.vp_id)[0]


def step_session(tx: Transaction, operation: StepSession) -> SessionStepped:
    """One trigger for a lane session; where it loses its holder, its missions move in the same transaction."""
    before, policy = tx.session(operation.vp_id, LaneLock.ALONE)
    if operation.epoch_as_read is not None and operation.epoch_as_read != before.lease_epoch:
        raise DraganError(
            ErrorCode.STALE_EPOCH,
            f"the lane {operation.vp_id!r} has another epoch by now",
            facts={"lease_epoch": before.lease_epoch},
        )
    if operation.beat_as_read is not None and operation.beat_as_read != before.beat:
        raise DraganError(
            ErrorCode.STALE_EPOCH,
            f"the holder of {operation.vp_id!r} has given a heartbeat meanwhile",
            facts={"lease_epoch": before.lease_epoch},
        )
    facts = SessionFacts(
        lane=policy,
        fresh_id=new_id("c"),
        held_missions=len(tx.held_by(operation.vp_id)),
        unfinished_missions=sum(tx.counted(operation.vp_id, "mission_state", state.value) for state in UNFINISHED),
        observed_expired=operation.observed_expired,
    )
    change = required(decide(before, operation.command, facts, tx.now))
    moved: list[Stepped] = []
    if operation.command.trigger in FREES_MISSIONS:
        # Before the epoch changes, so that the missions are judged by the lease they were held under.
        moved = _free_missions(tx, operation.vp_id)
        before, _ = tx.session(operation.vp_id, LaneLock.ALONE)
        change = required(decide(before, operation.command, facts, tx.now))
    tx.save_session(before, change)
    row = change.row
    if operation.command.trigger is SessionTrigger.DRAIN:
        announce_drained(tx, operation.vp_id)
        row, _ = tx.session(operation.vp_id, LaneLock.ALONE)
    return SessionStepped(row=row, policy=policy, events=change.events, missions=tuple(moved))


def _free_missions(tx: Transaction, vp_id: str) -> list[Stepped]:
    return [
        step(
            tx,
            StepMission(
                mission_id=record.mission_id,
                command=MissionCommand(
                    trigger=MissionTrigger.LEASE_LOST, by=RECONCILER, attempt_as_read=record.attempt
                ),
            ),
        )
        for record in tx.held_by(vp_id)
    ]


def renew(tx: Transaction, operation: RenewLease) -> Renewal:
    """A heartbeat, and what the holder still holds."""
    before, policy = tx.session(operation.vp_id, LaneLock.CHANGE)
    command = SessionCommand(
        trigger=SessionTrigger.RENEW,
        by=By(kind=Actor.LANE, name=operation.owner),
        owner=operation.owner,
        lease_epoch=operation.lease_epoch,
    )
    change = required(decide(before, command, SessionFacts(lane=policy, fresh_id=""), tx.now))
    tx.save_session(before, change)
    return Renewal(session=change.row, policy=policy, held=tuple(tx.held_by(operation.vp_id)))


def count_turns(tx: Transaction, operation: CountTurns) -> None:
    """Add what a gateway counted in memory."""
    for (vp_id, reason, minute_text), count in sorted(operation.counts.items()):
        minute = datetime.fromisoformat(minute_text)
        key = {"of_lane": vp_id, "of_reason": reason, "of_minute": minute, "by": count}
        if tx.connection.execute(statements.ADD_TO_MINUTE, key).rowcount == 0:
            row = {"vp_id": vp_id, "reason": reason, "minute": minute, "count": count}
            tx.connection.execute(statements.INSERT_MINUTE, row)
        tx.count(vp_id, "turn", reason, count)


def probe_write(tx: Transaction, operation: ProbeWrite) -> None:
    """A transaction that changes nothing writes nothing, and would not notice a disk that is full."""
    tx.count("", "probe", "write")
