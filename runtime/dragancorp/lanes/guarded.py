"""The worker's side of the guard: `Guard` starts the guard process, beats, and runs programs through it.

`dragancorp.lanes.guard` says what the guard promises and how the two talk.
"""

import asyncio
import base64
import contextlib
import itertools
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import structlog

from dragancorp.errors import DraganError, ErrorCode
from dragancorp.executors.protocol import ProcessEvent
from dragancorp.lanes.execution import LockHeldError, sweep
from dragancorp.lanes.guard_link import GuardedRun, GuardLink, silence_limit

__all__ = ["Guard", "silence_limit"]

log = structlog.get_logger("dragancorp.lanes")

# The child's whole input travels in one request; more belongs into a file.
STDIN_BYTES = 16 * 1024 * 1024
GRACE_SECONDS = 5.0


class Guard:
    """Runs programs, one at a time, so that none outlives this worker; a `ProcessRunner`.

    An async context manager. `lock_path` is the workspace's lock file, `ttl_seconds` the lease's time to live.
    A guard process that died is replaced at the next execution.
    """

    def __init__(self, *, lock_path: Path, ttl_seconds: float) -> None:
        self._lock_path = lock_path.absolute()
        self._ttl_seconds = ttl_seconds
        self._link: GuardLink | None = None
        self._slot = asyncio.Lock()
        self._numbers = itertools.count(1)
        self._closed = False

    async def __aenter__(self) -> Self:
        self._link = await GuardLink.open(self._ttl_seconds)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def pid(self) -> int | None:
        """The guard's process id; None before it was started and after it was found dead."""
        return None if self._link is None or self._link.dead else self._link.process.pid

    def change_ttl(self, ttl_seconds: float) -> None:
        """Follow a changed lease time."""
        self._ttl_seconds = ttl_seconds
        if self._link is not None:
            self._link.ttl_seconds = ttl_seconds
            self._link.send({"type": "limit", "silence_seconds": silence_limit(ttl_seconds)})

    async def run(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        stdin: bytes = b"",
        timeout_seconds: float | None = None,
        grace_seconds: float = GRACE_SECONDS,
    ) -> AsyncGenerator[ProcessEvent, None]:
        """See `ProcessRunner.run`. Another call waits until the one before is over.

        Raises `DraganError(internal_error)` when the guard died, or ended the execution because this process was
        silent, and `DraganError(workspace_busy)` when the lock is held or a process cannot be killed.
        """
        if not argv:
            raise ValueError("no program is named")
        if len(stdin) > STDIN_BYTES:
            raise ValueError(f"standard input is limited to {STDIN_BYTES} bytes")
        async with self._slot:
            link = await self._live_link()
            run = link.run = GuardedRun(next(self._numbers))
            request = _request(run.number, argv, cwd, env, stdin)
            limits = {"timeout_seconds": timeout_seconds, "grace_seconds": grace_seconds}
            link.send({**request, "lock": str(self._lock_path), **limits})
            try:
                async with contextlib.aclosing(run.events()) as events:
                    async for event in events:
                        yield event
            finally:
                # Left early: by aclose, by an exception at the yield, by cancellation.
                await self._end(link, run, grace_seconds, leaving=True)
                if link.dead:
                    # What had left the group; nobody knows when there is a next guard in this workspace.
                    await asyncio.to_thread(self._sweep)
            if run.failure is not None:
                raise run.failure
            if run.exited is not None:
                yield run.exited

    async def kill(self, grace_seconds: float = GRACE_SECONDS) -> None:
        """End the running execution, if there is one; returns when nothing of it is left.

        Whoever iterates `run` still gets the output so far and `ProcessExited`.
        """
        if self._link is not None and self._link.run is not None:
            await self._end(self._link, self._link.run, grace_seconds, leaving=False)

    async def close(self) -> None:
        """End the execution and the guard process. Can be called again."""
        self._closed = True
        if self._link is not None:
            await self.kill(grace_seconds=0.5)
            link, self._link = self._link, None
            await link.close()

    def _sweep(self) -> None:
        try:
            sweep(str(self._lock_path))
        except (LockHeldError, OSError) as error:
            log.warning("strays of a killed guard stay", action="guard.strays", error=str(error))

    async def _end(self, link: GuardLink, run: GuardedRun, grace_seconds: float, *, leaving: bool) -> None:
        if run.ended.is_set():
            return
        run.stop(leaving=leaving)
        link.send({"type": "kill", "id": run.number, "grace_seconds": grace_seconds})
        # Cancelled here, the guard goes on killing, and the next execution waits in `_live_link` for its end.
        await run.ended.wait()

    async def _live_link(self) -> GuardLink:
        """The present guard, with nothing running in it, or a new one if it died."""
        if self._closed:
            raise DraganError(ErrorCode.INTERNAL_ERROR, "the guard is closed")
        if self._link is not None and self._link.run is not None:
            await self._link.run.ended.wait()
        if self._link is None or self._link.dead:
            dead, self._link = self._link, None
            if dead is not None:
                await dead.close()
            self._link = await GuardLink.open(self._ttl_seconds)
        return self._link


def _request(number: int, argv: Sequence[str], cwd: Path, env: Mapping[str, str], stdin: bytes) -> dict[str, Any]:
    return {
        "type": "run",
        "id": number,
        "argv": list(argv),
        "cwd": str(cwd.absolute()),
        "env": dict(env),
        "stdin": base64.b64encode(stdin).decode(),
    }
