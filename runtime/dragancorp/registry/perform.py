"""From an operation to the code that does it: one place, used by every adapter."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from dragancorp.registry import archive_writes, comparisons, mission_writes, rollout_writes, session_writes
from dragancorp.registry.archive import DropArchived, DropTurnMinutes
from dragancorp.registry.operations import (
    ClaimMissions,
    ConfigureLane,
    CountTurns,
    DispatchMission,
    Operation,
    ProbeWrite,
    RenewHold,
    RenewLease,
    StepAndClaim,
    StepMission,
    StepSession,
)
from dragancorp.registry.rollouts import ActOnRollout, StoreEvidence
from dragancorp.registry.transaction import Transaction

AnswerT = TypeVar("AnswerT")

WRITES: Mapping[type[Operation[Any]], Callable[[Transaction, Any], Any]] = {
    ConfigureLane: session_writes.configure,
    DispatchMission: mission_writes.dispatch,
    StepMission: mission_writes.step,
    ClaimMissions: mission_writes.claim,
    StepAndClaim: mission_writes.step_and_claim,
    StepSession: session_writes.step_session,
    RenewLease: session_writes.renew,
    RenewHold: mission_writes.renew_hold,
    CountTurns: session_writes.count_turns,
    ProbeWrite: session_writes.probe_write,
    DropArchived: archive_writes.drop_archived,
    DropTurnMinutes: archive_writes.drop_turn_minutes,
    comparisons.StoreComparison: comparisons.store_comparison,
    ActOnRollout: rollout_writes.act,
    StoreEvidence: rollout_writes.store_evidence,
}


def perform(tx: Transaction, operation: Operation[AnswerT]) -> AnswerT:
    """Do `operation` in the open transaction; its counts are left in `tx.counts`."""
    answer: AnswerT = WRITES[type(operation)](tx, operation)
    return answer
