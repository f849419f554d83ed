"""Routed turns, counted in memory and written with a later commit: a turn costs no query."""

from collections import Counter
from datetime import datetime

from dragancorp.gateway.routing import Decision
from dragancorp.lifecycle.ledger_entry import utc_text
from dragancorp.registry.operations import CountTurns
from dragancorp.registry.port import Store


class TurnCounts:
    """Counts per lane, reason and minute since the last flush."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, str]] = Counter()

    def add(self, decision: Decision, now: datetime) -> None:
        """Count one turn."""
        if decision.route is not None:
            minute = utc_text(now.replace(second=0, microsecond=0))
            self._counts[(decision.route.vp_id, decision.reason.value, minute)] += 1

    async def flush(self, store: Store) -> None:
        """Write what was counted; kept for the next time when the registry refuses."""
        if not self._counts:
            return
        counts, self._counts = self._counts, Counter()
        try:
            await store.execute(CountTurns(counts=dict(counts)))
        except BaseException:
            self._counts.update(counts)
            raise
