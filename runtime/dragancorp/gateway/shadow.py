"""Turns that a lane runs in the shadow of the primary path: beside it, unseen by the caller, and compared.

Each run is a task of the plane. It ends when mission and primary path have, or when the plane closes; a process that
dies leaves the mission to its lane, and no comparison. Under load a shadow is what is dropped first: it is not begun
while the lane has anything else to do, nor beyond `AT_ONCE` of them, and in the lane's queue it comes last.
"""

import asyncio
import difflib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, Generic

import structlog

from dragancorp.clock import Clock
from dragancorp.errors import DraganError
from dragancorp.gateway.turn_envelope import shadow_envelope
from dragancorp.gateway.turns import EventT, Turn, closing
from dragancorp.lifecycle.commands import By
from dragancorp.lifecycle.facts import LanePolicy
from dragancorp.lifecycle.ledger_entry import utc_text
from dragancorp.missions.commands import Missions, Requester
from dragancorp.registry.comparisons import StoreComparison
from dragancorp.registry.operations import Stored
from dragancorp.registry.port import Store
from dragancorp.registry.queries import GetLane
from dragancorp_contracts.lifecycle import MissionKind

AT_ONCE = 8
LEDGER_WAIT_SECONDS = 10.0
HEARD_CHARACTERS = 100_000  # of the primary's answer that are kept for the comparison
COMPARED_WORDS = 2_000

Measure = Callable[[Turn, str, Mapping[str, Any]], Mapping[str, Any]]
"""A gateway's own comparison: the turn, what the primary path said, and the last entry of the mission's ledger, to
measures by name. It runs in a thread; what it raises is logged, and the rest of the comparison is kept."""

log = structlog.get_logger("dragancorp.gateway")


def nothing_more(turn: Turn, said: str, ending: Mapping[str, Any]) -> Mapping[str, Any]:
    """The measure of a gateway that has none of its own."""
    return {}


def text_of(event: object) -> str:
    """What an event of the primary path says: itself, its bytes, or its member `text`, `delta` or `content`."""
    if isinstance(event, str):
        return event
    if isinstance(event, bytes):
        return event.decode("utf-8", "replace")
    for name in ("text", "delta", "content"):
        said = event.get(name) if isinstance(event, Mapping) else getattr(event, name, None)
        if isinstance(said, str):
            return said
    return ""


def similarity(one: str, other: str) -> float | None:
    """How alike two texts are by the order of their words, 0 to 1; None where one says nothing."""
    words = one.split()[:COMPARED_WORDS], other.split()[:COMPARED_WORDS]
    if not all(words):
        return None
    return round(difflib.SequenceMatcher(None, *words).ratio(), 4)


class Overheard(Generic[EventT]):
    """The primary path's answer, passed on as it is, and remembered."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = clock.monotonic()
        self._parts: list[str] = []
        self.characters = 0
        self.ended = asyncio.Event()
        self.outcome = "left"
        self.seconds = 0.0

    @property
    def said(self) -> str:
        """What it said, as far as it is kept."""
        return "".join(self._parts)

    async def passing_on(self, answer: AsyncIterator[EventT]) -> AsyncGenerator[EventT, None]:
        """The very same events."""
        try:
            async with closing(answer) as events:
                async for event in events:
                    self._hear(event)
                    yield event
            self.outcome = "answered"
        except Exception:
            self.outcome = "failed"
            raise
        finally:
            self.seconds = self._clock.monotonic() - self._began
            self.ended.set()

    def _hear(self, event: object) -> None:
        with suppress(Exception):  # an event is somebody else's: whatever it does when it is read, it is passed on
            text = text_of(event)
            if self.characters < HEARD_CHARACTERS:
                self._parts.append(text[: HEARD_CHARACTERS - self.characters])
            self.characters += len(text)


class Shadows:
    """The shadow runs of one plane."""

    def __init__(self, store: Store, missions: Missions, clock: Clock, gateway: By) -> None:
        self._store = store
        self._missions = missions
        self._clock = clock
        self._gateway = gateway
        self._running: set[asyncio.Task[None]] = set()
        self.measure: Measure = nothing_more

    def beside(self, turn: Turn, policy: LanePolicy, answer: AsyncIterator[EventT]) -> AsyncIterator[EventT]:
        """The primary's answer, with the lane running in its shadow; as it is, where there is no room for one."""
        if len(self._running) >= AT_ONCE:
            _dropped(policy.vp_id, f"{AT_ONCE} are under way")
            return answer
        heard: Overheard[EventT] = Overheard(self._clock)
        task = asyncio.create_task(self._run(turn, policy, heard), name=f"shadow {policy.vp_id}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return heard.passing_on(answer)

    async def close(self) -> None:
        """End every run; their missions are their lanes' now."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _run(self, turn: Turn, policy: LanePolicy, heard: "Overheard[Any]") -> None:
        try:
            stored = await self._begun(turn, policy)
            if stored is not None:
                ending = await self._ending(stored.row.mission_id)
                await heard.ended.wait()
                await self._keep(turn, stored, ending, heard)
        except (DraganError, UnicodeEncodeError) as error:
            _dropped(policy.vp_id, str(error))
        except Exception:
            # Whatever it is, the turn is the primary's and is answered; its mission is in the ledger.
            log.exception("a shadow failed", action="shadow.failed", vp_id=policy.vp_id)

    async def _begun(self, turn: Turn, policy: LanePolicy) -> Stored | None:
        lane = await self._store.read(GetLane(vp_id=policy.vp_id))
        if lane is None or not lane.row.held:
            _dropped(policy.vp_id, "no runtime holds the lane's lease")
            return None
        if sum(lane.unfinished.values()) >= policy.parallel_missions:
            _dropped(policy.vp_id, "the lane has other work")
            return None
        envelope = shadow_envelope(turn, policy.vp_id)
        done = await self._missions.dispatch(envelope, Requester(by=self._gateway), kind=MissionKind.SHADOW)
        return None if done.replayed else done.mission

    async def _ending(self, mission_id: str) -> Mapping[str, Any]:
        """The last entry of the mission's ledger, once it has ended."""
        requester, seen = Requester(by=self._gateway), 0
        last: Mapping[str, Any] = {}
        while True:
            part = await self._missions.ledger(mission_id, requester, after=seen, wait=LEDGER_WAIT_SECONDS)
            for last in part.events:
                seen = last["sequence"]
            if part.terminal and seen >= part.last_sequence:
                return last

    async def _keep(self, turn: Turn, stored: Stored, ending: Mapping[str, Any], heard: "Overheard[Any]") -> None:
        row = (await self._missions.get(stored.row.mission_id, Requester(by=self._gateway))).row
        lane_said = str(ending.get("summary", ""))
        measures = await asyncio.to_thread(self._measures, turn, heard.said, ending)
        alike = await asyncio.to_thread(similarity, heard.said, lane_said)
        lane = {
            "outcome": row.state.value,
            "reason_code": None if row.reason_code is None else row.reason_code.value,
            "seconds": _between(row.started_at or row.created_at, row.finished_at),
            "queue_seconds": None if row.started_at is None else _between(row.created_at, row.started_at),
            "characters": len(lane_said),
        }
        document = {
            "mission_id": row.mission_id,
            "vp_id": row.vp_id,
            "compared_at": utc_text(self._clock.wall()),
            "primary": {"outcome": heard.outcome, "seconds": heard.seconds, "characters": heard.characters},
            "lane": {name: value for name, value in lane.items() if value is not None},
            "similarity": alike,
            "changed_files": len(ending.get("artifact_refs", ())),
            **({"measures": dict(measures)} if measures else {}),
        }
        await self._store.execute(StoreComparison(mission_id=row.mission_id, document=document))

    def _measures(self, turn: Turn, said: str, ending: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            return self.measure(turn, said, ending)
        except Exception:
            log.exception("a gateway's own comparison failed", action="shadow.measure_failed")
            return {}


def _between(start: datetime, end: datetime | None) -> float:
    return 0.0 if end is None else max(0.0, (end - start).total_seconds())


def _dropped(vp_id: str, why: str) -> None:
    log.info("no shadow", action="shadow.dropped", vp_id=vp_id, why=why)
