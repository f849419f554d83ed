"""What a mission in a worker's hands waits for from people: an approval, an answer, a log-in, a larger budget."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dragancorp.clock import Clock
from dragancorp.errors import DraganError, ErrorCode
from dragancorp_contracts.lifecycle import MISSION_TRANSITIONS, MissionState, ReasonCode

WANTED_REASON = {
    "approval_wanted": ReasonCode.APPROVAL_WANTED,
    "input_wanted": ReasonCode.INPUT_WANTED,
    "login_wanted": ReasonCode.LOGIN_WANTED,
}
HOLD_SECONDS = float(next(row for row in MISSION_TRANSITIONS if row.id == "B1").sets["hold_seconds"])
"""How long a mission that waits keeps its slot."""
EARLY_SECONDS = 5.0
"""The reconciler's clock may be ahead of ours: a slot that is taken this much early was taken for the hold."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is waited for since `asked_at`, on the worker's monotonic clock; a budget has no request."""

    asked_at: float
    request_id: str | None = None

    def seconds_left(self, clock: Clock) -> float:
        """How long the slot is still kept; not above 0: it is to be given up."""
        return self.asked_at + HOLD_SECONDS - clock.monotonic()


def asked(event: Mapping[str, Any], clock: Clock) -> Question | None:
    """The question that an executor's event is; None: it asks nothing."""
    if event["type"] not in WANTED_REASON:
        return None
    return Question(asked_at=clock.monotonic(), request_id=event.get("request_id", ""))


def waits_for_people(refused: DraganError) -> bool:
    """Whether a report was refused only because the mission is blocked: it may be made again once that is decided."""
    return refused.code is ErrorCode.TRANSITION_REFUSED and refused.facts.get("state") == MissionState.BLOCKED.value
