"""The cheapest house in which a defect shows: a real registry in this process, and a clock that moves when told to."""

import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine

from dragancorp.clock import Clock, FakeClock
from dragancorp.errors import DraganError
from dragancorp.lifecycle.commands import By, Fence, MissionCommand, SessionCommand
from dragancorp.lifecycle.facts import LanePolicy
from dragancorp.lifecycle.rows import MissionRow
from dragancorp.missions.commands import Missions, Requester
from dragancorp.missions.reconciler import Reconciler
from dragancorp.missions.scheduler import PriorityScheduler
from dragancorp.registry.contract import SessionRegistry
from dragancorp.registry.operations import ClaimMissions, StepMission, StepSession
from dragancorp.registry.port import Store
from dragancorp.registry.queries import GetMission, ListLanes, ListMissions
from dragancorp.registry.sqlite import SqliteStore
from dragancorp_contracts.lifecycle import Actor, Holder, MissionTrigger, SessionTrigger

from .effect_log import read_effects
from .evidence import Evidence, read_registry
from .journal import Accepted, CancelTaken, Ended, Journal, LeaseSeen
from .replay import replay
from .side_effect import LOG

LANE = "vp.chaos.bench"
TTL, BEAT = 3.0, 1.0
CALLER = Requester(by=By(kind=Actor.CALLER, name="chaos"))
CALLBACK = {"status_url": "https://factory.example/callbacks", "auth_mode": "none"}
_pids = itertools.count(1_000_001)  # no process has such a number: owners that live on paper


@dataclass
class Bench:
    """One lane and whoever speaks to it; everything that is told or seen goes into `journal`."""

    store: Store
    clock: Clock
    folder: Path
    journal: Journal = field(default_factory=lambda: Journal(planes=frozenset({"plane"})))

    def __post_init__(self) -> None:
        self.missions = Missions(self.store, self.clock, instance_id="bench", refusers={LANE: lambda envelope: ()})
        self.reconciler = Reconciler(self.store, self.clock)
        self._looked_at = self.clock.monotonic()
        self._keys = itertools.count(1)

    async def lane(self, **changes: Any) -> LanePolicy:
        """Make the lane known."""
        numbers = {"lease_ttl": TTL, "heartbeat_interval": BEAT, "backoff": 0.0, "parallel_missions": 2}
        policy = LanePolicy(vp_id=LANE, **numbers | changes)
        await SessionRegistry(self.store).upsert_session(policy)
        return policy

    # -- callers

    async def dispatch(self, *, key: str | None = None, steps: Sequence[Mapping[str, Any]] = (), **members: Any) -> str:
        """A mission that was acknowledged; its id."""
        envelope: dict[str, Any] = {
            "vp_id": LANE,
            "mission_type": "automation",
            "objective": "chaos",
            "idempotency_key": key or f"key-{next(self._keys)}",
            **members,
        }
        if steps:
            uri = "https://dragancorp.dev/specs/automation-mission/v1/schema.json"
            envelope["extensions"] = [{"uri": uri, "required": True, "value": {"steps": list(steps)}}]
        self.journal.asked.add(envelope["idempotency_key"])
        answer = await self.missions.dispatch(envelope, CALLER)
        told = Accepted(
            at=self.clock.monotonic(), key=envelope["idempotency_key"], mission_id=answer.mission.row.mission_id
        )
        self.journal.accepted.append(told)
        return told.mission_id

    async def cancel(self, mission_id: str) -> None:
        """A cancel that was taken."""
        await self.missions.cancel(mission_id, CALLER)
        self.journal.cancels.append(CancelTaken(at=self.clock.monotonic(), mission_id=mission_id))

    async def row(self, mission_id: str) -> MissionRow:
        """The mission's row."""
        stored = await self.store.read(GetMission(mission_id=mission_id))
        assert stored is not None
        return stored.row

    # -- time

    async def look(self) -> None:
        """See every lease and every mission that has ended, as an observer from outside would."""
        at = self.clock.monotonic()
        for lane in await self.store.read(ListLanes()):
            row, seen = lane.row, self.journal.leases.setdefault(lane.row.vp_id, [])
            now = (row.lease_owner, row.lease_epoch, row.beat)
            if not seen or (seen[-1].owner, seen[-1].epoch, seen[-1].beat) != now:
                told = dict(zip(("owner", "epoch", "beat"), now, strict=True))
                seen.append(LeaseSeen(before=self._looked_at, at=at, vp_id=row.vp_id, **told))
        known = {ended.mission_id for ended in self.journal.ended}
        for stored in (await self.store.read(ListMissions(limit=200))).missions:
            row = stored.row
            if row.terminal and row.mission_id not in known:
                self.journal.ended.append(
                    Ended(
                        at=at,
                        mission_id=row.mission_id,
                        state=row.state.value,
                        last_sequence=row.last_sequence,
                        last_digest=row.last_digest or "",
                    )
                )
        self._looked_at = at

    async def pass_time(self, seconds: float, *beating: "Hand") -> None:
        """Let time go by in half seconds, each with a look of the reconciler; some runtimes beat as they should."""
        assert isinstance(self.clock, FakeClock)
        for number in range(1, int(seconds * 2) + 1):
            self.clock.advance(0.5)
            if number % int(BEAT * 2) == 0:
                for hand in beating:
                    with suppress(DraganError):
                        await hand.beat()
            await self.look()
            if await self.reconciler.tick():
                await self.look()

    # -- the end

    async def evidence(self, *, left: Sequence[str] = ()) -> Evidence:
        """Everything that is known, read from the database itself."""
        assert isinstance(self.store, SqliteStore)
        await self.look()
        findings = await replay(self.store)
        await self.store.close()
        engine = create_engine(f"sqlite:///{self.store.path}")
        with engine.connect() as connection:
            missions, lanes = read_registry(connection)
        engine.dispose()
        return Evidence(
            missions=missions,
            lanes=lanes,
            journal=self.journal,
            effects=read_effects(self.folder / LOG),
            left=left,
            replay=findings,
        )


@dataclass
class Hand:
    """A runtime with the lane's lease that does what it is told, and believes that it holds it."""

    bench: Bench
    owner: str
    epoch: int

    @classmethod
    async def hired(cls, bench: Bench) -> "Hand":
        """One that has acquired the lane and is ready."""
        owner = f"owner@{next(_pids)}"
        registry = SessionRegistry(bench.store)
        row = await registry.acquire_lease(LANE, owner=owner, vp_runtime_id=owner.replace("@", "-"))
        hand = cls(bench, owner, row.lease_epoch)
        if row.status == "recovering":
            command = SessionCommand(
                trigger=SessionTrigger.READY,
                by=hand.by,
                owner=owner,
                lease_epoch=hand.epoch,
                executor_session_id="session",
                outcome="resumed",
            )
            await bench.store.execute(StepSession(vp_id=LANE, command=command))
        await bench.look()
        return hand

    @property
    def pid(self) -> int:
        return int(self.owner.rpartition("@")[2])

    @property
    def by(self) -> By:
        return By(kind=Actor.LANE, name=self.owner, way="lane")

    async def beat(self) -> None:
        await SessionRegistry(self.bench.store).heartbeat(LANE, owner=self.owner, lease_epoch=self.epoch)

    async def claim(self) -> MissionRow | None:
        claim = ClaimMissions(vp_id=LANE, owner=self.owner, lease_epoch=self.epoch)
        found = await self.bench.store.execute(claim)
        return found[0].row if found else None

    async def say(self, row: MissionRow, trigger: MissionTrigger, **said: Any) -> None:
        """A report under the fence of when it was claimed. Raises what the registry refuses."""
        fence = Fence(attempt=row.attempt, holder=Holder.LANE, lease_epoch=self.epoch)
        command = MissionCommand(trigger=trigger, by=self.by, fence=fence, content=said)
        receipt = {"outcome": "done"} if trigger is MissionTrigger.COMPLETE else None
        await self.bench.store.execute(StepMission(mission_id=row.mission_id, command=command, receipt=receipt))

    async def complete(self, row: MissionRow) -> None:
        await self.say(row, MissionTrigger.COMPLETE, summary="done")

    async def try_to(self, row: MissionRow, trigger: MissionTrigger, **said: Any) -> None:
        """The same, by one who does not know that the registry may refuse, and does."""
        with suppress(DraganError):
            await self.say(row, trigger, **said)


@asynccontextmanager
async def bench_in(folder: Path, clock: Clock | None = None) -> AsyncIterator[Bench]:
    """A bench on a new registry in `folder`; its clock stands still unless another is given."""
    used = clock or FakeClock()
    store = await SqliteStore.open(folder / "state.db", clock=used, scheduler=PriorityScheduler())
    try:
        yield Bench(store, used, folder)
    finally:
        await store.close()
