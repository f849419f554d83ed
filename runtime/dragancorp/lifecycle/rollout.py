"""`decide` for a lane's rollout: stages in order, an override over them, and a hold. Pure.

The gates are not judged here: who asks for a promotion brings the evidence that offers it (`RolloutCommand.offered`).
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from dragancorp.lifecycle.change import Refusal
from dragancorp.lifecycle.commands import By
from dragancorp.lifecycle.ledger_entry import chained, utc_text
from dragancorp_contracts.errors import ErrorCode
from dragancorp_contracts.models.rollout_evidence_v1 import Override
from dragancorp_contracts.models.rollout_policy_v1 import Stage

STAGES = tuple(Stage)
WHO_LIFTS = "an operator with ops:write"


class RolloutAct(StrEnum):
    """What can be done to a rollout; the words of its ledger (`specs/rollout-evidence`, `$defs/change`)."""

    ADVANCED = "advanced"
    HELD = "held"
    HOLD_LIFTED = "hold_lifted"
    FALLBACK_FORCED = "fallback_forced"
    FALLBACK_LIFTED = "fallback_lifted"


@dataclass(frozen=True, kw_only=True)
class RolloutRow:
    """Where a lane's rollout stands. `since_position`: missions stored after it belong to the stage."""

    vp_id: str
    stage: Stage
    override: Override = Override.none
    held: bool = False
    since: datetime | None = None
    since_position: int = 0
    last_sequence: int = 0
    last_digest: str | None = None
    evidence_sequence: int = 0
    evidence_digest: str | None = None
    evidence_at: datetime | None = None

    @property
    def forced(self) -> bool:
        """Whether the fallback is forced over the stage."""
        return self.override is Override.forced_fallback

    @property
    def next_stage(self) -> Stage | None:
        """The stage after this one; None after the last."""
        following = STAGES.index(self.stage) + 1
        return STAGES[following] if following < len(STAGES) else None


@dataclass(frozen=True, kw_only=True)
class RolloutCommand:
    """One act on a rollout.

    `to` is the stage that an advance asks for; `offered` says that the evidence named beside it offers the promotion
    from the stage it was taken in; `resume_stage` is where a lifted fallback leads.
    """

    act: RolloutAct
    by: By
    to: Stage | None = None
    offered: bool = False
    evidence_sequence: int | None = None
    evidence_digest: str | None = None
    resume_stage: Stage = Stage.shadow


@dataclass(frozen=True, kw_only=True)
class RolloutChange:
    """The new row and its ledger entry; no entry: the command asked for what is so already."""

    row: RolloutRow
    entry: dict[str, Any] | None = None


def decide_rollout(
    row: RolloutRow, command: RolloutCommand, now: datetime, last_position: int
) -> RolloutChange | Refusal:
    """What an act does to the rollout, or why nothing. `last_position` is that of the newest mission there is."""
    match command.act:
        case RolloutAct.ADVANCED:
            return _advanced(row, command, now, last_position)
        case RolloutAct.HELD:
            return _kept(row) if row.held else _changed(row, command, now, held=True)
        case RolloutAct.HOLD_LIFTED:
            return _changed(row, command, now, held=False) if row.held else _kept(row)
        case RolloutAct.FALLBACK_FORCED:
            return _kept(row) if row.forced else _changed(row, command, now, override=Override.forced_fallback)
        case RolloutAct.FALLBACK_LIFTED:
            if not row.forced:
                return _kept(row)
            stage = min(row.stage, command.resume_stage, key=STAGES.index)
            begins = {"since": now, "since_position": last_position}
            return _changed(row, command, now, override=Override.none, stage=stage, **begins)


def _advanced(row: RolloutRow, command: RolloutCommand, now: datetime, last_position: int) -> RolloutChange | Refusal:
    if command.to is row.stage and not row.forced:
        return _kept(row)
    facts = {"stage": row.stage.value, "to": None if command.to is None else command.to.value}
    if row.forced:
        return Refusal(code=ErrorCode.GATE_HELD, detail="the fallback is forced; lift it first", facts=facts)
    if row.held:
        return Refusal(code=ErrorCode.GATE_HELD, detail="somebody holds the stage; lift the hold first", facts=facts)
    if command.to is not row.next_stage:
        after = "nothing" if row.next_stage is None else row.next_stage.value
        detail = f"a lane moves one stage at a time: after {row.stage.value} comes {after}"
        return Refusal(code=ErrorCode.TRANSITION_REFUSED, detail=detail, facts=facts)
    if not command.offered:
        return Refusal(code=ErrorCode.GATE_HELD, detail="the evidence does not offer the promotion", facts=facts)
    return _changed(row, command, now, stage=command.to, since=now, since_position=last_position)


def _kept(row: RolloutRow) -> RolloutChange:
    return RolloutChange(row=row)


def _changed(row: RolloutRow, command: RolloutCommand, now: datetime, **members: Any) -> RolloutChange:
    moved = RolloutRow(**{**vars(row), **members})
    entry: dict[str, Any] = {
        "vp_id": row.vp_id,
        "type": command.act.value,
        "stage_before": row.stage.value,
        "stage": moved.stage.value,
        "override": moved.override.value,
        "held": moved.held,
        "actor": command.by.as_json(),
        "changed_at": utc_text(now),
    }
    if command.evidence_sequence is not None:
        entry["evidence"] = {"sequence": command.evidence_sequence, "digest": command.evidence_digest}
    if command.act in (RolloutAct.HELD, RolloutAct.FALLBACK_FORCED):
        entry["lifted_by"] = WHO_LIFTS
    entry = chained(entry, sequence=row.last_sequence + 1, previous_digest=row.last_digest)
    moved = RolloutRow(**{**vars(moved), "last_sequence": entry["sequence"], "last_digest": entry["digest"]})
    return RolloutChange(row=moved, entry=entry)
