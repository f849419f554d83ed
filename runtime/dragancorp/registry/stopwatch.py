"""How long missions have run, by a clock that does not jump: what this process saw begin, it can time."""

from collections import OrderedDict
from datetime import datetime

from dragancorp.clock import Clock
from dragancorp.lifecycle.rows import MissionRow

AT_MOST = 100_000

Stretch = tuple[int, datetime | None]
"""A stretch of running: its attempt, and when it began by the wall clock."""


class Stopwatch:
    """Times stretches of running on the process's own monotonic clock. Safe to use from any number of threads.

    What another process saw begin, or this one before a restart, it does not know; then the times in the ledger have
    to do. A stretch that was noted and then not stored is known by nothing that is stored, and harms nobody.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began: OrderedDict[str, tuple[Stretch, float]] = OrderedDict()

    def moved(self, before: MissionRow, after: MissionRow) -> None:
        """A mission was stored: note a stretch that begins, forget one that has ended."""
        if after.attempt_started_at == before.attempt_started_at:
            return
        if after.attempt_started_at is None:
            self._began.pop(after.mission_id, None)
            return
        self._began[after.mission_id] = ((after.attempt, after.attempt_started_at), self._clock.monotonic())
        while len(self._began) > AT_MOST:
            self._began.popitem(last=False)

    def seconds(self, row: MissionRow) -> float | None:
        """How long the mission's present stretch has lasted; None where that is not known here."""
        known = self._began.get(row.mission_id)
        if known is None or known[0] != (row.attempt, row.attempt_started_at):
            return None
        return self._clock.monotonic() - known[1]
