"""The processes of a campaign: started, watched, started again when they die, and told to stop at the end."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

import dragancorp
import dragancorp_contracts

from .journal import Disturbance, Journal

START_SECONDS = 60.0
STOP_SECONDS = 30.0
PAUSE_SECONDS = 0.1  # from a death to the successor's start
GUARD = "dragancorp.lanes.guard"


@dataclass(kw_only=True)
class Resident:
    """One process that belongs to the house: how it is started, and when it counts as ready."""

    name: str
    arguments: Sequence[str]
    is_plane: bool
    announces: str  # what it says once it is ready
    environment: dict[str, str] = field(default_factory=dict)
    pid: int | None = None  # while it lives
    fit: bool = False  # alive and ready, as far as is known
    stopped: bool = False  # by SIGSTOP, just now


class Fleet:
    """All residents of one campaign. What dies is started again until `stop`; what happened stands in the journal."""

    def __init__(self, folder: Path, residents: Sequence[Resident], journal: Journal) -> None:
        self.folder = folder
        self.residents = residents
        self.keepers: list[asyncio.Task[None]] = []
        self._below: set[psutil.Process] = (
            set()
        )  # everything ever seen below the starter: residents, guards, what they run
        self._journal = journal
        self._stopping = False
        self._starter: asyncio.subprocess.Process | None = None
        self._started: dict[str, asyncio.Future[int]] = {}
        self._exited: dict[int, asyncio.Future[int]] = {}

    async def start(self) -> None:
        """Start everybody, planes first, and wait until each is ready. Raises `AssertionError` when one is not."""
        (self.folder / "logs").mkdir()
        await self._start_starter()
        for resident in sorted(self.residents, key=lambda one: not one.is_plane):
            pid = await self._start(resident)
            if not resident.fit:
                raise AssertionError(f"{resident.name} does not start: {self.log_of(resident)[-2000:]}")
            self.keepers.append(asyncio.create_task(self._keep(resident, pid), name=f"keeper of {resident.name}"))

    async def stop(self) -> list[str]:
        """Tell everybody to stop, workers first; answers what did not go as it should."""
        self._stopping = True
        wrong = []
        await asyncio.to_thread(self.note_children)
        for resident in sorted(self.residents, key=lambda one: one.is_plane):
            pid = resident.pid
            if pid is None:
                continue
            send(pid, signal.SIGTERM)
            try:
                code = await asyncio.wait_for(asyncio.shield(self._exited[pid]), STOP_SECONDS)
                if code != 0:
                    wrong.append(f"{resident.name} ended with {code} when told to stop")
            except TimeoutError:
                wrong.append(f"{resident.name} did not stop in {STOP_SECONDS:g} s")
        if self._starter is not None and self._starter.stdin is not None:
            self._starter.stdin.close()
            await self._starter.wait()
        await asyncio.gather(*self.keepers, return_exceptions=True)
        return wrong

    # -- starting, and starting again

    async def _start_starter(self) -> None:
        packages = [str(Path(str(package.__file__)).parent.parent) for package in (dragancorp, dragancorp_contracts)]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("UA_")}
        root = Path(__file__).parents[__package__.count(".") + 1]
        with (self.folder / "logs" / "starter.log").open("ab") as log:
            self._starter = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", f"{__package__}.starter", str(self.folder)),
                cwd=self.folder,
                env={**kept, "PYTHONPATH": os.pathsep.join([*packages, str(root)])},
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        self.keepers.append(asyncio.create_task(self._listen(self._starter), name="listener to the starter"))

    async def _listen(self, starter: asyncio.subprocess.Process) -> None:
        """Hear of starts and deaths; ends with the starter."""
        assert starter.stdout is not None
        while line := await starter.stdout.readline():
            told = json.loads(line)
            if "started" in told:
                self._exited[told["pid"]] = asyncio.get_running_loop().create_future()
                self._started.pop(told["started"]).set_result(told["pid"])
            else:
                self._exited[told["exited"]].set_result(told["code"])
        if not self._stopping:
            raise AssertionError("the starter has died")

    async def _start(self, resident: Resident) -> int:
        """Start it, and wait until it is ready, dead, or not worth waiting for; answers its process id."""
        assert self._starter is not None
        assert self._starter.stdin is not None
        said = len(self.log_of(resident))
        started = self._started[resident.name] = asyncio.get_running_loop().create_future()
        wanted = {"name": resident.name, "arguments": resident.arguments, "environment": resident.environment}
        self._starter.stdin.write(json.dumps(wanted).encode() + b"\n")
        pid = resident.pid = await started
        until = time.monotonic() + START_SECONDS
        while not self._exited[pid].done() and time.monotonic() < until:
            if resident.announces in self.log_of(resident)[said:]:
                resident.fit = True
                break
            await asyncio.sleep(0.02)
        return pid

    async def _keep(self, resident: Resident, pid: int) -> None:
        """Start the resident again whenever it has died; ends when the fleet stops."""
        while True:
            await self._exited[pid]
            died_at = time.monotonic()
            resident.pid, resident.fit = None, False
            if self._stopping:
                return
            await asyncio.sleep(PAUSE_SECONDS)
            dead, pid = pid, await self._start(resident)
            until = time.monotonic() if resident.fit else None
            self._journal.disturbances.append(
                Disturbance(at=died_at, until=until, kind="died", target=resident.name, pid=dead)
            )

    def log_of(self, resident: Resident) -> str:
        """What it has written so far."""
        file = self.folder / "logs" / f"{resident.name}.log"
        return file.read_text(errors="replace") if file.exists() else ""

    def note_children(self) -> None:
        """Remember whoever lives below the starter just now."""
        if self._starter is not None:
            with contextlib.suppress(psutil.Error):
                self._below.update(psutil.Process(self._starter.pid).children(recursive=True))

    def survivors(self) -> list[psutil.Process]:
        """Who of all those still lives."""
        return [one for one in self._below if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]

    # -- what is done to them

    def kill(self, resident: Resident) -> None:
        """SIGKILL; the keeper sees it."""
        self.note_children()
        if resident.pid is not None:
            send(resident.pid, signal.SIGKILL)

    def kill_guard(self, resident: Resident) -> None:
        """SIGKILL to one of its guards."""
        self.note_children()
        if resident.pid is None:
            return
        with contextlib.suppress(psutil.Error):
            guards = [one for one in psutil.Process(resident.pid).children() if GUARD in one.cmdline()]
            for guard in guards[:1]:
                guard.kill()

    async def suspend(self, resident: Resident, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after `seconds`."""
        pid = resident.pid
        if pid is None or resident.stopped:
            return
        self.note_children()
        at = time.monotonic()
        resident.stopped = True
        send(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            resident.stopped = False
            send(pid, signal.SIGCONT)
            self._journal.disturbances.append(
                Disturbance(at=at, until=time.monotonic(), kind="stop", target=resident.name, pid=pid)
            )


def send(pid: int, number: signal.Signals) -> None:
    """Signal a process; one that has died meanwhile is passed over."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
