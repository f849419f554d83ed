"""Storage trouble under load, at a control plane as a process: callers hear that a repeat may help, and it does.

The limit on file sizes is set on the process from outside while it runs, so that the kernel itself refuses the writes:
at the size that the journal has, as a disk that is full; at nothing, as a file that cannot be written any more.
"""

import json
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from .conftest import LANE, Plane

AUTOMATION = "https://dragancorp.dev/specs/automation-mission/v1/schema.json"
PATIENCE = 90.0  # seconds for what has to come by itself, on a machine that does other things too
LOCKED_SECONDS = 20.0
# Long enough for a lease of three seconds to run out.
REFUSED_SECONDS = 5.0
_HOLDER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
time.sleep(float(sys.argv[2]))
connection.execute("ROLLBACK")
"""


@contextmanager
def limited(plane: Plane, size: int) -> Iterator[None]:
    """Writes that would make any file of the process longer than `size` are refused by the kernel."""
    _, hard = resource.prlimit(plane.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(plane.process.pid, resource.RLIMIT_FSIZE, (size, hard))
    try:
        time.sleep(REFUSED_SECONDS)
        yield
    finally:
        resource.prlimit(plane.process.pid, resource.RLIMIT_FSIZE, (hard, hard))


@contextmanager
def full(plane: Plane) -> Iterator[None]:
    journal = plane.data / "state.db-wal"
    with limited(plane, journal.stat().st_size + 8192):
        yield


@contextmanager
def read_only(plane: Plane) -> Iterator[None]:
    with limited(plane, 0):
        yield


@contextmanager
def locked(plane: Plane) -> Iterator[None]:
    command = [sys.executable, "-c", _HOLDER, str(plane.data / "state.db"), str(LOCKED_SECONDS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield
        assert holder.wait(timeout=PATIENCE) == 0


TROUBLES: dict[str, tuple[Callable[[Plane], Any], str]] = {
    "a full disk": (full, "storage_failed"),
    "a file that cannot be written": (read_only, "storage_failed"),
    "a foreign process that keeps the write lock for 20 seconds": (locked, "storage_busy"),
}


@dataclass
class Callers:
    """Callers who dispatch missions all the time, each again with the same key until it is taken."""

    plane: Plane
    taken: dict[str, str] = field(default_factory=dict)  # key -> mission
    refusals: list[httpx.Response] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def client(self) -> httpx.Client:
        token = json.loads(self.plane.file.read_text())["token"]
        return httpx.Client(
            base_url=self.plane.url, headers={"Authorization": f"Bearer {token}"}, timeout=PATIENCE, trust_env=False
        )

    def call(self, name: str) -> None:
        with self.client() as client:
            number = 0
            while not self.stopping.is_set():
                key = f"{name}-{number}"
                answer = client.post("/api/v1/missions", json=envelope(key))
                if answer.status_code in (200, 201):
                    self.taken[key] = answer.json()["mission_id"]
                    number += 1
                else:
                    self.refusals.append(answer)
                time.sleep(0.1)

    @contextmanager
    def calling(self) -> Iterator[None]:
        threads = [threading.Thread(target=self.call, args=(f"caller-{number}",)) for number in range(3)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.stopping.set()
            for thread in threads:
                thread.join()


def envelope(key: str) -> dict[str, Any]:
    return {
        "vp_id": LANE,
        "mission_type": "automation",
        "objective": "Say so.",
        "idempotency_key": key,
        "extensions": [{"uri": AUTOMATION, "required": True, "value": {"steps": [{"run": ["echo", key]}]}}],
    }


@pytest.mark.parametrize("trouble", sorted(TROUBLES))
def test_nothing_is_lost_or_doubled_and_the_plane_goes_on_by_itself(
    start_plane: Any, alone: Any, wait_until: Any, trouble: str
) -> None:
    cause, code = TROUBLES[trouble]
    plane = start_plane(UA_ENABLE_CODER_VP="1")
    callers = Callers(plane)
    with callers.client() as client, callers.calling():
        wait_until(lambda: len(callers.taken) >= 6, seconds=PATIENCE)
        before = dict(callers.taken)
        with cause(plane):
            unready = client.get("/readyz")
            readable = client.get(f"/api/v1/missions/{next(iter(before.values()))}")
        wait_until(lambda: client.get("/readyz").status_code == 200, seconds=PATIENCE)
        during = len(callers.taken)
        wait_until(lambda: len(callers.taken) >= during + 6, seconds=PATIENCE)

    assert (unready.status_code, unready.json()["code"]) == (503, code)
    assert readable.status_code == 200  # who only reads feels nothing
    assert callers.refusals
    for refusal in callers.refusals:
        problem = refusal.json()
        assert (refusal.status_code, problem["code"], problem["retryable"]) == (503, code, True)
        assert problem["hint"]
        assert int(refusal.headers["Retry-After"]) >= 1

    with callers.client() as client:
        ids = set(callers.taken.values())
        assert len(ids) == len(callers.taken)

        def ended() -> bool:
            page = client.get("/api/v1/missions", params={"limit": 500}).json()["missions"]
            return all(mission["state"] == "completed" for mission in page)

        wait_until(ended, seconds=PATIENCE)
        listed = client.get("/api/v1/missions", params={"limit": 500}).json()["missions"]
        # At most the last request of each caller was taken without its hearing of it.
        assert ids <= {mission["mission_id"] for mission in listed}
        keys = [mission["envelope"]["idempotency_key"] for mission in listed]
        assert len(keys) == len(set(keys))
    assert plane.stop() == 0
    verified = alone("ledger", "verify", "--json")
    assert (verified.exit_code, verified.json["findings"]) == (0, [])


def test_a_plane_that_meets_a_full_disk_at_its_start_says_so(alone: Any, folder: Path) -> None:
    """Started with no room for its database it ends with a clear error, and starts once there is room."""
    program = (
        "import resource, sys; from dragancorp.cli.app import run;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY));"
        "sys.argv[1:] = ['dev', '--port', '0', '--json']; run()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env=alone_environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads(done.stderr.splitlines()[-1])["code"] in {"storage_failed", "data_folder_unusable"}


def alone_environment() -> dict[str, str]:
    from .conftest import environment

    return environment({})
