"""Which reasons a command may give. Reasons decide (a fallback, what may be approved), so not every one is anybody's.

A row of the table that names its own reason needs none from the command.
"""

from collections.abc import Mapping
from types import MappingProxyType

from dragancorp.lifecycle.commands import MissionCommand
from dragancorp.lifecycle.rows import MissionRow
from dragancorp_contracts.lifecycle import MissionTrigger, ReasonCode

SAYABLE: Mapping[MissionTrigger, frozenset[ReasonCode]] = MappingProxyType(
    {
        MissionTrigger.BLOCK: frozenset(
            {
                ReasonCode.APPROVAL_WANTED,
                ReasonCode.INPUT_WANTED,
                ReasonCode.LOGIN_WANTED,
                ReasonCode.BUDGET_EXHAUSTED,
            }
        ),
        MissionTrigger.DENY: frozenset({ReasonCode.APPROVAL_DENIED, ReasonCode.BUDGET_DENIED}),
        MissionTrigger.CANCEL: frozenset(
            {
                ReasonCode.CANCEL_REQUESTED,
                ReasonCode.CALLER_GONE,
                ReasonCode.PARENT_ENDED,
                ReasonCode.STAGE_LEFT_SHADOW,
            }
        ),
        MissionTrigger.TIME_OVER: frozenset(
            {
                ReasonCode.DEADLINE_PASSED,
                ReasonCode.WINDOW_CLOSED,
                ReasonCode.MAX_RUNTIME_EXCEEDED,
                ReasonCode.BACKSTOP_REACHED,
            }
        ),
        MissionTrigger.START_TIMEOUT: frozenset({ReasonCode.START_TIMEOUT, ReasonCode.LANE_DRAINING}),
        # Executors fail in more ways than the toolkit knows, and the end of a mission must not be lost over its reason.
        MissionTrigger.FAIL: frozenset(ReasonCode),
    }
)

_UNSAID = {
    MissionTrigger.CANCEL: ReasonCode.CANCEL_REQUESTED,
    MissionTrigger.FAIL: ReasonCode.EXECUTOR_ERROR,
    MissionTrigger.START_TIMEOUT: ReasonCode.START_TIMEOUT,
}


def reason_given(row: MissionRow, command: MissionCommand) -> ReasonCode | None:
    """The command's reason, or the one it means when it says none; None where a trigger carries no reason."""
    if command.trigger not in SAYABLE:
        return None
    if command.reason is None and command.trigger is MissionTrigger.DENY:
        for_budget = row.reason_code is ReasonCode.BUDGET_EXHAUSTED
        return ReasonCode.BUDGET_DENIED if for_budget else ReasonCode.APPROVAL_DENIED
    return command.reason or _UNSAID.get(command.trigger)
