"""A cancellation that comes in the very moment of what was waited for is still a cancellation."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from dragancorp.lanes.guard_link import GuardLink

pytestmark = pytest.mark.anyio


class Ending:
    """What a link needs of its process: one that ends when it is told to."""

    stdin = None
    stdout: Any = SimpleNamespace(readline=lambda: asyncio.sleep(0, b""))
    pid = 0

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    async def wait(self) -> int:
        await self.ended.wait()
        return 0


@pytest.mark.parametrize("turns", range(6))
async def test_the_end_of_the_guard_does_not_swallow_the_cancellation_of_who_waits_for_it(turns: int) -> None:
    """Found by chaos: a slot of a lane went on under a lost lease, and the lane was dark from then on."""
    process: Any = Ending()
    link = GuardLink(process, ttl_seconds=10.0)
    link._ready.set_result(None)
    cancelled = False

    async def close() -> None:
        nonlocal cancelled
        try:
            await link.close()
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled = True

    closing = asyncio.create_task(close())
    await asyncio.sleep(0.01)
    process.ended.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait({closing}, timeout=1.0)
    closing.cancel()
    assert cancelled
    assert closing.done()
