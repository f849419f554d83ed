import time
from pathlib import Path

import pytest

from dragancorp.cli import host_checks
from dragancorp.cli.check import Status


@pytest.mark.parametrize(
    ("version", "status"), [((3, 10, 14), Status.FAIL), ((3, 11, 0), Status.OK), ((3, 14, 1), Status.OK)]
)
def test_python_is_fit_from_3_11(version: tuple[int, ...], status: Status) -> None:
    assert host_checks.python(version).status is status


@pytest.mark.parametrize(("name", "status"), [("linux", "ok"), ("darwin", "warn"), ("win32", "fail")])
def test_the_platform_is_posix(name: str, status: str) -> None:
    assert host_checks.platform(name).status == status


@pytest.mark.parametrize(
    ("version", "status"), [((3, 40, 1), "warn"), ((3, 51, 2), "warn"), ((3, 51, 3), "ok"), ((3, 52, 0), "ok")]
)
def test_sqlite_before_the_mended_log_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, version: tuple[int, int, int], status: str
) -> None:
    monkeypatch.setattr("sqlite3.sqlite_version_info", version)

    check = host_checks.sqlite()

    assert check.status == status
    assert ("one connection" in check.advice) == (status == "warn")


def test_git_is_needed_only_by_worktrees(monkeypatch: pytest.MonkeyPatch) -> None:
    assert host_checks.git(needed=True).status is Status.OK

    monkeypatch.setenv("PATH", "/nowhere")

    assert host_checks.git(needed=False).status is Status.WARN
    assert host_checks.git(needed=True).status is Status.FAIL


def test_a_clock_that_is_behind_the_installation_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    assert host_checks.clock().status is Status.OK

    monkeypatch.setattr(time, "time", lambda: 0.0)

    assert host_checks.clock().status is Status.FAIL


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    check = host_checks.folder(tmp_path / "a" / "b")

    assert check.status is Status.OK
    assert "will be made" in check.detail
    assert list(tmp_path.iterdir()) == []


def test_a_slow_disk_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert host_checks.fsync(tmp_path).status in (Status.OK, Status.WARN)

    monkeypatch.setattr(host_checks, "SLOW_FSYNC_SECONDS", 0.0)

    assert host_checks.fsync(tmp_path).status is Status.WARN
    assert list(tmp_path.iterdir()) == []
