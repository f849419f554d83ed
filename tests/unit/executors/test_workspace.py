import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dragancorp.errors import DraganError, ErrorCode
from dragancorp.executors.workspace import prepare

LANE = "vp.coder.primary"
Git = Callable[..., str]


def refusal(root: Path, policy: dict[str, str], **options: str) -> str:
    with pytest.raises(DraganError) as caught:
        prepare(root, LANE, policy, **options)
    assert caught.value.code is ErrorCode.WORKSPACE_UNUSABLE
    return caught.value.detail


def worktree(repository: Path, **more: str) -> dict[str, str]:
    return {"kind": "worktree", "repository": str(repository), **more}


def test_a_folder_is_made_once_and_found_again_with_what_is_in_it(tmp_path: Path) -> None:
    first = prepare(tmp_path / "lanes" / LANE, LANE, {"kind": "folder"})
    (first.path / "notes").write_text("kept")
    second = prepare(tmp_path / "lanes" / LANE, LANE, {})
    assert second == first
    assert (second.path / "notes").read_text() == "kept"
    assert second.path == second.root / "workspace"
    assert second.lock_path == second.root / "lock"
    assert second.artifacts_dir("m-1") == second.root / "artifacts" / "m-1"
    assert second.artifacts_dir("m-1").is_dir()
    assert second.receipt_path("m-1") == second.root / "receipts" / "m-1.json"


def test_a_worktree_stands_on_a_branch_named_after_the_lane(tmp_path: Path, repository: Path, in_git: Git) -> None:
    workspace = prepare(tmp_path / "lane", LANE, worktree(repository))
    assert (workspace.path / "adder.py").exists()
    assert in_git(workspace.path, "symbolic-ref", "--short", "HEAD").strip() == "vp/vp-coder-primary"
    assert in_git(repository, "symbolic-ref", "--short", "HEAD").strip() == "main"


def test_branch_and_base_can_be_chosen(tmp_path: Path, repository: Path, in_git: Git) -> None:
    in_git(repository, "tag", "start")
    in_git(repository, "commit", "-q", "--allow-empty", "-m", "later")
    workspace = prepare(tmp_path / "lane", LANE, worktree(repository, branch="codie", base="start"))
    assert in_git(workspace.path, "symbolic-ref", "--short", "HEAD").strip() == "codie"
    assert in_git(workspace.path, "rev-parse", "HEAD") == in_git(repository, "rev-parse", "start")


def test_a_worktree_is_reused_and_uncommitted_work_is_kept(tmp_path: Path, repository: Path, in_git: Git) -> None:
    first = prepare(tmp_path / "lane", LANE, worktree(repository))
    (first.path / "adder.py").write_text("# half done\n")
    (first.path / "new.py").write_text("# untracked\n")
    in_git(first.path, "checkout", "-q", "-b", "another")
    second = prepare(tmp_path / "lane", LANE, worktree(repository))
    assert second == first
    assert (second.path / "adder.py").read_text() == "# half done\n"
    assert (second.path / "new.py").exists()
    assert in_git(second.path, "symbolic-ref", "--short", "HEAD").strip() == "another"


def test_a_worktree_deleted_by_hand_comes_back_on_its_branch(tmp_path: Path, repository: Path, in_git: Git) -> None:
    other = prepare(tmp_path / "other", "vp.other", worktree(repository))
    first = prepare(tmp_path / "lane", LANE, worktree(repository))
    in_git(first.path, "commit", "-q", "--allow-empty", "-m", "the lane's own work")
    shutil.rmtree(first.path)
    shutil.rmtree(other.path)
    second = prepare(tmp_path / "lane", LANE, worktree(repository))
    assert "the lane's own work" in in_git(second.path, "log", "-1", "--format=%s")
    assert str(other.path) in in_git(repository, "worktree", "list"), "other worktrees' entries are not ours to drop"


def test_a_hook_of_the_repository_is_not_run(tmp_path: Path, repository: Path) -> None:
    hook = repository / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/hooked\n")
    hook.chmod(0o755)
    prepare(tmp_path / "lane", LANE, worktree(repository))
    assert not (tmp_path / "hooked").exists()


def test_surrounding_git_variables_do_not_mislead(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "nowhere"))
    assert (prepare(tmp_path / "lane", LANE, worktree(repository)).path / "adder.py").exists()


def test_one_workspace_a_mission(tmp_path: Path, repository: Path) -> None:
    policy = worktree(repository, scope="mission")
    one = prepare(tmp_path / "lane", LANE, policy, mission_id="m-1")
    two = prepare(tmp_path / "lane", LANE, policy, mission_id="m-2")
    assert one.path != two.path
    assert one.lock_path != two.lock_path
    assert one.root == two.root
    assert "mission id" in refusal(tmp_path / "lane", policy)


def test_what_is_not_a_repository_is_refused(tmp_path: Path) -> None:
    assert "not a git repository" in refusal(tmp_path / "lane", worktree(tmp_path))
    assert "nowhere" in refusal(tmp_path / "lane", worktree(tmp_path / "nowhere"))


def test_a_base_that_is_not_there_is_refused(tmp_path: Path, repository: Path) -> None:
    assert "missing-base" in refusal(tmp_path / "lane", worktree(repository, base="missing-base"))


def test_a_branch_that_is_checked_out_elsewhere_is_refused(tmp_path: Path, repository: Path) -> None:
    assert "main" in refusal(tmp_path / "lane", worktree(repository, branch="main"))


def test_files_of_somebody_else_are_not_taken_over(tmp_path: Path, repository: Path) -> None:
    (tmp_path / "lane" / "workspace").mkdir(parents=True)
    (tmp_path / "lane" / "workspace" / "theirs").touch()
    assert "move it away" in refusal(tmp_path / "lane", worktree(repository))


@pytest.mark.parametrize("place", ["", "workspace"])
def test_a_workspace_behind_a_symbolic_link_is_refused(tmp_path: Path, repository: Path, place: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "lane" / place
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(tmp_path / "elsewhere")
    assert "symbolic link" in refusal(tmp_path / "lane", {"kind": "folder"})
    assert "symbolic link" in refusal(tmp_path / "lane", worktree(repository))


def test_a_root_that_climbs_is_refused(tmp_path: Path) -> None:
    assert "climbs" in refusal(tmp_path / "lane" / ".." / "other", {})


@pytest.mark.parametrize("mission_id", ["..", "../m", "a/b", "", ".", "m\n", "x" * 129])
def test_a_mission_id_that_climbs_out_is_refused(tmp_path: Path, mission_id: str) -> None:
    workspace = prepare(tmp_path / "lane", LANE, {})
    for ask in (workspace.artifacts_dir, workspace.receipt_path):
        with pytest.raises(DraganError, match="cannot name a folder"):
            ask(mission_id)


def test_an_artifact_folder_behind_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    workspace = prepare(tmp_path / "lane", LANE, {})
    workspace.artifacts_dir("m-1").rmdir()
    (workspace.root / "artifacts" / "m-1").symlink_to(tmp_path)
    with pytest.raises(DraganError, match="symbolic link"):
        workspace.artifacts_dir("m-1")
