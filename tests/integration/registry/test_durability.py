"""kill -9 in the middle of writing: what was acknowledged is there, and what is there is whole."""

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from dragancorp.clock import FakeClock
from dragancorp.jsonio import loads
from dragancorp.lifecycle.ledger_entry import verified
from dragancorp.registry.sqlite import SqliteStore

from .world import World, sqlite_table

pytestmark = pytest.mark.anyio
# Dispatches, claims and completes from eight tasks, and prints each mission's id and state once it is acknowledged.
_WRITER = """
import asyncio, itertools, sys
from pathlib import Path
from dragancorp.clock import SystemClock
from dragancorp.lifecycle.commands import By, Fence, MissionCommand
from dragancorp.lifecycle.facts import LanePolicy
from dragancorp.missions.commands import Missions, Requester
from dragancorp.missions.scheduler import PriorityScheduler
from dragancorp.registry.contract import SessionRegistry
from dragancorp.registry.operations import ClaimMissions, StepMission
from dragancorp.registry.sqlite import SqliteStore
from dragancorp_contracts.lifecycle import Actor, Holder, MissionTrigger

LANE = "vp.coder.primary"
numbers = itertools.count()

async def work(store, missions, owner, epoch):
    caller = Requester(by=By(kind=Actor.CALLER, name="simone"))
    while True:
        envelope = {
            "vp_id": LANE, "mission_type": "coding", "objective": "Do.", "idempotency_key": f"k-{next(numbers)}",
            "callback": {"status_url": "https://factory.example/callbacks", "auth_mode": "none"},
        }
        made = await missions.dispatch(envelope, caller)
        print(made.mission.row.mission_id, "queued", flush=True)
        claim = ClaimMissions(vp_id=LANE, owner=owner, lease_epoch=epoch)
        for stored in await store.execute(claim):
            row = stored.row
            fence = Fence(attempt=row.attempt, holder=Holder.LANE, lease_epoch=epoch)
            by = By(kind=Actor.LANE, name=owner)
            command = MissionCommand(trigger=MissionTrigger.COMPLETE, by=by, fence=fence)
            await store.execute(StepMission(mission_id=row.mission_id, command=command, receipt={}))
            print(row.mission_id, "completed", flush=True)

async def main():
    store = await SqliteStore.open(Path(sys.argv[1]), clock=SystemClock(), scheduler=PriorityScheduler())
    registry = SessionRegistry(store)
    await registry.upsert_session(LanePolicy(vp_id=LANE, parallel_missions=16, queue_limit=10**6))
    row = await registry.acquire_lease(LANE, owner="o-1", vp_runtime_id="rt-1")
    missions = Missions(store, SystemClock(), instance_id="f-1", refusers={LANE: lambda envelope: ()})
    await asyncio.gather(*(work(store, missions, "o-1", row.lease_epoch) for _ in range(8)))

asyncio.run(main())
"""


def kill_in_the_middle(path: Path, after_lines: int) -> dict[str, str]:
    """Mission ids with the last state that was acknowledged before the writer was killed."""
    acknowledged: dict[str, str] = {}
    with subprocess.Popen([sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for number, line in enumerate(writer.stdout):
            mission_id, _, state = line.strip().partition(" ")
            if state not in ("queued", "completed"):
                continue  # the last line may be cut off
            if acknowledged.get(mission_id) != "completed":
                acknowledged[mission_id] = state
            if number == after_lines:
                writer.kill()
    assert writer.returncode == -9
    return acknowledged


@pytest.mark.parametrize("after_lines", [40, 300])
async def test_a_killed_writer_loses_nothing_acknowledged_and_leaves_nothing_half(
    path: Path, open_at: Callable[..., Awaitable[SqliteStore]], clock: FakeClock, after_lines: int
) -> None:
    acknowledged = await asyncio.to_thread(kill_in_the_middle, path, after_lines)
    assert len(acknowledged) > after_lines / 4
    world = World(await open_at(), clock)
    for mission_id, state in acknowledged.items():
        row = await world.row(mission_id)
        assert state == "queued" or row.state == "completed"

    missions = sqlite_table(path, "SELECT * FROM vp_missions")
    events = sqlite_table(path, "SELECT * FROM vp_mission_events ORDER BY mission_id, sequence")
    by_mission: dict[str, list[dict[str, object]]] = {}
    for event in events:
        by_mission.setdefault(event["mission_id"], []).append(loads(event["document"]))
    assert set(by_mission) == {mission["mission_id"] for mission in missions}
    for mission in missions:
        ledger = by_mission[mission["mission_id"]]
        assert [event["sequence"] for event in ledger] == list(range(1, mission["last_sequence"] + 1))
        assert ledger[-1]["digest"] == mission["last_digest"]
        assert all(verified(event) for event in ledger)
    outbox = sqlite_table(path, "SELECT body FROM vp_outbox ORDER BY mission_id, sequence")
    assert [entry["body"] for entry in outbox] == [event["document"] for event in events]
    kept = sqlite_table(path, "SELECT sum(value) AS total FROM vp_counters WHERE kind = 'mission_event'")
    assert kept[0]["total"] == len(events)
    assert sqlite_table(path, "PRAGMA integrity_check") == [{"integrity_check": "ok"}]
