"""A program as the primary agent: the turn's text on its standard input, each line of its output an event.

It runs in a process group of its own, which is killed when the turn is left. No shell is involved.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Sequence

from dragancorp.errors import DraganError, ErrorCode
from dragancorp.gateway.turns import Turn

LINE_BYTES = 1024 * 1024


class CommandPrimary:
    """`Primary` for `dragan dev --primary`: the words of a command, the first of them the program."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = tuple(words)

    async def __call__(self, turn: Turn) -> AsyncIterator[str]:
        """One turn. Raises `settings_invalid` when the program cannot be started or ends with an error."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self._words,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
                limit=LINE_BYTES,
            )
        except (OSError, ValueError) as error:
            raise DraganError(ErrorCode.SETTINGS_INVALID, f"--primary {self._words[0]!r}: {error}") from error
        feeding = asyncio.create_task(_feed(process, turn.text))
        try:
            if process.stdout is not None:
                async for line in process.stdout:
                    yield line.decode("utf-8", "replace").rstrip("\n")
            code = await process.wait()
            if code:
                raise DraganError(ErrorCode.SETTINGS_INVALID, f"--primary {self._words[0]!r} ended with {code}")
        finally:
            feeding.cancel()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await asyncio.gather(feeding, process.wait(), return_exceptions=True)


async def _feed(process: asyncio.subprocess.Process, text: str) -> None:
    if process.stdin is None:
        return
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(text.encode("utf-8", "backslashreplace"))
        await process.stdin.drain()
        process.stdin.close()
