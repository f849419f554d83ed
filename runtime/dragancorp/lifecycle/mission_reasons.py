"""Which reason a command gives. Reasons decide (a fallback, what may be approved), so not every one is anybody's."""

from dragancorp.lifecycle.commands import MissionCommand
from dragancorp.lifecycle.rows import MissionRow
from dragancorp_contracts.lifecycle import DEFAULT_REASONS, TRIGGER_REASONS, MissionTrigger, ReasonCode


def reason_given(row: MissionRow, command: MissionCommand) -> ReasonCode | None:
    """The command's reason, or the one it means when it says none; None where a trigger carries no reason."""
    if command.trigger not in TRIGGER_REASONS:
        return None
    if command.reason is None and command.trigger is MissionTrigger.DENY:
        for_budget = row.reason_code is ReasonCode.BUDGET_EXHAUSTED
        return ReasonCode.BUDGET_DENIED if for_budget else ReasonCode.APPROVAL_DENIED
    return command.reason or DEFAULT_REASONS.get(command.trigger)
