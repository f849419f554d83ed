"""A long random history: what must hold of the tables whatever happened.

One hand replays exactly from its seed; of several at once, who comes first is the machine's choice.
"""

import asyncio
import os
import random
from collections import Counter
from typing import Any

import pytest

from dragancorp.errors import CATALOGUE, DraganError
from dragancorp.jsonio import loads
from dragancorp.lifecycle.ledger_entry import verified
from dragancorp.lifecycle.rows import MissionRow
from dragancorp.missions.ledger import verify_store
from dragancorp.registry.queries import ListOverdue, ReadSnapshot
from dragancorp_contracts.lifecycle import (
    TERMINAL_MISSION_STATES,
    MissionKind,
    MissionTrigger,
    ReasonCode,
    SessionTrigger,
)

from .world import LANE, SECOND_LANE, Runtime, Tables, World, artifact

pytestmark = pytest.mark.anyio
SEEDS = [int(seed) for seed in os.environ.get("REGISTRY_SEEDS", "1 2").split()]
CALLBACK = {"status_url": "https://factory.example/callbacks", "auth_mode": "none"}


class Hands:
    """Callers, runtimes, gateway and operator who do what a seed tells them."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.choose = random.Random(seed)
        self.runtimes: list[Runtime] = []
        self.held: list[tuple[Runtime, MissionRow]] = []
        self.known: list[str] = []
        self.codes: Counter[str] = Counter()

    async def act(self) -> None:
        """One act of anybody; a refusal is an answer too, anything else is a failure."""
        acts = [self.dispatch] * 4 + [self.claim] * 4 + [self.tell] * 5 + [self.end] * 4
        acts += [self.cancel, self.acquire, self.acquire, self.beat, self.operate, self.take, self.wait]
        try:
            await self.choose.choice(acts)()
        except DraganError as refused:
            if CATALOGUE[refused.code].status >= 500:
                raise
            self.codes[refused.code.value] += 1

    def lane(self) -> str:
        return self.choose.choice([LANE, SECOND_LANE])

    async def dispatch(self) -> None:
        kind = self.choose.choice([MissionKind.DISPATCHED, MissionKind.DELEGATED, MissionKind.SHADOW])
        members: dict[str, Any] = {"vp_id": self.lane()}
        if self.choose.random() < 0.3:
            members["parent_mission_id"] = self.choose.choice(self.known) if self.known else None
        if self.choose.random() < 0.5:
            members["callback"] = CALLBACK
        if self.choose.random() < 0.2:
            members["constraints"] = {"approval_required": ["*"]}
        if self.choose.random() < 0.3:
            members["budget"] = {"max_llm_calls": 3}
        self.known.append((await self.world.dispatch(kind=kind, **members)).row.mission_id)

    async def acquire(self) -> None:
        name = f"rt-{self.choose.random()}"
        self.runtimes.append(await self.world.runtime(self.lane(), name=name))

    async def claim(self) -> None:
        if self.runtimes:
            runtime = self.choose.choice(self.runtimes[-3:])
            self.held += [(runtime, row) for row in await runtime.claim(self.choose.randint(1, 3))]

    async def tell(self) -> None:
        if self.held:
            runtime, row = self.choose.choice(self.held[-6:])
            calls = self.choose.randint(0, 5)
            await runtime.report(row, key=f"k-{self.choose.randint(1, 9)}", usage={"llm_calls": calls})

    async def end(self) -> None:
        if not self.held:
            return
        runtime, row = self.choose.choice(self.held[-6:])
        trigger = self.choose.choice(
            [MissionTrigger.COMPLETE, MissionTrigger.FAIL, MissionTrigger.BLOCK, MissionTrigger.HAND_BACK]
        )
        reason = {
            MissionTrigger.FAIL: self.choose.choice([ReasonCode.EXECUTOR_ERROR, ReasonCode.TOOL_FORBIDDEN]),
            MissionTrigger.BLOCK: ReasonCode.INPUT_WANTED,
        }.get(trigger)
        await runtime.say(row, trigger, reason=reason, receipt={}, artifacts=(artifact(),))

    async def cancel(self) -> None:
        if self.known:
            await self.world.cancel(self.choose.choice(self.known))

    async def beat(self) -> None:
        if self.runtimes:
            await self.choose.choice(self.runtimes[-3:]).renew()

    async def operate(self) -> None:
        triggers = [SessionTrigger.DRAIN, SessionTrigger.RESUME, SessionTrigger.RESUME, SessionTrigger.RESET]
        if self.known and self.choose.random() < 0.7:
            await self.world.approve(self.choose.choice(self.known), max_llm_calls=10)
        else:
            await self.world.operate(self.choose.choice(triggers), self.lane())

    async def take(self) -> None:
        for mission_id in self.choose.sample(self.known, min(8, len(self.known))):
            row = await self.world.row(mission_id)
            if row.reason_code is ReasonCode.AWAITING_FALLBACK:
                taken = (await self.world.take_fallback(row)).row
                if self.choose.random() < 0.8:
                    await self.world.primary_ends(taken)
                return

    async def wait(self) -> None:
        self.world.clock.advance(self.choose.choice([0.5, 5.0, 40.0]))
        await self.world.reconciler.tick()


def recount(tables: Tables) -> dict[tuple[str, str, str], int]:
    """Every count, made slowly from the tables."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for mission in tables("SELECT vp_id, state FROM vp_missions"):
        counts[(mission["vp_id"], "mission_state", mission["state"])] += 1
    for record in tables("SELECT vp_id, document FROM vp_mission_events"):
        event = loads(record["document"])
        counts[(record["vp_id"], "mission_event", event["type"])] += 1
        if "lease_lost" in (event.get("reason_code"), event.get("cause")):
            counts[(record["vp_id"], "orphan_signal", "missions")] += 1
    for record in tables("SELECT vp_id, type FROM vp_session_events"):
        counts[(record["vp_id"], "session_event", record["type"])] += 1
    return dict(counts)


# On PostgreSQL one hand does nothing that it does not do on SQLite; several hands really write at one moment there.
@pytest.mark.parametrize(
    ("adapter", "seed", "at_once"),
    [
        *(("sqlite", seed, at_once) for seed in SEEDS for at_once in (1, 4)),
        *(("postgresql", seed, 4) for seed in SEEDS),
    ],
    indirect=["adapter"],
)
async def test_after_a_random_history_every_table_tells_the_same_story(
    world: World, tables: Tables, seed: int, at_once: int
) -> None:
    print(f"replay with REGISTRY_SEEDS={seed}")
    for vp_id in (LANE, SECOND_LANE):
        await world.lane(vp_id, parallel_missions=3, queue_limit=20, backoff=1.0)
    hands = Hands(world, seed)
    for _ in range(280 // at_once):
        await asyncio.gather(*(hands.act() for _ in range(at_once)))

    kept = {
        (record["vp_id"], record["kind"], record["name"]): int(record["total"])
        for record in tables(
            "SELECT vp_id, kind, name, sum(value) AS total FROM vp_counters GROUP BY vp_id, kind, name"
        )
        if record["total"]
    }
    assert kept == recount(tables)
    missions = tables("SELECT * FROM vp_missions")
    assert len(missions) > 20
    for mission in missions:
        events = [
            loads(record["document"])
            for record in tables(
                "SELECT document FROM vp_mission_events WHERE mission_id = ? ORDER BY position",
                mission["mission_id"],
            )
        ]
        assert [event["sequence"] for event in events] == list(range(1, mission["last_sequence"] + 1))
        assert all(verified(event) for event in events)
        assert (events[-1]["digest"], events[-1]["status"]) == (mission["last_digest"], mission["state"])
        assert sum(event["status"] in TERMINAL_MISSION_STATES for event in events) == (
            mission["finished_at"] is not None
        )
        sent = tables("SELECT body FROM vp_outbox WHERE mission_id = ? ORDER BY sequence", mission["mission_id"])
        assert [loads(record["body"]) for record in sent] == (events if mission["callback_url"] else [])
    report = await verify_store(world.store, page=7)
    assert report.findings == ()
    assert (report.missions, report.sessions) == (len(missions), 2)
    held = tables("SELECT vp_id, count(*) AS held FROM vp_missions WHERE holder = 'lane' GROUP BY vp_id")
    assert all(lane["held"] <= 3 for lane in held)


async def test_no_mission_is_forgotten(world: World) -> None:
    """After anything whatsoever, time and a lane that works bring every mission to its end."""
    await world.lane(parallel_missions=3, backoff=1.0, max_attempts=2)
    await world.lane(SECOND_LANE, parallel_missions=3, backoff=1.0, max_attempts=2)
    hands = Hands(world, 11)
    for _ in range(60):
        await asyncio.gather(*(hands.act() for _ in range(4)))
    for _ in range(12):
        for vp_id in (LANE, SECOND_LANE):
            if (await world.status(vp_id)).status == "paused":
                await world.operate(SessionTrigger.RESUME, vp_id)
            if (await world.status(vp_id)).lease_owner is None:
                runtime = await world.runtime(vp_id, name=f"last-{world.clock.monotonic()}")
                for row in await runtime.claim(3):
                    await runtime.complete(row)
        world.clock.advance(25 * 3600)
        await world.reconciler.tick()
        world.clock.advance(60)
        await world.reconciler.tick()
    for vp_id in (LANE, SECOND_LANE):
        parts = await world.store.read(ReadSnapshot(vp_id=vp_id, mission_limit=500, event_limit=1))
        left = [stored.row for stored in parts.missions if not stored.row.terminal]
        assert {row.state.value for row in left} <= {"queued"}, left
    assert await world.store.read(ListOverdue(now=world.clock.wall())) == ()
