"""The registry of a house over HTTP: the real face on a real socket, and the worker's link to it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import uvicorn

from dragancorp.clock import Clock
from dragancorp.control_plane import ControlPlane
from dragancorp.faces import asgi
from dragancorp.lanes.configuration import configure_lanes
from dragancorp.lanes.http_link import HttpLink
from dragancorp.registry.port import Store
from dragancorp.settings import Settings
from dragancorp.tokens_file import TokenBook, worker_token
from dragancorp_contracts.client import Client

TOKEN = "a-workers-token"


def link_to(url: str) -> HttpLink:
    """A worker's link to a plane."""
    return HttpLink(lambda: (url, TOKEN), _client)


def _client(url: str, token: str | None) -> Client:
    return Client(url, token, timeout=5.0, attempts=1, transport=httpx.AsyncHTTPTransport())


@asynccontextmanager
async def served(store: Store, clock: Clock, vp_id: str, folder: Path) -> AsyncIterator[str]:
    """Serve the registry; answers its URL. Uploads go below `folder`."""
    lanes = configure_lanes([{"vp_id": vp_id, "executor": {"type": "automation", "allow": ["sh"]}}], folder)
    plane = ControlPlane(store, lanes, clock, Settings(), data=folder)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        app = asgi(plane, tokens=TokenBook([worker_token(TOKEN)]))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, ws="none", timeout_graceful_shutdown=1))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            async with asyncio.timeout(20):
                while not server.started:
                    await asyncio.sleep(0.01)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving
