"""A process of the house as it ships, with two weaknesses built in that only a campaign has.

`become` runs `dragan ARGUMENT...` in this process, whose wall clock is off by the seconds that stand in
FOLDER/clocks/NAME, and which kills itself between receipt and report where FOLDER/die/<mission_id> says so. Nothing
else differs, and the product knows of neither.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from dragancorp import cli
from dragancorp.clock import SystemClock
from dragancorp.executors import receipts

CLOCKS, DIE = "clocks", "die"


def become(folder: Path, name: str, arguments: Sequence[str]) -> None:
    """See the module; ends with `SystemExit`."""
    set_clock_wrong(folder / CLOCKS / name)
    die_after_receipts(folder / DIE)
    sys.argv = ["dragan", *arguments]
    cli.main()


def set_clock_wrong(file: Path) -> None:
    """From now on every wall clock of this process is off by what the file says at that moment."""
    right = SystemClock.wall

    def wall(clock: SystemClock) -> datetime:
        offset = 0.0
        with contextlib.suppress(FileNotFoundError, ValueError):
            offset = float(file.read_text())
        return right(clock) + timedelta(seconds=offset)

    SystemClock.wall = wall  # type: ignore[method-assign]


def die_after_receipts(folder: Path) -> None:
    """Once for each mission that has a file in the folder: the receipt is on disk, and the process is gone."""
    write = receipts.write

    def write_and_die(path: Path, receipt: receipts.Receipt) -> None:
        write(path, receipt)
        with contextlib.suppress(FileNotFoundError):
            (folder / receipt.mission_id).unlink()
            os.kill(os.getpid(), signal.SIGKILL)

    receipts.write = write_and_die
