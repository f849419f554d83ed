"""A random history of one lane in a real registry: callers, a worker, a gateway, an operator, and time."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dragancorp.clock import FakeClock
from dragancorp.errors import DraganError
from dragancorp.lanes.link import Claimed, Lease, Report
from dragancorp.lanes.store_link import StoreLink
from dragancorp.lifecycle.commands import By, Fence, MissionCommand
from dragancorp.lifecycle.facts import LanePolicy
from dragancorp.missions.commands import Missions, Requester
from dragancorp.missions.reconciler import Reconciler
from dragancorp.registry.operations import ConfigureLane, CountTurns, StepMission
from dragancorp.registry.queries import ListMissions, ReadLedger, ReadSessionLedger
from dragancorp.registry.sqlite import SqliteStore
from dragancorp_contracts.lifecycle import Actor, Holder, MissionKind, MissionTrigger, ReasonCode

LANE = "vp.coder.primary"
POLICY = LanePolicy(vp_id=LANE, lease_ttl=30.0, heartbeat_interval=5.0, parallel_missions=4, cancel_deadline=5.0)
TURNS = ("eligible", "forced_fallback", "feature_disabled", "source_excluded", "intent_not_matched", "shadow_mode")
GATEWAY = By(kind=Actor.GATEWAY, name="gateway-1")


@dataclass
class Past:
    """Everything that happened, as the ledgers tell it."""

    missions: list[list[Mapping[str, Any]]]  # the ledger of each mission, oldest mission first
    session: list[Mapping[str, Any]]
    turns: Mapping[str, int]


class History:
    """Does one random thing after another; what the registry refuses was not to be."""

    def __init__(self, store: SqliteStore, clock: FakeClock, chance: random.Random) -> None:
        self.store, self.clock, self.chance = store, clock, chance
        self.missions = Missions(store, clock, instance_id="house", refusers={LANE: lambda envelope: ()})
        self.reconciler = Reconciler(store, clock)
        self.link = StoreLink(store, clock=clock)
        self.lease: Lease | None = None
        self.held: list[Claimed] = []
        self.ids: list[str] = []
        self.turns = dict.fromkeys(TURNS, 0)

    async def unfold(self, steps: int) -> Past:
        """Live through so many steps; answers what the ledgers say of them."""
        await self.store.execute(ConfigureLane(policy=POLICY, by=By(kind=Actor.CONTROL_PLANE, name="house")))
        deeds = [self.dispatch] * 5 + [self.claim] * 5 + [self.end] * 6 + [self.fall_back] * 4
        deeds += [self.cancel, self.turn, self.renew, self.wait, self.wait, self.acquire, self.acquire]
        for _ in range(steps):
            try:
                await self.chance.choice(deeds)()
            except DraganError:
                continue
            self.clock.advance(self.chance.uniform(0.001, 1.5))
        return await self.past()

    async def past(self) -> Past:
        page = await self.store.read(ListMissions(limit=100_000))
        ledgers = [
            await self.store.read(ReadLedger(mission_id=stored.row.mission_id, limit=100_000))
            for stored in reversed(page.missions)
        ]
        session = await self.store.read(ReadSessionLedger(vp_id=LANE, limit=100_000))
        return Past([list(part.events) for part in ledgers if part is not None], list(session), self.turns)

    async def dispatch(self) -> None:
        kind = self.chance.choice([MissionKind.DISPATCHED, MissionKind.DELEGATED, MissionKind.DELEGATED])
        envelope = {
            "vp_id": LANE,
            "mission_type": "coding",
            "objective": "do it",
            "idempotency_key": f"key-{len(self.ids)}",
            "mission_id": f"m-{len(self.ids)}",
            "budget": {"max_runtime_minutes": self.chance.choice([0.1, 10])},
        }
        self.ids.append(envelope["mission_id"])
        requester = Requester(by=GATEWAY if kind is MissionKind.DELEGATED else By(kind=Actor.CALLER, name="simone"))
        await self.missions.dispatch(envelope, requester, kind=kind)

    async def acquire(self) -> None:
        grant = await self.link.acquire(LANE, f"o-{self.clock.monotonic()}", "rt-1")
        self.lease, self.held = grant.lease, []
        outcome = "opened" if grant.executor_session_id is None else "resumed"
        await self.link.ready(self.lease, executor_session_id="e-1", outcome=outcome, workspace="/w")

    async def renew(self) -> None:
        if self.lease is not None:
            renewal = await self.link.renew(self.lease)
            if renewal.status == "degraded":
                await self.link.recover(self.lease)

    async def claim(self) -> None:
        if self.lease is not None:
            self.held += await self.link.claim(self.lease, 2)

    async def end(self) -> None:
        if self.lease is None or not self.held:
            return
        claimed = self.held.pop(self.chance.randrange(len(self.held)))
        trigger = self.chance.choice([MissionTrigger.COMPLETE] * 3 + [MissionTrigger.FAIL, MissionTrigger.HAND_BACK])
        crash = self.chance.choice([ReasonCode.EXECUTOR_ERROR, ReasonCode.EXECUTOR_CRASHED])
        reason = crash if trigger is MissionTrigger.FAIL else None
        report = Report(trigger=trigger, key=f"{claimed.attempt}-end", reason=reason, receipt={"outcome": "x"})
        await self.link.report(self.lease, claimed, report)

    async def fall_back(self) -> None:
        """The gateway takes over what waits for it, and ends it a moment later, well or not."""
        page = await self.store.read(ListMissions(state="blocked", limit=50))
        queued = await self.store.read(ListMissions(state="queued", limit=50))
        for stored in (*page.missions, *queued.missions[:1]):
            row = stored.row
            trigger = MissionTrigger.TAKE_FALLBACK if row.state == "blocked" else MissionTrigger.START_TIMEOUT
            command = MissionCommand(trigger=trigger, by=GATEWAY, attempt_as_read=row.attempt, content={"path": "p"})
            taken = (await self.store.execute(StepMission(mission_id=row.mission_id, command=command))).row
            self.clock.advance(self.chance.uniform(0, 1))
            command = MissionCommand(
                trigger=self.chance.choice([MissionTrigger.COMPLETE, MissionTrigger.COMPLETE, MissionTrigger.FAIL]),
                by=By(kind=Actor.PRIMARY, name="agent"),
                fence=Fence(attempt=taken.attempt, holder=Holder.PRIMARY),
                reason=ReasonCode.FALLBACK_FAILED,
            )
            await self.store.execute(StepMission(mission_id=row.mission_id, command=command))

    async def cancel(self) -> None:
        if self.ids:
            await self.missions.cancel(self.chance.choice(self.ids), Requester(by=By(kind=Actor.OPERATOR, name="ops")))

    async def turn(self) -> None:
        reason = self.chance.choice(TURNS)
        await self.store.execute(CountTurns(counts={(LANE, reason, "2026-01-01T00:00:00.000000Z"): 2}))
        self.turns[reason] += 2

    async def wait(self) -> None:
        """Time goes by under the reconciler's eyes, now and then long enough to lose a lease."""
        for _ in range(self.chance.choice([1, 2, 8])):
            self.clock.advance(5)
            await self.reconciler.tick()
