"""The metrics snapshot against a slow and obvious computation from whole ledgers, on random histories."""

import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from dragancorp.clock import FakeClock
from dragancorp.missions.scheduler import PriorityScheduler
from dragancorp.registry.queries import ReadSnapshot
from dragancorp.registry.sqlite import SqliteStore
from dragancorp.rollout.snapshot import snapshot
from dragancorp.rollout.statistics import upper_bound
from dragancorp_contracts import judge

from .history import LANE, History, Past

pytestmark = pytest.mark.anyio
ENDS = ("completed", "failed", "cancelled", "timed_out")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def store(tmp_path: Path, clock: FakeClock) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(tmp_path / "state.db", clock=clock, scheduler=PriorityScheduler())
    try:
        yield store
    finally:
        await store.close()


async def taken(store: SqliteStore, clock: FakeClock, missions: int = 50, events: int = 200) -> dict[str, Any]:
    parts = await store.read(ReadSnapshot(vp_id=LANE, mission_limit=missions, event_limit=events))
    return snapshot(LANE, parts, mission_limit=missions, event_limit=events, now=clock.wall())


def moment(event: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(event["emitted_at"])


def durations(values: list[float]) -> dict[str, Any]:
    """Count, mean, and for each percentile the first value that covers it."""
    ordered = sorted(values)

    def covering(share: Fraction) -> float:
        return next(value for rank, value in enumerate(ordered, 1) if Fraction(rank, len(ordered)) >= share)

    if not ordered:
        return {"count": 0, "avg": None, "p50": None, "p95": None, "max": None}
    return {
        "count": len(ordered),
        "avg": pytest.approx(sum(ordered) / len(ordered)),
        "p50": pytest.approx(covering(Fraction(1, 2))),
        "p95": pytest.approx(covering(Fraction(95, 100))),
        "max": pytest.approx(ordered[-1]),
    }


def obvious(past: Past, missions: int) -> dict[str, Any]:
    """What a snapshot must say, by reading every ledger from its first entry to its last."""
    events = [event for ledger in past.missions for event in ledger]
    types = Counter(event["type"] for event in events)
    session_types = Counter(event["type"] for event in past.session)
    ended = [ledger for ledger in past.missions[-missions:] if ledger[-1]["status"] in ENDS]
    fell_back = sum(any(event["type"] == "vp.mission.fallback" for event in ledger) for ledger in ended)
    done = [ledger for ledger in ended if ledger[-1]["status"] == "completed"]
    begun = [next(moment(event) for event in ledger if event["status"] == "running") for ledger in done]
    orphans = sum("lease_lost" in (event.get("reason_code"), event.get("cause")) for event in events)
    degraded, recovered = session_types["vp.session.degraded"], session_types["vp.session.recovered"]
    meant = past.turns["eligible"] + past.turns["shadow_mode"]
    return {
        "mission_counts": dict(Counter(ledger[-1]["status"] for ledger in past.missions)),
        "event_counts": dict(types),
        "session_event_counts": dict(session_types),
        "fallback": {
            "missions_considered": len(ended),
            "missions_with_fallback": fell_back,
            "rate": fell_back / len(ended) if ended else None,
            "bound": upper_bound(fell_back, len(ended)),
        },
        "latency_seconds": durations([(moment(one[-1]) - moment(one[0])).total_seconds() for one in done]),
        "queue_seconds": durations(
            [(start - moment(one[0])).total_seconds() for one, start in zip(done, begun, strict=True)]
        ),
        "run_seconds": durations(
            [(moment(one[-1]) - start).total_seconds() for one, start in zip(done, begun, strict=True)]
        ),
        "recovery": {
            "attempts": degraded,
            "successes": recovered,
            "success_rate": recovered / degraded if degraded else None,
        },
        "session_health": {
            "currently_orphaned": False,
            "orphan_signals": orphans,
            "orphan_rate": orphans / types["vp.mission.accepted"] if types["vp.mission.accepted"] else None,
        },
        "delegated": {
            "turns": {reason: count for reason, count in past.turns.items() if count},
            "share": past.turns["eligible"] / meant if meant else None,
            "minutes": [],  # asked for by no minute here
        },
    }


@pytest.mark.parametrize("seed", range(3))
async def test_a_snapshot_says_what_the_ledgers_say(store: SqliteStore, clock: FakeClock, seed: int) -> None:
    history = History(store, clock, random.Random(seed))
    past = await history.unfold(180)
    assert len(past.missions) > 20
    assert {ledger[-1]["status"] for ledger in past.missions} >= {"completed", "failed", "cancelled"}
    for missions in (1, 7, 50, 500):
        found = await taken(store, clock, missions)
        expected = obvious(past, missions)
        assert {name: found[name] for name in expected} == expected
        assert judge.violations("metrics-snapshot", found) == []
        newest = [record["mission_id"] for record in found["recent_missions"]]
        assert newest == [ledger[0]["mission_id"] for ledger in past.missions[::-1][:missions]]


async def test_recent_events_are_the_newest_and_not_the_oldest(store: SqliteStore, clock: FakeClock) -> None:
    past = await History(store, clock, random.Random(99)).unfold(100)
    everything = sorted((event for ledger in past.missions for event in ledger), key=moment)
    assert len(everything) > 30
    recent = (await taken(store, clock, events=20))["recent_events"]
    assert len(recent) == 20
    assert moment(recent[0]) == moment(everything[-1])
    assert moment(recent[-1]) >= moment(everything[-21])
    assert all(moment(one) >= moment(other) for one, other in pairwise(recent))


async def test_an_empty_registry_gives_a_valid_snapshot_of_nothing(store: SqliteStore, clock: FakeClock) -> None:
    found = await taken(store, clock)
    assert judge.violations("metrics-snapshot", found) == []
    assert found["session"] is None
    assert found["fallback"] == {"missions_considered": 0, "missions_with_fallback": 0, "rate": None, "bound": None}
    assert found["latency_seconds"]["p95"] is None
    assert found["delegated"] == {"turns": {}, "share": None, "minutes": []}


async def test_a_mission_held_under_a_lost_lease_would_be_an_orphan(store: SqliteStore, clock: FakeClock) -> None:
    history = History(store, clock, random.Random(5))
    await history.unfold(0)
    await history.acquire()
    await history.dispatch()
    await history.claim()
    assert (await taken(store, clock))["session_health"]["currently_orphaned"] is False
    for _ in range(8):
        clock.advance(5)
        await history.reconciler.tick()
    health = (await taken(store, clock))["session_health"]
    assert health == {"currently_orphaned": False, "orphan_signals": 1, "orphan_rate": 1.0}
