"""Following a mission to its end, also across a restart of its control plane."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from dragancorp.cli import output
from dragancorp.cli.connection import Server, path_arguments
from dragancorp_contracts.api.operations import LIST_MISSION_EVENTS
from dragancorp_contracts.client import Client, ProblemError, ServerUnreachable

WAIT_SECONDS = 20.0  # how long one question may stay open
PATIENCE_SECONDS = 60.0  # how long the control plane may be away before it is given up
PAUSE_SECONDS = 0.5

Show = Callable[[dict[str, Any]], None]


class Watch:
    """Follows one mission; events come in order and once each, however often the connection is lost."""

    def __init__(self, server: Server, mission_id: str, show: Show) -> None:
        self._server = server
        self._arguments = path_arguments(LIST_MISSION_EVENTS, {"mission_id": mission_id})
        self._show = show
        self._after = 0
        self._status = ""
        self._lost_at: float | None = None

    async def to_the_end(self) -> str:
        """The state the mission ended in.

        Raises what the server refuses, and `ServerUnreachable` when it stays away for a minute, or was never there.
        """
        heard_before = False
        while True:
            try:
                async with self._server.client(attempts=1) as client:
                    while not await self._step(client):
                        heard_before = True
                return self._status
            except (ServerUnreachable, ProblemError) as error:
                if not _may_pass(error, heard_before=heard_before) or not self._patient():
                    raise
            await asyncio.sleep(PAUSE_SECONDS)

    async def _step(self, client: Client) -> bool:
        """Show what is new; True when that was the end."""
        page = await client.list_mission_events(**self._arguments, after=self._after, wait=WAIT_SECONDS)
        if self._lost_at is not None:
            self._lost_at = None
            output.note("the control plane is back")
        for event in page["events"]:
            self._after, self._status = event["sequence"], event["status"]
            self._show(event)
        return bool(page["terminal"]) and self._after >= page["last_sequence"]

    def _patient(self) -> bool:
        now = time.monotonic()
        if self._lost_at is None:
            self._lost_at = now
            output.note("the control plane is away; waiting for it")
        return now - self._lost_at < PATIENCE_SECONDS


def _may_pass(error: ServerUnreachable | ProblemError, *, heard_before: bool) -> bool:
    if not heard_before:
        return False
    # A restart may bring a new token for this host, which stands in plane.json a moment later.
    return isinstance(error, ServerUnreachable) or error.status in (401, 503)


def event_line(event: dict[str, Any]) -> str:
    """An event on one line: time, what happened, why, and what was said."""
    clock = event["emitted_at"][11:19]
    reason = f" ({event['reason_code']})" if event.get("reason_code") else ""
    said = f": {event['summary']}" if event.get("summary") else ""
    name = event["type"].removeprefix("vp.mission.").replace("_", " ")
    return output.plain(f"{clock}  {name}{reason}{said}")


def progress(mission_id: str, *, wanted: bool) -> AbstractContextManager[Any]:
    """A line that shows that it goes on, where that is wanted and a person watches; nothing otherwise."""
    if not wanted or not output.watched():
        return nullcontext()
    from rich.console import Console
    from rich.text import Text

    return Console(highlight=False).status(Text(f"watching {output.plain(mission_id)}"))
