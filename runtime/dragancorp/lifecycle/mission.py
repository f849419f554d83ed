"""`decide` for missions: find the row of the table, apply it to the mission's row, write its ledger entries."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from dragancorp.lifecycle.change import Change, Refusal
from dragancorp.lifecycle.commands import By, Fence, MissionCommand
from dragancorp.lifecycle.facts import MissionFacts
from dragancorp.lifecycle.mission_events import callbacks, with_events
from dragancorp.lifecycle.mission_guards import HOLDERS, PREDICATES, over_budget
from dragancorp.lifecycle.mission_reasons import reason_given
from dragancorp.lifecycle.mission_step import MissionStep, MissionTransition, row_after
from dragancorp.lifecycle.rows import MissionRow
from dragancorp.lifecycle.table import choose
from dragancorp_contracts.errors import ErrorCode
from dragancorp_contracts.lifecycle import (
    MISSION_GUARDS,
    MISSION_REFUSALS,
    MISSION_TRANSITIONS,
    TRIGGER_REASONS,
    Actor,
    Holder,
    MissionState,
    MissionTrigger,
    ReasonCode,
)

_STORE = By(kind=Actor.STORE, name="registry")


def decide_mission(
    row: MissionRow, command: MissionCommand, facts: MissionFacts, now: datetime
) -> Change[MissionRow] | Refusal:
    """What `command` does to the mission, or why nothing. Pure.

    For the trigger `dispatch`, `row` is the draft of the mission to be, with `last_sequence` 0.
    """
    transition = choose_step(row, command, facts, now)
    if isinstance(transition, Refusal):
        return transition
    step = MissionStep(transition=transition, row=row, command=command, facts=facts, now=now)
    moved, events = with_events(step, row_after(step))
    return Change(row=moved, events=events, outbox=callbacks(moved, events), transition=transition.id)


def choose_step(
    row: MissionRow, command: MissionCommand, facts: MissionFacts, now: datetime
) -> MissionTransition | Refusal:
    """The row of the table that answers, or the refusal."""
    drafting = row.last_sequence == 0
    if not row.terminal and not drafting:
        stale = _stale(row, command, facts, now)
        if stale is not None:
            return stale
    chosen = choose(
        MISSION_TRANSITIONS,
        MISSION_REFUSALS,
        MISSION_GUARDS,
        state=None if drafting else row.state,
        trigger=command.trigger,
        actor=command.by.kind,
        holds=lambda name: PREDICATES[name](row, command, facts, now),
    )
    if isinstance(chosen, Refusal):
        return chosen
    return _unsayable(chosen, row, command) or chosen


def _stale(row: MissionRow, command: MissionCommand, facts: MissionFacts, now: datetime) -> Refusal | None:
    """Whatever the step: a holder's word is fenced, and a condition on what was read is kept."""
    claims = command.trigger is MissionTrigger.CLAIM
    fenced = command.by.kind in HOLDERS and not claims
    overtaken = command.attempt_as_read not in (None, row.attempt) or command.sequence_as_read not in (
        None,
        row.last_sequence,
    )
    if overtaken or (fenced and not PREDICATES["fence"](row, command, facts, now)):
        return Refusal(
            code=ErrorCode.STALE_EPOCH,
            detail="the write carries an attempt, holder or epoch that is out of date",
            facts={"attempt": row.attempt, "holder": row.holder.value, "state": row.state.value},
        )
    return None


def _unsayable(transition: MissionTransition, row: MissionRow, command: MissionCommand) -> Refusal | None:
    """Where the table leaves the reason to the command: only one that this trigger may have."""
    own_reason = transition.reason is not None and transition.sets.get("cause") != "command"
    if own_reason or transition.event is None or command.trigger not in TRIGGER_REASONS:
        return None
    reason = reason_given(row, command)
    if reason in TRIGGER_REASONS[command.trigger]:
        return None
    said = "no reason" if reason is None else f"the reason {reason.value!r}"
    return Refusal(
        code=ErrorCode.DOCUMENT_INVALID,
        detail=f"{command.trigger.value!r} does not come with {said}",
        facts={"reasons": sorted(one.value for one in TRIGGER_REASONS[command.trigger]), "row": transition.id},
    )


def follow_up(
    row: MissionRow,
    command: MissionCommand,
    *,
    below: Mapping[str, float] = MappingProxyType({}),
    exhausted_above: str | None = None,
) -> MissionCommand | None:
    """What the store must ask next in the same transaction: a hold before the start, or a stop at the budget.

    `row` is the mission after `command`, `below` what its children have used, `exhausted_above` a mission above it
    whose budget is used up. Not stopped at the budget: the primary path, as nobody would take over from it, and a
    mission whose end is asked for anyway.
    """
    if command.trigger is MissionTrigger.DISPATCH and command.content.get("hold_for_approval"):
        return MissionCommand(trigger=MissionTrigger.HOLD_FOR_APPROVAL, by=_STORE)
    stoppable = row.state is MissionState.RUNNING and row.holder is Holder.LANE and row.cancel_requested_at is None
    if command.trigger is not MissionTrigger.REPORT or not stoppable:
        return None
    if exhausted_above is None and not over_budget(row.usage, row.max_llm_calls, row.max_cost_microusd, below):
        return None
    return stop_at_budget(row, by=_STORE, fence=command.fence, below=below, of=exhausted_above)


def stop_at_budget(
    row: MissionRow,
    *,
    by: By,
    fence: Fence | None = None,
    below: Mapping[str, float] = MappingProxyType({}),
    of: str | None = None,
) -> MissionCommand:
    """The store's word that a budget is used up: the mission's own, or that of the mission `of` above it."""
    wanted: dict[str, Any] = {"kind": "budget", "usage": dict(row.usage)}
    if any(below.values()):
        wanted["used_below"] = dict(below)
    if of is not None:
        wanted["of"] = of
    return MissionCommand(
        trigger=MissionTrigger.BLOCK,
        by=by,
        fence=fence,
        attempt_as_read=row.attempt,
        reason=ReasonCode.BUDGET_EXHAUSTED,
        content={"wanted": wanted},
    )
