"""Two control planes on one PostgreSQL with the same lanes: one serves, the other stands by until it may take over."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from dragancorp.clock import FakeClock, SystemClock
from dragancorp.control_plane import ControlPlane
from dragancorp.lifecycle.commands import By, SessionCommand
from dragancorp.missions.reconciler import Reconciler
from dragancorp.registry.contract import SessionRegistry
from dragancorp.registry.operations import StepSession
from dragancorp.registry.port import lane_topic
from dragancorp.registry.queries import LaneRecord
from dragancorp.settings import Settings
from dragancorp_contracts.lifecycle import Actor, SessionState, SessionTrigger

pytestmark = pytest.mark.anyio
LANE = "vp.coder.primary"
TTL = 30.0
Open = Callable[..., Awaitable[ControlPlane]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("UA_")]:
        monkeypatch.delenv(name)


@pytest.fixture
async def open_plane(postgres_url: str, tmp_path: Path) -> AsyncIterator[Open]:
    """A function (name, **options) that opens a plane of that name on the database."""
    async with AsyncExitStack() as opened:

        async def open_one(name: str, **options: object) -> ControlPlane:
            lane = {
                "vp_id": LANE,
                "description": "Runs commands.",
                "executor": {"type": "automation", "allow": ["true"]},
                "lease_ttl": TTL,
                "heartbeat_interval": 0.2,
            }
            plane = await ControlPlane.open(
                postgres_url,
                lanes=[lane],
                data=tmp_path / name,
                settings=Settings(instance_id=name),
                **{"clock": SystemClock(), "serve_lanes": True} | options,
            )
            opened.push_async_callback(plane.close)
            return plane

        yield open_one


async def lane_of(plane: ControlPlane) -> LaneRecord:
    return await SessionRegistry(plane.store).get_session(LANE)


async def lane_is(plane: ControlPlane, true: Callable[[LaneRecord], bool]) -> LaneRecord:
    """The lane, once it is as wanted."""
    with plane.store.watch(lane_topic(LANE)) as changes:
        for _ in range(200):
            record = await lane_of(plane)
            if true(record):
                return record
            await changes.wait(0.2)
    raise AssertionError(f"the lane stayed {record}")


async def test_a_plane_that_starts_leaves_a_lane_to_the_plane_that_serves_it(open_plane: Open) -> None:
    first = await open_plane("first")
    before = await lane_is(first, lambda lane: lane.row.status is SessionState.ACTIVE)
    second = await open_plane("second")
    after = await lane_is(second, lambda lane: lane.row.beat > before.row.beat + 2)
    assert (after.row.lease_owner, after.row.lease_epoch) == (before.row.lease_owner, before.row.lease_epoch)


async def test_a_plane_that_stops_by_the_rules_hands_its_lane_over_at_once(open_plane: Open) -> None:
    first = await open_plane("first")
    before = await lane_is(first, lambda lane: lane.row.status is SessionState.ACTIVE)
    second = await open_plane("second")
    await first.close()  # far sooner than any TTL
    after = await lane_is(second, lambda lane: lane.row.status is SessionState.ACTIVE)
    assert after.row.lease_epoch == before.row.lease_epoch + 1


async def test_a_holder_that_died_is_taken_over_from_after_its_ttl_on_the_observers_own_clock(
    open_plane: Open,
) -> None:
    clock = FakeClock()
    plane = await open_plane("standing-by", serve_lanes=False)
    dead = SessionCommand(
        trigger=SessionTrigger.ACQUIRE, by=By(kind=Actor.LANE, name="o-dead"), owner="o-dead", vp_runtime_id="r-dead"
    )
    await plane.store.execute(StepSession(vp_id=LANE, command=dead))
    observer = await open_plane("observer", serve_lanes=False, clock=SystemClock())
    assert (await lane_of(observer)).row.lease_owner == "o-dead"  # opening did not judge

    reconciler = Reconciler(observer.store, clock)
    await reconciler.tick()
    clock.jump(3600)  # wall clocks that jump expire nothing
    clock.advance(TTL - 1)
    await reconciler.tick()
    assert (await lane_of(observer)).row.lease_owner == "o-dead"
    clock.advance(2)
    await reconciler.tick()
    taken = (await lane_of(plane)).row
    assert (taken.lease_owner, taken.status) == (None, SessionState.DEGRADED)
