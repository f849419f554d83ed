"""What a mission changed in a git work tree.

A *snapshot* is a git tree of everything in the work tree that is not ignored, untracked files included. It is written
through an index of its own, so neither the real index nor any branch moves; comparing two snapshots tells apart what
the mission did and what lay there uncommitted before. The first snapshot is kept under `refs/worktree/` until the
mission ends, so that a later attempt can compare with the state before the first.
"""

import shutil
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dragancorp.executors import git
from dragancorp.executors.protocol import ProcessExited, ProcessOutput, ProcessRunner

_TIMEOUT_SECONDS = 300.0
_FILES_LISTED = 500


@dataclass(frozen=True, kw_only=True)
class FileChange:
    """One changed file; `insertions` and `deletions` count lines and are None for a binary file."""

    path: str
    insertions: int | None
    deletions: int | None


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What differs between two snapshots."""

    files: tuple[FileChange, ...]

    @property
    def insertions(self) -> int:
        """Lines added, binary files not counted."""
        return sum(file.insertions or 0 for file in self.files)

    @property
    def deletions(self) -> int:
        """Lines removed, binary files not counted."""
        return sum(file.deletions or 0 for file in self.files)

    def as_json(self) -> dict[str, Any]:
        """{files_changed, insertions, deletions, files: [{path, insertions, deletions}]}; at most 500 files listed."""
        return {
            "files_changed": len(self.files),
            "insertions": self.insertions,
            "deletions": self.deletions,
            "files": [
                {"path": file.path, "insertions": file.insertions, "deletions": file.deletions}
                for file in self.files[:_FILES_LISTED]
            ],
        }


class WorkTree:
    """A git work tree seen through a process runner. Every method raises `GitError` when git does."""

    def __init__(self, processes: ProcessRunner, path: Path, environment: Mapping[str, str]) -> None:
        self._processes = processes
        self._path = path
        self._environment = git.environment(path, environment)

    async def exists(self) -> bool:
        """Whether the folder is the top of a work tree itself; one around it does not count."""
        if not (self._path / ".git").exists():
            return False
        try:
            return (await self._git("rev-parse", "--is-inside-work-tree")).strip() == "true"
        except (git.GitError, FileNotFoundError):
            return False

    async def branch(self) -> str:
        """The branch that is checked out; empty when there is none."""
        try:
            return (await self._git("symbolic-ref", "--quiet", "--short", "HEAD")).strip()
        except git.GitError:
            return ""

    async def snapshot(self) -> str:
        """The id of a tree that holds the present state."""
        index = await self._git_path("dragancorp-index")
        # Left behind if an earlier snapshot was killed; the workspace is ours alone while we run.
        index.with_name(index.name + ".lock").unlink(missing_ok=True)
        real = await self._git_path("index")
        if real.exists():
            shutil.copy2(
                real, index
            )  # its time too: by it git knows which entries were written in one moment with a file
        else:
            index.unlink(missing_ok=True)
        try:
            await self._git("add", "--all", "--", ".", index=index)
            return (await self._git("write-tree", index=index)).strip()
        finally:
            index.unlink(missing_ok=True)

    async def keep(self, mission_id: str, tree: str) -> None:
        """Remember the state before the mission's first attempt."""
        await self._git("update-ref", _reference(mission_id), tree)

    async def kept(self, mission_id: str) -> str | None:
        """The remembered state, if there is one."""
        try:
            return (await self._git("rev-parse", "--verify", "--quiet", _reference(mission_id))).strip()
        except git.GitError:
            return None

    async def forget(self, mission_id: str) -> None:
        """Drop the remembered state."""
        await self._git("update-ref", "-d", _reference(mission_id))

    async def changes(self, before: str, after: str) -> Changes:
        """The files that differ between two snapshots."""
        listing = await self._git("diff-tree", "-r", "--no-renames", "--numstat", "-z", before, after)
        files = []
        for entry in listing.split("\0"):
            insertions, _, rest = entry.strip("\n").partition("\t")
            deletions, _, path = rest.partition("\t")
            if path:
                files.append(FileChange(path=path, insertions=_count(insertions), deletions=_count(deletions)))
        return Changes(files=tuple(files))

    async def write_patch(self, before: str, after: str, file: Path) -> None:
        """Write a patch that `git apply` takes, binary files included; git writes the bytes itself."""
        await self._git(
            *("diff-tree", "-r", "-p", "--binary", "--full-index", "--no-color", "--no-ext-diff", "--no-textconv"),
            *(f"--output={file}", before, after),
        )

    async def _git_path(self, name: str) -> Path:
        return self._path / (await self._git("rev-parse", "--git-path", name)).rstrip("\n")

    async def _git(self, *words: str, index: Path | None = None) -> str:
        environment = self._environment if index is None else self._environment | {"GIT_INDEX_FILE": str(index)}
        out: list[str] = []
        said: list[str] = []
        running = self._processes.run(
            git.command(*words), cwd=self._path, env=environment, timeout_seconds=_TIMEOUT_SECONDS
        )
        async with aclosing(running) as events:
            async for event in events:
                if isinstance(event, ProcessOutput):
                    text = event.text if event.partial else event.text + "\n"
                    (out if event.stream == "stdout" else said).append(text)
                elif isinstance(event, ProcessExited) and (event.exit_code != 0 or event.timed_out):
                    raise git.GitError(f"git {words[0]}: {''.join(said).strip() or f'exit code {event.exit_code}'}")
        return "".join(out)


def _reference(mission_id: str) -> str:
    return f"refs/worktree/dragancorp/{mission_id}"


def _count(field: str) -> int | None:
    return None if field == "-" else int(field)
