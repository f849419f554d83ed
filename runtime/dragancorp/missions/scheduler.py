"""The `Scheduler` port's adapter: strict order of urgency, deadline and arrival. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime

from dragancorp.lifecycle.rows import MissionRow
from dragancorp.registry.port import QueueView

LAST = datetime.max.replace(tzinfo=UTC)


class PriorityScheduler:
    """Interactive before deadline before background; inside a class the earlier deadline, then the earlier arrival.

    The view comes in claim order, so equal missions keep their order of arrival.
    """

    def choose(self, view: QueueView, now: datetime, limit: int) -> Sequence[str]:
        """Ids of the missions to claim next. See `registry.port.Scheduler`."""
        due = [row for row in view.candidates if not row.pauses_at(now)]
        ordered = sorted(due, key=_urgency)
        return [row.mission_id for row in ordered[: min(limit, view.free_slots)]]


def _urgency(row: MissionRow) -> tuple[int, datetime]:
    return row.priority_rank, row.deadline_at or LAST
