"""Operations on rollouts, inside one transaction."""

from dataclasses import fields, replace
from typing import Any

from sqlalchemy import bindparam, insert, select, update

from dragancorp.errors import DraganError, ErrorCode
from dragancorp.jsonio import canonical
from dragancorp.lifecycle.change import Refusal
from dragancorp.lifecycle.commands import MissionCommand
from dragancorp.lifecycle.ledger_entry import chained
from dragancorp.lifecycle.rollout import RolloutCommand, RolloutRow, decide_rollout
from dragancorp.registry.mission_writes import STORE, step
from dragancorp.registry.operations import StepMission
from dragancorp.registry.port import lane_topic
from dragancorp.registry.rollouts import ActOnRollout, RolloutStepped, StoreEvidence
from dragancorp.registry.statements import LaneLock, word
from dragancorp.registry.tables import MISSIONS, ROLLOUT_CHANGES, ROLLOUT_EVIDENCE, ROLLOUTS
from dragancorp.registry.transaction import UNFINISHED, Transaction
from dragancorp_contracts.lifecycle import MissionKind, MissionTrigger, ReasonCode
from dragancorp_contracts.models.rollout_policy_v1 import Stage

FIELDS = tuple(field.name for field in fields(RolloutRow))
COLUMNS = tuple(ROLLOUTS.c[name] for name in FIELDS)
ROLLOUT = select(*COLUMNS).where(ROLLOUTS.c.vp_id == bindparam("vp_id")).with_for_update()
INSERT_ROLLOUT = insert(ROLLOUTS)
UPDATE_ROLLOUT = (
    update(ROLLOUTS)
    .where(ROLLOUTS.c.vp_id == bindparam("of_lane"))
    .values({name: bindparam(f"new_{name}", type_=ROLLOUTS.c[name].type) for name in FIELDS if name != "vp_id"})
)
INSERT_CHANGE = insert(ROLLOUT_CHANGES)
INSERT_EVIDENCE = insert(ROLLOUT_EVIDENCE)
NEWEST_POSITION = (
    select(MISSIONS.c.position)
    .where(MISSIONS.c.vp_id == bindparam("vp_id"))
    .order_by(MISSIONS.c.position.desc())
    .limit(1)
)
UNFINISHED_SHADOWS = select(MISSIONS.c.mission_id).where(
    MISSIONS.c.vp_id == bindparam("vp_id"),
    MISSIONS.c.kind == MissionKind.SHADOW,
    MISSIONS.c.state.in_([word(state) for state in UNFINISHED]),
)


def rollout_from(record: Any) -> RolloutRow:
    """A rollout from a record of `COLUMNS`."""
    return RolloutRow(**dict(zip(FIELDS, tuple(record), strict=True)))


def act(tx: Transaction, operation: ActOnRollout) -> RolloutStepped:
    """One act, with what it entails for shadow missions."""
    row = _row(tx, operation.vp_id, operation.initial_stage)
    return _act(tx, row, operation.command)


def store_evidence(tx: Transaction, operation: StoreEvidence) -> RolloutStepped | None:
    """The next entry of the chain, and what follows from it."""
    row = _row(tx, operation.vp_id, operation.initial_stage)
    since = operation.unless_since
    if since is not None and row.evidence_at is not None and row.evidence_at > since:
        return None
    if (row.last_sequence, row.stage) != (operation.as_read.last_sequence, operation.as_read.stage):
        raise DraganError(
            ErrorCode.STALE_EPOCH,
            f"the rollout of {row.vp_id!r} moved meanwhile",
            facts={"stage": row.stage.value, "last_sequence": row.last_sequence},
        )
    document = chained(
        dict(operation.document), sequence=row.evidence_sequence + 1, previous_digest=row.evidence_digest
    )
    place = {"vp_id": row.vp_id, "sequence": document["sequence"], "document": canonical(document)}
    tx.connection.execute(INSERT_EVIDENCE, place)
    noted = replace(row, evidence_sequence=document["sequence"], evidence_digest=document["digest"], evidence_at=tx.now)
    _save(tx, noted)
    tx.topics.add(lane_topic(row.vp_id))
    if operation.then is None:
        return RolloutStepped(row=noted, evidence=document)
    named = replace(operation.then, evidence_sequence=document["sequence"], evidence_digest=document["digest"])
    return replace(_act(tx, noted, named), evidence=document)


def _row(tx: Transaction, vp_id: str, initial_stage: Stage) -> RolloutRow:
    tx.session(vp_id, LaneLock.CHANGE)
    found = tx.connection.execute(ROLLOUT, {"vp_id": vp_id}).first()
    if found is not None:
        return rollout_from(found)
    row = RolloutRow(vp_id=vp_id, stage=initial_stage)
    tx.connection.execute(INSERT_ROLLOUT, vars(row))
    return row


def _act(tx: Transaction, row: RolloutRow, command: RolloutCommand) -> RolloutStepped:
    newest = tx.connection.execute(NEWEST_POSITION, {"vp_id": row.vp_id}).scalar() or 0
    change = decide_rollout(row, command, tx.now, newest)
    if isinstance(change, Refusal):
        raise DraganError(change.code, change.detail, facts=change.facts)
    if change.entry is None:
        return RolloutStepped(row=row)
    entry = change.entry
    place = {"vp_id": row.vp_id, "sequence": entry["sequence"], "document": canonical(entry)}
    tx.connection.execute(INSERT_CHANGE, place)
    _save(tx, change.row)
    tx.topics.add(lane_topic(row.vp_id))
    if row.stage is Stage.shadow and (change.row.stage is not Stage.shadow or change.row.forced):
        _end_shadows(tx, row.vp_id)
    return RolloutStepped(row=change.row, entry=entry)


def _save(tx: Transaction, row: RolloutRow) -> None:
    values = {f"new_{name}": value for name, value in vars(row).items() if name != "vp_id"}
    tx.connection.execute(UPDATE_ROLLOUT, {"of_lane": row.vp_id, **values})


def _end_shadows(tx: Transaction, vp_id: str) -> None:
    for mission_id in tx.connection.execute(UNFINISHED_SHADOWS, {"vp_id": vp_id}).scalars():
        command = MissionCommand(trigger=MissionTrigger.CANCEL, by=STORE, reason=ReasonCode.STAGE_LEFT_SHADOW)
        step(tx, StepMission(mission_id=mission_id, command=command))
