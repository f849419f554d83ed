"""A gateway without any framework: lines in, answers out. `python asyncio_gateway.py` and say "CODIE, hello"."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

from dragancorp.control_plane import ControlPlane
from dragancorp.errors import DraganError
from dragancorp.gateway.turns import Turn
from dragancorp_contracts.models.gateway_turn_v1 import TurnEvent

LANES = Path(__file__).with_name("lanes.yaml")
AUTOMATION = "https://dragancorp.dev/specs/automation-mission/v1/schema.json"


async def my_agent(turn: Turn) -> AsyncIterator[str]:
    """The gateway's own agent: what answers when CODIE is not meant, or cannot."""
    yield f"you said {turn.text!r}"


def asked(line: str) -> Turn:
    """A turn, and what CODIE would run for it."""
    steps = {"steps": [{"run": ["echo", line]}]}
    return Turn(
        text=line,
        session_id="terminal",
        mission={
            "mission_type": "automation",
            "extensions": [{"uri": AUTOMATION, "required": True, "value": steps}],
        },
    )


async def answer(plane: ControlPlane, line: str) -> AsyncIterator[str]:
    """The lines that answer one line."""
    try:
        async with aclosing(plane.delegate(asked(line), primary=my_agent)) as events:
            async for event in events:
                yield event.type if isinstance(event, TurnEvent) else str(event)
    except DraganError as refused:
        yield f"refused: {refused.code} {refused.detail}"


async def main() -> None:
    """Answer every line of standard input."""
    async with await ControlPlane.open("sqlite:///state.db", lanes=LANES) as plane:
        while line := await asyncio.to_thread(sys.stdin.readline):
            async for text in answer(plane, line.strip()):
                print(text, flush=True)


if __name__ == "__main__":
    asyncio.run(main())
