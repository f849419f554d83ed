"""Checks of the host: what every installation stands on."""

import os
import shutil
import sqlite3
import statistics
import subprocess
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import dragancorp
from dragancorp.cli.check import Check, fail, ok, warn

LEAST_PYTHON = (3, 11)
# Before this release two connections that write or checkpoint at one moment may reset the write-ahead log wrongly.
SQLITE_WITHOUT_WAL_RESET = (3, 51, 3)
FSYNCS = 15
FSYNC_BYTES = 4096
SLOW_FSYNC_SECONDS = 0.02
GIT_SECONDS = 10


def python(version: tuple[int, ...]) -> Check:
    """The interpreter."""
    said = ".".join(str(part) for part in version)
    if version < LEAST_PYTHON:
        return fail("python", said, "Install Python 3.11 or newer.")
    return ok("python", said)


def platform(name: str) -> Check:
    """The operating system, as `sys.platform` names it."""
    if name == "linux":
        return ok("platform", name)
    if name == "darwin":
        return warn(
            "platform",
            name,
            "Processes that leave their group cannot all be found here; on Linux they are.",
        )
    return fail("platform", name, "Use Linux or macOS: processes are guarded in ways that only POSIX systems have.")


def sqlite() -> Check:
    """The SQLite library that Python is linked with."""
    if sqlite3.sqlite_version_info >= SQLITE_WITHOUT_WAL_RESET:
        return ok("sqlite", sqlite3.sqlite_version)
    return warn(
        "sqlite",
        f"{sqlite3.sqlite_version} has a defect when two connections write at one moment, mended in 3.51.3",
        "Nothing to do: one process owns the file and writes by one connection. Let no other program write to it.",
    )


def git(*, needed: bool) -> Check:
    """The program; `needed` by a lane that works in a worktree."""
    program = shutil.which("git")
    if program is None:
        judge = fail if needed else warn
        return judge("git", "not found", "Install git: lanes that work in a worktree of a repository need it.")
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=GIT_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return fail("git", f"{program}: {error}", "Mend the installation of git.")
    return ok("git", done.stdout.strip().removeprefix("git version "))


def clock() -> Check:
    """The wall clock, against the only moment that is known to lie behind: when this program was installed."""
    now = time.time()
    installed = Path(dragancorp.__file__).stat().st_mtime
    said = datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")
    if now < installed:
        return fail(
            "clock", f"{said} is before this program was installed", "Set the clock: deadlines and windows go by it."
        )
    return ok("clock", said)


def folder(data: Path) -> Check:
    """Whether the data folder can be written, or made."""
    if data.exists() and not data.is_dir():
        return fail("data folder", f"{data} is not a folder", "Choose another with --data.")
    if not data.exists():
        nearest = _existing(data)
        if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
            return fail("data folder", f"{data} cannot be made in {nearest}", "Choose another with --data.")
        return ok("data folder", f"{data} will be made at the first start")
    try:
        with tempfile.TemporaryFile(dir=data) as file:
            file.write(b"\0")
    except OSError as error:
        return fail(
            "data folder", f"{data}: {error.strerror or error}", "Mend its rights, or choose another with --data."
        )
    free = shutil.disk_usage(data).free
    return ok("data folder", f"{data}, {free / 1e9:.1f} GB free")


def fsync(data: Path) -> Check:
    """How long the disk takes to keep a page: every acknowledged write waits for it."""
    place = _existing(data)
    try:
        took = _fsync_seconds(place if place.is_dir() else place.parent)
    except OSError as error:
        return fail("fsync", f"{place}: {error.strerror or error}", "Choose a folder on a disk with --data.")
    said = f"{took * 1000:.2f} ms, median of {FSYNCS} in {place}"
    if took > SLOW_FSYNC_SECONDS:
        return warn("fsync", said, "Acknowledged writes wait for it: keep the data folder on a faster disk.")
    return ok("fsync", said)


def _fsync_seconds(place: Path) -> float:
    times = []
    with tempfile.TemporaryFile(dir=place) as file:
        for _ in range(FSYNCS):
            file.write(b"\0" * FSYNC_BYTES)
            file.flush()
            start = time.perf_counter()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    place = path.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    return place
