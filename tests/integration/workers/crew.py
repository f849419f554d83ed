"""Workers as processes of their own, and a plane that they reach over HTTP."""

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import uvicorn

import dragancorp
import dragancorp_contracts
from dragancorp.control_plane import ControlPlane
from dragancorp.faces import asgi
from dragancorp.lifecycle.commands import By
from dragancorp.lifecycle.rows import MissionRow, SessionRow
from dragancorp.missions.commands import Requester
from dragancorp.registry.queries import GetLane, GetMission, ReadLedger, ReadSessionLedger
from dragancorp.tokens_file import TokenBook, operator_token, worker_token
from dragancorp_contracts.lifecycle import Actor

LANE = "vp.coder.primary"
AUTOMATION = "https://dragancorp.dev/specs/automation-mission/v1/schema.json"
CALLER = Requester(by=By(kind=Actor.CALLER, name="simone"))
WORKER, OPERATOR = "workers-token", "operators-token"
LANES = """
lanes:
  - vp_id: vp.coder.primary
    executor: {type: automation, allow: [sh, sleep, "true"], cancel_grace_seconds: 0.3}
    lease_ttl: %g
    recovery: {backoff: 0.1}
"""


def tokens() -> TokenBook:
    """A worker's and an operator's."""
    return TokenBook([worker_token(WORKER), operator_token(OPERATOR)])


def environment(**extra: str) -> dict[str, str]:
    """What a process sees: nothing of the settings around the tests."""
    packages = [str(Path(str(package.__file__)).parent.parent) for package in (dragancorp, dragancorp_contracts)]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("UA_")}
    return {**kept, "PYTHONPATH": os.pathsep.join(packages), **extra}


@dataclass
class Process:
    """A `dragan` command that goes on; what it says is in files, so that it never waits for a reader."""

    process: psutil.Popen
    out: Path
    err: Path

    def said(self, action: str) -> list[dict[str, Any]]:
        """The log lines of one action."""
        lines = [json.loads(line) for line in self.err.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("action") == action]

    async def says(self, action: str, times: int = 1, seconds: float = 120) -> None:
        """Wait until it has said this so many times."""

        async def so() -> bool:
            assert self.process.poll() is None, self.err.read_text()
            return len(self.said(action)) >= times

        await eventually(so, seconds, lambda: self.err.read_text())

    async def ended(self, seconds: float = 120) -> int:
        """Wait for its end; answers the exit code."""
        return int(await asyncio.to_thread(self.process.wait, seconds))

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)


def start(folder: Path, *words: str, number: int, **extra: str) -> Process:
    """Start a `dragan` command in a folder; `extra` are variables."""
    out, err = folder / f"{number}.out", folder / f"{number}.err"
    with out.open("w") as told, err.open("w") as noted:
        command = [sys.executable, "-m", "dragancorp.cli", *words]
        process = psutil.Popen(command, cwd=folder, env=environment(**extra), stdout=told, stderr=noted)
    return Process(process, out, err)


@dataclass
class Crew:
    """One lane's plane and whoever works for it."""

    folder: Path
    plane: ControlPlane
    url: str
    started: list[Process] = field(default_factory=list)

    def start(self, *words: str, **extra: str) -> Process:
        """Start a `dragan` command."""
        self.started.append(start(self.folder, *words, number=len(self.started), **extra))
        return self.started[-1]

    def worker(self, name: str, *words: str) -> Process:
        """A worker with folders of its own, as on another host."""
        options = ("--lane", LANE, "--url", self.url, "--data", str(self.folder / name), "--grace", "0", *words)
        return self.start("worker", *options, UA_INTERNAL_API_TOKEN=WORKER)

    async def working(self, name: str) -> Process:
        """A worker that holds the lease."""
        worker = self.worker(name)
        await worker.says("lane.acquired")
        return worker

    async def dispatch(self, *commands: Sequence[str], **members: Any) -> str:
        """A mission of these commands; answers its id."""
        steps = [{"run": list(command)} for command in commands]
        envelope = {
            "vp_id": LANE,
            "mission_type": "automation",
            "objective": "do it",
            "idempotency_key": f"key-{time.monotonic_ns()}",
            "extensions": [{"uri": AUTOMATION, "required": True, "value": {"steps": steps}}],
        }
        return (await self.plane.missions.dispatch(envelope | members, CALLER)).mission.row.mission_id

    async def session(self) -> SessionRow:
        record = await self.plane.store.read(GetLane(vp_id=LANE))
        assert record is not None
        return record.row

    async def row(self, mission_id: str) -> MissionRow:
        stored = await self.plane.store.read(GetMission(mission_id=mission_id))
        assert stored is not None
        return stored.row

    async def over(self, mission_id: str, seconds: float = 120) -> MissionRow:
        """The mission once it has ended."""

        async def so() -> bool:
            return (await self.row(mission_id)).terminal

        await eventually(so, seconds, lambda: "\n".join(one.err.read_text() for one in self.started))
        return await self.row(mission_id)

    async def events(self, mission_id: str) -> list[Mapping[str, Any]]:
        part = await self.plane.store.read(ReadLedger(mission_id=mission_id, limit=1000))
        assert part is not None
        return list(part.events)

    async def types(self, mission_id: str) -> list[str]:
        return [event["type"].removeprefix("vp.mission.") for event in await self.events(mission_id)]

    async def session_events(self) -> list[str]:
        events = await self.plane.store.read(ReadSessionLedger(vp_id=LANE, limit=1000))
        return [event["type"].removeprefix("vp.session.") for event in events]


@asynccontextmanager
async def crew_of(folder: Path, lease_ttl: float) -> AsyncIterator[Crew]:
    """A plane in this process behind a real socket, without workers; all processes are ended afterwards."""
    (folder / "lanes.yaml").write_text(LANES % lease_ttl)
    async with AsyncExitStack() as stack:
        database = f"sqlite:///{folder / 'plane' / 'state.db'}"
        plane = await ControlPlane.open(database, lanes=folder / "lanes.yaml", serve_lanes=False)
        stack.push_async_callback(plane.close)
        url = await stack.enter_async_context(_served(plane))
        async with crew_on(Crew(folder, plane, url)) as crew:
            yield crew


@asynccontextmanager
async def crew_on(crew: Crew) -> AsyncIterator[Crew]:
    """A crew whose processes are ended afterwards."""
    try:
        yield crew
    finally:
        for one in crew.started:
            with suppress(psutil.NoSuchProcess):
                one.process.kill()
            await asyncio.to_thread(one.process.wait)


@asynccontextmanager
async def _served(plane: ControlPlane) -> AsyncIterator[str]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        app = asgi(plane, tokens=tokens())
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, ws="none", timeout_graceful_shutdown=1))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        async with asyncio.timeout(20):
            while not server.started:
                await asyncio.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving


async def eventually(
    holds: Callable[[], Awaitable[bool]], seconds: float = 60, tell: Callable[[], str] = lambda: ""
) -> None:
    """Wait until `holds()` answers true; fails after `seconds`, with what `tell` says."""
    until = time.monotonic() + seconds
    while not await holds():
        assert time.monotonic() < until, f"it did not come to pass within {seconds} s\n{tell()}"
        await asyncio.sleep(0.05)


def alive(word: str) -> list[int]:
    """Living processes with this word on their command line."""
    return [
        process.pid
        for process in psutil.process_iter(["cmdline", "status"])
        if word in (process.info["cmdline"] or []) and process.info["status"] != psutil.STATUS_ZOMBIE
    ]


async def up(word: str) -> None:
    """Wait until a process with this word lives."""

    async def so() -> bool:
        return bool(alive(word))

    await eventually(so)


async def gone(word: str) -> None:
    """Wait until none does any more."""

    async def so() -> bool:
        return not alive(word)

    await eventually(so)


def worker_http(url: str) -> httpx.AsyncClient:
    """HTTP with a worker's token."""
    return httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {WORKER}"}, timeout=30)
