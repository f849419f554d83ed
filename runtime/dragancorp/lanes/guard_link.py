"""One guard process as its worker sees it, and the one execution that may run in it."""

import asyncio
import errno
import json
import os
import signal
import sys
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

import dragancorp
from dragancorp.errors import DraganError, ErrorCode
from dragancorp.executors.protocol import ProcessEvent, ProcessExited, ProcessOutput, ProcessStarted
from dragancorp.lanes import process_tree
from dragancorp.lanes.output_lines import OutputLines

_START_SECONDS = 30.0
_CLOSE_SECONDS = 15.0
_LONGEST_BEAT_SECONDS = 5.0
# Text waiting for whoever iterates `run`; more stops the reading, and so in the end the child.
_WAITING_CHARACTERS = 1024 * 1024
# A reply holds at most one chunk of output, whose control characters JSON writes in six bytes each.
_REPLY_BYTES = 1024 * 1024


def silence_limit(ttl_seconds: float) -> float:
    """How long a worker may be silent under a lease of `ttl_seconds` before its execution is ended: half of it.

    The lease was renewed at most a third of the TTL before the worker stuck, and a successor may take over a
    TTL after that renewal. A third and a half leave a sixth of the TTL for the killing itself.
    """
    return ttl_seconds / 2


class GuardedRun:
    """One execution as the worker sees it: filled by the link's listener, emptied by `Guard.run`."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.pid: int | None = None
        self.failure: Exception | None = None
        self.exited: ProcessExited | None = None
        self.ended = asyncio.Event()
        self.arrived = asyncio.Event()
        self.room = asyncio.Event()
        self.leaving = False  # nobody will read the output any more
        self.stopping = False  # a kill was asked for: what does not fit is dropped, so that the end is heard
        self._waiting: deque[ProcessEvent] = deque()
        self._characters = 0
        self._lines = {"stdout": OutputLines(), "stderr": OutputLines()}

    def start(self, pid: int) -> None:
        self.pid = pid
        self._put(ProcessStarted(pid=pid))

    async def output(self, stream: Literal["stdout", "stderr"], text: str) -> None:
        while self._full and not self.stopping:
            self.room.clear()
            await self.room.wait()
        if self.leaving or self._full:
            return
        for line, partial in self._lines[stream].feed(text):
            self._put(ProcessOutput(stream=stream, text=line, partial=partial))

    def end(self, *, exited: ProcessExited | None = None, failure: Exception | None = None) -> None:
        streams: tuple[Literal["stdout", "stderr"], ...] = ("stdout", "stderr")
        for stream in streams:
            for line, partial in self._lines[stream].end():
                self._put(ProcessOutput(stream=stream, text=line, partial=partial))
        self.exited = exited
        self.failure = failure
        self.ended.set()
        self.arrived.set()

    def stop(self, *, leaving: bool) -> None:
        self.stopping = True
        if leaving:
            self.leaving = True
            self._waiting.clear()
            self._characters = 0
        self.room.set()

    async def events(self) -> AsyncGenerator[ProcessEvent, None]:
        """All events but the last, until the end is known."""
        while True:
            while self._waiting:
                event = self._waiting.popleft()
                if isinstance(event, ProcessOutput):
                    self._characters -= len(event.text) + 1
                    if not self._full:
                        self.room.set()
                yield event
            if self.ended.is_set():
                return
            self.arrived.clear()
            await self.arrived.wait()

    @property
    def _full(self) -> bool:
        return self._characters >= _WAITING_CHARACTERS

    def _put(self, event: ProcessEvent) -> None:
        if self.leaving:
            return
        if isinstance(event, ProcessOutput):
            self._characters += len(event.text) + 1
        self._waiting.append(event)
        self.arrived.set()


class GuardLink:
    """One guard process. Its two tasks end with it: the listener at end of file, the beat when the link is dead."""

    def __init__(self, process: asyncio.subprocess.Process, ttl_seconds: float) -> None:
        self.process = process
        self.ttl_seconds = ttl_seconds
        self.dead = False
        self.run: GuardedRun | None = None
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._beat())]

    @classmethod
    async def open(cls, ttl_seconds: float) -> Self:
        """Start a guard process and wait until it is ready. Raises `DraganError(internal_error)`."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-S", "-P", "-m", "dragancorp.lanes.guard", str(silence_limit(ttl_seconds))),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
            cwd="/",
            env=_guard_environment(),
            limit=_REPLY_BYTES,
        )
        link = cls(process, ttl_seconds)
        try:
            # Never `wait_for`: up to Python 3.11 it swallows a cancellation that comes with what it waits for.
            async with asyncio.timeout(_START_SECONDS):
                await link._ready
        except TimeoutError:
            await link.close()
            raise DraganError(
                ErrorCode.INTERNAL_ERROR, f"the guard process was not ready after {_START_SECONDS:g} seconds"
            ) from None
        except BaseException:
            await link.close()
            raise
        return link

    def send(self, message: Mapping[str, Any]) -> None:
        """Queue one line. A guard that died is noticed by the listener, not here."""
        if not self.dead and self.process.stdin is not None and not self.process.stdin.is_closing():
            self.process.stdin.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")

    async def close(self) -> None:
        """End the guard: it ends what runs, and itself, at end of file; one that does not is killed."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _beat(self) -> None:
        # A task of the worker's own loop on purpose: when the loop is stuck, the beat must stop.
        while not self.dead:
            self.send({"type": "beat"})
            await asyncio.sleep(min(silence_limit(self.ttl_seconds) / 5, _LONGEST_BEAT_SECONDS))

    async def _listen(self) -> None:
        try:
            while self.process.stdout is not None and (line := await self.process.stdout.readline()):
                await self._heed(json.loads(line))
        finally:
            self._lose()

    def _lose(self) -> None:
        self.dead = True
        failure = DraganError(ErrorCode.INTERNAL_ERROR, "the guard process died")
        if not self._ready.done():
            self._ready.set_exception(failure)
        if self.run is not None and not self.run.ended.is_set():
            if self.run.pid is not None:
                # The kernel took the child down with the guard; this takes its group. What left the group
                # is found by the next guard of this workspace before it starts anything.
                process_tree.send_group(self.run.pid, signal.SIGKILL)
            self.run.end(failure=failure)

    async def _heed(self, reply: dict[str, Any]) -> None:
        if reply["type"] == "ready":
            self._ready.set_result(None)
            return
        run = self.run
        if run is None or run.number != reply["id"] or run.ended.is_set():
            return
        match reply["type"]:
            case "started":
                run.start(reply["pid"])
            case "output":
                await run.output(reply["stream"], reply["text"])
            case "refused":
                run.end(failure=_refusal(reply))
            case "exited":
                self._exited(run, reply)

    def _exited(self, run: GuardedRun, reply: Mapping[str, Any]) -> None:
        if reply["left"]:
            run.end(
                failure=DraganError(
                    ErrorCode.WORKSPACE_BUSY,
                    f"processes of the execution do not end even when killed: {reply['left']}",
                    facts={"pids": reply["left"]},
                )
            )
        elif reply["reason"] == "silent":
            run.end(
                failure=DraganError(
                    ErrorCode.INTERNAL_ERROR,
                    "the guard ended the execution because the worker was silent for more than "
                    f"{silence_limit(self.ttl_seconds):g} seconds",
                )
            )
        else:
            run.end(
                exited=ProcessExited(
                    exit_code=reply["exit_code"],
                    duration_seconds=reply["duration_seconds"],
                    timed_out=reply["reason"] == "timeout",
                )
            )


def _refusal(reply: Mapping[str, Any]) -> Exception:
    if reply["busy"]:
        return DraganError(ErrorCode.WORKSPACE_BUSY, reply["message"])
    return OSError(reply["errno"] or errno.EINVAL, reply["message"])


def _guard_environment() -> dict[str, str]:
    """What Python needs to start and to find the guard's module; no secrets, since children of one user can look."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
    package = Path(dragancorp.__file__).resolve().parent
    return {name: os.environ[name] for name in kept if name in os.environ} | {"PYTHONPATH": str(package.parent)}
