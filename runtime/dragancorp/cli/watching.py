"""Following a mission to its end, also across a restart of its control plane."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from dragancorp.cli import output
from dragancorp.cli.connection import Server, path_arguments
from dragancorp_contracts import strict_json
from dragancorp_contracts.api.operations import STREAM_MISSION_EVENTS
from dragancorp_contracts.client import Client, ProblemError, ServerUnreachable

PATIENCE_SECONDS = 60.0  # how long the control plane may be away before it is given up
PAUSE_SECONDS = 0.5
EVENT = "mission_event"  # what an entry of the ledger is called on the stream; a gap is only for who does not come back

Show = Callable[[dict[str, Any]], None]


async def follow_log(server: Server, mission_id: str, show: Callable[[str, str], None]) -> str:
    """Show what a mission's programs print, whole lines, until it has ended; answers the state it ended in.

    Raises what the server refuses, and `ServerUnreachable`.
    """
    arguments = path_arguments(STREAM_MISSION_EVENTS, {"mission_id": mission_id})
    cursor: str | None = None
    held: dict[str, str] = {}  # by log: a line whose end has not come yet
    async with server.client() as client:
        while True:
            part = await client.read_mission_log(**arguments, cursor=cursor)
            for piece in part["parts"]:
                whole, _, rest = (held.pop(piece["name"], "") + piece["text"]).rpartition("\n")
                if rest:
                    held[piece["name"]] = rest
                if whole:
                    show(piece["name"], whole)
            if part["terminal"] and part["cursor"] == cursor:
                break
            if part["cursor"] == cursor:
                await asyncio.sleep(PAUSE_SECONDS)
            cursor = part["cursor"]
        for name, rest in held.items():
            show(name, rest)
        state: str = (await client.get_mission(**arguments))["state"]
        return state


class Watch:
    """Follows one mission; events come in order and once each, however often the connection is lost."""

    def __init__(self, server: Server, mission_id: str, show: Show) -> None:
        self._server = server
        self._arguments = path_arguments(STREAM_MISSION_EVENTS, {"mission_id": mission_id})
        self._show = show
        self._after = 0
        self._status = ""
        self._heard = False
        self._lost_at: float | None = None

    async def to_the_end(self) -> str:
        """The state the mission ended in.

        Raises what the server refuses, and `ServerUnreachable` when it stays away for a minute, or was never there.
        """
        while True:
            try:
                async with self._server.client(attempts=1) as client:
                    await self._follow(client)
                return self._status
            except (ServerUnreachable, ProblemError) as error:
                if not _may_pass(error, heard_before=self._heard) or not self._patient():
                    raise
            await asyncio.sleep(PAUSE_SECONDS)

    async def _follow(self, client: Client) -> None:
        """Show what is new until there is no more."""
        stream = client.stream_mission_events(**self._arguments, last_event_id=self._after)
        async with contextlib.aclosing(stream) as told:
            async for entry in told:
                self._is_there()
                if entry.event == EVENT:
                    event = strict_json.loads(entry.data or "")
                    self._after, self._status = event["sequence"], event["status"]
                    self._show(event)

    def _is_there(self) -> None:
        self._heard = True
        if self._lost_at is not None:
            self._lost_at = None
            output.note("the control plane is back")

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
