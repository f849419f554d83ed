"""Short histories on a registry whose clock is moved by hand."""

from collections.abc import Awaitable, Callable
from functools import wraps
from pathlib import Path

from dragancorp.clock import FakeClock
from dragancorp.errors import DraganError
from dragancorp.registry.queries import GetLane
from dragancorp_contracts.lifecycle import MissionTrigger

from ..bench import CALLBACK, LANE, TTL, Bench, Hand, bench_in
from ..evidence import Evidence
from ..journal import Disturbance
from . import Scenario


def history(told: Callable[[Bench], Awaitable[None]]) -> Scenario:
    """A scenario: what is told happens on a bench of its own, then everything that is left is worked off."""

    @wraps(told)
    async def scenario(folder: Path) -> Evidence:
        async with bench_in(folder) as bench:
            await told(bench)
            await work_off(bench)
            return await bench.evidence()

    return scenario


async def work_off(bench: Bench) -> None:
    """A healthy runtime completes what is still to do; one that holds the lane in vain is waited for."""
    lane = await bench.store.read(GetLane(vp_id=LANE))
    if lane is not None and lane.row.held:
        await bench.pass_time(2 * TTL + 1)
        lane = await bench.store.read(GetLane(vp_id=LANE))
    if lane is None or lane.row.held:
        return
    hand = await Hand.hired(bench)
    while (row := await hand.claim()) is not None:
        await hand.complete(row)
    await bench.look()


def die(bench: Bench, hand: Hand) -> None:
    """The runtime is no more, and it is on record when."""
    at = bench.clock.monotonic()
    bench.journal.disturbances.append(
        Disturbance(at=at, until=None, kind="kill", target=f"worker {hand.owner}", pid=hand.pid)
    )


@history
async def zombie(bench: Bench) -> None:
    """A runtime is held up, its mission goes to another, and it comes back with its own end of it."""
    await bench.lane()
    first = await Hand.hired(bench)
    await bench.dispatch(callback=CALLBACK)
    row = await first.claim()
    assert row is not None
    await bench.pass_time(TTL + 2)
    second = await Hand.hired(bench)
    taken = await second.claim()
    await first.try_to(row, MissionTrigger.COMPLETE, summary="mine")
    if taken is not None:
        await second.try_to(taken, MissionTrigger.COMPLETE, summary="done")


@history
async def two_slots(bench: Bench) -> None:
    """A lane with two slots and one mission."""
    await bench.lane()
    hand = await Hand.hired(bench)
    await bench.dispatch()
    rows = [await hand.claim(), await hand.claim()]
    for row in rows:
        if row is not None:
            await hand.try_to(row, MissionTrigger.COMPLETE)


@history
async def cancelled_at_work(bench: Bench) -> None:
    """A cancel comes while the mission runs, and its worker has finished all the same."""
    await bench.lane()
    hand = await Hand.hired(bench)
    mission_id = await bench.dispatch()
    row = await hand.claim()
    assert row is not None
    await bench.cancel(mission_id)
    await hand.try_to(row, MissionTrigger.COMPLETE)


@history
async def cancelled_in_the_queue(bench: Bench) -> None:
    """A queued mission is cancelled; then a while goes by in which a worker looks for work."""
    await bench.lane()
    hand = await Hand.hired(bench)
    await bench.cancel(await bench.dispatch())
    await bench.look()
    await bench.pass_time(2, hand)
    while (row := await hand.claim()) is not None:
        await hand.complete(row)


@history
async def late_word(bench: Bench) -> None:
    """A mission with callbacks runs to its end, is seen to have ended, and its worker says one thing more."""
    await bench.lane()
    hand = await Hand.hired(bench)
    await bench.dispatch(callback=CALLBACK)
    row = await hand.claim()
    assert row is not None
    await hand.say(row, MissionTrigger.REPORT, summary="half way")
    await hand.complete(row)
    await bench.look()
    await hand.try_to(row, MissionTrigger.REPORT, summary="one thing more")


@history
async def three_callers(bench: Bench) -> None:
    """Three missions are accepted, the second one twice with the same key; all are worked off."""
    await bench.lane()
    for key in ("first", "second", "second", "third"):
        await bench.dispatch(key=key)


@history
async def wall_clock_jumps(bench: Bench) -> None:
    """The wall clock jumps an hour while a runtime beats in time."""
    await bench.lane()
    hand = await Hand.hired(bench)
    await bench.dispatch()
    row = await hand.claim()
    assert row is not None
    assert isinstance(bench.clock, FakeClock)
    await bench.pass_time(TTL, hand)
    bench.clock.jump(3600)
    await bench.pass_time(1, hand)
    bench.clock.jump(-7200)
    await bench.pass_time(TTL, hand)
    await hand.try_to(row, MissionTrigger.COMPLETE)


@history
async def dead_worker(bench: Bench) -> None:
    """A worker dies with a mission in its hands."""
    await bench.lane()
    hand = await Hand.hired(bench)
    await bench.dispatch()
    await hand.claim()
    await bench.pass_time(1, hand)
    die(bench, hand)
    await bench.pass_time(3 * TTL + 1)


@history
async def poison(bench: Bench) -> None:
    """A mission kills every worker that takes it."""
    await bench.lane(max_attempts=2)
    await bench.dispatch()
    for _ in range(3):
        try:
            hand = await Hand.hired(bench)
        except DraganError:
            return
        await hand.claim()
        die(bench, hand)
        await bench.pass_time(TTL + 1)
