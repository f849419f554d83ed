"""A server under examination: an ASGI application on a real socket, in a thread of its own."""

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import uvicorn

from .broken.connections import Front
from .minimal_server.server import Minimal

STARTED_SECONDS = 30.0


@contextmanager
def served(server: Minimal) -> Iterator[str]:
    """The URL at which it answers, until it is left."""
    with _listening(server.app()) as port:
        if isinstance(server, Front):
            with _fronted(server, port) as front:
                yield f"http://127.0.0.1:{front}"
        else:
            yield f"http://127.0.0.1:{port}"


@contextmanager
def _listening(app: Any) -> Iterator[int]:
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL + 1)  # a broken server's tracebacks are meant
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    config = uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1, ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        until = time.monotonic() + STARTED_SECONDS
        while not server.started:
            assert time.monotonic() < until, "the server did not start"
            time.sleep(0.005)
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(STARTED_SECONDS)
        listener.close()


@contextmanager
def _fronted(front: Front, behind: int) -> Iterator[int]:
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.CancelledError):
            await front.connected(reader, writer, behind)
        with suppress(OSError):
            writer.close()

    async def run() -> None:
        server = await asyncio.start_server(connected, sock=listener)
        await stop.wait()
        server.close()
        connections = asyncio.all_tasks() - {asyncio.current_task()}
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()), daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(STARTED_SECONDS)
        loop.close()
