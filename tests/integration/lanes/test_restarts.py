"""What survives the end of a plane: the lane's identity and workspace, work that was done, work that was begun."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
from processes import alive

import dragancorp
import dragancorp_contracts
from dragancorp.control_plane import ControlPlane
from dragancorp.executors import receipts
from dragancorp.executors.receipts import Receipt
from dragancorp.lifecycle.rows import MissionRow, SessionRow
from dragancorp.registry.queries import GetLane, GetMission, ListMissions, ReadLedger
from dragancorp_contracts.lifecycle import MissionState

from .house import AUTOMATION, CALLER, COMMANDS, LANE, House, both_links, eventually, gone, up

pytestmark = pytest.mark.anyio
Opener = Callable[..., Awaitable[ControlPlane]]

# A plane in a process of its own; says "open" once its lane works. argv: the database, the lane as JSON.
PLANE = """
import asyncio, json, sys
from dragancorp.control_plane import ControlPlane
from dragancorp.registry.queries import GetLane

async def main():
    plane = await ControlPlane.open(f"sqlite:///{sys.argv[1]}", lanes=[json.loads(sys.argv[2])])
    while (await plane.store.read(GetLane(vp_id="vp.coder.primary"))).row.executor_session_id is None:
        await asyncio.sleep(0.02)
    print("open", flush=True)
    await asyncio.sleep(300)

asyncio.run(main())
"""


@pytest.fixture
def lane(tmp_path: Path, make_repository: Callable[[Path], Path]) -> dict[str, Any]:
    """CODIE, who works in a worktree of a repository."""
    repository = make_repository(tmp_path / "repository")
    return {
        "vp_id": LANE,
        "executor": COMMANDS,
        "workspace": {"kind": "worktree", "repository": str(repository)},
        "recovery": {"backoff": 0.1},
    }


@pytest.fixture
async def open_plane(tmp_path: Path, lane: Mapping[str, Any]) -> AsyncIterator[Opener]:
    """A function (**members of the lane) that opens a plane on the test's database, closed after the test."""
    async with AsyncExitStack() as opened:

        async def open_one(**members: Any) -> ControlPlane:
            plane = await ControlPlane.open(f"sqlite:///{tmp_path / 'state.db'}", lanes=[{**lane, **members}])
            opened.push_async_callback(plane.close)

            async def works() -> bool:
                row = await session(plane)
                return row.held and row.executor_session_id is not None and row.status == "active"

            await eventually(works)
            return plane

        yield open_one


@pytest.fixture
def start_plane(tmp_path: Path, lane: Mapping[str, Any]) -> Iterator[Callable[[], psutil.Popen]]:
    """A function that starts a plane in a process of its own."""
    started: list[psutil.Popen] = []

    def start() -> psutil.Popen:
        packages = (dragancorp, dragancorp_contracts)
        found_at = os.pathsep.join(str(Path(str(package.__file__)).parent.parent) for package in packages)
        process = psutil.Popen(
            [sys.executable, "-c", PLANE, str(tmp_path / "state.db"), json.dumps(lane)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": found_at},
            text=True,
        )
        started.append(process)
        for line in process.stdout:
            if line == "open\n":
                return process
        raise AssertionError("the plane did not open")

    yield start
    for process in started:
        if process.is_running():
            process.kill()
        process.stdout.close()
        process.wait()


async def session(plane: ControlPlane) -> SessionRow:
    record = await plane.store.read(GetLane(vp_id=LANE))
    assert record is not None
    return record.row


async def dispatch(plane: ControlPlane, *commands: Sequence[str], **members: Any) -> str:
    envelope = {
        "vp_id": LANE,
        "mission_type": "automation",
        "objective": "do it",
        "idempotency_key": f"key-{time.monotonic_ns()}",
        "extensions": [
            {"uri": AUTOMATION, "required": True, "value": {"steps": [{"run": list(words)} for words in commands]}}
        ],
    }
    return (await plane.missions.dispatch(envelope | members, CALLER)).mission.row.mission_id


async def ended(plane: ControlPlane, mission_id: str, seconds: float = 15) -> MissionRow:
    async def over() -> bool:
        stored = await plane.store.read(GetMission(mission_id=mission_id))
        return stored is not None and stored.row.terminal

    await eventually(over, seconds)
    stored = await plane.store.read(GetMission(mission_id=mission_id))
    assert stored is not None
    return stored.row


async def event_types(plane: ControlPlane, mission_id: str) -> list[str]:
    part = await plane.store.read(ReadLedger(mission_id=mission_id, limit=1000))
    assert part is not None
    return [event["type"].removeprefix("vp.mission.") for event in part.events]


async def test_a_lane_keeps_its_session_continuity_and_workspace_over_a_restart(
    open_plane: Opener, tmp_path: Path
) -> None:
    plane = await open_plane()
    first = await dispatch(plane, ["sh", "-c", "echo mine >> notes.txt"])
    assert (await ended(plane, first)).state is MissionState.COMPLETED
    before = await session(plane)
    await plane.close()

    plane = await open_plane()
    after = await session(plane)
    kept = ("vp_session_id", "continuity_id", "executor_session_id", "workspace")
    assert [getattr(after, name) for name in kept] == [getattr(before, name) for name in kept]
    assert after.lease_epoch > before.lease_epoch
    assert after.lease_owner != before.lease_owner
    second = await dispatch(plane, ["sh", "-c", "grep -q mine notes.txt"])
    row = await ended(plane, second)
    assert row.state is MissionState.COMPLETED
    assert row.continuity_id == before.continuity_id


async def test_closing_hands_back_what_runs_and_the_next_plane_finishes_it(open_plane: Opener, tmp_path: Path) -> None:
    plane = await open_plane()
    mission_id = await dispatch(plane, ["sh", "-c", "test -e again || { touch again; sleep 20.301; }; echo x >> runs"])
    workspace = tmp_path / "lanes" / LANE / "workspace"
    await eventually(lambda: asyncio.to_thread((workspace / "again").exists))
    began = time.monotonic()
    await plane.close()
    assert time.monotonic() - began < 5
    await gone("20.301")

    plane = await open_plane()
    row = await ended(plane, mission_id)
    assert (row.state, row.attempt, row.failures) == (MissionState.COMPLETED, 2, 0)
    types = await event_types(plane, mission_id)
    assert types.count("requeued") == 1
    part = await plane.store.read(ReadLedger(mission_id=mission_id))
    assert part is not None
    (requeued,) = [event for event in part.events if event["type"] == "vp.mission.requeued"]
    assert (requeued["reason_code"], requeued["transition"]) == ("drained", "D1")
    assert (workspace / "runs").read_text() == "x\n"
    assert (await session(plane)).last_error is None


async def test_a_grace_at_the_close_lets_what_runs_finish(open_plane: Opener) -> None:
    plane = await open_plane()
    running = await dispatch(plane, ["sleep", "0.5"])
    waiting = await dispatch(plane, ["true"])

    async def works() -> bool:
        return "progress" in await event_types(plane, running)

    await eventually(works)
    await plane.close(grace_seconds=5)
    plane = await open_plane()
    assert (await ended(plane, running)).attempt == 1
    assert (await ended(plane, waiting)).attempt == 1


async def test_a_plane_killed_in_the_middle_is_taken_over_and_every_mission_ends_exactly_once(
    open_plane: Opener, start_plane: Callable[[], psutil.Popen], tmp_path: Path
) -> None:
    plane = await open_plane()
    await plane._stop_lanes(0)  # so that the missions wait for the plane that will be killed
    count = "echo $0 >> runs; if [ $0 = 1 ] && mkdir first; then sleep 20.302; fi"
    missions = [await dispatch(plane, ["sh", "-c", count, str(number)]) for number in range(3)]
    await plane.close()

    process = start_plane()
    await up("20.302", 10)
    process.send_signal(signal.SIGKILL)
    process.wait()

    plane = await open_plane()
    rows = [await ended(plane, mission_id) for mission_id in missions]
    assert [row.state for row in rows] == [MissionState.COMPLETED] * 3
    assert [(row.attempt, row.failures) for row in rows] == [(1, 0), (2, 1), (1, 0)]
    for mission_id in missions:
        assert (await event_types(plane, mission_id)).count("completed") == 1
    runs = (tmp_path / "lanes" / LANE / "workspace" / "runs").read_text().split()
    assert sorted(runs) == ["0", "1", "1", "2"]  # the one that was killed ran again, after its pause, the others once
    assert alive("20.302") == []
    row = await session(plane)
    assert row.last_error is None
    page = await plane.store.read(ListMissions(limit=10))
    assert len(page.missions) == 3


async def test_work_that_was_done_before_the_crash_is_reported_and_not_done_again(
    open_plane: Opener, start_plane: Callable[[], psutil.Popen], tmp_path: Path
) -> None:
    plane = await open_plane()
    await plane._stop_lanes(0)
    mission_id = await dispatch(plane, ["sh", "-c", "echo x >> runs; sleep 20.303"])
    await plane.close()
    process = start_plane()
    await up("20.303", 10)
    process.send_signal(signal.SIGKILL)  # between the receipt, written here by hand, and the report
    process.wait()
    root = tmp_path / "lanes" / LANE
    receipt = Receipt(
        mission_id=mission_id,
        attempt=1,
        outcome="completed",
        event={"summary": "all done", "recommended_next_action": "Take it."},
        artifacts=[],
        written_at=datetime.now(UTC),
    )
    (root / "receipts").mkdir(exist_ok=True)
    receipts.write(root / "receipts" / f"{mission_id}.json", receipt)

    plane = await open_plane()
    row = await ended(plane, mission_id)
    assert (row.state, row.completed_via, row.attempt) == (MissionState.COMPLETED, "lane", 2)
    part = await plane.store.read(ReadLedger(mission_id=mission_id))
    assert part is not None
    assert part.events[-1]["summary"] == "all done"
    assert (root / "workspace" / "runs").read_text() == "x\n"


async def test_a_receipt_that_is_none_of_this_mission_counts_for_nothing(open_plane: Opener, tmp_path: Path) -> None:
    plane = await open_plane()
    folder = tmp_path / "lanes" / LANE / "receipts"
    folder.mkdir(exist_ok=True)
    (folder / "m-1.json").write_text("{}")
    mission_id = await dispatch(plane, ["sh", "-c", "echo x >> runs"], mission_id="m-1")
    assert (await ended(plane, mission_id)).state is MissionState.COMPLETED
    assert (tmp_path / "lanes" / LANE / "workspace" / "runs").read_text() == "x\n"


@both_links
async def test_a_mission_that_keeps_killing_its_worker_is_parked_and_the_lane_goes_on(house: House) -> None:
    runtime = await house.serve(lease_ttl=2.5, max_attempts=2, backoff=0.1)
    poison = await house.dispatch(["sleep", "20.304"])
    for _ in range(2):
        await up("20.304")
        await house.kill(runtime)
        await gone("20.304")
        runtime = await house.serve(lease_ttl=2.5, max_attempts=2, backoff=0.1)
    row = await house.ended(poison)
    assert (row.state, row.reason_code, row.parked) == (MissionState.FAILED, "attempts_exhausted", True)
    assert (await house.ended(await house.dispatch(["true"]))).state is MissionState.COMPLETED


async def test_a_lane_that_gives_up_at_once_fails_a_mission_whose_worker_was_lost(house: House) -> None:
    runtime = await house.serve(lease_ttl=1.0, retry=False)
    mission_id = await house.dispatch(["sleep", "20.305"])
    await up("20.305")
    await house.kill(runtime)
    row = await house.ended(mission_id)
    assert (row.state, row.reason_code, row.attempt) == (MissionState.FAILED, "lease_lost", 1)
    await gone("20.305")


async def test_what_worker_and_guard_left_when_both_were_killed_is_gone_once_the_lane_has_a_worker_again(
    house: House,
) -> None:
    workspace = house.root / "missions" / "of-a-mission-that-has-ended"
    workspace.mkdir(parents=True)
    mark = {"DRAGAN_WORKSPACE_LOCK": str(workspace / "lock")}
    stray = await asyncio.create_subprocess_exec("sleep", "60", env={**os.environ, **mark}, start_new_session=True)
    await house.serve(workspace={"scope": "mission"})
    assert await asyncio.wait_for(stray.wait(), 10) == -signal.SIGKILL
