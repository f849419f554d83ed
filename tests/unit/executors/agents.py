"""Async generators as agents, well behaved and not."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from dragancorp.executors.protocol import MissionContext

Event = Mapping[str, Any]
DONE = {"type": "completed", "summary": "done"}
released = asyncio.Event()


async def works(mission: Event, context: MissionContext) -> AsyncGenerator[Event, Any]:
    yield {"type": "progress", "message": mission["objective"]}
    (context.workspace / "made").write_text(context.mission_id)
    yield DONE


async def asks(mission: Event, context: MissionContext) -> AsyncGenerator[Event, Any]:
    answer = yield {"type": "approval_wanted", "request_id": "r1", "tool": "git", "message": "may I?"}
    yield {"type": "completed", "summary": f"approved: {answer['approved']}"}


async def raises(mission: Event, context: MissionContext) -> AsyncGenerator[Event, Any]:
    yield {"type": "progress", "message": "so far so good"}
    raise LookupError("nothing here")


async def exits(mission: Event, context: MissionContext) -> AsyncGenerator[Event, Any]:
    yield {"type": "progress", "message": "so far so good"}
    raise SystemExit(3)


async def interrupts(mission: Event, context: MissionContext) -> AsyncGenerator[Event, Any]:
    raise KeyboardInterrupt
    yield DONE


async def cancels_itself(mission: Event, context: MissionContext) -> AsyncGenerator[Event, Any]:
    raise asyncio.CancelledError
    yield DONE


async def yields_garbage(mission: Event, context: MissionContext) -> AsyncGenerator[Any, Any]:
    yield 17


async def lies_about_usage(mission: Event, context: MissionContext) -> AsyncGenerator[Event, Any]:
    yield {"type": "usage", "usage": {"cost_microusd": -1}}
    yield DONE


async def has_no_last_word(mission: Event, context: MissionContext) -> AsyncGenerator[Event, Any]:
    yield {"type": "progress", "message": "and then"}


async def goes_on_after_its_last_word(mission: Event, context: MissionContext) -> AsyncGenerator[Event, Any]:
    yield DONE
    yield {"type": "failed", "reason_code": "executor_error", "message": "no"}


async def talks(mission: Event, context: MissionContext) -> AsyncGenerator[Event, Any]:
    while True:
        yield {"type": "progress", "message": "and another thing"}


async def hangs(mission: Event, context: MissionContext) -> AsyncGenerator[Event, Any]:
    yield {"type": "progress", "message": "up"}
    await asyncio.Event().wait()


async def refuses_to_be_cancelled(mission: Event, context: MissionContext) -> AsyncGenerator[Event, Any]:
    yield {"type": "progress", "message": "up"}
    while not released.is_set():
        try:
            await released.wait()
        except asyncio.CancelledError:
            continue
    yield {"type": "completed", "summary": "too late"}


def no_generator(mission: Event, context: MissionContext) -> None:
    """A plain function."""
