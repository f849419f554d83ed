"""Members of a lane's configuration and flags whose effect shows in a running plane."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from processes import alive

from dragancorp.control_plane import ControlPlane
from dragancorp.errors import DraganError, ErrorCode
from dragancorp.executors import git
from dragancorp.lifecycle.rows import MissionRow, SessionRow
from dragancorp.registry.queries import GetLane, GetMission, ReadLedger
from dragancorp_contracts.lifecycle import MissionState

from .house import AUTOMATION, CALLER, COMMANDS, LANE, House, eventually, gone, up

pytestmark = pytest.mark.anyio


class Plane:
    """A plane with one lane."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane

    async def session(self) -> SessionRow:
        record = await self.plane.store.read(GetLane(vp_id=LANE))
        assert record is not None
        return record.row

    async def row(self, mission_id: str) -> MissionRow:
        stored = await self.plane.store.read(GetMission(mission_id=mission_id))
        assert stored is not None
        return stored.row

    async def dispatch(self, *words: str) -> str:
        extension = {"uri": AUTOMATION, "required": True, "value": {"steps": [{"run": list(words)}]}}
        envelope = {
            "vp_id": LANE,
            "mission_type": "automation",
            "objective": "do it",
            "idempotency_key": f"key-{time.monotonic_ns()}",
            "extensions": [extension],
        }
        return (await self.plane.missions.dispatch(envelope, CALLER)).mission.row.mission_id

    async def ended(self, mission_id: str) -> MissionRow:
        async def over() -> bool:
            return (await self.row(mission_id)).terminal

        await eventually(over)
        return await self.row(mission_id)

    async def done(self, *words: str) -> MissionRow:
        """A mission of one command, run to its good end."""
        row = await self.ended(await self.dispatch(*words))
        assert row.state is MissionState.COMPLETED, row
        return row


Opener = Callable[..., Awaitable[Plane]]


@pytest.fixture
async def open_plane(tmp_path: Path) -> AsyncIterator[Opener]:
    """A function (**members of the lane) that opens a plane and waits until its lane works."""
    async with AsyncExitStack() as opened:

        async def open_one(**members: Any) -> Plane:
            lane = {"vp_id": LANE, "executor": COMMANDS} | members
            plane = Plane(await ControlPlane.open(f"sqlite:///{tmp_path / 'state.db'}", lanes=[lane]))
            opened.push_async_callback(plane.plane.close)

            async def works() -> bool:
                row = await plane.session()
                return row.held and row.executor_session_id is not None

            await eventually(works)
            return plane

        yield open_one


async def test_the_lease_is_good_for_as_long_as_the_lane_says(open_plane: Opener) -> None:
    row = await (await open_plane(lease_ttl=45)).session()
    assert row.lease_expires_at is not None
    assert row.heartbeat_at is not None
    assert row.lease_expires_at - row.heartbeat_at == timedelta(seconds=45)


async def test_the_environments_lease_time_comes_first(open_plane: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UA_ENABLE_CODER_VP", "1")
    monkeypatch.setenv("UA_CODER_VP_LEASE_TTL_SECONDS", "33")
    row = await (await open_plane(flag="CODER_VP", lease_ttl=45)).session()
    assert row.lease_expires_at is not None
    assert row.heartbeat_at is not None
    assert row.lease_expires_at - row.heartbeat_at == timedelta(seconds=33)


@pytest.mark.parametrize(("interval", "least", "most"), [(0.1, 5, 11), (0.5, 1, 3)])
async def test_the_holder_renews_as_often_as_the_lane_says(
    open_plane: Opener, interval: float, least: int, most: int
) -> None:
    plane = await open_plane(heartbeat_interval=interval)
    before = (await plane.session()).beat
    await asyncio.sleep(1)
    assert least <= (await plane.session()).beat - before <= most


async def test_claims_beyond_the_quota_wait(open_plane: Opener) -> None:
    plane = await open_plane(quotas={"claims_per_hour": 2})
    await plane.done("true")
    await plane.done("true")
    third = await plane.dispatch("true")
    await asyncio.sleep(1.3)  # longer than the worker's own look at the queue
    assert (await plane.row(third)).state is MissionState.QUEUED


async def test_a_command_has_the_lanes_grace_to_stop(open_plane: Opener, tmp_path: Path) -> None:
    tidy = "trap 'sleep 0.3; touch tidied; exit 0' TERM; sleep 20.401 & wait"
    workspace = tmp_path / "lanes" / LANE / "workspace"
    for grace, tidied in ((0, False), (3, True)):
        plane = await open_plane(executor={**COMMANDS, "cancel_grace_seconds": grace})
        mission_id = await plane.dispatch("sh", "-c", tidy)
        await up("20.401")
        await plane.plane.missions.cancel(mission_id, CALLER)
        await plane.ended(mission_id)
        await gone("20.401")
        assert await asyncio.to_thread((workspace / "tidied").exists) is tidied
        await plane.plane.close()


async def test_commands_see_the_variables_that_the_lane_names(
    open_plane: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOWN", "yes")
    monkeypatch.setenv("HIDDEN", "yes")
    plane = await open_plane(executor={**COMMANDS, "environment": ["PATH", "SHOWN"]})
    await plane.done("sh", "-c", 'test "$SHOWN" = yes && test -z "$HIDDEN"')


async def test_the_workspace_is_a_worktree_of_the_repository_on_the_branch_from_the_base(
    open_plane: Opener, tmp_path: Path, make_repository: Callable[[Path], Path]
) -> None:
    repository = make_repository(tmp_path / "repository")
    first = git.run(repository, "rev-parse", "HEAD").strip()
    git.run(repository, "branch", "base")
    identity = ("-c", "user.name=T", "-c", "user.email=t@example.org")
    git.run(repository, *identity, "commit", "-q", "--allow-empty", "-m", "Later")
    policy = {"kind": "worktree", "repository": str(repository), "branch": "lane/codie", "base": "base"}
    plane = await open_plane(workspace=policy, executor={**COMMANDS, "allow": ["git", "sh"]})
    await plane.done("sh", "-c", f'test "$(git rev-parse HEAD)" = {first}')
    await plane.done("sh", "-c", 'test "$(git branch --show-current)" = lane/codie')


async def test_the_environments_folder_is_where_the_lane_works(
    open_plane: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UA_ENABLE_CODER_VP", "1")
    monkeypatch.setenv("UA_CODER_VP_WORKSPACE_DIR", str(tmp_path / "elsewhere"))
    plane = await open_plane(flag="CODER_VP")
    await plane.done("sh", "-c", "touch here")
    assert (await plane.session()).workspace == str(tmp_path / "elsewhere" / "workspace")
    assert await asyncio.to_thread((tmp_path / "elsewhere" / "workspace" / "here").exists)


async def test_the_planes_name_is_the_source_of_what_it_is_asked(
    open_plane: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UA_INSTANCE_ID", "gateway-7")
    plane = await open_plane()
    assert (await plane.done("true")).source_instance_id == "gateway-7"


@pytest.mark.parametrize("backoff", [0.2, 60.0])
async def test_a_mission_that_lost_its_worker_waits_for_as_long_as_the_lane_says(house: House, backoff: float) -> None:
    runtime = await house.serve(lease_ttl=1.0, backoff=backoff)
    mission_id = await house.dispatch(["sleep", "20.402"])
    await up("20.402")
    await house.kill(runtime)

    async def requeued() -> bool:
        return "requeued" in await house.event_types(mission_id)

    await eventually(requeued)
    row = await house.row(mission_id)
    part = await house.store.read(ReadLedger(mission_id=mission_id))
    assert part is not None
    assert row.not_before is not None
    assert row.not_before - row.updated_at == timedelta(seconds=backoff)
    await gone("20.402")


async def test_lanes_given_as_documents_are_held_to_the_rules_of_a_lanes_file(tmp_path: Path) -> None:
    bad: Sequence[dict[str, Any]] = (
        {"vp_id": LANE, "executor": COMMANDS, "parallel_missions": 2},
        {"vp_id": LANE, "executor": COMMANDS, "heartbeat_interval": 200},
        {"vp_id": LANE, "executor": COMMANDS, "start_timout": 3},
    )
    for lane in bad:
        with pytest.raises(DraganError) as refused:
            await ControlPlane.open(f"sqlite:///{tmp_path / 'state.db'}", lanes=[lane])
        assert refused.value.code is ErrorCode.DOCUMENT_INVALID
    assert not (tmp_path / "state.db").exists()
    assert alive("20.402") == []
