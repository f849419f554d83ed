"""Real processes: a control plane by `dragan dev`, and the command line against it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

import dragancorp
import dragancorp_contracts

LANE = "vp.coder.primary"
LANES = """
lanes:
  - vp_id: vp.coder.primary
    description: Runs commands.
    executor:
      type: automation
      allow: [sh, sleep, echo, python3]
      cancel_grace_seconds: 0.5
    lease_ttl: 3
    heartbeat_interval: 0.5
    recovery: {backoff: 0.2}
"""
START_SECONDS = 90.0  # a busy machine starts slowly
COMMAND_SECONDS = 60.0


def environment(extra: dict[str, str]) -> dict[str, str]:
    """What a process sees: nothing of the settings around the tests."""
    packages = [str(Path(str(package.__file__)).parent.parent) for package in (dragancorp, dragancorp_contracts)]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("UA_")}
    return {**kept, "PYTHONPATH": os.pathsep.join(packages), **extra}


@dataclass
class Done:
    """How a command ended."""

    exit_code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def problem(self) -> Any:
        """The problem on stderr, which is its last line."""
        return json.loads(self.err.splitlines()[-1])

    @property
    def json_lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass
class Dragan:
    """The command line in a folder."""

    folder: Path
    extra: dict[str, str] = field(default_factory=dict)

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        piped = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(
            [sys.executable, "-m", "dragancorp.cli", *arguments],
            cwd=self.folder,
            env=environment(self.extra),
            text=True,
            **{**piped, **options},
        )

    def __call__(self, *arguments: str, stdin: str = "") -> Done:
        process = self.start(*arguments)
        try:
            out, err = process.communicate(stdin, timeout=COMMAND_SECONDS)
        except BaseException:
            process.kill()
            process.communicate()
            raise
        assert "Traceback" not in err, err
        return Done(process.returncode, out, err)

    def ask(self, *arguments: str) -> Any:
        """The JSON answer of a command that has to succeed."""
        done = self(*arguments, "--json")
        assert done.exit_code == 0, done.err
        return done.json

    def dispatch(self, *commands: str, objective: str = "work") -> str:
        """Dispatch an automation mission; its id."""
        runs = [word for command in commands for word in ("--run", command)]
        record = self.ask("mission", "dispatch", "--lane", LANE, "--objective", objective, *runs)
        return str(record["mission_id"])

    def state(self, mission_id: str) -> str:
        return str(self.ask("mission", "show", mission_id)["mission"]["state"])


class Plane:
    """A control plane as a process, with its output in files beside its data."""

    def __init__(self, folder: Path, *, command: str = "dev", extra: dict[str, str], options: Sequence[str]) -> None:
        self.folder = folder
        self.data = folder / ".dragan"
        self._out, self._err = folder / "plane.out", folder / "plane.err"
        with self._out.open("w") as out, self._err.open("w") as err:
            self.process = psutil.Popen(
                [sys.executable, "-m", "dragancorp.cli", command, "--port", "0", "--json", *options],
                cwd=folder,
                env=environment(extra),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,  # so that a test can press Ctrl-C for its whole group, and for nothing else
            )
        self.ready = self._wait_until_ready()
        self.url = str(self.ready["url"])

    def _wait_until_ready(self) -> Any:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if text := self._out.read_text():
                return json.loads(text)
            assert self.process.poll() is None, self.err
            time.sleep(0.02)
        raise AssertionError(f"not ready in time: {self.err}")

    @property
    def err(self) -> str:
        return self._err.read_text()

    @property
    def file(self) -> Path:
        return self.data / "plane.json"

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return int(self.process.wait(timeout=START_SECONDS))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=START_SECONDS)

    def end(self) -> None:
        if self.process.poll() is None:
            self.kill()


@pytest.fixture(scope="session")
def lane() -> str:
    return LANE


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """One control plane for a module's tests."""
    folder = tmp_path_factory.mktemp("plane")
    (folder / "lanes.yaml").write_text(LANES)
    plane = Plane(folder, extra={}, options=())
    yield plane
    plane.end()


@pytest.fixture(scope="module")
def dragan(plane: Plane) -> Dragan:
    """The command line in the folder of the module's control plane, which it finds by `plane.json`."""
    return Dragan(plane.folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder with a lanes file."""
    (tmp_path / "lanes.yaml").write_text(LANES)
    return tmp_path


@pytest.fixture
def alone(folder: Path) -> Dragan:
    """The command line in a folder where no control plane runs."""
    return Dragan(folder)


@pytest.fixture
def start_plane(folder: Path) -> Iterator[Callable[..., Plane]]:
    """A function (options, command=, at=, environment=) that starts a control plane in `folder`, or where told."""
    started: list[Plane] = []

    def start(*options: str, command: str = "dev", at: Path = folder, **extra: str) -> Plane:
        started.append(Plane(at, command=command, extra=extra, options=options))
        return started[-1]

    yield start
    for plane in started:
        plane.end()


@pytest.fixture
def wait_until() -> Callable[..., None]:
    """A function that waits for a condition and fails when it does not come."""

    def wait(condition: Callable[[], object], seconds: float = 45.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "it did not happen in time"
            time.sleep(0.05)

    return wait
