"""A gateway in a test: a real plane with real lanes, an agent of its own, and what its callers saw."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil

from dragancorp.clock import SystemClock
from dragancorp.control_plane import ControlPlane
from dragancorp.errors import DraganError
from dragancorp.gateway.turns import Turn
from dragancorp.lanes.link import Holding, Lease
from dragancorp.lanes.store_link import StoreLink
from dragancorp.lifecycle.commands import By, MissionCommand, SessionCommand
from dragancorp.lifecycle.rows import MissionRow
from dragancorp.missions.commands import Requester
from dragancorp.registry.operations import StepMission, StepSession
from dragancorp.registry.queries import GetLane, GetMission, ListMissions, ReadLedger
from dragancorp_contracts.errors import ErrorCode
from dragancorp_contracts.lifecycle import Actor, MissionTrigger, SessionState, SessionTrigger
from dragancorp_contracts.models.gateway_turn_v1 import TurnEvent

LANE = "vp.coder.primary"
AUTOMATION = "https://dragancorp.dev/specs/automation-mission/v1/schema.json"
OPERATOR = By(kind=Actor.OPERATOR, name="ops", reason="a test", way="cli")


def lane(**members: Any) -> dict[str, Any]:
    """CODIE's configuration with other members."""
    return {
        "vp_id": LANE,
        "flag": "CODER_VP",
        "aliases": ["CODIE"],
        "fallback_path": "code-writer",
        "executor": {"type": "automation", "allow": ["sh", "sleep", "true"], "cancel_grace_seconds": 0.2},
    } | members


def running(*commands: Sequence[str], **members: Any) -> dict[str, Any]:
    """Envelope members of an automation mission that runs these commands."""
    steps = [{"run": list(command)} for command in commands]
    return {"extensions": [{"uri": AUTOMATION, "required": True, "value": {"steps": steps}}], **members}


def turn(*commands: Sequence[str], text: str = "CODIE, go", **members: Any) -> Turn:
    """A turn meant for CODIE, with the commands that its mission runs."""
    return Turn(text=text, session_id="s1", mission=running(*(commands or (("true",),)), **members))


class Agent:
    """The gateway's own agent, the primary path: says some words, then perhaps fails."""

    def __init__(self, *words: Any, error: Exception | None = None, pause: float = 0.0) -> None:
        self.words: Sequence[Any] = words or ("primary", "answer")
        self.error = error
        self.pause = pause
        self.turns: list[Turn] = []
        self.finished = 0

    async def __call__(self, turn: Turn) -> AsyncIterator[Any]:
        self.turns.append(turn)
        for word in self.words:
            await asyncio.sleep(self.pause)
            yield word
        if self.error is not None:
            raise self.error
        self.finished += 1


@dataclass
class Heard:
    """What one caller saw: every event, and what was raised at the end."""

    events: list[Any] = field(default_factory=list)
    error: BaseException | None = None

    @property
    def names(self) -> list[Any]:
        """Types of turn events and the primary's own events as they are; neighbours that are equal stand once."""
        names: list[Any] = []
        for event in self.events:
            name = event.type if isinstance(event, TurnEvent) else event
            if not names or names[-1] != name:
                names.append(name)
        return names

    def one(self, event_type: str) -> dict[str, Any]:
        """The only turn event of this type, as JSON."""
        (event,) = [event for event in self.events if isinstance(event, TurnEvent) and event.type == event_type]
        return dict(event.model_dump(mode="json", exclude_unset=True))


class ShiftedClock(SystemClock):
    """The machine's clock, with a wall clock that a test can move on."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def wall(self) -> datetime:
        return datetime.now(UTC) + self.ahead


class CutLink(StoreLink):
    """A worker's link whose heartbeats are lost while `cut` is set."""

    cut = False

    async def renew(self, lease: Lease, *, wait: float = 0.0, seen: str | None = None) -> Holding:
        if CutLink.cut:
            raise DraganError(ErrorCode.SERVER_UNREACHABLE, "the cable is cut")
        return await super().renew(lease, wait=wait, seen=seen)


@dataclass
class Gateway:
    """One plane and what speaks to it."""

    plane: ControlPlane
    agent: Agent
    clock: ShiftedClock

    async def ask(self, turn: Turn, *, leave_after: int | None = None) -> Heard:
        """Delegate a turn and listen to its end, or until so many events were heard."""
        heard = Heard()
        try:
            async with aclosing(self.plane.delegate(turn, primary=self.agent)) as events:
                if leave_after == 0:
                    return heard
                async for event in events:
                    heard.events.append(event)
                    if len(heard.events) == leave_after:
                        break
        except Exception as error:
            heard.error = error
        return heard

    async def ask_until(self, turn: Turn, event_type: str) -> "tuple[Heard, asyncio.Task[Heard]]":
        """Delegate a turn in a task of its own; returns when an event of this type was heard."""
        heard, arrived = Heard(), asyncio.Event()

        async def listen() -> Heard:
            try:
                async with aclosing(self.plane.delegate(turn, primary=self.agent)) as events:
                    async for event in events:
                        heard.events.append(event)
                        if isinstance(event, TurnEvent) and event.type == event_type:
                            arrived.set()
            except Exception as error:
                heard.error = error
            arrived.set()
            return heard

        listening = asyncio.create_task(listen())
        await asyncio.wait_for(arrived.wait(), 10)
        return heard, listening

    async def occupy(self, command: Sequence[str]) -> None:
        """Keep the lane busy with a mission that nobody waits for."""
        envelope = {
            "vp_id": LANE,
            "mission_type": "automation",
            "objective": "keep busy",
            "idempotency_key": "busy",
            **running(command),
        }
        caller = Requester(by=By(kind=Actor.CALLER, name="somebody"))
        mission_id = (await self.plane.missions.dispatch(envelope, caller)).mission.row.mission_id

        async def runs() -> bool:
            return (await self.ledger(mission_id))[-1]["status"] == "running"

        await eventually(runs)

    async def lane_is(self, status: SessionState, vp_id: str = LANE) -> None:
        """Wait until the lane is held in this state with its executor's session open."""

        async def ready() -> bool:
            record = await self.plane.store.read(GetLane(vp_id=vp_id))
            return record is not None and record.row.status is status and record.row.executor_session_id is not None

        await eventually(ready)

    async def is_free(self) -> bool:
        """Whether nobody holds the lane."""
        record = await self.plane.store.read(GetLane(vp_id=LANE))
        return record is not None and not record.row.held

    async def missions(self) -> list[MissionRow]:
        """Every mission, oldest first."""
        page = await self.plane.store.read(ListMissions(limit=1000))
        return [stored.row for stored in reversed(page.missions)]

    async def mission(self) -> MissionRow:
        """The only mission."""
        (row,) = await self.missions()
        return row

    async def ledger(self, mission_id: str) -> list[Mapping[str, Any]]:
        part = await self.plane.store.read(ReadLedger(mission_id=mission_id, limit=10_000))
        assert part is not None
        return list(part.events)

    async def fallbacks(self, mission_id: str) -> list[Mapping[str, Any]]:
        """What the ledger's fallback entries say."""
        entries = await self.ledger(mission_id)
        return [entry["fallback"] for entry in entries if entry["type"] == "vp.mission.fallback"]

    async def ended(self, mission_id: str, seconds: float = 10) -> MissionRow:
        """Wait for the mission's end."""

        async def over() -> bool:
            stored = await self.plane.store.read(GetMission(mission_id=mission_id))
            return stored is not None and stored.row.terminal

        await eventually(over, seconds)
        stored = await self.plane.store.read(GetMission(mission_id=mission_id))
        assert stored is not None
        return stored.row

    async def step(self, mission_id: str, trigger: MissionTrigger, **said: Any) -> None:
        """One trigger by the operator."""
        command = replace(MissionCommand(trigger=trigger, by=OPERATOR), **said)
        await self.plane.store.execute(StepMission(mission_id=mission_id, command=command))

    async def operate(self, trigger: SessionTrigger) -> None:
        """One trigger for the lane by the operator."""
        await self.plane.store.execute(StepSession(vp_id=LANE, command=SessionCommand(trigger=trigger, by=OPERATOR)))


async def eventually(holds: Callable[[], Awaitable[bool]], seconds: float = 10, *, pause: float = 0.02) -> None:
    """Wait until `holds()` answers true; fails after `seconds`."""
    until = time.monotonic() + seconds
    while not await holds():
        assert time.monotonic() < until, f"it did not come to pass within {seconds} s"
        await asyncio.sleep(pause)


def guards() -> list[psutil.Process]:
    """The guard processes of this test's workers."""
    children = psutil.Process().children()
    return [child for child in children if "dragancorp.lanes.guard" in child.cmdline()]
