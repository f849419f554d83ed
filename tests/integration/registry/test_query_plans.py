"""The hot queries stay on their indexes: no look at the whole backlog, no sort of it (SQLite)."""

import asyncio
import shutil
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from dragancorp.clock import FakeClock
from dragancorp.missions.scheduler import PriorityScheduler
from dragancorp.registry.operations import CountTurns
from dragancorp.registry.port import Store
from dragancorp.registry.prepared import Plan
from dragancorp.registry.queries import (
    CountUndelivered,
    GetMission,
    ListHeld,
    ListMissions,
    ListOverdue,
    Query,
    ReadLedger,
    ReadSnapshot,
)
from dragancorp.registry.sqlite import SqliteStore

from .world import LANE, SECOND_LANE, World

pytestmark = pytest.mark.anyio
ENTRIES = ("dispatched", "accepted", "completed")


class Seen:
    """The statements that ran, with their parameters, and the plan of each on the very same file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.statements: list[tuple[str, Any]] = []

    def plans(self, about: str = "") -> str:
        """The steps of every SELECT and UPDATE that names the table `about`, a line each."""
        lines: list[str] = []
        with closing(sqlite3.connect(self._path)) as connection:
            for statement, values in self.statements:
                if about in statement and statement.startswith(("SELECT", "UPDATE")):
                    # Without the values: a plan that holds only for some would be made anew each time.
                    found = connection.execute(f"EXPLAIN QUERY PLAN {statement}", [None] * len(values))
                    lines += [record[3] for record in found]
        return "\n".join(lines)


@pytest.fixture
def seen(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Seen]:
    """What the store's engines and its writer run from now on."""
    seen = Seen(path)
    bound = Plan.bound

    def bound_and_noted(plan: Plan, values: Mapping[str, Any]) -> list[Any]:
        parameters = bound(plan, values)
        seen.statements.append((plan.text, parameters))
        return parameters

    monkeypatch.setattr(Plan, "bound", bound_and_noted)

    def note(connection: Any, cursor: Any, statement: str, values: Any, *others: Any) -> None:
        seen.statements.append((statement, values))

    event.listen(Engine, "before_cursor_execute", note)
    yield seen
    event.remove(Engine, "before_cursor_execute", note)


@pytest.fixture(scope="module")
def long_history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with a long history and a backlog, and the statistics that go with it."""
    path = tmp_path_factory.mktemp("long") / "state.db"
    mission_id = asyncio.run(_begun(path))
    with closing(sqlite3.connect(path)) as connection:
        _multiply(connection, mission_id)
        connection.execute("ANALYZE")
    return path


@pytest.fixture
async def world(
    open_at: Callable[..., Awaitable[SqliteStore]], clock: FakeClock, path: Path, long_history: Path
) -> World:
    shutil.copy(long_history, path)
    return World(await open_at(), clock)


async def _begun(path: Path) -> str:
    store = await SqliteStore.open(path, clock=FakeClock(), scheduler=PriorityScheduler())
    world = World(store, FakeClock())
    for vp_id in (LANE, SECOND_LANE):
        await world.lane(vp_id, claims_per_hour=100, queue_limit=100_000)
    mission_id = (await world.dispatch(idempotency_key="the-first")).row.mission_id
    await store.close()
    return mission_id


def _multiply(connection: sqlite3.Connection, mission_id: str) -> None:
    """1,000 queued and 1,000 ended missions of two lanes with their entries, copied from one."""
    connection.row_factory = sqlite3.Row
    mission = dict(connection.execute("SELECT * FROM vp_missions WHERE mission_id = ?", (mission_id,)).fetchone())
    entry = dict(connection.execute("SELECT * FROM vp_mission_events").fetchone())
    missions, events = [], []
    for number in range(2000):
        lane = LANE if number % 3 else SECOND_LANE
        queued = number % 2
        copy = mission | {
            "position": number + 10,
            "mission_id": f"m-{number}",
            "idempotency_key": f"copy-{number}",
            "vp_id": lane,
            "state": "queued" if queued else "completed",
            "last_sequence": 1 if queued else 3,
            "claim_key": f"{number % 3}:{mission['claim_key'][2:]}",
        }
        missions.append(copy)
        for sequence, kind in enumerate(ENTRIES[: copy["last_sequence"]], start=1):
            events.append(
                entry
                | {
                    "position": 10 + 3 * number + sequence,
                    "mission_id": f"m-{number}",
                    "vp_id": lane,
                    "sequence": sequence,
                    "type": f"vp.mission.{kind}",
                    "emitted_at": f"2025-12-{1 + number % 28:02d}T00:00:00.000000Z",
                }
            )
    for name, rows in (("vp_missions", missions), ("vp_mission_events", events)):
        places = ", ".join(f":{column}" for column in rows[0])
        connection.executemany(f"INSERT INTO {name} ({', '.join(rows[0])}) VALUES ({places})", rows)
    connection.commit()


async def asked(store: Store, seen: Seen, query: Query[Any], about: str = "vp_missions") -> str:
    """The plan of what a query runs on one table."""
    seen.statements.clear()
    await store.read(query)
    return seen.plans(f"FROM {about}")


def assert_no_scan(plan: str) -> None:
    """Every step searches by an index, and nothing is sorted."""
    assert plan
    assert "SCAN" not in plan, plan
    assert "TEMP B-TREE" not in plan, plan


async def test_a_claim_reads_the_head_of_the_queue_in_order(world: World, seen: Seen) -> None:
    runtime = await world.runtime()
    seen.statements.clear()
    assert len(await runtime.claim()) == 1
    plan = seen.plans("FROM vp_missions")
    assert "ix_missions_claim (vp_id=?)" in plan
    assert "ix_missions_held (vp_id=?)" in plan
    assert_no_scan(plan)
    counted = seen.plans("FROM vp_mission_events")
    assert "ix_mission_events_claims (vp_id=? AND emitted_at>?)" in counted
    assert_no_scan(counted)


async def test_what_a_claim_writes_is_found_by_key(world: World, seen: Seen) -> None:
    runtime = await world.runtime()
    seen.statements.clear()
    await runtime.claim()
    assert_no_scan(seen.plans("UPDATE"))


async def test_a_renewal_finds_what_is_held_by_its_index(world: World, seen: Seen) -> None:
    runtime = await world.runtime()
    await runtime.claim()
    seen.statements.clear()
    await runtime.renew()
    plan = seen.plans("FROM vp_missions")
    assert "ix_missions_held (vp_id=?)" in plan
    assert_no_scan(plan)


async def test_a_dispatch_looks_nothing_up_but_keys(world: World, seen: Seen) -> None:
    seen.statements.clear()
    await world.dispatch(mission_id="m-new")
    plan = seen.plans()
    assert "(source_instance_id=? AND idempotency_key=?)" in plan
    assert_no_scan(plan)


async def test_an_end_finds_keys_children_artifacts_and_receipt_by_index(world: World, seen: Seen) -> None:
    runtime = await world.runtime()
    row = await runtime.claim_one()
    seen.statements.clear()
    await runtime.complete(row, key="end", artifacts=({"name": "a", "size_bytes": 1},))
    plan = seen.plans()
    assert "ux_mission_events_key (mission_id=? AND idempotency_key=?)" in plan
    assert "ix_missions_parent (parent_mission_id=?)" in plan
    assert_no_scan(plan)


async def test_held_missions_are_listed_by_their_index(world: World, seen: Seen) -> None:
    plan = await asked(world.store, seen, ListHeld(vp_id=LANE))
    assert "ix_missions_held (vp_id=?)" in plan
    assert_no_scan(plan)


@pytest.mark.parametrize("before", [None, 500])
async def test_the_missions_of_a_lane_are_read_from_their_newest_on(
    world: World, seen: Seen, before: int | None
) -> None:
    plan = await asked(world.store, seen, ListMissions(vp_ids=frozenset({LANE}), before=before))
    assert "ix_missions_lane (vp_id=?" in plan
    assert_no_scan(plan)


async def test_missions_of_all_or_several_lanes_are_never_sorted(world: World, seen: Seen) -> None:
    for lanes in (None, frozenset({LANE, SECOND_LANE})):
        assert "TEMP B-TREE" not in await asked(world.store, seen, ListMissions(vp_ids=lanes))


async def test_parked_missions_are_found_by_their_index(world: World, seen: Seen) -> None:
    plan = await asked(world.store, seen, ListMissions(parked=True))
    assert "ix_missions_parked" in plan
    assert "TEMP B-TREE" not in plan


async def test_a_ledger_is_read_by_mission_and_sequence(world: World, seen: Seen) -> None:
    plan = await asked(world.store, seen, ReadLedger(mission_id="m-7", after=1), "vp_mission_events")
    assert "(mission_id=? AND sequence>?)" in plan
    assert_no_scan(plan)


async def test_one_mission_is_found_by_its_id(world: World, seen: Seen) -> None:
    assert_no_scan(await asked(world.store, seen, GetMission(mission_id="m-7")))


async def test_overdue_missions_are_found_state_by_state(world: World, seen: Seen) -> None:
    plan = await asked(world.store, seen, ListOverdue(now=world.clock.wall()))
    for index in ("ix_missions_queued_until", "ix_missions_running", "ix_missions_blocked"):
        assert index in plan
    assert "ix_missions_queued_until (ends_at>? AND ends_at<?)" in plan
    assert "TEMP B-TREE" not in plan
    assert "SCAN vp_missions\n" not in plan + "\n"


async def test_a_snapshot_reads_the_newest_events_of_its_lane(world: World, seen: Seen) -> None:
    query = ReadSnapshot(vp_id=LANE, mission_limit=50, event_limit=200)
    plan = await asked(world.store, seen, query, "vp_mission_events")
    assert "ix_mission_events_lane (vp_id=?)" in plan
    assert_no_scan(plan)


async def test_undelivered_callbacks_are_counted_by_their_index(world: World, seen: Seen) -> None:
    plan = await asked(world.store, seen, CountUndelivered(mission_id="m-7"), "vp_outbox")
    assert "ix_outbox_undelivered (mission_id=?)" in plan


async def test_counting_turns_touches_rows_by_key(world: World, seen: Seen) -> None:
    seen.statements.clear()
    await world.store.execute(CountTurns(counts={(LANE, "eligible", "2026-01-01T00:00:00+00:00"): 1}))
    assert_no_scan(seen.plans())
