"""A gateway in Litestar: POST /turns answers with one JSON document a line. `uvicorn litestar_gateway:app`."""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

from litestar import Litestar, post
from litestar.params import JSONBody
from litestar.response import Stream

from dragancorp.embedded_plane import EmbeddedPlane
from dragancorp.errors import DraganError
from dragancorp.faces import DragancorpPlugin
from dragancorp.gateway.turns import Turn
from dragancorp_contracts.models.gateway_turn_v1 import TurnEvent

AUTOMATION = "https://dragancorp.dev/specs/automation-mission/v1/schema.json"
plane = EmbeddedPlane("sqlite:///state.db", lanes=Path(__file__).with_name("lanes.yaml"))


async def my_agent(turn: Turn) -> AsyncIterator[dict[str, str]]:
    """The gateway's own agent: what answers when CODIE is not meant, or cannot."""
    yield {"answer": f"you said {turn.text!r}"}


def asked(body: dict[str, Any]) -> Turn:
    """A turn, and what CODIE would run for it."""
    steps = {"steps": [{"run": body.get("run", ["echo", "done"])}]}
    extensions = [{"uri": AUTOMATION, "required": True, "value": steps}]
    mission = {"mission_type": "automation", "extensions": extensions}
    return Turn(text=body["text"], session_id=body["session_id"], mission=mission)


async def lines(turn: Turn) -> AsyncIterator[str]:
    """Each event as a line; a caller that hangs up ends the mission too."""
    try:
        async with aclosing(plane.delegate(turn, primary=my_agent)) as events:
            async for event in events:
                told = event.model_dump(mode="json", exclude_unset=True) if isinstance(event, TurnEvent) else event
                yield json.dumps(told) + "\n"
    except DraganError as refused:
        yield json.dumps(refused.problem()) + "\n"


@post("/turns", status_code=200)
async def answer(data: JSONBody[dict[str, Any]]) -> Stream:
    """One turn."""
    return Stream(lines(asked(data)), media_type="application/x-ndjson")


app = Litestar([answer], plugins=[DragancorpPlugin(plane, path="/dragan")])
