"""The hot queries stay on their indexes on PostgreSQL too, by the plans it makes for any value."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import psycopg
import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from dragancorp.clock import FakeClock
from dragancorp.registry.port import Store
from dragancorp.registry.prepared import Plan
from dragancorp.registry.queries import ListHeld, ListMissions, ListOverdue, ReadLedger, ReadSnapshot

from .world import LANE, SECOND_LANE, Runtime, World

pytestmark = pytest.mark.anyio
HISTORY = f"""
INSERT INTO vp_missions
SELECT copy.* FROM vp_missions m, generate_series(1, 5000) n, LATERAL jsonb_populate_record(m, jsonb_build_object(
    'position', 100000 + n, 'mission_id', 'm-' || n, 'idempotency_key', 'copy-' || n,
    'vp_id', CASE WHEN mod(n, 3) = 0 THEN '{SECOND_LANE}' ELSE m.vp_id END,
    'state', CASE WHEN mod(n, 2) = 0 THEN 'completed' ELSE 'queued' END,
    'last_sequence', 3, 'claim_key', mod(n, 3)::text || substr(m.claim_key, 2))) AS copy
"""
EVENTS = """
INSERT INTO vp_mission_events (mission_id, vp_id, sequence, type, emitted_at, document)
SELECT mission_id, vp_id, s, CASE s WHEN 1 THEN 'vp.mission.dispatched' ELSE 'vp.mission.accepted' END,
    '2025-12-01T00:00:00.000000Z', '{}'
FROM vp_missions, generate_series(2, 3) s WHERE mission_id LIKE 'm-%'
"""


@pytest.fixture
def adapter() -> str:
    return "postgresql"


class Seen:
    """The statements that ran, and the plan of each that reads or changes missions or their ledger."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.statements: dict[str, int] = {}

    def plans(self) -> dict[str, str]:
        """The generic plan of every statement seen, by its text."""
        found = {}
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute("SET plan_cache_mode = force_generic_plan")
            for number, (text, parameters) in enumerate(self.statements.items()):
                if text.startswith(("SELECT", "UPDATE")) and ("vp_missions" in text or "vp_mission_events" in text):
                    connection.execute(f"PREPARE p{number} AS {text}")
                    values = f"({', '.join(['NULL'] * parameters)})" if parameters else ""
                    lines = connection.execute(f"EXPLAIN EXECUTE p{number}{values}").fetchall()
                    found[text] = "\n".join(line for (line,) in lines)
        return found


@pytest.fixture
def seen(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Seen]:
    """What the store runs from now on, with `$1` for its values."""
    seen = Seen(postgres_url)
    bound = Plan.bound

    def bound_and_noted(plan: Plan, values: Mapping[str, Any]) -> Sequence[Any]:
        seen.statements[plan.text] = len(plan.parameters)
        return bound(plan, values)

    monkeypatch.setattr(Plan, "bound", bound_and_noted)

    def note(connection: Any, cursor: Any, statement: str, values: Any, *others: Any) -> None:
        for number, name in enumerate(values or {}, start=1):
            statement = statement.replace(f"%({name})s", f"${number}")
        seen.statements[statement] = len(values or {})

    event.listen(Engine, "before_cursor_execute", note)
    yield seen
    event.remove(Engine, "before_cursor_execute", note)


@pytest.fixture
async def runtime(store: Store, clock: FakeClock, postgres_url: str) -> Runtime:
    """A lane at work with a long history and a long queue, and the statistics that go with them."""
    world = World(store, clock)
    runtime = await world.working_lane(claims_per_hour=100, queue_limit=100_000, parallel_missions=5)
    await world.lane(SECOND_LANE)
    await world.dispatch(mission_id="the-first")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(HISTORY)
        connection.execute(EVENTS)
        connection.execute("ANALYZE")
    return runtime


async def test_no_hot_query_looks_at_everything(runtime: Runtime, seen: Seen) -> None:
    world = runtime.world
    mission = await world.dispatch()
    first, _ = await runtime.claim(2)
    await runtime.report(first, key="k")
    await runtime.complete(first)
    await runtime.renew()
    await world.cancel(mission.row.mission_id)
    for query in (
        ListMissions(vp_ids=frozenset({LANE})),
        ListHeld(vp_id=LANE),
        ListOverdue(now=world.clock.wall()),
        ReadLedger(mission_id=first.mission_id),
        ReadSnapshot(vp_id=LANE, mission_limit=50, event_limit=200),
    ):
        await world.store.read(query)
    plans = seen.plans()
    assert len(plans) > 12
    for text, plan in plans.items():
        assert "Seq Scan on vp_mission" not in plan, f"{text}\n{plan}"  # of the two lanes it may look at both
    (candidates,) = (plan for text, plan in plans.items() if "SKIP LOCKED" in text)
    assert "ix_missions_claim" in candidates
    assert "Sort" not in candidates
