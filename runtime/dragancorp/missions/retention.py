"""Retention: missions that ended long ago go to an archive file, then out of the database, a few at a time.

A step is: read some, write them and wait for the disk, take them out in one transaction. Whatever dies in between
leaves a mission in the file and in the database, and the next run goes on from the file. Readers and writers go on
meanwhile. Any number of planes may do it at once: what one took out, the others leave; at worst a mission stands in
two archives, and the database names the one that counts.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from dragancorp.clock import Clock
from dragancorp.errors import DraganError
from dragancorp.missions.archive_file import ArchivePart
from dragancorp.registry.archive import DropArchived, DropTurnMinutes, ReadArchivable
from dragancorp.registry.audit import WholeMission
from dragancorp.registry.port import Store

STEP = 25  # missions a transaction: some tens of milliseconds of a writer that others wait for
AT_MOST = 2000  # missions a file
FIRST_SECONDS = (60.0, 600.0)  # after a start; drawn, so that planes that start together do not archive together
EVERY_SECONDS = 3600.0

log = structlog.get_logger("dragancorp.missions")


@dataclass(frozen=True, kw_only=True)
class Archival:
    """What a run archived; `archive` is the newest file it finished (None: none), `more` whether it stopped short."""

    missions: int
    entries: int
    archive: Path | None
    more: bool


class Retention:
    """Archives the missions of a `Store` into files of `folder`. `keep_days` 0: never by itself."""

    def __init__(self, store: Store, clock: Clock, folder: Path, *, keep_days: int) -> None:
        self._store = store
        self._clock = clock
        self._folder = folder
        self._keep_days = keep_days
        self._one_at_a_time = asyncio.Lock()

    async def run(self) -> None:
        """Archive what is old enough, every hour until cancelled. A run that fails is only logged."""
        wait = random.uniform(*FIRST_SECONDS)  # noqa: S311 - no secret
        while self._keep_days:
            await self._clock.sleep(wait)
            wait = EVERY_SECONDS
            try:
                await self.forget_minutes()
                while (await self.archive(timedelta(days=self._keep_days), at_most=AT_MOST)).more:
                    pass  # a file each
            except DraganError as error:
                log.warning("archiving waits", action="retention.failed", code=error.code.value, error=str(error))
            except Exception:
                log.exception("archiving failed", action="retention.failed")  # a defect ends no loop, and is not silent

    async def forget_minutes(self) -> int:
        """Forget counts of turns by the minute as old as missions that are archived; their sums stay."""
        before = self._clock.wall() - timedelta(days=self._keep_days)
        return await self._store.execute(DropTurnMinutes(before=before))

    async def archive(self, older_than: timedelta, *, at_most: int) -> Archival:
        """Archive missions that ended longer ago than `older_than`. Errors: `data_folder_unusable`, `storage_failed`,
        `storage_busy`; what was archived before stays so.
        """
        async with self._one_at_a_time:
            before = self._clock.wall() - older_than
            finished = await self._finish_left_behind()
            part = await asyncio.to_thread(ArchivePart.begin, self._folder, self._clock.wall())
            try:
                missions, entries, more = await self._fill(part, before, at_most)
                path = await asyncio.to_thread(part.finish)
            finally:
                part.close()
        if missions:
            log.info("missions archived", action="retention.archived", missions=missions, archive=str(path))
        return Archival(missions=missions, entries=entries, archive=path or finished, more=more)

    async def _fill(self, part: ArchivePart, before: datetime, at_most: int) -> tuple[int, int, bool]:
        missions = entries = 0
        after: int | None = 0
        while after is not None:
            if missions >= at_most:
                return missions, entries, True
            page = await self._store.read(ReadArchivable(before=before, after=after, limit=STEP))
            after = page.next_after
            if not page.missions:
                continue
            await asyncio.to_thread(part.append, page.missions)
            dropped = await self._drop(page.missions, part)
            missions += len(dropped)
            entries += sum(len(one.entries) for one in page.missions if one.stored.row.mission_id in dropped)
        return missions, entries, False

    async def _finish_left_behind(self) -> Path | None:
        """What a run that died had written is taken out of the database now, and not written again."""
        finished = None
        for part in await asyncio.to_thread(ArchivePart.left_behind, self._folder):
            try:
                missions = await asyncio.to_thread(part.missions)
                for start in range(0, len(missions), STEP):
                    await self._drop(missions[start : start + STEP], part)
                finished = await asyncio.to_thread(part.finish)
                log.info("a run that died was finished", action="retention.finished", archive=part.name)
            finally:
                part.close()
        return finished

    async def _drop(self, missions: Sequence[WholeMission], part: ArchivePart) -> frozenset[str]:
        names = tuple((one.stored.row.mission_id, one.stored.row.last_digest or "") for one in missions)
        return frozenset(await self._store.execute(DropArchived(missions=names, archive=part.name)))
