"""Two gateways on one PostgreSQL with the same lane: one is killed in the middle of a delegated turn."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dragancorp.control_plane import ControlPlane
from dragancorp.registry.queries import ListMissions, ReadLedger
from dragancorp.settings import Settings
from dragancorp_contracts.lifecycle import Holder, MissionState

pytestmark = pytest.mark.anyio
LANE = "vp.coder.primary"
LANES = [{"vp_id": LANE, "aliases": ["CODIE"], "executor": {"type": "automation", "allow": ["sleep"]}}]
AUTOMATION = "https://dragancorp.dev/specs/automation-mission/v1/schema.json"
# The gateway that will be killed: it delegates a turn and prints what its caller sees.
GATEWAY = """
import asyncio, json, os, sys
from dragancorp.control_plane import ControlPlane
from dragancorp.gateway.turns import Turn
from dragancorp.settings import Settings

async def primary(turn):
    yield "the primary path"

async def main():
    url, lanes, mission = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
    plane = await ControlPlane.open(url, lanes=lanes, serve_lanes=False, settings=Settings(instance_id="gateway-2"))
    async for event in plane.delegate(Turn(text="CODIE, go", session_id="s1", mission=mission), primary=primary):
        print(getattr(event, "type", event), flush=True)

asyncio.run(main())
"""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def plane(postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ControlPlane]:
    """The gateway that lives on, and works for the lane."""
    for name in [name for name in os.environ if name.startswith("UA_")]:
        monkeypatch.delenv(name)
    settings = Settings(instance_id="gateway-1")
    async with await ControlPlane.open(postgres_url, lanes=LANES, data=tmp_path, settings=settings) as plane:
        yield plane


async def test_a_gateway_killed_in_the_middle_of_a_turn_leaves_its_mission_finished_once_and_told_truthfully(
    plane: ControlPlane, postgres_url: str, tmp_path: Path
) -> None:
    mission = {"extensions": [{"uri": AUTOMATION, "required": True, "value": {"steps": [{"run": ["sleep", "2"]}]}}]}
    script = tmp_path / "gateway.py"
    script.write_text(GATEWAY)
    other = await asyncio.create_subprocess_exec(
        sys.executable,
        str(script),
        postgres_url,
        json.dumps(LANES),
        json.dumps(mission),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
    )
    assert other.stdout is not None
    seen: list[str] = []
    async with asyncio.timeout(60):
        while not any(line.endswith("_progress") for line in seen):  # the lane works on it
            line = (await other.stdout.readline()).decode().strip()
            assert line, f"it ended early, after {seen}"
            seen.append(line)
    assert seen[0] == "delegated_to_coder_primary"
    other.send_signal(signal.SIGKILL)
    await other.wait()
    row = await ended(plane)
    assert (row.state, row.completed_via, row.fallback) == (MissionState.COMPLETED, Holder.LANE.value, False)
    part = await plane.store.read(ReadLedger(mission_id=row.mission_id))
    assert part is not None
    finals = [event for event in part.events if event["status"] not in ("queued", "running", "blocked")]
    assert [event["type"] for event in finals] == ["vp.mission.completed"]
    assert part.events[0]["actor"]["name"] == "gateway-2"
    assert not [event for event in part.events if event["type"] == "vp.mission.fallback"]


async def ended(plane: ControlPlane) -> Any:
    async with asyncio.timeout(60):
        while True:
            page = await plane.store.read(ListMissions())
            if page.missions and page.missions[0].row.terminal:
                [stored] = page.missions
                return stored.row
            await asyncio.sleep(0.05)
