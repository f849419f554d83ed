"""A gateway in FastAPI: POST /turns answers with one JSON document a line. `uvicorn fastapi_gateway:app`."""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from dragancorp.embedded_plane import EmbeddedPlane
from dragancorp.errors import DraganError
from dragancorp.faces import asgi
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


app = FastAPI(lifespan=plane.lifespan)
app.mount("/dragan", asgi(plane))


@app.post("/turns")
async def answer(body: dict[str, Any]) -> StreamingResponse:
    """One turn."""
    return StreamingResponse(lines(asked(body)), media_type="application/x-ndjson")
