"""What a mission leaves behind: found in its artifact folder, and brought to where the registry's readers look."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog

from dragancorp.clock import Clock
from dragancorp.errors import DraganError, ErrorCode
from dragancorp.executors import artifacts
from dragancorp.executors.workspace import Workspace
from dragancorp.lanes.keeper import Keeper
from dragancorp.lanes.link import Claimed, LaneLink

UPLOAD_PAUSE_SECONDS = 0.25  # between tries when the registry is busy or away
# Somebody else has the word: what is uploaded now is for nobody.
OUT_OF_HAND = frozenset({ErrorCode.STALE_EPOCH, ErrorCode.MISSION_TERMINAL, ErrorCode.MISSION_UNKNOWN})

log = structlog.get_logger("dragancorp.lanes")


class Outputs:
    """One mission's artifacts. References are documents of `common/v1`; what cannot be one is left out and logged."""

    def __init__(self, link: LaneLink, keeper: Keeper, workspace: Workspace, clock: Clock, claimed: Claimed) -> None:
        self._link = link
        self._keeper = keeper
        self._clock = clock
        self._claimed = claimed
        self._workspace = workspace
        self._there: set[tuple[str, str]] = set()  # name and digest of what was uploaded

    @property
    def _folder(self) -> Path:
        return self._workspace.artifacts_dir(self._claimed.mission_id)

    async def everything(self) -> list[dict[str, Any]]:
        """All files, uploaded. Raises `stale_epoch`, `mission_terminal` when they are for nobody any more."""
        index = await asyncio.to_thread(artifacts.index, self._folder)
        for ignored in index.ignored:
            self._leave_out(ignored.name, ignored.reason)
        return await self._uploaded([artifact.as_json() for artifact in index.artifacts])

    async def named(self, name: str) -> list[dict[str, Any]]:
        """The one file, uploaded; empty when there is none of that name. Raises as `everything` does."""
        index = await asyncio.to_thread(artifacts.index, self._folder)
        return await self._uploaded([found.as_json() for found in index.artifacts if found.name == name])

    async def _uploaded(self, references: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        there: list[dict[str, Any]] = []
        for reference in references:
            try:
                await self._upload(reference)
            except DraganError as error:
                if error.code in OUT_OF_HAND:
                    raise
                # Too large, or changed while it was read: the mission ends without it; a required one is missed then.
                self._leave_out(reference["name"], error.detail)
            else:
                there.append(reference)
        return there

    async def _upload(self, reference: Mapping[str, Any]) -> None:
        """Upload until the registry has taken or refused it: the lost lease ends the mission, and this with it."""
        content = (reference["name"], reference["sha256"])
        while content not in self._there:
            try:
                await self._link.upload(self._keeper.lease, self._claimed, self._folder / content[0], reference)
            except DraganError as error:
                if not error.entry.retryable:
                    raise
                await self._clock.sleep(UPLOAD_PAUSE_SECONDS)
            else:
                self._there.add(content)

    def _leave_out(self, name: str, reason: str) -> None:
        log.warning("an artifact is left out", action="mission.artifact_ignored", name=name, reason=reason)
