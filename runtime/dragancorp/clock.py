"""Time as a dependency: everything that waits, expires or stamps asks a `Clock`."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Where time comes from.

    `wall` answers deadlines and stamps and may jump; `monotonic` answers "how long" and never does.
    """

    def wall(self) -> datetime:
        """The present moment, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since some fixed moment; only differences mean anything."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`; 0 and less yield once."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def wall(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


class FakeClock:
    """A clock that moves only when told to: for tests and simulation.

    `advance` moves both clocks; `jump` moves the wall clock alone, as an operator or NTP would.
    """

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._wall = start
        self._monotonic = 0.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def wall(self) -> datetime:
        return self._wall

    def monotonic(self) -> float:
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._monotonic + seconds, woken))
        await woken

    def advance(self, seconds: float) -> None:
        """Move time on by `seconds` and wake every sleeper whose time has come."""
        self._monotonic += seconds
        self._wall += timedelta(seconds=seconds)
        due = [entry for entry in self._sleepers if entry[0] <= self._monotonic]
        self._sleepers = [entry for entry in self._sleepers if entry[0] > self._monotonic]
        for _, woken in sorted(due, key=lambda entry: entry[0]):
            if not woken.done():
                woken.set_result(None)

    def jump(self, seconds: float) -> None:
        """Move the wall clock alone; sleepers and durations feel nothing."""
        self._wall += timedelta(seconds=seconds)
