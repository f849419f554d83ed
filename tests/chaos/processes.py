"""Finding the processes of a campaign, and ending them."""

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Found:
    """A living process, and what it is."""

    process: psutil.Process
    what: str

    def __str__(self) -> str:
        return f"process {self.process.pid} ({self.what})"


def living_below(folder: Path) -> list[Found]:
    """Every living process but this one that names the folder in its command, its environment or as its place."""
    mark = os.fsencode(str(folder))
    found = []
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        with contextlib.suppress(psutil.Error, OSError):
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            place = Path("/proc") / str(process.pid)
            told = (place / "cmdline").read_bytes() + b"\0" + (place / "environ").read_bytes()
            if mark in told or process.cwd().startswith(str(folder)):
                found.append(Found(process, " ".join(process.cmdline())[-160:]))
    return found


def end_all(found: Iterable[Found]) -> None:
    """Kill them, and only them; one that has gone meanwhile is passed over."""
    for one in found:
        with contextlib.suppress(psutil.Error):
            one.process.kill()
            one.process.wait(timeout=10)
