"""One campaign: a house of real processes, missions for its lanes, faults from a schedule, and then the evidence."""

import asyncio
import math
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from .caller import Caller
from .databases import replayed
from .effect_log import read_effects
from .evidence import Evidence, read_registry
from .fleet import Fleet, Resident
from .houses import House
from .journal import Disturbance, Journal
from .observer import Observer
from .process import CLOCKS, DIE
from .processes import Found, end_all, living_below
from .schedule import FaultPlan, MissionPlan, fault_plans, mission_plans
from .side_effect import LOG

SETTLE_SECONDS = 120.0
GONE_SECONDS = 10.0
HOUR = 3600


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """How much of it. `faults_every` seconds between faults, `faults` of them at most; `waiting` missions at most wait
    or run at a time.
    """

    seed: int
    missions: int
    faults_every: float
    faults: int | None = None
    waiting: int


@dataclass(kw_only=True)
class Course:
    """How it went."""

    evidence: Evidence
    faults: Counter[str] = field(default_factory=Counter)
    wrong: Sequence[str] = ()
    repeats: int = 0
    seconds: float = 0.0


async def run(campaign: Campaign, house: House) -> Course:
    """Run it to its end; the folder is still there then. Raises `AssertionError` where the house is unusable."""
    return await _Running(campaign, house).run()


class _Running:
    def __init__(self, campaign: Campaign, house: House) -> None:
        self._campaign = campaign
        self._house = house
        self._folder = house.folder
        planes = frozenset(one.name for one in house.residents if one.is_plane)
        self._journal = Journal(planes=planes)
        self._fleet = Fleet(house.folder, house.residents, self._journal)
        self._observer = Observer(house.database.engine(), self._journal)
        self._faults: Counter[str] = Counter()
        self._at_database = asyncio.Lock()
        self._acts: dict[str, Callable[[FaultPlan], Awaitable[None]]] = {
            "kill": self._kill,
            "kill-guard": self._kill_guard,
            "suspend": self._suspend,
            "clock": self._clock,
            "lock": self._lock,
            "restart": self._restart,
        }

    async def run(self) -> Course:
        began_at = time.monotonic()
        for name in (CLOCKS, DIE):
            (self._folder / name).mkdir()
        plans = mission_plans(self._campaign.seed, self._campaign.missions, self._house.lanes)
        caller = Caller(
            self._house.urls, self._house.token, self._folder, self._journal, self._campaign.seed, sys.executable
        )
        wrong: list[str] = []
        try:
            await self._fleet.start()
            self._observer.start()
            async with caller:
                await self._missions_under_faults(caller, plans)
                await self._settle(caller, plans)
        finally:
            wrong += await self._fleet.stop()
            left = await self._left()
            end_all(left)
            await asyncio.to_thread(self._observer.stop)
        evidence = await self._evidence([str(one) for one in left])
        return Course(
            evidence=evidence,
            faults=self._faults,
            wrong=wrong,
            repeats=caller.repeats,
            seconds=time.monotonic() - began_at,
        )

    # -- the work

    async def _missions_under_faults(self, caller: Caller, plans: Sequence[MissionPlan]) -> None:
        troubling = asyncio.create_task(self._trouble(), name="faults")
        noting = asyncio.create_task(self._note_children(), name="children")
        try:
            async with asyncio.TaskGroup() as callers:
                for number, plan in enumerate(plans):
                    while number - self._observer.ended >= self._campaign.waiting:
                        await asyncio.sleep(0.02)
                        _raise_early(troubling, noting, *self._fleet.keepers)
                    callers.create_task(self._one(caller, plan))
            if self._campaign.faults is not None:
                await troubling  # all that was planned
            # The last ones run under faults too.
            while len(plans) - self._observer.ended > self._campaign.waiting // 2:
                await asyncio.sleep(0.02)
                _raise_early(troubling, noting, *self._fleet.keepers)
        finally:
            for task in (troubling, noting):
                task.cancel()
            await asyncio.gather(troubling, noting, return_exceptions=True)

    async def _one(self, caller: Caller, plan: MissionPlan) -> None:
        await caller.dispatch(plan)
        if plan.cancel_after is not None:
            await asyncio.sleep(plan.cancel_after)
            await caller.cancel(plan)

    async def _settle(self, caller: Caller, plans: Sequence[MissionPlan]) -> None:
        """No faults any more: everything that was accepted must come to its end by itself."""
        for file in (self._folder / CLOCKS).iterdir():
            file.unlink()
        until = time.monotonic() + SETTLE_SECONDS
        while self._observer.ended < len(plans) and time.monotonic() < until:
            await asyncio.sleep(0.05)

    # -- the trouble

    async def _trouble(self) -> None:
        """Fault after fault, several at a time where they last; ends when it is cancelled, and mends what it broke."""
        plans = fault_plans(self._campaign.seed, self._house.faults, every=self._campaign.faults_every)
        async with asyncio.TaskGroup() as lasting:
            for fault in islice(plans, self._campaign.faults):
                await asyncio.sleep(fault.after)
                await self._somebody_fit()
                self._faults[fault.kind] += 1
                lasting.create_task(self._acts[fault.kind](fault))

    async def _note_children(self) -> None:
        while True:
            await asyncio.to_thread(self._fleet.note_children)
            await asyncio.sleep(1.0)

    async def _somebody_fit(self) -> None:
        """A house in which everybody is dead already learns nothing from the next blow."""
        while not any(one.fit and not one.stopped for one in self._fleet.residents):
            await asyncio.sleep(0.02)

    def _whom(self, fault: FaultPlan) -> Resident:
        fit = [one for one in self._fleet.residents if one.fit and not one.stopped]
        return fit[math.floor(fault.pick * len(fit))]

    async def _kill(self, fault: FaultPlan) -> None:
        self._fleet.kill(self._whom(fault))

    async def _kill_guard(self, fault: FaultPlan) -> None:
        self._fleet.kill_guard(self._whom(fault))

    async def _suspend(self, fault: FaultPlan) -> None:
        await self._fleet.suspend(self._whom(fault), fault.seconds)

    async def _clock(self, fault: FaultPlan) -> None:
        """The wall clock of one process goes wrong by up to an hour either way, until another fault or the end."""
        resident = self._whom(fault)
        offset = (fault.pick * 7919 % 2 - 1) * HOUR
        file = self._folder / CLOCKS / resident.name
        file.with_suffix(".new").write_text(str(offset))
        file.with_suffix(".new").replace(file)

    async def _lock(self, fault: FaultPlan) -> None:
        await self._to_database("lock", self._house.database.hold_lock, fault.seconds)

    async def _restart(self, fault: FaultPlan) -> None:
        await self._to_database("restart", self._house.database.restart, fault.seconds)

    async def _to_database(self, kind: str, act: Callable[[float], None], seconds: float) -> None:
        """One such act at a time: a lock is not asked for while the server is down."""
        async with self._at_database:
            at = time.monotonic()
            await asyncio.to_thread(act, seconds)
            until = time.monotonic()
        target = self._house.database.name
        self._journal.disturbances.append(Disturbance(at=at, until=until, kind=kind, target=target))

    # -- the end

    async def _left(self) -> list[Found]:
        """Who still lives once everybody was stopped; what only needs a moment gets it."""
        until = time.monotonic() + GONE_SECONDS
        while True:
            found = living_below(self._folder)
            found += [Found(one, "was below one of the house") for one in self._fleet.survivors()]
            if not found or time.monotonic() > until:
                return found
            await asyncio.sleep(0.1)

    async def _evidence(self, left: Sequence[str]) -> Evidence:
        engine = self._house.database.engine()
        with engine.connect() as connection:
            missions, lanes = read_registry(connection)
        engine.dispose()
        self._journal.disturbances.sort(key=lambda one: one.at)
        return Evidence(
            missions=missions,
            lanes=lanes,
            journal=self._journal,
            effects=read_effects(self._folder / LOG),
            left=left,
            replay=await replayed(self._house.database),
        )


def _raise_early(*tasks: "asyncio.Task[None]") -> None:
    """What goes on beside must not have failed unnoticed."""
    for task in tasks:
        if task.done():
            task.result()
