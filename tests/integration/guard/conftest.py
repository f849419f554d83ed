import json
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import psutil
import pytest

import dragancorp
import dragancorp_contracts
from dragancorp.lanes.guarded import Guard

# Starts a child, a child in a session of its own and an orphan in a session of its own, says "up", then sleeps or
# leaves them behind. Deaf: all ignore SIGTERM. argv: tag, hearing or deaf, stay or leave.
_FAMILY = """
import os, signal, subprocess, sys, time
tag, hearing, staying = sys.argv[1:4]
if hearing == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
sleeper = [sys.executable, "-S", "-c", "import time; time.sleep(300)", tag]
subprocess.Popen(sleeper)
subprocess.Popen(sleeper, start_new_session=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execv(sys.executable, sleeper)
    os._exit(0)
os.wait()
time.sleep(0.2)
print("up", flush=True)
if staying == "stay":
    time.sleep(300)
"""

# A worker in a process of its own: runs one command under a guard and says what happens. argv: lock, ttl; the command
# comes in the environment, so that the worker is not taken for one of the family.
_WORKER = """
import asyncio, json, os, sys
from pathlib import Path
from dragancorp.lanes.guarded import Guard

async def main():
    async with Guard(lock_path=Path(sys.argv[1]), ttl_seconds=float(sys.argv[2])) as guard:
        print("guard", guard.pid, flush=True)
        command = json.loads(os.environ["COMMAND"])
        async for event in guard.run(command, cwd=Path("/"), env={"PATH": os.environ["PATH"]}):
            print(event, flush=True)

asyncio.run(main())
"""


class Family:
    """Processes that a test starts through a guard, known by a word on their command lines."""

    size = 4

    def __init__(self, tag: str) -> None:
        self.tag = tag

    def command(self, hearing: str = "hearing", staying: str = "stay") -> list[str]:
        return [sys.executable, "-S", "-c", _FAMILY, self.tag, hearing, staying]

    def alive(self) -> list[psutil.Process]:
        return [
            process
            for process in psutil.process_iter(["cmdline", "status"])
            if self.tag in (process.info["cmdline"] or []) and process.info["status"] != psutil.STATUS_ZOMBIE
        ]

    def wait_until_gone(self, seconds: float) -> float:
        """How long it took; fails after `seconds`."""
        start = time.monotonic()
        while alive := self.alive():
            assert time.monotonic() - start < seconds, f"still there: {alive}"
            time.sleep(0.02)
        return time.monotonic() - start

    def stick(self, seconds: float) -> None:
        """Hold up whoever calls, an event loop too; then nothing may be left."""
        time.sleep(seconds)
        assert self.alive() == []


class Worker:
    """A worker process with one guarded command in it."""

    def __init__(self, lock_path: Path, ttl_seconds: float, command: list[str]) -> None:
        packages = (dragancorp, dragancorp_contracts)
        found_at = os.pathsep.join(str(Path(str(package.__file__)).parent.parent) for package in packages)
        self.process = psutil.Popen(
            [sys.executable, "-c", _WORKER, str(lock_path), str(ttl_seconds)],
            stdout=-1,  # a pipe
            env={**os.environ, "PYTHONPATH": found_at, "COMMAND": json.dumps(command)},
            text=True,
        )
        self.guard = psutil.Process(int(self.wait_for("guard ").split()[1]))

    def wait_for(self, word: str) -> str:
        for line in self.process.stdout:
            if word in line:
                return str(line)
        raise AssertionError(f"the worker ended without saying {word!r}")

    def end(self) -> None:
        if self.process.is_running():
            self.process.kill()
        self.process.stdout.close()
        self.process.wait()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def environment() -> Mapping[str, str]:
    return {"PATH": os.environ["PATH"]}


@pytest.fixture
def lock_path(tmp_path: Path) -> Path:
    return tmp_path / "lock"


@pytest.fixture
async def guard(lock_path: Path) -> AsyncIterator[Guard]:
    async with Guard(lock_path=lock_path, ttl_seconds=30) as guard:
        yield guard


@pytest.fixture
def family(tmp_path: Path) -> Iterator[Family]:
    family = Family(f"family-{os.getpid()}-{tmp_path.name}")
    yield family
    for process in family.alive():
        process.kill()


@pytest.fixture
def start_worker(lock_path: Path, family: Family) -> Iterator[object]:
    """A function (ttl_seconds, hearing) that starts a worker and returns it when its family is up."""
    started: list[Worker] = []

    def start(ttl_seconds: float = 30, hearing: str = "hearing") -> Worker:
        worker = Worker(lock_path, ttl_seconds, family.command(hearing))
        started.append(worker)
        worker.wait_for("'up'")
        assert len(family.alive()) == family.size
        return worker

    yield start
    for worker in started:
        worker.end()
