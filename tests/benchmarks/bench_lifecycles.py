"""How many whole lifecycles a second the registry keeps, against the same rows written by hand.

A lifecycle is dispatch, claim, three reports and completion with its receipt: six operations, six ledger entries. 64
callers ask at once, each with one mission under way; every answer comes after a durable commit. Beside it stands the
raw limit of this disk and this database: the same rows, in the same tables with the same indexes and triggers, by
prepared statements on one connection, a durable commit for every hundred steps, no life cycle, no objects, nobody to
answer. Both run in turn in this process.
"""

import argparse
import asyncio
import itertools
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dragancorp.clock import SystemClock
from dragancorp.lanes.link import Claimed, Lease, Report
from dragancorp.lanes.store_link import StoreLink
from dragancorp.lifecycle.commands import By
from dragancorp.lifecycle.facts import LanePolicy
from dragancorp.missions.commands import Missions, Requester
from dragancorp.missions.scheduler import PriorityScheduler
from dragancorp.registry.operations import ConfigureLane
from dragancorp.registry.sqlite import WRITER_PRAGMAS, SqliteStore
from dragancorp_contracts.lifecycle import Actor, MissionTrigger

TARGET = 0.40  # of the raw limit
FSYNC_TARGET = 0.2  # a lifecycle
CALLERS = 64
GROUP = 100  # lifecycles a raw commit
ROUNDS = 3
SECONDS = 3.0
FSYNCS = 50
LANE = "vp.coder.primary"
CALLER = Requester(by=By(kind=Actor.CALLER, name="benchmark"))
# What one lifecycle leaves in a registry, in the order in which it is written.
TABLES = ("vp_missions", "vp_mission_events", "vp_receipts")


def main() -> int:
    """0 when both targets are met, 1 when one is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="where the registries lie (default: a temporary folder)")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of load, each time (default: %(default)s)")
    parser.add_argument("--callers", type=int, default=CALLERS, help="(default: %(default)s)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-lifecycles-") as temporary:
        folder = chosen.data or Path(temporary)
        before = fsync_probe(folder)
        ours, raw = [], []
        for number in range(ROUNDS):
            path = folder / f"ours-{number}.db"
            ours.append(asyncio.run(keep(path, chosen.seconds, chosen.callers)))
            raw.append(by_hand(path, folder / f"raw-{number}.db", chosen.seconds))
        return report(ours, raw, (before, fsync_probe(folder)), chosen.callers)


@dataclass(frozen=True)
class Taken:
    """What was done in one round."""

    lifecycles: int
    seconds: float
    commits: int
    cpu_seconds: float

    @property
    def rate(self) -> float:
        return self.lifecycles / self.seconds

    @property
    def cpu_microseconds(self) -> float:
        """Of this process, for one lifecycle."""
        return self.cpu_seconds / self.lifecycles * 1e6


# -- ours


async def keep(path: Path, seconds: float, callers: int) -> Taken:
    """Lifecycles through the registry, each caller one at a time."""
    clock = SystemClock()
    store = await SqliteStore.open(path, clock=clock, scheduler=PriorityScheduler())
    try:
        policy = LanePolicy(vp_id=LANE, parallel_missions=callers, queue_limit=10**6)
        await store.execute(ConfigureLane(policy=policy, by=By(kind=Actor.CONTROL_PLANE, name="benchmark")))
        missions = Missions(store, clock, instance_id="benchmark", refusers={LANE: lambda envelope: ()})
        link = StoreLink(store)
        lease = (await link.acquire(LANE, "benchmark", "benchmark")).lease
        numbers = itertools.count()
        commits, cpu, started = store.writer.commits, time.process_time(), time.perf_counter()
        until = started + seconds
        done = sum(await asyncio.gather(*(caller(missions, link, lease, numbers, until) for _ in range(callers))))
        return Taken(done, time.perf_counter() - started, store.writer.commits - commits, time.process_time() - cpu)
    finally:
        await store.close()


async def caller(missions: Missions, link: StoreLink, lease: Lease, numbers: Any, until: float) -> int:
    """Dispatch, claim, report three times, complete; again and again. Whose mission it claims is all the same."""
    done = 0
    while time.perf_counter() < until:
        await missions.dispatch(envelope(next(numbers)), CALLER)
        (claimed,) = await link.claim(lease)
        for report in reports(claimed):
            await link.report(lease, claimed, report)
        done += 1
    return done


def envelope(number: int) -> dict[str, Any]:
    """A mission, new by its key."""
    return {
        "vp_id": LANE,
        "mission_type": "coding",
        "objective": "Make the parser accept empty files, keep its public names, and add a test.",
        "idempotency_key": f"bench-{os.getpid()}-{number}",
        "traffic": "synthetic",
    }


def reports(claimed: Claimed) -> list[Report]:
    """Three of progress, and the end with its receipt."""
    progress = [
        Report(trigger=MissionTrigger.REPORT, key=f"1-{number}", content={"summary": f"step {number} is done"})
        for number in (1, 2, 3)
    ]
    receipt = {"mission_id": claimed.mission_id, "attempt": claimed.attempt, "outcome": "completed"}
    return [
        *progress,
        Report(trigger=MissionTrigger.COMPLETE, key="1-4", content={"summary": "done"}, receipt=receipt),
    ]


# -- by hand


def by_hand(like: Path, path: Path, seconds: float) -> Taken:
    """The rows of an ended mission of `like`, under new ids: inserted, updated at each step, committed."""
    with closing(sqlite3.connect(like)) as model, closing(sqlite3.connect(path, isolation_level=None)) as raw:
        for pragma in WRITER_PRAGMAS:
            raw.execute(pragma)
        # Indexes and triggers come after the tables they are on.
        order = "CASE type WHEN 'table' THEN 0 ELSE 1 END"
        for (statement,) in model.execute(
            f"SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY {order}"
        ):
            raw.execute(statement)
        rows = Rows(model)
        done = commits = 0
        cpu, started = time.process_time(), time.perf_counter()
        while time.perf_counter() < started + seconds:
            group = range(done, done + GROUP)
            for step in rows.steps():
                raw.execute("BEGIN IMMEDIATE")
                for number in group:
                    step(raw, number)
                raw.execute("COMMIT")
                commits += 1
            done += GROUP
        return Taken(done, time.perf_counter() - started, commits, time.process_time() - cpu)


class Rows:
    """What one lifecycle wrote, as statements that write it again for another mission."""

    def __init__(self, model: sqlite3.Connection) -> None:
        model.row_factory = sqlite3.Row
        (self._mission,) = model.execute("SELECT * FROM vp_missions WHERE state = 'completed' LIMIT 1").fetchall()
        key = (self._mission["mission_id"],)
        self._events = model.execute(
            "SELECT * FROM vp_mission_events WHERE mission_id = ? ORDER BY sequence", key
        ).fetchall()
        (self._receipt,) = model.execute("SELECT * FROM vp_receipts WHERE mission_id = ?", key).fetchall()

    def steps(self) -> list[Any]:
        """Dispatch, claim, three reports, completion: each writes one mission's part."""
        begins = [self._begin]
        moves = [self._move(event, last=event is self._events[-1]) for event in self._events[1:]]
        return begins + moves

    def _begin(self, raw: sqlite3.Connection, number: int) -> None:
        values = {name: self._mission[name] for name in self._mission.keys() if name != "position"}  # noqa: SIM118
        values |= {"mission_id": f"m-{number}", "idempotency_key": f"k-{number}", "state": "queued", "attempt": 0}
        values |= {"holder": "none", "last_sequence": 1}
        insert(raw, "vp_missions", values)
        self._event(raw, self._events[0], number)

    def _move(self, event: sqlite3.Row, *, last: bool) -> Any:
        state, holder = ("completed", "none") if last else ("running", "lane")
        change = (
            "UPDATE vp_missions SET state = ?, holder = ?, attempt = 1, last_sequence = ?, last_digest = ?, "
            "updated_at = ? WHERE mission_id = ? AND last_sequence = ?"
        )

        def step(raw: sqlite3.Connection, number: int) -> None:
            mission_id = f"m-{number}"
            values = (state, holder, event["sequence"], self._mission["last_digest"], event["emitted_at"])
            raw.execute(change, (*values, mission_id, event["sequence"] - 1))
            self._event(raw, event, number)
            if last:
                insert(raw, "vp_receipts", {**dict(self._receipt), "mission_id": mission_id})

        return step

    @staticmethod
    def _event(raw: sqlite3.Connection, event: sqlite3.Row, number: int) -> None:
        values = {name: event[name] for name in event.keys() if name != "position"}  # noqa: SIM118
        insert(raw, "vp_mission_events", {**values, "mission_id": f"m-{number}"})


def insert(raw: sqlite3.Connection, table: str, values: dict[str, Any]) -> None:
    """One row."""
    columns = ", ".join(f'"{name}"' for name in values)
    marks = ", ".join("?" for _ in values)
    raw.execute(f'INSERT INTO "{table}" ({columns}) VALUES ({marks})', tuple(values.values()))


def report(ours: list[Taken], raw: list[Taken], probes: tuple[float, float], callers: int) -> int:
    """Print the table: medians of the rounds, and the ratio of rounds that stood side by side."""
    ratio = statistics.median(one.rate / limit.rate for one, limit in zip(ours, raw, strict=True))
    fsyncs = statistics.median(one.commits / one.lifecycles for one in ours)
    print(f"lifecycles: dispatch, claim, three reports, completion ({callers} callers, {ROUNDS} rounds, SQLite)")
    for name, taken in (("the registry, each step durable", ours), (f"the same rows by hand, {GROUP} a commit", raw)):
        rate = statistics.median(one.rate for one in taken)
        cpu = statistics.median(one.cpu_microseconds for one in taken)
        print(f"  {name:<44}{rate:>8.0f} a second {cpu:>8.0f} us of processor each")
    print(f"  {'one fsync of 4 KB, before and after':<44}{probes[0]:>8.2f} / {probes[1]:.2f} ms")
    print(f"  {'ratio':<44}{ratio:>8.2f} (at least {TARGET:.2f}: {met(ratio >= TARGET)})")
    few = met(fsyncs <= FSYNC_TARGET)
    print(f"  {'durable commits a lifecycle':<44}{fsyncs:>8.3f} (at most {FSYNC_TARGET:.1f}: {few})")
    return 0 if ratio >= TARGET and fsyncs <= FSYNC_TARGET else 1


def met(so: bool) -> str:
    """In a word."""
    return "met" if so else "MISSED"


def fsync_probe(folder: Path) -> float:
    """The median time of one durable 4 KB write, in milliseconds."""
    path = folder / "fsync-probe"
    taken = []
    with path.open("wb") as file:
        for _ in range(FSYNCS):
            file.write(b"x" * 4096)
            file.flush()
            started = time.perf_counter()
            os.fsync(file.fileno())
            taken.append((time.perf_counter() - started) * 1000)
    path.unlink()
    return statistics.median(taken)


if __name__ == "__main__":
    sys.exit(main())
