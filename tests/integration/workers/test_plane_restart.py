"""A plane that dies and comes back at another address: its worker keeps the lease and the mission."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from .crew import AUTOMATION, LANE, LANES, Process, eventually, start

# Real processes: what takes seconds takes a minute where many others run.
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]


class Host:
    """One host: a plane and a worker that share a data folder, and nobody who names addresses or tokens."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[Process] = []

    def start(self, *words: str) -> Process:
        self.started.append(start(self.folder, *words, number=len(self.started)))
        return self.started[-1]

    async def serve(self) -> Process:
        """A plane, once it answers."""
        plane = self.start("serve", "--port", "0", "--data", "data", "--json")

        async def ready() -> bool:
            assert plane.process.poll() is None, plane.err.read_text()
            return bool(plane.out.read_text())

        await eventually(ready, 120)
        return plane

    async def call(self, method: str, path: str, **how: Any) -> Any:
        """One request with the operator's token of the running plane."""
        found = json.loads((self.folder / "data" / "plane.json").read_text())
        async with httpx.AsyncClient(base_url=found["url"], timeout=30) as http:
            headers = {"Authorization": f"Bearer {found['token']}"}
            answer = await http.request(method, f"/api/v1{path}", headers=headers, **how)
        assert answer.is_success, answer.text
        return answer.json()


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    (tmp_path / "lanes.yaml").write_text(LANES % 60)
    host = Host(tmp_path)
    try:
        yield host
    finally:
        for one in host.started:
            with suppress(psutil.NoSuchProcess):
                one.process.kill()
            await asyncio.to_thread(one.process.wait)


async def test_a_worker_outlives_its_plane_and_reports_to_the_next_under_the_lease_it_has(host: Host) -> None:
    first = await host.serve()
    worker = host.start("worker", "--lane", LANE, "--data", "data")
    await worker.says("lane.acquired")
    script = f"touch {host.folder}/begun; while [ ! -e {host.folder}/go ]; do sleep 0.1; done"
    envelope = {
        "vp_id": LANE,
        "mission_type": "automation",
        "objective": "live through it",
        "idempotency_key": os.urandom(8).hex(),
        "extensions": [{"uri": AUTOMATION, "required": True, "value": {"steps": [{"run": ["sh", "-c", script]}]}}],
    }
    mission_id = (await host.call("POST", "/missions", json=envelope))["mission_id"]

    async def begun() -> bool:
        return (host.folder / "begun").exists()

    await eventually(begun)
    before = await host.call("GET", f"/vp/sessions/{LANE}")
    assert before["lease_embedded"] is False

    first.signal(signal.SIGKILL)
    await first.ended()
    await host.serve()
    (host.folder / "go").touch()

    async def over() -> bool:
        return bool((await host.call("GET", f"/missions/{mission_id}"))["state"] == "completed")

    await eventually(over, 60, lambda: worker.err.read_text())
    mission = await host.call("GET", f"/missions/{mission_id}")
    assert (mission["attempt"], mission["failures"]) == (1, 0)
    after = await host.call("GET", f"/vp/sessions/{LANE}")
    assert (after["lease_owner"], after["lease_epoch"]) == (before["lease_owner"], before["lease_epoch"])
    assert worker.said("lane.lease_lost") == []
    worker.signal(signal.SIGTERM)
    assert await worker.ended() == 0
