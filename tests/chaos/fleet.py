"""The processes of a campaign: started, watched, started again when they die, and told to stop at the end."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

import dragancorp
import dragancorp_contracts

from .journal import Disturbance, Journal

ENTRY = Path(__file__).with_name("process.py")
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
    ready: Callable[[], Awaitable[bool]]
    environment: dict[str, str] = field(default_factory=dict)
    process: asyncio.subprocess.Process | None = None
    exit_codes: list[int] = field(default_factory=list)
    stopped: bool = False  # by SIGSTOP, just now

    @property
    def pid(self) -> int | None:
        """Its process, while one lives."""
        living = self.process is not None and self.process.returncode is None
        return self.process.pid if living and self.process is not None else None


class Fleet:
    """All residents of one campaign. What dies is started again until `stop`; what happened stands in the journal."""

    def __init__(self, folder: Path, residents: Sequence[Resident], journal: Journal) -> None:
        self.folder = folder
        self.residents = residents
        self.started: set[psutil.Process] = set()  # everything ever seen below a resident
        self._journal = journal
        self._stopping = False
        self.keepers: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start everybody, planes first, and wait until each is ready."""
        (self.folder / "logs").mkdir()
        for resident in sorted(self.residents, key=lambda one: not one.is_plane):
            await self._start(resident)
            if resident.pid is None or not await resident.ready():
                raise AssertionError(f"{resident.name} does not start: {self.log_of(resident)[-2000:]}")
            self.keepers.append(asyncio.create_task(self._keep(resident), name=f"keeper of {resident.name}"))

    async def stop(self) -> list[str]:
        """Tell everybody to stop, workers first; answers what did not go as it should."""
        self._stopping = True
        wrong = []
        for resident in sorted(self.residents, key=lambda one: one.is_plane):
            self.note_children()
            process = resident.process
            if process is None or process.returncode is not None:
                continue
            process.terminate()
            try:
                code = await asyncio.wait_for(process.wait(), STOP_SECONDS)
                if code != 0:
                    wrong.append(f"{resident.name} ended with {code} when told to stop")
            except TimeoutError:
                wrong.append(f"{resident.name} did not stop in {STOP_SECONDS:g} s")
                process.kill()
                await process.wait()
        await asyncio.gather(*self.keepers, return_exceptions=True)
        return wrong

    async def _start(self, resident: Resident) -> None:
        packages = [str(Path(str(package.__file__)).parent.parent) for package in (dragancorp, dragancorp_contracts)]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("UA_")}
        with (self.folder / "logs" / f"{resident.name}.log").open("ab") as log:
            resident.process = await asyncio.create_subprocess_exec(
                sys.executable,
                *(str(ENTRY), str(self.folder), resident.name, *resident.arguments),
                cwd=self.folder,
                env={**kept, "PYTHONPATH": os.pathsep.join(packages), **resident.environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + START_SECONDS
        while not await resident.ready():
            if resident.pid is None or time.monotonic() > until:
                return  # its keeper sees it die; or it goes on trying
            await asyncio.sleep(0.03)

    async def _keep(self, resident: Resident) -> None:
        """Start the resident again whenever it has died; ends when the fleet stops."""
        while not self._stopping:
            process = resident.process
            assert process is not None
            code = await process.wait()
            died_at = time.monotonic()
            resident.exit_codes.append(code)
            if self._stopping:
                return
            await asyncio.sleep(PAUSE_SECONDS)
            await self._start(resident)
            alive = resident.pid is not None
            self._journal.disturbances.append(
                Disturbance(
                    at=died_at,
                    until=time.monotonic() if alive else None,
                    kind="died",
                    target=resident.name,
                    pid=process.pid,
                )
            )

    def log_of(self, resident: Resident) -> str:
        """What it has written so far."""
        return (self.folder / "logs" / f"{resident.name}.log").read_text(errors="replace")

    def note_children(self) -> None:
        """Remember whoever lives below the residents just now: guards, and what they run."""
        for resident in self.residents:
            if resident.pid is not None:
                with contextlib.suppress(psutil.Error):
                    self.started.update(psutil.Process(resident.pid).children(recursive=True))

    def survivors(self) -> list[psutil.Process]:
        """Who of all those still lives."""
        return [one for one in self.started if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]

    # -- what is done to them

    def kill(self, resident: Resident) -> None:
        """SIGKILL; the keeper sees it."""
        self.note_children()
        if resident.pid is not None:
            os.kill(resident.pid, signal.SIGKILL)

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
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            resident.stopped = False
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
            self._journal.disturbances.append(
                Disturbance(at=at, until=time.monotonic(), kind="stop", target=resident.name, pid=pid)
            )
