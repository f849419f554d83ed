"""What a mission changes in its workspace, where that is a git work tree: a summary, and a patch as an artifact."""

from collections.abc import Mapping
from typing import Any

from dragancorp.executors.changes import WorkTree
from dragancorp.executors.git import GitError
from dragancorp.executors.protocol import MissionContext

Event = dict[str, Any]
PATCH = "diff.patch"
PATCH_IS = "What the mission changed, for `git apply`"


class WorkDiff:
    """Look `before` the work and `after` it; a git that fails costs the diff and not the mission.

    `summary` is None until there is something to compare: {files_changed, insertions, deletions, files, branch} and,
    when something changed, patch. The state before the first attempt is kept until an attempt has ended.
    """

    def __init__(self, context: MissionContext, environment: Mapping[str, str]) -> None:
        self.summary: Event | None = None
        self._context = context
        self._tree = WorkTree(context.processes, context.workspace, environment)
        self._before: str | None = None

    @property
    def patch(self) -> str | None:
        """The artifact with the patch, when something changed."""
        return PATCH if self.summary is not None and self.summary["files_changed"] else None

    async def before(self) -> list[Event]:
        """Remember the state before the mission's first attempt; answers what is to be said."""
        if not await self._tree.exists():
            return []
        mission_id = self._context.mission_id
        try:
            self._before = await self._tree.kept(mission_id)
            if self._before is None:
                self._before = await self._tree.snapshot()
                await self._tree.keep(mission_id, self._before)
        except (GitError, OSError) as error:
            return [_no_diff(error)]
        return []

    async def after(self) -> list[Event]:
        """Compare with the state before, and write the patch when something changed; answers what is to be said."""
        if self._before is None:
            return []
        try:
            after = await self._tree.snapshot()
            changes = await self._tree.changes(self._before, after)
            summary = changes.as_json()
            if changes.files:
                await self._tree.write_patch(self._before, after, self._context.artifacts / PATCH)
                summary["patch"] = PATCH
            summary["branch"] = await self._tree.branch()
            self.summary = summary
            await self._tree.forget(self._context.mission_id)
        except (GitError, OSError) as error:
            return [_no_diff(error)]
        return []


def _no_diff(error: Exception) -> Event:
    return {"type": "log", "message": f"There will be no diff: {error}"[:4000], "stream": "stderr"}
