"""Serving a control plane from the command line: socket, registry, lanes and API in one process, until a signal.

The order matters. The socket comes first: a second server on a port fails before it touches anything. The registry
comes next, which one process owns; only its owner writes `plane.json`. On the way down everything is let go in turn:
claims stop, running missions get their grace and are handed back, the registry closes, the last answers leave.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import structlog
import uvicorn

from dragancorp.cli import listening, output, plane_file, stopping
from dragancorp.cli.access import Access, access
from dragancorp.cli.database_url import database_url
from dragancorp.control_plane import ControlPlane
from dragancorp.errors import DraganError, ErrorCode
from dragancorp.faces import asgi
from dragancorp.faces.api.session_socket import LARGEST_FRAME_BYTES
from dragancorp.gateway.command_primary import CommandPrimary
from dragancorp.lanes_file import read_lanes
from dragancorp.registry.sqlite import SqliteStore
from dragancorp.settings import Settings

ANSWERS_SECONDS = 2.0  # how long answers under way may take once everything else has ended
READY_PAUSE_SECONDS = 0.05

log = structlog.get_logger("dragancorp.cli")


@dataclass(frozen=True, kw_only=True)
class Serving:
    """What `dragan dev` and `dragan serve` were asked for."""

    host: str
    port: int
    data: Path
    lanes: Path
    serve_lanes: bool
    grace_seconds: float
    as_json: bool
    primary: Sequence[str] = ()


class _Server(uvicorn.Server):
    """uvicorn without its signal handling: ours ends the lanes and the registry first."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(asked: Serving) -> None:
    """Serve until SIGTERM or SIGINT; a second one ends the process at once.

    Errors: those of the lanes file, the settings and the tokens file, `port_in_use`, and those of opening the registry.
    """
    settings = Settings.from_environment()
    if not asked.lanes.is_file():
        raise DraganError(
            ErrorCode.LANES_FILE_INVALID,
            f"there is no lanes file {asked.lanes}; write one, or name it with --lanes",
        )
    lanes = read_lanes(asked.lanes)
    allowed = access(settings, asked.host)
    with contextlib.closing(listening.bind(asked.host, asked.port)) as listener:
        _make_folder(asked.data)
        stop = stopping.heeded(lambda: _leave(asked.data))
        plane = await ControlPlane.open(
            database_url(asked.data),
            lanes=lanes,
            data=asked.data,
            serve_lanes=asked.serve_lanes,
            settings=settings,
            primary=CommandPrimary(asked.primary) if asked.primary else None,
        )
        try:
            await _answer(plane, asked, allowed, listener, stop)
        finally:
            plane_file.remove(asked.data)
            await plane.close(grace_seconds=asked.grace_seconds)


async def _answer(
    plane: ControlPlane, asked: Serving, allowed: Access, listener: socket.socket, stop: asyncio.Event
) -> None:
    """Answer requests until told to stop; the lanes and the registry are down before the last answer leaves."""
    url = listening.local_url(listener)
    plane_file.write(
        asked.data,
        plane_file.PlaneFile(
            url=url,
            token=allowed.local_token,
            worker_token=allowed.worker_token,
            pid=os.getpid(),
            instance_id=plane.instance_id,
        ),
    )
    if isinstance(plane.store, SqliteStore):
        plane.store.announce(url)
    server = _Server(
        uvicorn.Config(
            asgi(plane, tokens=allowed.book),
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="on",
            ws="websockets-sansio",
            ws_max_size=LARGEST_FRAME_BYTES,
            timeout_graceful_shutdown=int(ANSWERS_SECONDS),
        )
    )
    answering = asyncio.create_task(server.serve(sockets=[listener]), name="http")
    told = asyncio.create_task(stop.wait(), name="stop")
    announcing = asyncio.create_task(_announce(plane, asked, allowed, url), name="ready")
    try:
        await asyncio.wait({answering, told}, return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            log.info("draining", action="plane.draining", grace_seconds=asked.grace_seconds)
            # The API goes on meanwhile, so that those who watch see how their missions end.
            await plane.close(grace_seconds=asked.grace_seconds)
    finally:
        announcing.cancel()
        told.cancel()
        server.should_exit = True
        await asyncio.gather(announcing, told, return_exceptions=True)
        await answering
    log.info("stopped", action="plane.stopped")


async def _announce(plane: ControlPlane, asked: Serving, allowed: Access, url: str) -> None:
    """Say that it is ready, once it answers."""
    async with httpx.AsyncClient(base_url=url, transport=httpx.AsyncHTTPTransport()) as http:
        while True:
            with contextlib.suppress(httpx.TransportError):
                if (await http.get("/healthz")).is_success:
                    break
            await asyncio.sleep(READY_PAUSE_SECONDS)
    if not allowed.configured:
        output.note("no token is configured: this host only, by a token of this run in plane.json")
    if not asked.serve_lanes:
        output.note("lanes need workers of their own: this process serves the registry and the API")
    output.note(f"ready at {url}; lanes: {', '.join(plane.lanes) or 'none'}; data in {asked.data}")
    if asked.as_json:
        output.document(_ready_document(plane, asked, url), one_line=True)


def _ready_document(plane: ControlPlane, asked: Serving, url: str) -> dict[str, Any]:
    return {
        "url": url,
        "pid": os.getpid(),
        "instance_id": plane.instance_id,
        "data": str(asked.data),
        "lanes": list(plane.lanes),
    }


def _make_folder(data: Path) -> None:
    try:
        data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DraganError(ErrorCode.DATA_FOLDER_UNUSABLE, f"{data}: {error.strerror or error}") from error


def _leave(data: Path) -> None:
    """The last words before the process ends at once."""
    # The guards see this process go and end what runs; the next start takes the missions up again.
    output.note("stopped at once; missions that were running are taken up again at the next start")
    plane_file.remove(data)
