"""The guard process: runs one worker's executions and lets nothing of them outlive the worker.

Started as `python -m dragancorp.lanes.guard SILENCE_SECONDS` by `dragancorp.lanes.guarded`, in a session of its own.
Imports only the standard library. One execution at a time; while it lasts, the workspace's lock file is held with
an exclusive `flock`.

The worker and the guard speak JSON objects, one a line, over the guard's standard input and output.

From the worker:

    {"type": "beat"}                                            the worker lives (every other line says so too)
    {"type": "limit", "silence_seconds": S}                     a new limit of silence
    {"type": "run", "id": N, "argv": [...], "cwd": DIR, "env": {...}, "stdin": BASE64, "lock": FILE,
     "timeout_seconds": S or null, "grace_seconds": S}          start; the folder and the lock are absolute paths
    {"type": "kill", "id": N, "grace_seconds": S}               end it; without effect when it is over already

To the worker:

    {"type": "ready", "pid": P, "subreaper": BOOL}              once
    {"type": "refused", "id": N, "busy": BOOL, "errno": E or null, "message": TEXT}
    {"type": "started", "id": N, "pid": P}
    {"type": "output", "id": N, "stream": "stdout"|"stderr", "text": TEXT}     a piece, not a line
    {"type": "exited", "id": N, "exit_code": C, "duration_seconds": S, "reason": null|"asked"|"timeout"|"silent",
     "left": [P, ...]}    nothing is left and the lock is free, or `left` names what even SIGKILL did not end

What ends an execution, besides itself: a kill asked for, its time limit, the end of file on standard input (the
worker is dead), or a worker silent for longer than the limit, by the guard's own monotonic clock. Each means SIGTERM,
a grace, then SIGKILL to everything below the guard until nothing is there. The same happens to what a program leaves
running when it ends. What a program hands to a daemon outside (a container engine, `at`) is out of reach.

What ends the guard: end of file on standard input, after the execution is gone. SIGINT, SIGTERM and SIGHUP do not.
If the guard is killed, the kernel kills the child (Linux), the worker kills the group and then what carries the mark of
the workspace. If worker and guard are killed at one moment, the child dies, and the rest lives until the lane has a
worker again, or a guard the workspace: before anything is started they kill what carries the mark.
"""

import base64
import binascii
import errno
import json
import os
import selectors
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from dragancorp.lanes import process_tree
from dragancorp.lanes.execution import CHUNK_BYTES, Execution, LockHeldError, Stream, clear_strays, take_lock

# Unsent replies above this stop the reading of the child's output, so that a worker that does not read slows the
# child down instead of filling our memory. Nothing else ever waits for the worker.
OUTBOX_BYTES = 1024 * 1024
# A run request carries the child's whole input in base64; more than this is not a worker speaking.
REQUEST_BYTES = 64 * 1024 * 1024
# SIGTERM to SIGKILL when nobody is there to choose: the worker is dead or silent, and a successor may be waiting.
ABANDONED_GRACE_SECONDS = 0.5
# The same for what a program leaves behind when it ends.
LEFTOVER_GRACE_SECONDS = 1.0
# How long to go on killing before the worker is told who will not go (they may belong to another user).
SWEEP_SECONDS = 10.0
_POLL_SECONDS = 0.02
_SLOW_POLL_SECONDS = 0.5


class GuardLoop:
    """The guard's one loop. It ends when the worker is gone and no execution is left; nothing in it blocks."""

    def __init__(self, *, silence_seconds: float, requests: int = 0, replies: int = 1) -> None:
        self._requests = requests
        self._replies = replies
        self._silence_seconds = silence_seconds
        self._heard_at = time.monotonic()
        self._worker_gone = False
        self._inbox = bytearray()
        self._outbox = bytearray()
        self._execution: Execution | None = None
        self._cleared: set[str] = set()  # locks whose strays were looked for; our own executions leave none
        self._subreaper = process_tree.become_subreaper()
        self._selector = selectors.DefaultSelector()
        self._wake_reader, wake_writer = os.pipe()
        for descriptor in (requests, replies, self._wake_reader, wake_writer):
            os.set_blocking(descriptor, False)
        # Handlers that do nothing, not SIG_IGN: that would be inherited by every program started here.
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(wake_writer, warn_on_full_buffer=False)

    def serve(self) -> None:
        """Run until the worker is gone and nothing is left."""
        self._reply({"type": "ready", "pid": os.getpid(), "subreaper": self._subreaper})
        while not self._worker_gone or self._execution is not None:
            self._arrange()
            for key, _ in self._selector.select(self._patience()):
                key.data()
            # After reading: a guard that was itself held up finds the worker's beats before it judges its silence.
            self._judge(time.monotonic())

    def abandon(self) -> None:
        """The last act when the loop broke: kill everything at once."""
        until = time.monotonic() + SWEEP_SECONDS
        while self._execution is not None and time.monotonic() < until:
            self._execution.kill()
            if self._execution.gone():
                self._execution = None
            time.sleep(_POLL_SECONDS)

    # What to wait for.

    def _arrange(self) -> None:
        """Register what is wanted now, and only that."""
        wanted: dict[int, tuple[int, Callable[[], None]]] = {
            self._wake_reader: (selectors.EVENT_READ, self._wake),
        }
        if not self._worker_gone:
            wanted[self._requests] = (selectors.EVENT_READ, self._hear)
            if self._outbox:
                wanted[self._replies] = (selectors.EVENT_WRITE, self._flush)
        if self._execution is not None:
            if self._execution.hungry is not None:
                wanted[self._execution.hungry] = (selectors.EVENT_WRITE, self._execution.feed)
            for stream in self._execution.streams:
                if stream.open and len(self._outbox) < OUTBOX_BYTES:
                    wanted[stream.descriptor] = (selectors.EVENT_READ, self._reader(self._execution, stream))
        for descriptor in set(self._selector.get_map()) - set(wanted):
            self._selector.unregister(descriptor)
        for descriptor, (events, act) in wanted.items():
            if descriptor in self._selector.get_map():
                self._selector.modify(descriptor, events, act)
            else:
                self._selector.register(descriptor, events, act)

    def _patience(self) -> float | None:
        """Seconds until something must be judged even if nothing happens; None: for ever."""
        execution = self._execution
        if execution is None:
            return None
        if execution.kill_at is not None:
            return _SLOW_POLL_SECONDS if execution.told else _POLL_SECONDS
        moments = [self._heard_at + self._silence_seconds]
        if execution.deadline is not None:
            moments.append(execution.deadline)
        return max(0.0, min(moments) - time.monotonic())

    def _wake(self) -> None:
        os.read(self._wake_reader, 4096)  # a child ended, or a signal we do not heed; `_judge` looks

    # The worker.

    def _hear(self) -> None:
        try:
            data = os.read(self._requests, CHUNK_BYTES)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        self._inbox += data
        if not data or len(self._inbox) > REQUEST_BYTES:
            self._lose_worker()
            return
        self._heard_at = time.monotonic()
        if b"\n" not in data:
            return
        *lines, rest = bytes(self._inbox).split(b"\n")
        self._inbox = bytearray(rest)
        for line in lines:
            self._heed(json.loads(line))

    def _heed(self, request: dict[str, Any]) -> None:
        match request["type"]:
            case "beat":
                pass
            case "limit":
                self._silence_seconds = float(request["silence_seconds"])
            case "run":
                self._begin(request)
            case "kill":
                if self._execution is not None and self._execution.number == request["id"]:
                    self._execution.stop("asked", float(request["grace_seconds"]), time.monotonic())

    def _lose_worker(self) -> None:
        self._worker_gone = True
        self._outbox.clear()

    def _reply(self, reply: dict[str, Any]) -> None:
        if not self._worker_gone:
            self._outbox += json.dumps(reply, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
            self._outbox += b"\n"

    def _flush(self) -> None:
        try:
            del self._outbox[: os.write(self._replies, self._outbox[: 4 * CHUNK_BYTES])]
        except BlockingIOError:
            return
        except OSError:  # nobody reads any more
            self._lose_worker()

    # The execution.

    def _begin(self, request: dict[str, Any]) -> None:
        number = request["id"]
        lock: int | None = None
        try:
            if self._execution is not None:
                raise LockHeldError(f"the earlier execution is not over: {self._execution.survivors()}")
            lock = take_lock(request["lock"])
            if request["lock"] not in self._cleared:
                clear_strays(request["lock"])
                self._cleared.add(request["lock"])
            self._execution = Execution(
                number,
                argv=request["argv"],
                cwd=request["cwd"],
                env=request["env"],
                stdin=base64.b64decode(request["stdin"], validate=True),
                timeout_seconds=request["timeout_seconds"],
                grace_seconds=request["grace_seconds"],
                lock_path=request["lock"],
                lock=lock,
                subreaper=self._subreaper,
            )
        except (LockHeldError, OSError, binascii.Error) as error:
            if lock is not None:
                os.close(lock)
            self._reply({"type": "refused", "id": number, **_refusal(error)})
            return
        self._reply({"type": "started", "id": number, "pid": self._execution.pid})

    def _reader(self, execution: Execution, stream: Stream) -> Callable[[], None]:
        def read() -> None:
            text = stream.read()
            if text:
                self._output(execution, stream, text)

        return read

    def _output(self, execution: Execution, stream: Stream, text: str) -> None:
        self._reply({"type": "output", "id": execution.number, "stream": stream.name, "text": text})

    def _judge(self, now: float) -> None:
        """Decide what the moment asks for; called after every turn of the loop and by the clock."""
        execution = self._execution
        if execution is None:
            return
        if execution.gone():
            self._finish(execution, now)
            return
        for reason, grace_seconds in self._grounds(execution, now):
            execution.stop(reason, grace_seconds, now)
        if execution.kill_at is None or now < execution.kill_at:
            return
        execution.kill()
        if now >= execution.kill_at + SWEEP_SECONDS and not execution.told:
            # It stays our execution, and the lock stays held, until it is really gone.
            self._tell(execution, now, left=execution.survivors())

    def _grounds(self, execution: Execution, now: float) -> Iterator[tuple[str | None, float]]:
        """Why the execution has to be stopped, with the grace for each reason."""
        if execution.exit_code is not None:
            yield None, LEFTOVER_GRACE_SECONDS
        if self._worker_gone:
            yield "worker_gone", ABANDONED_GRACE_SECONDS
        elif now >= self._heard_at + self._silence_seconds:
            # A short limit belongs to a short lease, whose margin is short too.
            yield "silent", min(ABANDONED_GRACE_SECONDS, self._silence_seconds / 5)
        if execution.deadline is not None and now >= execution.deadline:
            yield "timeout", execution.grace_seconds

    def _finish(self, execution: Execution, now: float) -> None:
        for stream in execution.streams:
            for text in stream.rest():
                self._output(execution, stream, text)
        self._arrange_without(execution)
        execution.release()
        self._execution = None
        if not execution.told:
            self._tell(execution, now, left=[])

    def _arrange_without(self, execution: Execution) -> None:
        """Forget the execution's descriptors before they are closed and their numbers used again."""
        for descriptor in (execution.hungry, *(stream.descriptor for stream in execution.streams)):
            if descriptor is not None and descriptor in self._selector.get_map():
                self._selector.unregister(descriptor)

    def _tell(self, execution: Execution, now: float, *, left: list[int]) -> None:
        execution.told = True
        self._reply(
            {
                "type": "exited",
                "id": execution.number,
                "exit_code": -signal.SIGKILL if execution.exit_code is None else execution.exit_code,
                "duration_seconds": round(now - execution.started_at, 6),
                "reason": execution.reason,
                "left": left,
            }
        )


def _refusal(error: Exception) -> dict[str, Any]:
    busy = isinstance(error, LockHeldError)
    if not isinstance(error, OSError):
        return {"busy": busy, "errno": None if busy else errno.EINVAL, "message": str(error)}
    place = "" if error.filename is None else f": {os.fsdecode(error.filename)}"
    return {"busy": False, "errno": error.errno, "message": f"{error.strerror}{place}"}


def main() -> None:
    """The console entry; `abandon` runs whatever broke the loop, and the traceback goes to standard error."""
    loop = GuardLoop(silence_seconds=float(sys.argv[1]))
    try:
        loop.serve()
    finally:
        loop.abandon()


if __name__ == "__main__":
    main()
