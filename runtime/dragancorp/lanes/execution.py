"""One guarded execution: a process tree, from its start until nothing of it is left.

Used by the guard process, and by a worker for what a killed guard has left. Imports only the standard library.
"""

import codecs
import contextlib
import errno
import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from dragancorp.lanes import process_tree

CHUNK_BYTES = 32 * 1024
# What may still stand in a pipe after its last writer is gone (pipes hold 64 KiB, on request 1 MiB).
_REST_BYTES = 1024 * 1024
_STRAYS_SECONDS = 2.0


class LockHeldError(Exception):
    """Another execution still holds the workspace."""


def take_lock(path: str) -> int:
    """Take the workspace's lock without waiting and return its descriptor; closing that gives the lock back.

    The descriptor is not inherited by children (Python's never are), or the lock would outlive the guard.
    Raises `LockHeldError` when someone else holds it, `OSError` when the file cannot be made.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), Path(path).stat()):
                    os.ftruncate(descriptor, 0)
                    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
                    return descriptor
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise LockHeldError(f"the guard with process id {holder} holds {path}") from None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # the file was replaced between open and lock: what we locked guards nothing


def clear_strays(lock_path: str) -> None:
    """Kill what an earlier execution left when its guard was killed too. The lock must be held.

    Ends by itself after two seconds; then raises `LockHeldError` naming what would not go.
    """
    until = time.monotonic() + _STRAYS_SECONDS
    while strays := process_tree.marked(lock_path):
        if time.monotonic() > until:
            raise LockHeldError(f"processes of an earlier execution cannot be killed: {sorted(strays)}")
        process_tree.send(strays, signal.SIGKILL)
        time.sleep(0.01)


def sweep(lock_path: str) -> None:
    """End what was left in a workspace whose guard was killed; nothing while another guard holds it.

    Ends by itself after two seconds; then raises `LockHeldError` naming what would not go, `OSError` without the file.
    """
    try:
        lock = take_lock(lock_path)
    except LockHeldError:
        return  # at work there; its own strays it looks for before it starts anything
    try:
        clear_strays(lock_path)
    finally:
        os.close(lock)


def sweep_below(folder: str) -> list[str]:
    """The same for every workspace in a folder; answers what would not go, a sentence each.

    Where each mission has a workspace of its own, no next guard may ever come there.
    """
    problems = []
    for lock_path in process_tree.locks_below(folder):
        try:
            sweep(lock_path)
        except (LockHeldError, OSError) as error:
            problems.append(str(error))
    return problems


class Stream:
    """One output pipe of the child, read without blocking and decoded as UTF-8; what is not UTF-8 is replaced."""

    def __init__(self, name: str, descriptor: int) -> None:
        self.name = name
        self.descriptor = descriptor
        self.open = True
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        os.set_blocking(descriptor, False)

    def read(self) -> str | None:
        """The next piece of text; None when there is nothing to read just now, or ever again (`open` is false)."""
        try:
            data = os.read(self.descriptor, CHUNK_BYTES)
        except BlockingIOError:
            return None
        if data:
            return self._decoder.decode(data)
        self.open = False
        return self._decoder.decode(b"", final=True) or None

    def rest(self) -> Iterator[str]:
        """What stands in the pipe now that all writers are gone. Never waits: an escaped writer cannot hold us up."""
        for _ in range(_REST_BYTES // CHUNK_BYTES):
            if not self.open or (text := self.read()) is None:
                break
            yield text
        if self.open:
            self.open = False
            yield self._decoder.decode(b"", final=True)


class Execution:
    """A program started in a session of its own; see the module's docstring."""

    def __init__(
        self,
        number: int,
        *,
        argv: Sequence[str],
        cwd: str,
        env: Mapping[str, str],
        stdin: bytes,
        timeout_seconds: float | None,
        grace_seconds: float,
        lock_path: str,
        lock: int,
        subreaper: bool,
    ) -> None:
        """Start the program. Raises `OSError` when it cannot be started; `lock` is then still the caller's."""
        if not Path(cwd).is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "the working folder is not a folder", cwd)
        guard = os.getpid()
        started_at = time.monotonic()
        try:
            child = subprocess.Popen(
                argv,
                cwd=cwd,
                env={**env, process_tree.MARKER: lock_path},
                stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
                preexec_fn=lambda: process_tree.die_with_parent(guard),
            )
        except ValueError as error:  # a NUL byte in a word or a name
            raise OSError(errno.EINVAL, str(error)) from error
        self.number = number
        self.grace_seconds = grace_seconds
        self.reason: str | None = None  # why it was stopped, when it did not end by itself
        self.kill_at: float | None = None
        self.started_at = started_at
        self.deadline = None if timeout_seconds is None else self.started_at + timeout_seconds
        self.told = False  # its end has been reported
        self._child = child
        self._lock = lock
        self._subreaper = subreaper
        self._unfed = memoryview(stdin)
        pipes = (("stdout", child.stdout), ("stderr", child.stderr))
        self.streams = [Stream(name, pipe.fileno()) for name, pipe in pipes if pipe is not None]
        if child.stdin is not None:
            os.set_blocking(child.stdin.fileno(), False)

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def exit_code(self) -> int | None:
        """The child's, negative for the signal that ended it; None while it runs."""
        return self._child.returncode

    @property
    def hungry(self) -> int | None:
        """The descriptor of the child's standard input while there is something to write to it."""
        return None if self._child.stdin is None else self._child.stdin.fileno()

    def feed(self) -> None:
        """Write what the child takes just now, and close its input after the last byte or when it stops reading."""
        if self._child.stdin is None:
            return
        try:
            self._unfed = self._unfed[os.write(self._child.stdin.fileno(), self._unfed[:CHUNK_BYTES]) :]
        except BlockingIOError:
            return
        except OSError:  # EPIPE: it closed its input without reading all of it, which is its right
            self._unfed = self._unfed[:0]
        if not self._unfed:
            self._child.stdin.close()
            self._child.stdin = None

    def gone(self) -> bool:
        """Collect who has ended; true when nothing of the execution is left.

        Under a subreaper this is certain: all that descends from the guard hangs below a child of it, so when
        the guard has no child, there is nothing.
        """
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return self._subreaper or not process_tree.group_exists(self.pid)
            if pid == 0:
                return False
            if pid == self.pid:
                self._child.returncode = os.waitstatus_to_exitcode(status)

    def stop(self, reason: str | None, grace_seconds: float, now: float) -> None:
        """Ask everything to end and set the moment for killing it; asked again, only the moment may come nearer."""
        if self.exit_code is None:
            self.reason = self.reason or reason
        kill_at = now + grace_seconds
        if self.kill_at is None and grace_seconds > 0:
            self._signal(signal.SIGTERM)
        self.kill_at = kill_at if self.kill_at is None else min(self.kill_at, kill_at)

    def kill(self) -> None:
        """Kill everything that can be found. To be repeated until `gone()`: a fork may slip through one pass."""
        self._signal(signal.SIGKILL)

    def survivors(self) -> list[int]:
        """Who is left, for a message."""
        return sorted(process_tree.descendants(os.getpid())) if self._subreaper else [self.pid]

    def release(self) -> None:
        """Give back the pipes and, last, the lock."""
        for pipe in (self._child.stdin, self._child.stdout, self._child.stderr):
            if pipe is not None:
                pipe.close()
        os.close(self._lock)

    def _signal(self, number: signal.Signals) -> None:
        if self._subreaper:
            if self.exit_code is None:  # not yet collected, so its number cannot mean another group
                process_tree.send_group(self.pid, number)
                process_tree.send(self._outside_group(), number)
            else:
                process_tree.send(process_tree.descendants(os.getpid()), number)
        else:
            process_tree.send_group(self.pid, number)

    def _outside_group(self) -> Iterator[int]:
        for pid in process_tree.descendants(os.getpid()):
            with contextlib.suppress(ProcessLookupError):
                if os.getpgid(pid) != self.pid:
                    yield pid
