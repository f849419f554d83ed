"""The folders a lane works in: made once by the lane's workspace policy, then found again after every restart.

Below the lane's root folder:

    workspace/                    where the executor works: a plain folder, or a git worktree
    lock                          held by the guard while something runs in the workspace
    artifacts/<mission_id>/       what a mission leaves behind
    receipts/<mission_id>.json    see `dragancorp.executors.receipts`
    missions/<mission_id>/        with one workspace a mission: its `workspace/` and `lock`

Nothing here is ever deleted or reset: work that was not committed is still there for the next mission.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dragancorp.errors import DraganError, ErrorCode
from dragancorp.executors import git

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """A prepared workspace: `root` is the lane's folder, `path` where the executor works."""

    root: Path
    path: Path
    lock_path: Path

    def artifacts_dir(self, mission_id: str) -> Path:
        """The mission's artifact folder, made when it is not there."""
        return artifacts_dir(self.root, mission_id)

    def receipt_path(self, mission_id: str) -> Path:
        """Where the mission's receipt stands, or would."""
        return _own_folder(self.root / "receipts") / f"{_checked(mission_id)}.json"


def artifacts_dir(root: Path, mission_id: str) -> Path:
    """A mission's artifact folder below its lane's root, made when it is not there."""
    _own_folder(root.absolute(), parents=True)
    return _own_folder(_own_folder(root / "artifacts") / _checked(mission_id))


def prepare(root: Path, vp_id: str, policy: Mapping[str, Any], *, mission_id: str | None = None) -> Workspace:
    """Make the lane's workspace, or find it again. Blocks for as long as git takes to check out files.

    `policy` is the `workspace` object of the lane's configuration, its repository path absolute or relative to the
    process. `mission_id` is needed when the policy's `scope` is `mission`. Raises `DraganError(workspace_unusable)`.
    """
    root = _own_folder(root.absolute(), parents=True)
    branch = policy.get("branch") or "vp/" + vp_id.replace(".", "-")
    home = root
    if policy.get("scope", "lane") == "mission":
        if mission_id is None:
            raise _unusable("a workspace per mission needs a mission id")
        home = _own_folder(_own_folder(root / "missions") / _checked(mission_id))
        branch = f"{branch}-{mission_id}"
    path = home / "workspace"
    if policy.get("kind", "folder") == "folder":
        _own_folder(path)
    else:
        _prepare_worktree(path, Path(policy["repository"]).absolute(), branch, policy.get("base", "HEAD"))
    return Workspace(root=root, path=path, lock_path=home / "lock")


def _prepare_worktree(path: Path, repository: Path, branch: str, base: str) -> None:
    _refuse_symlink(path)
    try:
        ours = _common_folder(repository)
    except git.GitError as error:
        raise _unusable(f"{repository} is not a git repository: {error}") from error
    try:
        if path.is_dir() and any(path.iterdir()):
            if not (path / ".git").exists() or _common_folder(path) != ours:
                raise _unusable(f"{path} holds files but is not a worktree of {repository}; move it away")
            return
        if path.resolve() in _registered(repository):
            # Somebody deleted the folder by hand. Only our own entry is dropped, not those of other worktrees,
            # which may stand on a disk that is not mounted just now (as `git worktree prune` would).
            git.run(repository, "worktree", "remove", "--force", str(path))
        start = (branch,) if _branch_exists(repository, branch) else ("--no-track", "-b", branch, base)
        # The path stands before the commit, but after the options.
        options, commit = start[:-1], start[-1]
        git.run(repository, "worktree", "add", *options, str(path), commit)
    except (git.GitError, OSError) as error:
        raise _unusable(f"the worktree {path} cannot be prepared: {error}") from error


def _common_folder(folder: Path) -> Path:
    """The repository behind a checkout, the same for all its worktrees."""
    return (folder / git.run(folder, "rev-parse", "--git-common-dir").rstrip("\n")).resolve()


def _registered(repository: Path) -> set[Path]:
    entries = git.run(repository, "worktree", "list", "--porcelain", "-z").split("\0")
    return {Path(entry.removeprefix("worktree ")) for entry in entries if entry.startswith("worktree ")}


def _branch_exists(repository: Path, branch: str) -> bool:
    return git.run(repository, "for-each-ref", "--format=%(refname)", f"refs/heads/{branch}").strip() != ""


def _checked(mission_id: str) -> str:
    if _ID.fullmatch(mission_id) is None:
        raise _unusable(f"{mission_id!r} cannot name a folder")
    return mission_id


def _own_folder(path: Path, *, parents: bool = False) -> Path:
    """Make a folder of ours, or check that the one there is a real one."""
    _refuse_symlink(path)
    try:
        path.mkdir(parents=parents, exist_ok=True)
    except OSError as error:
        raise _unusable(f"the folder {path} cannot be made: {error.strerror}") from error
    return path


def _refuse_symlink(path: Path) -> None:
    if path.is_symlink():
        raise _unusable(f"{path} is a symbolic link; a workspace must be a folder of its own")
    if ".." in path.parts:
        raise _unusable(f"{path} climbs out of its folder")


def _unusable(detail: str) -> DraganError:
    return DraganError(ErrorCode.WORKSPACE_UNUSABLE, detail)
