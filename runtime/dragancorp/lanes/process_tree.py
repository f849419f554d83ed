"""Finding and signalling the processes below this one; the guard's eyes and hands.

Imports only the standard library, because the guard must start fast and depend on nothing.

On Linux the guard is a *child subreaper*: whatever an execution starts stays below the guard, even after `setsid`
and the death of its parent, and is found by following parents in `/proc`. Elsewhere (macOS) there is no such thing
and only the process group is known; a grandchild that leaves the group escapes there.
"""

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

# The variable every execution carries; its value is the path of the workspace's lock.
MARKER = "DRAGAN_WORKSPACE_LOCK"

_PROC = Path("/proc")
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
# Looked up once and before any fork: between fork and exec nothing should be loaded.
_prctl = ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None


def become_subreaper() -> bool:
    """Make orphaned descendants children of this process. Returns whether the system can do that."""
    return _prctl is not None and _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


def die_with_parent(parent: int) -> None:
    """To be called between fork and exec: have the kernel kill this process when `parent` dies.

    It holds for this process alone, not for its children, and is lost when a set-user-id program is executed.
    Without effect outside Linux.
    """
    if _prctl is None:
        return
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the line above
        os._exit(127)


def descendants(root: int) -> set[int]:
    """The living processes below `root`, itself excluded; zombies do not count. Linux only, elsewhere empty."""
    children: dict[int, list[int]] = {}
    zombies: set[int] = set()
    for pid in _process_ids():
        with contextlib.suppress(OSError, ValueError):
            # "pid (name) state ppid ..."; the name may hold spaces and parentheses.
            state, parent = (_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()[:2]
            children.setdefault(int(parent), []).append(pid)
            if state in (b"Z", b"X"):
                zombies.add(pid)
    found: set[int] = set()
    unvisited = [root]
    while unvisited:
        below = [pid for pid in children.get(unvisited.pop(), ()) if pid not in found]
        found.update(below)
        unvisited.extend(below)
    return found - zombies


def marked(lock_path: str) -> set[int]:
    """The living processes whose environment carries `MARKER` with this lock. Linux only, elsewhere empty.

    They can only be left over from a guard that was itself killed: whoever holds the lock has no rival.
    """
    return {pid for pid, lock in _marks() if lock == lock_path}


def locks_below(folder: str) -> set[str]:
    """The locks in this folder and below it that a living process carries. Linux only, elsewhere empty."""
    return {lock for _, lock in _marks() if lock.startswith(folder.rstrip(os.sep) + os.sep)}


def _marks() -> Iterator[tuple[int, str]]:
    entry = os.fsencode(f"{MARKER}=")
    for pid in _process_ids():
        with contextlib.suppress(OSError):
            for variable in (_PROC / str(pid) / "environ").read_bytes().split(b"\0"):
                if variable.startswith(entry) and pid != os.getpid():
                    yield pid, os.fsdecode(variable.removeprefix(entry))


def send(pids: Iterable[int], number: signal.Signals) -> None:
    """Signal each process; those that are gone, or belong to someone else, are passed over."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def send_group(group: int, number: signal.Signals) -> None:
    """Signal a whole process group at once; a group that is gone is passed over."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def group_exists(group: int) -> bool:
    """Whether anything is left of a process group."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # on macOS also said of a group of zombies, which are gone in a moment
    return True


def _process_ids() -> list[int]:
    if sys.platform != "linux":
        return []
    return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()]
