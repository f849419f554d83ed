"""The reconciler itself: what goes wrong with one mission or one look ends nothing else."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from dragancorp.errors import DraganError, ErrorCode
from dragancorp.lifecycle.ledger_entry import utc_text
from dragancorp.missions.reconciler import TICK_SECONDS, Reconciler, stop
from dragancorp.registry.operations import Operation, StepMission
from dragancorp.registry.port import Store, Subscription
from dragancorp.registry.queries import ListLanes, ListOverdue, Query
from dragancorp_contracts.lifecycle import MissionState

from .world import TTL, World, refused

pytestmark = pytest.mark.anyio


class Troubled:
    """A store with a trouble of its own before each call."""

    def __init__(self, store: Store, trouble: Callable[[Operation[Any] | Query[Any]], None]) -> None:
        self._store = store
        self._trouble = trouble

    async def execute(self, operation: Operation[Any]) -> Any:
        self._trouble(operation)
        return await self._store.execute(operation)

    async def read(self, query: Query[Any]) -> Any:
        self._trouble(query)
        return await self._store.read(query)

    def watch(self, topic: str) -> Subscription:
        return self._store.watch(topic)

    async def close(self) -> None:
        await self._store.close()


async def overdue(world: World, *names: str) -> None:
    """Queued missions whose deadline has passed."""
    await world.lane()
    for name in names:
        await world.dispatch(mission_id=name, deadline_at=utc_text(world.clock.wall() + timedelta(seconds=1)))
    world.clock.advance(2)


async def test_a_mission_that_cannot_be_decided_holds_up_no_other(world: World) -> None:
    def refuse_one(asked: object) -> None:
        if isinstance(asked, StepMission) and asked.mission_id == "first":
            raise DraganError(ErrorCode.DOCUMENT_INVALID, "never to be decided")

    await overdue(world, "first", "second")
    assert await Reconciler(Troubled(world.store, refuse_one), world.clock).tick() == 1
    assert (await world.row("second")).state is MissionState.TIMED_OUT


async def test_a_busy_database_ends_the_look_and_the_next_one_does_the_work(world: World) -> None:
    busy = [True]

    def be_busy(asked: object) -> None:
        if isinstance(asked, StepMission) and busy:
            busy.pop()
            raise DraganError(ErrorCode.STORAGE_BUSY, "somebody else writes")

    await overdue(world, "first")
    reconciler = Reconciler(Troubled(world.store, be_busy), world.clock)
    with refused(ErrorCode.STORAGE_BUSY):
        await reconciler.tick()
    assert await reconciler.tick() == 1


@pytest.mark.parametrize("error", [DraganError(ErrorCode.STORAGE_FAILED, "no disk"), ZeroDivisionError("a defect")])
async def test_a_look_that_fails_does_not_end_the_loop(world: World, error: Exception) -> None:
    failures = [error, error]

    def fail_twice(asked: object) -> None:
        if isinstance(asked, ListOverdue) and failures:
            raise failures.pop()

    await overdue(world, "first")
    loop = asyncio.create_task(Reconciler(Troubled(world.store, fail_twice), world.clock).run())
    async with asyncio.timeout(10):
        while (await world.row("first")).state is MissionState.QUEUED:
            world.clock.advance(TICK_SECONDS)
            await asyncio.sleep(0.01)
    assert not loop.done()
    await stop(loop)
    assert loop.cancelled()


async def test_nothing_to_do_is_nothing_done(world: World) -> None:
    await world.lane()
    await world.dispatch()
    assert await world.reconciler.tick() == 0


async def test_a_reconciler_held_up_between_look_and_word_takes_no_lease_from_a_holder_that_beats(world: World) -> None:
    """A plane that was suspended goes on with what it had read before: found by chaos, with two planes."""
    runtime = await world.working_lane()

    class Suspended(Troubled):
        after_the_next_look = False

        async def read(self, query: Query[Any]) -> Any:
            read = await super().read(query)
            if self.after_the_next_look and isinstance(query, ListLanes):
                world.clock.advance(TTL + 1)
                await runtime.renew()
            return read

    store = Suspended(world.store, lambda asked: None)
    reconciler = Reconciler(store, world.clock)
    await reconciler.tick()
    store.after_the_next_look = True
    await reconciler.tick()
    row = await world.status()
    assert (row.lease_owner, row.lease_epoch, row.status) == (runtime.owner, runtime.epoch, "active")
    await runtime.renew()
