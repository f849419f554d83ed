"""Operations on missions, inside one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from dragancorp.errors import DraganError, ErrorCode, Violation
from dragancorp.jsonio import loads
from dragancorp.lifecycle import decide
from dragancorp.lifecycle.change import Refusal
from dragancorp.lifecycle.commands import By, Fence, MissionCommand, SessionCommand
from dragancorp.lifecycle.facts import LanePolicy, MissionFacts, SessionFacts
from dragancorp.lifecycle.mission import follow_up
from dragancorp.lifecycle.rows import CLOCKS_APART, MissionRow, SessionRow, changed
from dragancorp.registry import family_budgets, statements
from dragancorp.registry.operations import (
    ClaimMissions,
    Dispatched,
    DispatchMission,
    RenewHold,
    StepAndClaim,
    StepMission,
    Stepped,
    Stored,
)
from dragancorp.registry.port import QueueView
from dragancorp.registry.prepared import UniqueViolationError
from dragancorp.registry.rows import stored_from
from dragancorp.registry.statements import LaneLock
from dragancorp.registry.transaction import Transaction, report_digest, required
from dragancorp_contracts.lifecycle import (
    Actor,
    Holder,
    MissionTrigger,
    ReasonCode,
    SessionState,
    SessionTrigger,
)

STORE = By(kind=Actor.STORE, name="registry")
LOOKAHEAD = 7  # candidates a scheduler sees beyond the number it may pick


def dispatch(tx: Transaction, operation: DispatchMission) -> Dispatched:
    """M1, and M2 with it. The same request again answers what the first one made."""
    draft = operation.draft
    key = {"source": draft.source_instance_id, "key": draft.idempotency_key}
    earlier = tx.connection.execute(statements.MISSION_BY_KEY, key).first()
    if earlier is not None:
        return _replayed(stored_from(earlier), draft)
    session, policy = tx.session(draft.vp_id)
    if draft.vp_session_id and draft.vp_session_id != session.vp_session_id:
        raise DraganError(
            ErrorCode.SESSION_UNKNOWN,
            f"the lane {draft.vp_id!r} has no session {draft.vp_session_id!r}",
            facts={"vp_session_id": session.vp_session_id},
        )
    draft = changed(draft, vp_session_id=session.vp_session_id)
    excess = list(operation.excess_over_parent)
    parent = draft.parent_mission_id
    if parent is not None and (_archived(tx, parent) or tx.parent(parent).row.terminal):
        excess.append("the parent mission has ended")
    facts = MissionFacts(
        lane=policy,
        session=session,
        queued=tx.queued(draft.vp_id, policy.queue_limit),
        excess_over_parent=tuple(excess),
    )
    command = MissionCommand(
        trigger=MissionTrigger.DISPATCH,
        by=operation.by,
        content={"hold_for_approval": operation.hold_for_approval},
    )
    change = required(decide(draft, command, facts, tx.now))
    if _archived(tx, draft.mission_id):
        raise _taken()
    assigned = {**operation.assigned, "vp_session_id": session.vp_session_id}
    try:
        position = tx.insert_mission(change, operation.document, assigned)
    except UniqueViolationError as error:
        if tx.may_have_raced or error.columns != {"vp_missions.mission_id"}:
            raise
        raise _taken() from error
    row = change.row
    following = follow_up(row, command)
    if following is not None:
        held = required(decide(row, following, facts, tx.now))
        tx.save_mission(row, held)
        row = held.row
    return Dispatched(
        mission=Stored(position=position, row=row, document=operation.document, assigned=assigned), replayed=False
    )


def _archived(tx: Transaction, mission_id: str) -> bool:
    return tx.connection.execute(statements.ARCHIVED_BY_ID, {"mission_id": mission_id}).first() is not None


def _taken() -> DraganError:
    return DraganError(
        ErrorCode.DOCUMENT_INVALID,
        "the mission id is taken",
        violations=[Violation(pointer="/mission_id", rule="ENV-6", message="a mission of this id exists already")],
    )


def _replayed(earlier: Stored, draft: MissionRow) -> Dispatched:
    if earlier.row.request_digest != draft.request_digest:
        raise DraganError(
            ErrorCode.IDEMPOTENCY_KEY_REUSED,
            f"the key {draft.idempotency_key!r} already stands for mission {earlier.row.mission_id!r}",
            facts={"mission_id": earlier.row.mission_id},
        )
    return Dispatched(mission=earlier, replayed=True)


def step(tx: Transaction, operation: StepMission) -> Stepped:
    """One trigger, with the artifacts and the receipt that come with it, and what must follow from it."""
    command = operation.command
    above = family_budgets.ancestors_of(tx, operation.mission_id) if command.content.get("usage") else ()
    stored, session, policy = tx.mission_in_lane(operation.mission_id, above=above)
    before = stored.row
    digest = None
    if command.idempotency_key is not None:
        digest = report_digest(command.trigger, command.reason, command.content)
        repeated = _repeated(tx, stored.row, command, digest)
        if repeated is not None:
            return repeated
    if not before.terminal:
        _store_artifacts(tx, before, operation.artifacts)
        _store_receipt(tx, before, operation.receipt)
    facts = replace(_facts(tx, stored, session, policy, command), seconds_running=tx.stopwatch.seconds(before))
    change = required(decide(before, command, facts, tx.now))
    tx.save_mission(before, change, digest=digest)
    row, events, transition = change.row, change.events, change.transition
    exhausted_above: str | None = None
    below: Mapping[str, float] = {}
    if family_budgets.used_more(before, row):
        exhausted_above, below = family_budgets.stop_exhausted(tx, above), family_budgets.used_below(tx, row)
    following = follow_up(row, command, below=below, exhausted_above=exhausted_above)
    if following is not None:
        more = decide(row, following, facts, tx.now)
        if not isinstance(more, Refusal):
            tx.save_mission(row, more)
            row, events = more.row, (*events, *more.events)
    after_step(tx, before, row, session, policy)
    return Stepped(row=row, events=events, transition=transition)


def _repeated(tx: Transaction, row: MissionRow, command: MissionCommand, digest: str) -> Stepped | None:
    key = {"mission_id": row.mission_id, "key": command.idempotency_key}
    record = tx.connection.execute(statements.EVENT_BY_KEY, key).first()
    if record is None:
        return None
    document, earlier_digest = record
    if earlier_digest != digest:
        raise DraganError(
            ErrorCode.EVENT_KEY_REUSED, f"the event key {command.idempotency_key!r} already stands for another report"
        )
    event = loads(document)
    return Stepped(row=row, events=(event,), transition=event.get("transition", ""), replayed=True)


def _store_artifacts(tx: Transaction, row: MissionRow, references: Sequence[Mapping[str, Any]]) -> None:
    for reference in references:
        name, document = reference["name"], dict(reference)
        key = {"of_mission": row.mission_id, "of_name": name, "new_attempt": row.attempt, "new_document": document}
        if tx.connection.execute(statements.UPDATE_ARTIFACT, key).rowcount == 0:
            tx.connection.execute(
                statements.INSERT_ARTIFACT,
                {"mission_id": row.mission_id, "name": name, "attempt": row.attempt, "document": document},
            )


def _store_receipt(tx: Transaction, row: MissionRow, receipt: Mapping[str, Any] | None) -> None:
    if receipt is None:
        return
    key = {"of_mission": row.mission_id, "new_attempt": row.attempt, "new_document": dict(receipt)}
    if tx.connection.execute(statements.UPDATE_RECEIPT, key).rowcount == 0:
        tx.connection.execute(
            statements.INSERT_RECEIPT,
            {"mission_id": row.mission_id, "attempt": row.attempt, "document": dict(receipt)},
        )


def _facts(
    tx: Transaction, stored: Stored, session: SessionRow, policy: LanePolicy, command: MissionCommand
) -> MissionFacts:
    if command.trigger is MissionTrigger.REPORT:
        return MissionFacts(lane=policy, session=session)
    if command.trigger is MissionTrigger.APPROVE:
        return MissionFacts(
            lane=policy,
            session=session,
            excess_over_parent=family_budgets.excess_of_raise(tx, stored.row, command.content),
            used_below=family_budgets.used_below(tx, stored.row),
        )
    of_mission = {"mission_id": stored.row.mission_id}
    artifacts = tuple(tx.connection.execute(statements.ARTIFACTS_OF, of_mission).scalars())
    receipt, missing = False, ()
    if command.trigger is MissionTrigger.COMPLETE:
        receipt = tx.connection.execute(statements.RECEIPT_OF, of_mission).first() is not None
        wanted = loads(stored.document).get("artifact_policy", {}).get("required_outputs", [])
        missing = tuple(name for name in wanted if name not in {artifact["name"] for artifact in artifacts})
    return MissionFacts(lane=policy, session=session, artifacts=artifacts, receipt=receipt, missing_outputs=missing)


def after_step(tx: Transaction, before: MissionRow, after: MissionRow, session: SessionRow, policy: LanePolicy) -> None:
    """What a step entails for others: a finished parent ends its children; a drained lane says so."""
    if after.terminal and not before.terminal:
        _end_children(tx, after)
    if before.holder is Holder.LANE and after.holder is not Holder.LANE:
        announce_drained(tx, session.vp_id)


def _end_children(tx: Transaction, parent: MissionRow) -> None:
    children = tx.connection.execute(statements.CHILDREN, {"mission_id": parent.mission_id}).all()
    for child in map(stored_from, children):
        if child.row.terminal:
            continue
        command = MissionCommand(trigger=MissionTrigger.CANCEL, by=STORE, reason=ReasonCode.PARENT_ENDED)
        step(tx, StepMission(mission_id=child.row.mission_id, command=command))


def announce_drained(tx: Transaction, vp_id: str) -> None:
    """S10: once nothing is held any more, in the transaction that let go of the last mission."""
    session, policy = tx.session(vp_id)
    if not session.drain_open or session.status is not SessionState.PAUSED:
        return
    facts = SessionFacts(lane=policy, fresh_id="", held_missions=len(tx.held_by(vp_id)))
    change = decide(session, SessionCommand(trigger=SessionTrigger.DRAINED, by=STORE), facts, tx.now)
    if not isinstance(change, Refusal):
        tx.save_session(session, change)


def claim(tx: Transaction, operation: ClaimMissions) -> tuple[Stored, ...]:
    """M3 for up to `limit` missions, in the scheduler's order."""
    session, policy = tx.session(operation.vp_id, LaneLock.CHANGE)
    if session.lease_owner != operation.owner or session.lease_epoch != operation.lease_epoch:
        raise DraganError(
            ErrorCode.STALE_EPOCH,
            f"the lease of {operation.vp_id!r} is not held by this runtime",
            facts={"lease_owner": session.lease_owner, "lease_epoch": session.lease_epoch},
        )
    if session.status is not SessionState.ACTIVE:
        raise DraganError(
            ErrorCode.LANE_PAUSED,
            f"the lane {operation.vp_id!r} is {session.status.value}",
            facts={"status": session.status.value},
        )
    in_hand = tx.held_by(operation.vp_id)
    given = _given_before(tx, operation, [mission.mission_id for mission in in_hand])
    if given:
        return given
    held = len(in_hand)
    free = min(operation.limit, policy.parallel_missions - held)
    if free <= 0:
        return ()
    candidates = _candidates(tx, operation, free)
    if not candidates:
        _note_unreadable(tx, operation)
    view = QueueView(vp_id=operation.vp_id, candidates=[stored.row for stored in candidates], free_slots=free)
    by_id = {stored.row.mission_id: stored for stored in candidates}
    recent = _claims_last_hour(tx, policy)
    claimed: list[Stored] = []
    for mission_id in tx.scheduler.choose(view, tx.now, free):
        stored = by_id[mission_id]
        facts = MissionFacts(
            lane=policy,
            session=session,
            held_by_lane=held + len(claimed),
            claims_last_hour=recent + len(claimed),
            contracts_readable=stored.contract in operation.reads,
        )
        command = MissionCommand(
            trigger=MissionTrigger.CLAIM,
            by=By(kind=Actor.LANE, name=operation.owner),
            fence=Fence(attempt=stored.row.attempt, holder=Holder.LANE, lease_epoch=operation.lease_epoch),
            idempotency_key=operation.key,
        )
        change = decide(stored.row, command, facts, tx.now)
        if isinstance(change, Refusal):
            continue
        tx.save_mission(stored.row, change)
        claimed.append(replace(stored, row=change.row, decision=_decided(tx, change.row, change.row.last_sequence)))
    return tuple(claimed)


def _given_before(tx: Transaction, operation: ClaimMissions, held: Sequence[str]) -> tuple[Stored, ...]:
    """What the same claim was given the first time: the key stands in the entry of each mission's claim."""
    if operation.key is None:
        return ()
    found: list[Stored] = []
    for mission_id in held:
        key = {"mission_id": mission_id, "key": operation.key}
        record = tx.connection.execute(statements.EVENT_BY_KEY, key).first()
        if record is not None:
            stored = tx.mission(mission_id)
            entry = loads(record[0])
            if entry["attempt"] == stored.row.attempt:
                found.append(replace(stored, decision=_decided(tx, stored.row, entry["sequence"])))
    return tuple(found)


def _decided(tx: Transaction, row: MissionRow, claim: int) -> Mapping[str, Any] | None:
    """What let a mission go on that had given up its slot; most were never blocked and cost no look."""
    return tx.decision_before(row.mission_id, claim) if row.resume else None


def _note_unreadable(tx: Transaction, operation: ClaimMissions) -> None:
    """Where nothing but what the worker does not read is left, note what it does read: it is the answer to why."""
    of_lane = {"vp_id": operation.vp_id}
    if tx.connection.execute(statements.unreadable(operation.reads), of_lane).first() is None:
        return
    noted = {"epoch": operation.lease_epoch, "reads": sorted(operation.reads)}
    if tx.connection.execute(statements.HOLDER_READS, of_lane).scalar() != noted:
        note = {"of_lane": operation.vp_id, "new_holder_reads": noted}
        tx.connection.execute(statements.NOTE_HOLDER_READS, note)


def _candidates(tx: Transaction, operation: ClaimMissions, free: int) -> list[Stored]:
    bounds = {
        "vp_id": operation.vp_id,
        "now": tx.now,
        "wrong_clocks_after": tx.now + CLOCKS_APART,
        "how_many": free + LOOKAHEAD,
    }
    records = tx.connection.execute(statements.candidates(operation.reads), bounds).all()
    return [stored_from(record) for record in records]


def _claims_last_hour(tx: Transaction, policy: LanePolicy) -> int:
    if policy.claims_per_hour is None:
        return 0
    bounds = {"vp_id": policy.vp_id, "since": tx.now - timedelta(hours=1)}
    return int(tx.connection.execute(statements.CLAIMS_SINCE, bounds).scalar())


def step_and_claim(tx: Transaction, operation: StepAndClaim) -> tuple[Stepped, tuple[Stored, ...]]:
    """End one, claim the next."""
    tx.session(operation.claim.vp_id, LaneLock.CHANGE)  # what the claim needs, before the step locks its mission
    stepped = step(tx, operation.step)
    try:
        return stepped, claim(tx, operation.claim)
    except DraganError as refused:
        # The end is accepted even where nothing more is given out: the lane drains, or lost its lease just now.
        if refused.code in (ErrorCode.LANE_PAUSED, ErrorCode.STALE_EPOCH):
            return stepped, ()
        raise


def renew_hold(tx: Transaction, operation: RenewHold) -> MissionRow:
    """The primary path's heartbeat: outside the ledger, fenced by attempt."""
    row = tx.mission(operation.mission_id).row
    if row.terminal:
        raise DraganError(ErrorCode.MISSION_TERMINAL, f"the mission {row.mission_id!r} is {row.state.value}")
    if row.attempt != operation.attempt or row.holder is not Holder.PRIMARY:
        raise DraganError(ErrorCode.STALE_EPOCH, f"the mission {row.mission_id!r} is held by someone else")
    until = tx.now + timedelta(seconds=operation.seconds)
    tx.connection.execute(
        statements.RENEW_HOLD, {"of_mission": row.mission_id, "of_attempt": row.attempt, "until": until}
    )
    return changed(row, hold_expires_at=until)
