"""Send turns for CODIE through the gateway of `dragan dev` until its stage has seen enough of them.

    python turns.py 20                  # until 20 missions count for the stage
    python turns.py --until-forced      # until the fallback is forced

Every turn is a session of its own, as different people would be. Prints how often lane and primary path answered.
"""

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import connect

LANE = "vp.coder.primary"
AT_MOST = 2_000  # turns, before it gives up
PAUSE_SECONDS = 0.05


async def main(plane: dict[str, Any], wanted: int | None) -> int:
    """Send turns; 0 once what is wanted was reached."""
    headers = {"Authorization": f"Bearer {plane['token']}"}
    answered: Counter[str] = Counter()
    async with httpx.AsyncClient(base_url=plane["url"], headers=headers, timeout=60) as http:
        for number in range(AT_MOST):
            status = (await http.get(f"/api/v1/ops/rollout/{LANE}")).json()
            seen = status["numbers"]["missions_considered"]
            if (wanted is None and status["override"] == "forced_fallback") or (wanted is not None and seen >= wanted):
                print(f"{seen} missions count; turns: {dict(answered)}")
                return 0
            answered[await turn(http, plane["url"], headers, f"CODIE, task {number}")] += 1
    print(f"not reached after {AT_MOST} turns: {dict(answered)}", file=sys.stderr)
    return 1


async def turn(http: httpx.AsyncClient, url: str, headers: dict[str, str], text: str) -> str:
    """One turn in a session of its own; answers who answered it."""
    session = (await http.post("/api/v1/sessions", json={})).json()["session_id"]
    address = f"{url.replace('http', 'ws', 1)}/api/v1/sessions/{session}/stream"
    by = "nobody"
    async with connect(address, additional_headers=headers) as socket:
        await socket.send(json.dumps({"text": text, "session_id": session}))
        async for message in socket:
            frame: dict[str, Any] = json.loads(message)
            if frame["type"] == "answer":
                by = "primary"
            elif frame["type"] == "event" and frame["event"]["type"] == "coder_vp_completed":
                by = "lane"
            elif frame["type"] == "turn_ended":
                break
    await asyncio.sleep(PAUSE_SECONDS)
    return by


if __name__ == "__main__":
    found = json.loads(Path(".dragan/plane.json").read_text())
    sys.exit(asyncio.run(main(found, None if sys.argv[1] == "--until-forced" else int(sys.argv[1]))))
