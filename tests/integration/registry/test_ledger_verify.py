"""What `ledger verify` says of a registry that was changed behind its back, and of one that was not."""

import asyncio
import json
import shutil
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest

from dragancorp.clock import FakeClock
from dragancorp.errors import ErrorCode
from dragancorp.lifecycle.ledger_entry import chained
from dragancorp.missions.ledger import Report, verify_store
from dragancorp.registry.operations import CountTurns, RenewHold
from dragancorp.registry.sqlite import SqliteStore
from dragancorp.registry.sqlite_reader import SqliteReader
from dragancorp_contracts.lifecycle import MissionTrigger, SessionTrigger

from .conftest import open_sqlite
from .world import LANE, SECOND_LANE, World, artifact, refused

pytestmark = pytest.mark.anyio
CALLBACK = {"status_url": "https://factory.example/callbacks", "auth_mode": "none"}
Open = Callable[..., Awaitable[SqliteStore]]
Change = Callable[[sqlite3.Connection], None]


async def a_history(world: World) -> None:
    """Two lanes and six missions: attempts, raised budgets, fallbacks, late results, callbacks, an approval."""
    runtime = await world.working_lane(parallel_missions=3)
    await world.lane(SECOND_LANE)
    await world.dispatch(mission_id="long", budget={"max_llm_calls": 3}, callback=CALLBACK)
    row = await runtime.claim_one()
    await runtime.session(SessionTrigger.READY, outcome="opened", executor_session_id="exec-0", workspace="w")
    await world.lose_lease()
    runtime = await world.runtime(name="rt-2")
    world.clock.advance(60)
    row = await runtime.claim_one()
    await runtime.report(row, usage={"llm_calls": 9}, summary="Nine calls.", key="k-1")
    await world.approve("long", max_llm_calls=20)
    await runtime.complete(row, artifacts=(artifact(),), result={"lines": 3})

    await world.delegate(mission_id="fallen")
    await runtime.fail(await runtime.claim_one(), error="it broke", reason=None)
    taken = (await world.take_fallback(await world.row("fallen"), path="code-writer", error="it broke")).row
    await world.primary_ends(taken)

    await world.delegate(mission_id="held-by-primary")
    await runtime.fail(await runtime.claim_one())
    taken = (await world.take_fallback(await world.row("held-by-primary"))).row
    world.clock.advance(20)
    await world.store.execute(RenewHold(mission_id="held-by-primary", attempt=taken.attempt, seconds=300.0))

    await world.dispatch(mission_id="late")
    row = await runtime.claim_one()
    await world.cancel("late")
    await runtime.complete(row, summary="done all the same", usage={"llm_calls": 1})
    await world.dispatch(mission_id="held-before-start", constraints={"approval_required": ["*"]})
    await world.dispatch(mission_id="waiting", retry_of=None, priority_class="interactive")
    await runtime.renew()
    await world.store.execute(CountTurns(counts={(LANE, "eligible", "2026-01-01T00:00:00+00:00"): 4}))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with a history, which nobody owns any more."""
    folder = tmp_path_factory.mktemp("history")

    async def write() -> None:
        clock = FakeClock()
        store = await open_sqlite(folder, clock)
        await a_history(World(store, clock))
        await store.close()

    asyncio.run(write())
    return folder / "state.db"


async def verified(path: Path) -> Report:
    async with SqliteReader(path) as reader:
        return await verify_store(reader, page=2)


async def test_nothing_differs_in_a_registry_that_was_only_used(written: Path) -> None:
    report = await verified(written)
    assert report.findings == ()
    assert (report.missions, report.sessions) == (6, 2)
    assert report.entries > 30


async def test_verifying_leaves_the_file_as_it_is(written: Path) -> None:
    before = await asyncio.to_thread(written.read_bytes)
    await verified(written)
    assert await asyncio.to_thread(written.read_bytes) == before


async def test_a_file_that_somebody_owns_is_not_read_beside_him(path: Path, open_at: Open) -> None:
    await open_at()
    with refused(ErrorCode.DATABASE_OWNED):
        await verified(path)


def sql(statement: str, *values: object) -> Change:
    """A change by one statement, which must meet a row."""

    def change(connection: sqlite3.Connection) -> None:
        assert connection.execute(statement, values).rowcount >= 1

    return change


def edited(mission_id: str, sequence: int, *, rechained: bool = False, **members: object) -> Change:
    """An entry with other members; rechained: with new digests from there to the row, as a careful forger would."""

    def change(connection: sqlite3.Connection) -> None:
        found = connection.execute(
            "SELECT sequence, document FROM vp_mission_events WHERE mission_id = ? AND sequence >= ? ORDER BY sequence",
            (mission_id, sequence),
        ).fetchall()
        before = json.loads(found[0][1]).get("previous_digest")
        for place, text in found:
            event = json.loads(text)
            if place == sequence:
                event |= members
            if rechained:
                content = {k: v for k, v in event.items() if k not in ("digest", "previous_digest")}
                event = chained(content, sequence=place, previous_digest=before)
                before = event["digest"]
            written = json.dumps(event, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            connection.execute(
                "UPDATE vp_mission_events SET document = ?, type = ? WHERE mission_id = ? AND sequence = ?",
                (written, event["type"], mission_id, place),
            )
            connection.execute(
                "UPDATE vp_outbox SET body = ? WHERE mission_id = ? AND sequence = ?", (written, mission_id, place)
            )
        if rechained:
            connection.execute("UPDATE vp_missions SET last_digest = ? WHERE mission_id = ?", (before, mission_id))

    return change


ROW = "UPDATE vp_missions SET {} WHERE mission_id = ?"
TAMPERED: dict[str, tuple[Change, str, set[str]]] = {
    "a state": (sql(ROW.format("state = 'failed'"), "long"), "long", {"row_differs"}),
    "a kind": (sql(ROW.format("kind = 'shadow'"), "waiting"), "waiting", {"row_differs"}),
    "a usage": (sql(ROW.format("""usage = '{"llm_calls":1}'"""), "long"), "long", {"row_differs"}),
    "a time": (sql(ROW.format("finished_at = '2026-01-01T00:00:00.000000Z'"), "long"), "long", {"row_differs"}),
    "a limit": (sql(ROW.format("max_llm_calls = 99"), "long"), "long", {"row_differs"}),
    "an attempt": (sql(ROW.format("attempt = 0"), "fallen"), "fallen", {"row_differs"}),
    "a continuity": (sql(ROW.format("continuity_id = 'c-other'"), "late"), "late", {"row_differs"}),
    "a place in the queue": (sql(ROW.format("claim_key = '0:'"), "waiting"), "waiting", {"row_differs"}),
    "an envelope": (
        sql(ROW.format("document = replace(document, 'parser', 'printer')"), "waiting"),
        "waiting",
        {"row_differs"},
    ),
    "a last digest": (sql(ROW.format(f"last_digest = '{'0' * 64}'"), "late"), "late", {"row_differs"}),
    "an entry's text": (edited("late", 1, summary="never said"), "late", {"digest_wrong"}),
    "an entry's end": (
        edited("long", 9, rechained=True, type="vp.mission.failed", status="failed"),
        "long",
        {"event_not_decided"},
    ),
    "an entry's time, digests made anew": (
        edited("long", 9, rechained=True, emitted_at="2030-01-01T00:00:00.000000Z"),
        "long",
        {"event_not_decided", "entry_differs"},
    ),
    "who did it, digests made anew": (
        edited("late", 2, rechained=True, actor={"kind": "lane", "name": "somebody"}),
        "late",
        {"lease_unknown"},
    ),
    "an attempt, digests made anew": (edited("fallen", 2, rechained=True, attempt=2), "fallen", {"event_not_decided"}),
    "a digest": (edited("fallen", 2, digest="0" * 64), "fallen", {"digest_wrong", "chain_broken"}),
    "an entry taken out": (
        sql("DELETE FROM vp_mission_events WHERE mission_id = 'late' AND sequence = 3"),
        "late",
        {"sequence_gap", "event_not_decided"},
    ),
    "the last entry taken out": (
        sql("DELETE FROM vp_mission_events WHERE mission_id = 'late' AND sequence = 4"),
        "late",
        {"row_differs"},
    ),
    "the hold before the start taken out": (
        sql("DELETE FROM vp_mission_events WHERE mission_id = 'held-before-start' AND sequence = 2"),
        "held-before-start",
        {"event_missing", "row_differs"},
    ),
    "every entry taken out": (
        sql("DELETE FROM vp_mission_events WHERE mission_id = 'waiting'"),
        "waiting",
        {"event_missing"},
    ),
    "a column beside an entry": (
        sql("UPDATE vp_mission_events SET type = 'vp.mission.failed' WHERE mission_id = 'late' AND sequence = 2"),
        "late",
        {"entry_differs"},
    ),
    "an artifact": (
        sql("UPDATE vp_artifacts SET document = '{}' WHERE mission_id = 'long'"),
        "long",
        {"artifact_differs"},
    ),
    "a receipt": (sql("DELETE FROM vp_receipts WHERE mission_id = 'long'"), "long", {"receipt_missing"}),
    "a callback forgotten": (
        sql("DELETE FROM vp_outbox WHERE mission_id = 'long' AND sequence = 4"),
        "long",
        {"callback_differs"},
    ),
    "a callback's body": (
        sql("UPDATE vp_outbox SET body = '{}' WHERE mission_id = 'long' AND sequence = 4"),
        "long",
        {"callback_differs"},
    ),
    "a lane's status": (sql("UPDATE vp_sessions SET status = 'paused'"), LANE, {"row_differs"}),
    "a lane's epoch": (sql("UPDATE vp_sessions SET lease_epoch = 40 WHERE vp_id = ?", LANE), LANE, {"row_differs"}),
    "a lane's first entry": (
        sql("DELETE FROM vp_session_events WHERE vp_id = ? AND sequence = 1", LANE),
        LANE,
        {"sequence_gap", "event_not_decided"},
    ),
    "a lane's entry": (
        sql("UPDATE vp_session_events SET document = replace(document, 'rt-2', 'rt-9') WHERE vp_id = ?", LANE),
        LANE,
        {"digest_wrong", "row_differs"},
    ),
    "a count": (
        sql("UPDATE vp_counters SET value = value + 1 WHERE kind = 'mission_state' AND name = 'completed'"),
        f"{LANE}/mission_state/completed",
        {"counter_differs"},
    ),
    "a count of turns": (
        sql("UPDATE vp_turn_minutes SET count = 3"),
        f"{LANE}/turn/eligible",
        {"counter_differs"},
    ),
}


@pytest.mark.parametrize("what", sorted(TAMPERED))
async def test_what_was_changed_behind_its_back_is_named(written: Path, path: Path, what: str) -> None:
    change, where, rules = TAMPERED[what]
    shutil.copy(written, path)
    with closing(sqlite3.connect(path)) as connection, connection:
        for (trigger,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {trigger}")
        change(connection)
    findings = (await verified(path)).findings
    assert {one.rule.value for one in findings if one.id == where} >= rules, findings


async def test_a_live_registry_is_verified_while_it_works(world: World) -> None:
    """A page is one look: what is claimed, reported and ended beside it is never half of something."""
    runtime = await world.working_lane(parallel_missions=4)
    stop = asyncio.Event()

    async def work() -> int:
        ended = 0
        while not stop.is_set():
            row = (await world.dispatch()).row
            (claimed,) = await runtime.claim()
            assert claimed.mission_id == row.mission_id
            await runtime.report(claimed, usage={"llm_calls": 1})
            await runtime.say(claimed, MissionTrigger.COMPLETE, receipt={})
            ended += 1
        return ended

    working = asyncio.create_task(work())
    try:
        for _ in range(5):
            assert (await verify_store(world.store, page=5)).findings == ()
    finally:
        stop.set()
        ended = await working
    report = await verify_store(world.store)
    assert (report.missions, report.findings) == (ended, ())
