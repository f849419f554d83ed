"""Processes on one PostgreSQL: two control planes; workers that reach it by themselves."""

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

import anyio
import httpx
import pytest

from dragancorp.control_plane import ControlPlane
from dragancorp.lifecycle.commands import By
from dragancorp.missions.commands import Requester
from dragancorp.registry.contract import SessionRegistry
from dragancorp_contracts.lifecycle import Actor

TTL, BEAT = 3.0, 0.5  # of the lane
AUTOMATION = "https://dragancorp.dev/specs/automation-mission/v1/schema.json"
LANE = "vp.coder.primary"
ONCE = ["dispatched", "accepted", "requeued", "accepted", "completed"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def caller(plane: Any) -> httpx.Client:
    token = json.loads(plane.file.read_text())["token"]
    return httpx.Client(base_url=f"{plane.url}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=30)


def dispatched(through: httpx.Client, key: str, run: list[str]) -> str:
    envelope = {
        "vp_id": LANE,
        "mission_type": "automation",
        "objective": "work",
        "idempotency_key": key,
        "extensions": [{"uri": AUTOMATION, "required": True, "value": {"steps": [{"run": run}]}}],
    }
    answer = through.post("/missions", json=envelope)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["mission_id"])


def test_kill_9_of_one_of_two_planes_in_the_middle_of_a_mission_and_it_ends_once(
    start_plane: Any, wait_until: Any, folder: Path, postgres_url: str
) -> None:
    mark = folder / "mark"
    homes = [folder / name for name in ("first", "second")]
    for home in homes:
        home.mkdir()
        (home / "lanes.yaml").write_text((folder / "lanes.yaml").read_text())

    first = start_plane(at=homes[0], UA_RUNTIME_DB_URL=postgres_url)
    with caller(first) as through_first:
        work = f"echo here >> {mark}; test $(grep -c here {mark}) -gt 1 || sleep 300"
        long = dispatched(through_first, "long", ["sh", "-c", work])
        wait_until(mark.exists)
    with caller(start_plane(at=homes[1], UA_RUNTIME_DB_URL=postgres_url)) as through_second:
        following = dispatched(through_second, "following", ["echo", "next"])
        killed_at = datetime.now(UTC)
        first.kill()
        for mission_id in (long, following):
            wait_until(lambda: through_second.get(f"/missions/{mission_id}").json()["state"] == "completed")  # noqa: B023
        events = through_second.get(f"/missions/{long}/events").json()["events"]

    assert mark.read_text() == "here\nhere\n"
    kinds = [event["type"].removeprefix("vp.mission.") for event in events]
    assert [kind for kind in kinds if kind not in ("progress", "artifact")] == ONCE
    lost = next(event for event in events if event["type"] == "vp.mission.requeued")
    waited = (datetime.fromisoformat(lost["emitted_at"]) - killed_at).total_seconds()
    assert waited > TTL - BEAT - 0.1  # not before a whole TTL without a beat
    assert not (homes[1] / ".dragan" / "state.db").exists()


@pytest.mark.anyio
async def test_a_worker_on_the_database_itself_that_is_killed_is_followed_by_another(
    alone: Any, folder: Path, postgres_url: str
) -> None:
    mark = folder / "mark"
    work = f"echo here >> {mark}; test $(grep -c here {mark}) -gt 1 || sleep 300"

    def worker() -> Any:
        return alone.start("worker", "--lane", LANE, "--db", postgres_url, stdout=DEVNULL, stderr=DEVNULL)

    async with await ControlPlane.open(
        postgres_url, lanes=folder / "lanes.yaml", data=folder / "plane", serve_lanes=False
    ) as plane:
        extension = {"uri": AUTOMATION, "required": True, "value": {"steps": [{"run": ["sh", "-c", work]}]}}
        envelope = {
            "vp_id": LANE,
            "mission_type": "automation",
            "objective": "work",
            "idempotency_key": "long",
            "extensions": [extension],
        }
        caller = Requester(by=By(kind=Actor.CALLER, name="simone"))
        mission_id = (await plane.missions.dispatch(envelope, caller)).mission.row.mission_id
        registry = SessionRegistry(plane.store)
        workers = [worker()]
        try:
            await until(lambda: anyio.Path(mark).exists())
            workers[0].kill()
            workers.append(worker())
            await until(lambda: ended(registry, mission_id))
            workers[1].terminate()  # which it heeds, and lets go of the lane
            assert await anyio.to_thread.run_sync(workers[1].wait) == 0
        finally:
            for one in workers:
                one.kill()
                one.wait()
        assert (await registry.get_session(LANE)).row.lease_owner is None
        events = (await registry.mission_events(mission_id)).events
    assert mark.read_text() == "here\nhere\n"
    kinds = [event["type"].removeprefix("vp.mission.") for event in events]
    assert [kind for kind in kinds if kind not in ("progress", "artifact")] == ONCE


async def ended(registry: SessionRegistry, mission_id: str) -> bool:
    return (await registry.get_mission(mission_id)).row.terminal


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    with anyio.fail_after(110):
        while not await true():
            await anyio.sleep(0.1)
