"""What becomes of requests that still wait when the plane behind them has closed.

A long poll may wait for half a minute for news that cannot come any more. Left alone it would hold up the end of the
process, and then break off without an answer; here it is answered `shutting_down`, which tells its sender to come back.
"""

import asyncio
import json

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPResponseStartEvent, Message, Receive, Scope, Send

from dragancorp.errors import DraganError, ErrorCode

RETRY_AFTER_SECONDS = 1


class LastAnswers:
    """An ASGI application in front of another one, until `close`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._answering: set[asyncio.Task[None]] = set()
        self._closed = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; when it is broken off by `close` before it was answered, answer it."""
        task = asyncio.current_task()
        if scope["type"] != ScopeType.HTTP or task is None:
            await self._app(scope, receive, send)
            return
        begun = False

        async def note_and_send(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        self._answering.add(task)
        try:
            await self._app(scope, receive, note_and_send)
        except asyncio.CancelledError:
            if begun or not self._closed:
                raise
            task.uncancel()
            await _answer_shutting_down(send)
        finally:
            self._answering.discard(task)

    def close(self) -> None:
        """Break off what still waits. The plane is closed by now: nothing can be lost."""
        self._closed = True
        for task in self._answering:
            task.cancel()


async def _answer_shutting_down(send: Send) -> None:
    problem = DraganError(ErrorCode.SHUTTING_DOWN, "the control plane is stopping").problem()
    start: HTTPResponseStartEvent = {
        "type": "http.response.start",
        "status": int(problem["status"]),
        "headers": [
            (b"content-type", b"application/problem+json"),
            (b"retry-after", str(RETRY_AFTER_SECONDS).encode()),
            (b"connection", b"close"),
        ],
    }
    await send(start)
    await send({"type": "http.response.body", "body": json.dumps(problem).encode(), "more_body": False})
