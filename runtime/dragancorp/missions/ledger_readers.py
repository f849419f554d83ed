"""Reading ledgers for many at once: nobody polls, and who asks for the same part at the same moment shares it."""

import asyncio
from collections.abc import AsyncGenerator

from dragancorp.errors import DraganError, ErrorCode
from dragancorp.registry.port import Store, mission_topic
from dragancorp.registry.queries import LedgerPart, ReadLedger

PART = 100  # events read and held for one reader at a time


class LedgerReaders:
    """Everybody who reads ledgers of a `Store`. Nothing is buffered for a reader: the ledger itself is the buffer."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._gathering: dict[ReadLedger, asyncio.Task[LedgerPart | None]] = {}

    async def read(self, query: ReadLedger) -> LedgerPart:
        """A part of a ledger without a gap in it. Raises `mission_unknown`, and `events_gone` for what is archived."""
        part = await self._shared(query)
        if part is None:
            raise DraganError(ErrorCode.MISSION_UNKNOWN, f"there is no mission {query.mission_id!r}")
        first = int(part.events[0]["sequence"]) if part.events else part.last_sequence + 1
        if first > query.after + 1:
            raise DraganError(
                ErrorCode.EVENTS_GONE,
                f"the events of {query.mission_id!r} after {query.after} are archived",
                facts={"after": query.after, "last_sequence": part.last_sequence},
            )
        return part

    async def _shared(self, query: ReadLedger) -> LedgerPart | None:
        """The answer of a read that has not begun yet, so that it sees all that its readers were woken for."""
        reading = self._gathering.get(query)
        if reading is None:
            reading = self._gathering[query] = asyncio.create_task(self._read(query))
            reading.add_done_callback(_heard)
        return await asyncio.shield(reading)  # one reader that leaves takes nothing from the others

    async def _read(self, query: ReadLedger) -> LedgerPart | None:
        await asyncio.sleep(0)  # all who were woken by the same commit come together
        del self._gathering[query]
        return await self._store.read(query)

    async def follow(self, mission_id: str, *, after: int, quiet: float) -> AsyncGenerator[LedgerPart, None]:
        """Every part of a ledger after a sequence, as it is written, until the mission has ended.

        A part without events comes when nothing was written for `quiet` seconds. Raises as `read` does, and what the
        store raises, `shutting_down` among it.
        """
        with self._store.watch(mission_topic(mission_id)) as subscription:
            while True:
                part = await self.read(ReadLedger(mission_id=mission_id, after=after, limit=PART))
                if part.events:
                    after = int(part.events[-1]["sequence"])
                    yield part
                if after < part.last_sequence:
                    continue
                if part.terminal:
                    return
                if not await subscription.wait(quiet):
                    yield LedgerPart(events=(), last_sequence=part.last_sequence, terminal=False)


def _heard(reading: "asyncio.Task[LedgerPart | None]") -> None:
    # When all its readers have left, nobody asks how it went, and nobody has to.
    if not reading.cancelled():
        reading.exception()
