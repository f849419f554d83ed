"""What is asked of a life cycle: a trigger, who asks, and what comes with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dragancorp_contracts.lifecycle import Actor, Holder, MissionTrigger, ReasonCode, SessionTrigger


@dataclass(frozen=True, kw_only=True)
class By:
    """Who caused a change: the role, a name, and for people the reason and the way they came."""

    kind: Actor
    name: str
    reason: str | None = None
    way: str | None = None

    def as_json(self) -> dict[str, str]:
        """The `actor` member of events."""
        document = {"kind": self.kind.value, "name": self.name}
        if self.reason:
            document["reason"] = self.reason
        if self.way:
            document["way"] = self.way
        return document


@dataclass(frozen=True, kw_only=True)
class Fence:
    """What a holder's write carries: refused as `stale_epoch` unless all of it is still so."""

    attempt: int
    holder: Holder
    lease_epoch: int = 0  # the lane's epoch; unused for the primary path
    owner: str | None = None  # the lease's, where the sender says it


@dataclass(frozen=True, kw_only=True)
class MissionCommand:
    """One trigger for one mission.

    `attempt_as_read` makes the step conditional on what the sender saw, for those who hold nothing (the reconciler,
    the gateway that takes a fallback). `content` holds members of the event: summary, usage, artifact_refs, result,
    recommended_next_action, wanted, decision, error, path. `sequence_as_read` makes it conditional on the ledger's end:
    an answer to one question must not be taken for that of the next.
    """

    trigger: MissionTrigger
    by: By
    fence: Fence | None = None
    attempt_as_read: int | None = None
    sequence_as_read: int | None = None
    reason: ReasonCode | None = None
    idempotency_key: str | None = None
    content: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SessionCommand:
    """One trigger for one lane session. `owner` and `lease_epoch` are the sender's own, where it is the holder."""

    trigger: SessionTrigger
    by: By
    owner: str | None = None
    lease_epoch: int | None = None
    vp_runtime_id: str | None = None
    embedded: bool = False  # the holder lives in the plane's own process
    executor_session_id: str | None = None
    workspace: str | None = None
    outcome: str | None = None  # opened, resumed or replaced
    error: str | None = None
