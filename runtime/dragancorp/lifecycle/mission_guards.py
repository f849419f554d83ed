"""The named conditions of the mission's life cycle, one function each; their meaning is in `specs/lifecycle`."""

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType

from dragancorp.lifecycle.commands import MissionCommand
from dragancorp.lifecycle.facts import MissionFacts
from dragancorp.lifecycle.mission_reasons import reason_given
from dragancorp.lifecycle.rows import MissionRow
from dragancorp_contracts.lifecycle import FALLBACK_REASONS, Actor, Holder, MissionKind, ReasonCode, SessionState

Guard = Callable[[MissionRow, MissionCommand, MissionFacts, datetime], bool]
HOLDERS = {Actor.LANE: Holder.LANE, Actor.PRIMARY: Holder.PRIMARY}  # who works, and as which holder
CUMULATIVE = ("llm_calls", "input_tokens", "output_tokens", "cost_microusd", "runtime_seconds")


def _fence(row: MissionRow, command: MissionCommand, facts: MissionFacts, now: datetime) -> bool:
    fence, holds_as = command.fence, HOLDERS.get(command.by.kind)
    if fence is None:
        # The reconciler holds nothing: its word counts for what it read. A holder's never does without its fence.
        return holds_as is None and command.attempt_as_read == row.attempt
    if holds_as is not None and fence.holder is not holds_as:
        return False
    if fence.attempt != row.attempt or fence.holder is not row.holder:
        return False
    if fence.holder is not Holder.LANE:
        return True
    session = facts.session
    if session is None or (fence.owner is not None and fence.owner != session.lease_owner):
        return False
    return fence.lease_epoch == row.lease_epoch == session.lease_epoch


def _due(row: MissionRow, command: MissionCommand, facts: MissionFacts, now: datetime) -> bool:
    return (
        not row.pauses_at(now)
        and (row.window_start_at is None or row.window_start_at <= now)
        and (row.window_end_at is None or now < row.window_end_at)
        and (row.deadline_at is None or now < row.deadline_at)
    )


def _lease_live(row: MissionRow, command: MissionCommand, facts: MissionFacts, now: datetime) -> bool:
    session, fence = facts.session, command.fence
    return session is not None and session.held and fence is not None and fence.lease_epoch == session.lease_epoch


def _quota_free(row: MissionRow, command: MissionCommand, facts: MissionFacts, now: datetime) -> bool:
    lane = facts.lane
    if lane is None:
        return False
    if lane.claims_per_hour is not None and facts.claims_last_hour >= lane.claims_per_hour:
        return False
    return facts.held_by_lane < lane.parallel_missions


def _budget_above_usage(row: MissionRow, command: MissionCommand, facts: MissionFacts, now: datetime) -> bool:
    calls = command.content.get("max_llm_calls", row.max_llm_calls)
    cost = command.content.get("max_cost_microusd", row.max_cost_microusd)
    return not facts.excess_over_parent and not over_budget(row.usage, calls, cost, facts.used_below)


def over_budget(
    usage: Mapping[str, float],
    max_llm_calls: int | None,
    max_cost_microusd: int | None,
    below: Mapping[str, float] = MappingProxyType({}),
) -> bool:
    """Whether calls or cost, those of children `below` included, are above what is allowed; at the limit is inside."""
    calls = usage.get("llm_calls", 0) + below.get("llm_calls", 0)
    cost = usage.get("cost_microusd", 0) + below.get("cost_microusd", 0)
    over_calls = max_llm_calls is not None and calls > max_llm_calls
    return over_calls or (max_cost_microusd is not None and cost > max_cost_microusd)


def _usage_cumulative(row: MissionRow, command: MissionCommand, facts: MissionFacts, now: datetime) -> bool:
    usage = command.content.get("usage", {})
    return all(usage.get(name, row.usage.get(name, 0)) >= row.usage.get(name, 0) for name in CUMULATIVE)


def _retrying(row: MissionRow, facts: MissionFacts) -> bool:
    return facts.lane is not None and facts.lane.retry and row.kind is MissionKind.DISPATCHED


def _attempts_left(row: MissionRow, facts: MissionFacts) -> bool:
    return facts.lane is not None and row.failures + 1 < facts.lane.max_attempts


def _with_fallback(row: MissionRow, command: MissionCommand) -> bool:
    return row.kind is MissionKind.DELEGATED and reason_given(row, command) in FALLBACK_REASONS


def _awaiting_fallback(row: MissionRow) -> bool:
    return row.reason_code is ReasonCode.AWAITING_FALLBACK


PREDICATES: Mapping[str, Guard] = {
    "lane_takes_work": lambda row, command, facts, now: (
        facts.lane is not None and facts.session is not None and facts.session.status is not SessionState.RETIRED
    ),
    "queue_has_room": lambda row, command, facts, now: facts.lane is not None and facts.queued < facts.lane.queue_limit,
    "child_within_parent": lambda row, command, facts, now: not facts.excess_over_parent,
    "session_active": lambda row, command, facts, now: (
        facts.session is not None and facts.session.status is SessionState.ACTIVE
    ),
    "lease_live": _lease_live,
    "due": _due,
    "quota_free": _quota_free,
    "contracts_readable": lambda row, command, facts, now: facts.contracts_readable,
    "fence": _fence,
    "attempt_as_read": lambda row, command, facts, now: command.attempt_as_read == row.attempt,
    "no_cancel_asked": lambda row, command, facts, now: row.cancel_requested_at is None,
    "usage_cumulative": _usage_cumulative,
    "receipt_stored": lambda row, command, facts, now: facts.receipt and not facts.missing_outputs,
    "budget_above_usage": _budget_above_usage,
    "delegated": lambda row, command, facts, now: row.kind is MissionKind.DELEGATED,
    "dispatched": lambda row, command, facts, now: row.kind is MissionKind.DISPATCHED,
    "shadow": lambda row, command, facts, now: row.kind is MissionKind.SHADOW,
    "delegated_with_fallback": lambda row, command, facts, now: _with_fallback(row, command),
    "not_delegated_or_without_fallback": lambda row, command, facts, now: not _with_fallback(row, command),
    "hold_over": lambda row, command, facts, now: row.hold_expires_at is not None and row.hold_expires_at <= now,
    "decision_over": lambda row, command, facts, now: (
        row.approval_expires_at is not None and row.approval_expires_at <= now
    ),
    "held": lambda row, command, facts, now: row.holder is not Holder.NONE,
    "not_held": lambda row, command, facts, now: row.holder is Holder.NONE,
    "held_by_lane": lambda row, command, facts, now: row.holder is Holder.LANE,
    "held_by_primary": lambda row, command, facts, now: row.holder is Holder.PRIMARY,
    "cancel_asked": lambda row, command, facts, now: row.cancel_requested_at is not None,
    "awaiting_fallback": lambda row, command, facts, now: _awaiting_fallback(row),
    "not_awaiting_fallback": lambda row, command, facts, now: not _awaiting_fallback(row),
    "retry_left": lambda row, command, facts, now: _retrying(row, facts) and _attempts_left(row, facts),
    "retry_used_up": lambda row, command, facts, now: _retrying(row, facts) and not _attempts_left(row, facts),
    "no_retry": lambda row, command, facts, now: (
        row.kind is MissionKind.SHADOW or (row.kind is MissionKind.DISPATCHED and not _retrying(row, facts))
    ),
}
