"""One step of a mission: the chosen row of the table with all that it is applied to, and the mission's row after it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dragancorp.lifecycle.commands import MissionCommand
from dragancorp.lifecycle.facts import MissionFacts
from dragancorp.lifecycle.mission_guards import CUMULATIVE
from dragancorp.lifecycle.mission_reasons import reason_given
from dragancorp.lifecycle.rows import CLOCKS_APART, MissionRow, changed
from dragancorp_contracts.lifecycle import (
    TERMINAL_MISSION_STATES,
    EventType,
    Holder,
    MissionState,
    MissionTrigger,
    ReasonCode,
    Transition,
)

MissionTransition = Transition[MissionState, MissionTrigger]
MAX_BACKOFF = 3600.0  # seconds; the lane contract's bound
BUDGET_LIMITS = ("max_llm_calls", "max_cost_microusd")


@dataclass(frozen=True, kw_only=True)
class MissionStep:
    """A row of the table that applies, with the mission as it was, the command, the facts and the time."""

    transition: MissionTransition
    row: MissionRow
    command: MissionCommand
    facts: MissionFacts
    now: datetime

    @property
    def changes_nothing(self) -> bool:
        """Whether it only acknowledges what was asked before."""
        return self.transition.event is None and self.transition.target is None and not self.transition.sets

    @property
    def state(self) -> MissionState:
        """The state afterwards."""
        return self.row.state if self.transition.target is None else MissionState(self.transition.target)

    @property
    def reason(self) -> ReasonCode | None:
        """Why: the table's reason, the one the lane failed with, or the command's."""
        if self.transition.sets.get("reason_from_cause"):
            return self.row.cause or (
                ReasonCode.EXECUTOR_ERROR if self.row.cancel_requested_at is None else ReasonCode.CANCEL_REQUESTED
            )
        return self.transition.reason or reason_given(self.row, self.command)

    @property
    def ran_seconds(self) -> float | None:
        """How long the stretch of running that ends here lasted, where the wall clock was set meanwhile; else None."""
        timed = self.facts.seconds_running
        if self.row.attempt_started_at is None or self.state is self.row.state or timed is None:
            return None
        by_wall = (self.now - self.row.attempt_started_at).total_seconds()
        return round(timed, 3) if abs(by_wall - timed) > CLOCKS_APART.total_seconds() else None

    @property
    def cause(self) -> ReasonCode | None:
        """What lies behind: why it awaits a fallback, gives up its slot, or why its end was asked for."""
        cause = self.transition.sets.get("cause")
        if cause is None:
            return None
        return reason_given(self.row, self.command) if cause == "command" else ReasonCode(cause)


def row_after(step: MissionStep) -> MissionRow:
    """The mission's row after the step, but for what its ledger entries add."""
    if step.changes_nothing:
        return step.row
    changes: dict[str, Any] = {"updated_at": step.now}
    if step.command.trigger is MissionTrigger.DISPATCH:
        changes["created_at"] = step.now  # it begins where its ledger does
    if step.state is not step.row.state:
        changes |= _state_changes(step)
    changes |= _counters(step) | _hold_changes(step) | _content_changes(step)
    sets = step.transition.sets
    if sets.get("parked"):
        changes["parked"] = True
    if sets.get("resume"):
        changes["resume"] = step.row.attempt > 0  # approved before the start: nothing has left traces yet
    if sets.get("cancel_requested"):
        changes |= {"cancel_requested_at": step.now, "cause": step.cause}
    if sets.get("backoff"):
        changes["not_before"] = step.now + timedelta(seconds=backoff(step.facts, step.row.failures))
    return changed(step.row, **changes)


def backoff(facts: MissionFacts, failures: int) -> float:
    """Seconds to wait after the failure that follows `failures` earlier ones: doubled each time, an hour at most."""
    base = facts.lane.backoff if facts.lane is not None else 0.0
    return float(min(MAX_BACKOFF, base * 2 ** min(failures, 32)))


def _state_changes(step: MissionStep) -> dict[str, Any]:
    row, state, now = step.row, step.state, step.now
    changes: dict[str, Any] = {
        "state": state,
        "approval_expires_at": None,
        "reason_code": None if state is MissionState.RUNNING else step.reason,
        "cause": step.cause,
    }
    if not step.transition.sets.get("keep_holder"):
        changes |= {"holder": Holder.NONE, "hold_expires_at": None}
    if row.state is MissionState.RUNNING:
        timed = step.ran_seconds
        ran = row.runtime_at(now) if timed is None else row.runtime_seconds + timed
        changes |= {"runtime_seconds": ran, "attempt_started_at": None}
    if state is MissionState.RUNNING:
        changes["attempt_started_at"] = now
        if row.started_at is None:
            changes["started_at"] = now
    if state in TERMINAL_MISSION_STATES:
        changes["finished_at"] = now
    if state is MissionState.COMPLETED:
        changes["completed_via"] = row.holder.value
    return changes


def _counters(step: MissionStep) -> dict[str, int]:
    raised = [name for name in ("attempt", "failures") if step.transition.sets.get(name) == "+1"]
    return {name: getattr(step.row, name) + 1 for name in raised}


def _hold_changes(step: MissionStep) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    sets, back_to_work = step.transition.sets, step.transition.target is MissionState.RUNNING
    if "holder" in sets:
        changes["holder"] = Holder(sets["holder"])
    if "holder" in sets or back_to_work:
        changes["hold_expires_at"] = None
    if "hold_seconds" in sets:
        changes["hold_expires_at"] = step.now + timedelta(seconds=sets["hold_seconds"])
    if "approval_seconds" in sets:
        changes["approval_expires_at"] = step.now + timedelta(seconds=sets["approval_seconds"])
    return changes


def _content_changes(step: MissionStep) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    content, session = step.command.content, step.facts.session
    if "usage" in content:
        changes["usage"] = _usage_after(step.row.usage, content["usage"])
    if step.command.trigger is MissionTrigger.CLAIM and session is not None:
        changes |= {
            "lease_epoch": session.lease_epoch,
            "vp_runtime_id": session.vp_runtime_id,
            "continuity_id": session.continuity_id,
        }
    if step.transition.event is EventType.MISSION_FALLBACK:
        changes["fallback"] = True
    if step.command.trigger is MissionTrigger.APPROVE:
        changes |= {limit: content[limit] for limit in BUDGET_LIMITS if limit in content}
    return changes


def _usage_after(before: Mapping[str, Any], reported: Mapping[str, Any]) -> dict[str, Any]:
    # An end is taken as it comes, even with figures that went back; what was used stays used.
    highest = {name: max(before.get(name, 0), reported[name]) for name in CUMULATIVE if name in reported}
    return {**before, **reported, **highest}
