"""The `Store` port: the only door to the registry. Both adapters keep the same contract."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self, TypeVar

from dragancorp.lifecycle.rows import MissionRow
from dragancorp.registry.operations import Operation
from dragancorp.registry.queries import Query

AnswerT = TypeVar("AnswerT")


@dataclass(frozen=True, kw_only=True)
class QueueView:
    """What a scheduler sees: the first missions of a lane's queue in claim order, and the free slots."""

    vp_id: str
    candidates: Sequence[MissionRow]
    free_slots: int


class Scheduler(Protocol):
    """The `Scheduler` port: pure, so that a simulation asks the very same one."""

    def choose(self, view: QueueView, now: datetime, limit: int) -> Sequence[str]:
        """Ids of the missions to claim next, at most `limit`, in order. No side effects."""
        ...


class Subscription(Protocol):
    """Wakes when something under a topic was committed. Subscribe first, then read, then wait: nothing is missed."""

    async def wait(self, timeout: float) -> bool:
        """Return True on a commit since the last call, False after `timeout` seconds."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Store(Protocol):
    """Rows, ledgers and outbox, changed only through `decide`, one transaction at a time.

    A caller hears back from `execute` only after the commit. Errors are `DraganError`: what the life cycle refuses,
    and `storage_busy` or `storage_failed` (both retryable, nothing was changed; or the detail says that the connection
    to the database broke during the commit, and then the very same operation may be asked again).
    """

    @property
    def sole_owner(self) -> bool:
        """Whether no other process can write meanwhile, nor can any that wrote before this one still be running."""
        ...

    async def execute(self, operation: Operation[AnswerT]) -> AnswerT:
        """Do one operation. A caller that is cancelled meanwhile leaves it done or not done, never half."""
        ...

    async def read(self, query: Query[AnswerT]) -> AnswerT:
        """Answer one query from the last commit."""
        ...

    def watch(self, topic: str) -> Subscription:
        """Subscribe to `mission:<id>` or `lane:<vp_id>`."""
        ...

    async def close(self) -> None:
        """Finish what is accepted, then let go of the database. Idempotent."""
        ...


def mission_topic(mission_id: str) -> str:
    """The topic of one mission's changes."""
    return f"mission:{mission_id}"


def lane_topic(vp_id: str) -> str:
    """The topic of one lane's changes: new work, cancels, lease."""
    return f"lane:{vp_id}"
