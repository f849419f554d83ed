"""A caller of the house who does as the contract says: asks again with the same key until it is told."""

import asyncio
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from . import side_effect
from .journal import Accepted, CancelTaken, Journal
from .process import DIE
from .schedule import MissionPlan

PATIENCE_SECONDS = 40.0
PAUSE_SECONDS = 0.2
HANG_LIMIT_SECONDS = 2.0
SCRIPT = str(Path(side_effect.__file__))
AUTOMATION = "https://dragancorp.dev/specs/automation-mission/v1/schema.json"
CALLBACK = {"status_url": "https://factory.example/callbacks", "auth_mode": "none"}


class Caller:
    """Asks any of the planes, another one when one does not answer. An async context manager."""

    def __init__(self, urls: Sequence[str], token: str, folder: Path, journal: Journal, seed: int, python: str) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=16)
        self._clients = [
            httpx.AsyncClient(base_url=f"{url}/api/v1", headers=headers, limits=limits, timeout=5.0) for url in urls
        ]
        self._folder = folder
        self._journal = journal
        self._seed = seed
        self._python = python
        self._choose = random.Random(f"caller {seed}")
        self.repeats = 0  # requests that were made again, told or not

    async def __aenter__(self) -> "Caller":
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients:
            await client.aclose()

    def mission_id(self, plan: MissionPlan) -> str:
        """The mission's id, which the caller chooses."""
        return f"m-{self._seed}-{plan.number}"

    async def dispatch(self, plan: MissionPlan) -> None:
        """Have the mission accepted; several copies race for it where the plan says so."""
        envelope = self._envelope(plan)
        self._journal.asked.add(envelope["idempotency_key"])
        if plan.dies_after_receipt:
            (self._folder / DIE / self.mission_id(plan)).touch()
        await asyncio.gather(*(self._have_accepted(envelope) for _ in range(plan.copies)))

    async def _have_accepted(self, envelope: dict[str, Any]) -> None:
        response = await self._until_told("/missions", envelope, expected=(200, 201))
        told = Accepted(at=time.monotonic(), key=envelope["idempotency_key"], mission_id=response.json()["mission_id"])
        self._journal.accepted.append(told)

    async def cancel(self, plan: MissionPlan) -> None:
        """Cancel the mission, unless it has ended otherwise."""
        mission_id = self.mission_id(plan)
        response = await self._until_told(f"/missions/{mission_id}/cancel", None, expected=(200, 202, 409))
        if response.status_code != httpx.codes.CONFLICT:
            self._journal.cancels.append(CancelTaken(at=time.monotonic(), mission_id=mission_id))

    async def _until_told(self, path: str, body: dict[str, Any] | None, *, expected: Sequence[int]) -> httpx.Response:
        until = time.monotonic() + PATIENCE_SECONDS
        last: object = None
        while time.monotonic() < until:
            client = self._choose.choice(self._clients)
            try:
                response = await client.post(path, json=body)
            except httpx.TransportError as error:
                last = error
            else:
                if response.status_code in expected:
                    return response
                last = response.text
                if not response.json().get("retryable", False):
                    raise AssertionError(f"{path}: {response.status_code} {response.text}")
            self.repeats += 1
            await asyncio.sleep(PAUSE_SECONDS)
        raise AssertionError(f"{path}: nobody answered in {PATIENCE_SECONDS:g} s; the last answer was {last!r}")

    def _envelope(self, plan: MissionPlan) -> dict[str, Any]:
        steps = [
            {
                "run": [
                    self._python,
                    *("-ISE", SCRIPT, str(self._folder), str(number), behaviour, str(plan.seconds)),
                ],
                "timeout_seconds": HANG_LIMIT_SECONDS,
            }
            for number, behaviour in enumerate(plan.behaviours, 1)
        ]
        envelope: dict[str, Any] = {
            "mission_id": self.mission_id(plan),
            "vp_id": plan.lane,
            "mission_type": "automation",
            "objective": f"chaos {plan.number}: {', '.join(plan.behaviours)}",
            "idempotency_key": f"chaos-{self._seed}-{plan.number}",
            "source_instance_id": "chaos",  # not the plane that happens to be asked
            "traffic": "synthetic",
            "extensions": [{"uri": AUTOMATION, "required": True, "value": {"steps": steps}}],
        }
        if plan.callback:
            envelope["callback"] = CALLBACK
        return envelope
