"""What claim, list, snapshot and `why` cost when history and queue are long, against the same when they are short.

Two SQLite registries are filled by the database itself, from one mission that was really run and one that really waits:
10,000 ledger entries and 100 waiting missions, and 1,000,000 and 100,000. Then every operation is done on both in turn.
"""

import argparse
import asyncio
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dragancorp.control_plane import ControlPlane
from dragancorp.executors.automation import AUTOMATION_URI
from dragancorp.lanes.link import Claimed, Lease, Report
from dragancorp.lanes.store_link import StoreLink
from dragancorp.lifecycle.commands import By
from dragancorp.missions.commands import Requester
from dragancorp.settings import Settings
from dragancorp_contracts.lifecycle import Actor, MissionTrigger

TARGET = 1.5
SHORT, LONG = (10_000, 100), (1_000_000, 100_000)  # ledger entries, waiting missions
TIMES = 60
LANE = "vp.coder.primary"
LANES = [{"vp_id": LANE, "queue_limit": 1_000_000, "executor": {"type": "automation", "allow": ["true"]}}]
CALLER = Requester(by=By(kind=Actor.CALLER, name="benchmark"))


def main() -> int:
    """0 when every target is met, 1 when one is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="where the registries lie (default: a temporary folder)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-backlog-") as temporary:
        return asyncio.run(measure(chosen.data or Path(temporary)))


async def measure(folder: Path) -> int:
    """Print the table."""
    short = await Registry.made(folder / "short.db", *SHORT)
    long = await Registry.made(folder / "long.db", *LONG)
    kept = True
    print(f"backlog: {LONG[0]:,} ledger entries and {LONG[1]:,} waiting missions against {SHORT[0]:,} and {SHORT[1]:,}")
    try:
        for name in ("claim", "list", "snapshot", "why"):
            taken: tuple[list[float], list[float]] = ([], [])
            for _ in range(TIMES):
                for registry, times in zip((short, long), taken, strict=True):
                    times.append(await registry.timed(name))
            few, many = (statistics.median(times) * 1000 for times in taken)
            met = many / few <= TARGET
            print(f"  {name:<10}{few:>8.2f} ms {many:>8.2f} ms  {many / few:>6.2f} times ", end="")
            print(f"(at most {TARGET}: {'met' if met else 'MISSED'})")
            kept = kept and met
    finally:
        await short.plane.close()
        await long.plane.close()
    return 0 if kept else 1


@dataclass
class Registry:
    """A plane over a filled file, and a worker that holds its lane."""

    plane: ControlPlane
    link: StoreLink
    lease: Lease
    held: Claimed
    last: str

    @classmethod
    async def made(cls, path: Path, entries: int, waiting: int) -> "Registry":
        """Fill a file and open it."""
        async with await _open(path) as plane:
            link = StoreLink(plane.store)
            lease = (await link.acquire(LANE, "benchmark", "benchmark")).lease
            await plane.missions.dispatch(_envelope("ended"), CALLER)
            (claimed,) = await link.claim(lease)
            for number in (1, 2, 3):
                said = Report(trigger=MissionTrigger.REPORT, key=f"1-{number}", content={"summary": "on it"})
                await link.report(lease, claimed, said)
            await link.report(lease, claimed, _completion(claimed))
            await plane.missions.dispatch(_envelope("waits"), CALLER)
            await link.release(lease)
        await asyncio.to_thread(fill, path, entries, waiting)
        plane = await _open(path)
        link = StoreLink(plane.store)
        lease = (await link.acquire(LANE, "benchmark", "benchmark")).lease
        (held,) = await link.claim(lease)
        last = (await plane.missions.list(CALLER, limit=1)).missions[0].row.mission_id
        return cls(plane, link, lease, held, last)

    async def timed(self, name: str) -> float:
        """Seconds that one operation took."""
        work: Callable[[], Awaitable[Any]] = getattr(self, f"_{name}")
        started = time.perf_counter()
        await work()
        return time.perf_counter() - started

    async def _claim(self) -> None:
        """The one at hand ends, and the next is claimed, in one commit."""
        (self.held,) = await self.link.report_and_claim(self.lease, self.held, _completion(self.held))

    async def _list(self) -> None:
        await self.plane.missions.list(CALLER, vp_id=LANE)

    async def _snapshot(self) -> None:
        await self.plane.snapshot(LANE)

    async def _why(self) -> None:
        await self.plane.decisions.why(self.last, CALLER)


async def _open(path: Path) -> ControlPlane:
    settings = Settings.from_environment()
    return await ControlPlane.open(f"sqlite:///{path}", lanes=LANES, serve_lanes=False, settings=settings)


def _envelope(key: str) -> dict[str, Any]:
    steps = {"uri": AUTOMATION_URI, "required": True, "value": {"steps": [{"run": ["true"]}]}}
    return {
        "vp_id": LANE,
        "mission_type": "automation",
        "objective": "Make it work.",
        "idempotency_key": key,
        "extensions": [steps],
    }


def _completion(claimed: Claimed) -> Report:
    receipt = {"mission_id": claimed.mission_id, "attempt": claimed.attempt, "outcome": "completed"}
    return Report(
        trigger=MissionTrigger.COMPLETE, key=f"end-{claimed.attempt}", content={"summary": "done"}, receipt=receipt
    )


def fill(path: Path, entries: int, waiting: int) -> None:
    """Write the ended mission and the waiting one again and again under other ids, with all entries, and count."""
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.row_factory = sqlite3.Row
        raw.execute("PRAGMA synchronous=OFF")
        raw.execute("BEGIN IMMEDIATE")
        for key, prefix in (("ended", "e"), ("waits", "w")):
            (mission,) = raw.execute("SELECT * FROM vp_missions WHERE idempotency_key = ?", (key,)).fetchall()
            events = raw.execute(
                "SELECT * FROM vp_mission_events WHERE mission_id = ? ORDER BY sequence", (mission["mission_id"],)
            ).fetchall()
            copies = waiting if key == "waits" else (entries - waiting) // len(events)
            again = {"mission_id": f"'{prefix}-' || n", "idempotency_key": f"'{key}-' || n"}
            _copy(raw, "vp_missions", mission, again, copies)
            for event in events:
                _copy(raw, "vp_mission_events", event, {"mission_id": f"'{prefix}-' || n"}, copies)
                _count(raw, "mission_event", event["type"], copies)
            _count(raw, "mission_state", mission["state"], copies)
        raw.execute("COMMIT")
        raw.execute("ANALYZE")


def _copy(raw: sqlite3.Connection, table: str, row: sqlite3.Row, again: dict[str, str], copies: int) -> None:
    names = [name for name in row.keys() if name != "position"]  # noqa: SIM118
    columns = ", ".join(again.get(name, f":{name}") for name in names)
    raw.execute(
        f"WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < :copies) "
        f"INSERT INTO {table} ({', '.join(names)}) SELECT {columns} FROM counted",
        {**{name: row[name] for name in names}, "copies": copies},
    )


def _count(raw: sqlite3.Connection, kind: str, name: str, by: int) -> None:
    raw.execute("UPDATE vp_counters SET value = value + ? WHERE kind = ? AND name = ?", (by, kind, name))


if __name__ == "__main__":
    sys.exit(main())
