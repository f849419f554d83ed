"""Broken in the ledger, in waiting, and in cancelling."""

from typing import Any

from starlette.responses import Response

from dragancorp_contracts.errors import ErrorCode

from ..minimal_server.ledger import FINAL, Mission, digest, now
from ..minimal_server.refusing import Refused
from ..minimal_server.server import Minimal
from . import breaks


@breaks("LED-1")
class GapInSequence(Minimal):
    def enter(self, mission: Mission, kind: str, **members: Any) -> None:
        super().enter(mission, kind, **members)
        entry = mission.events[-1]
        if kind in FINAL.values():
            entry["sequence"] += 1
            entry["digest"] = digest({name: value for name, value in entry.items() if name != "digest"})


@breaks("LED-1", "LED-2")
class LastSequenceOfPage(Minimal):
    async def list_mission_events(self, *, mission_id: str, after: int, limit: int, wait: float) -> Response:
        mission = self.find(mission_id)
        events = self.events_after(mission, after)[:limit]
        last = max(len(events) - 1, 0)
        return self.json({"events": events, "last_sequence": last, "terminal": mission.over})


@breaks("LED-2")
class AfterIsFrom(Minimal):
    def events_after(self, mission: Mission, after: int) -> list[dict[str, Any]]:
        return mission.events[max(after - 1, 0) :]


@breaks("LED-3")
class DigestWrong(Minimal):
    def enter(self, mission: Mission, kind: str, **members: Any) -> None:
        super().enter(mission, kind, **members)
        mission.events[-1]["digest"] = digest(mission.events[-1])


@breaks("LED-3")
class ChainCut(Minimal):
    def enter(self, mission: Mission, kind: str, **members: Any) -> None:
        before, mission.events = mission.events, []
        super().enter(mission, kind, **members)
        entry = mission.events[0]
        entry["sequence"] = len(before) + 1
        entry["digest"] = digest({name: value for name, value in entry.items() if name != "digest"})
        mission.events = [*before, entry]


@breaks("LED-4", "LED-5")
class NeverWaits(Minimal):
    async def list_mission_events(self, *, mission_id: str, after: int, limit: int, wait: float) -> Response:
        return await super().list_mission_events(mission_id=mission_id, after=after, limit=limit, wait=0)


@breaks("LED-5")
class NeverWoken(Minimal):
    def tell(self, mission: Mission) -> None:
        pass

    async def wait_for(self, mission: Mission, seconds: float) -> None:
        await super().wait_for(mission, seconds)
        if seconds > 1.0:
            await super().wait_for(mission, 1.0)


@breaks("LED-6")
class NeverOver(Minimal):
    async def list_mission_events(self, *, mission_id: str, after: int, limit: int, wait: float) -> Response:
        mission = self.find(mission_id)
        events = self.events_after(mission, after)[:limit]
        return self.json({"events": events, "last_sequence": len(mission.events), "terminal": False})


@breaks("LED-6", "LED-1")
class WordAfterTheEnd(Minimal):
    def end(self, mission: Mission, state: str, reason: str) -> None:
        super().end(mission, state, reason)
        self.enter(mission, "vp.mission.progress")


@breaks("LED-7", "LED-3")
class TimesOfReading(Minimal):
    def events_after(self, mission: Mission, after: int) -> list[dict[str, Any]]:
        return [one | {"emitted_at": now()} for one in super().events_after(mission, after)]


@breaks("CAN-1", "CAN-4", "CAN-2", "IDM-5", "LED-2")
class CancelLater(Minimal):
    async def cancel_mission(self, *, mission_id: str, document: dict[str, Any] | None) -> Response:
        response = await super().cancel_mission(mission_id=mission_id, document=document)
        response.status_code = 202
        return response


@breaks("CAN-2")
class CancelOnce(Minimal):
    async def cancel_mission(self, *, mission_id: str, document: dict[str, Any] | None) -> Response:
        if self.find(mission_id).over:
            raise Refused(ErrorCode.MISSION_TERMINAL, "it is over")
        return await super().cancel_mission(mission_id=mission_id, document=document)


@breaks("CAN-2")
class CancelledTwice(Minimal):
    async def cancel_mission(self, *, mission_id: str, document: dict[str, Any] | None) -> Response:
        mission = self.find(mission_id)
        if mission.state in ("queued", "cancelled"):
            self.end(mission, "cancelled", "cancel_requested")
        return await super().cancel_mission(mission_id=mission_id, document=document)


@breaks("CAN-3")
class FinishedIsCancelled(Minimal):
    async def cancel_mission(self, *, mission_id: str, document: dict[str, Any] | None) -> Response:
        mission = self.find(mission_id)
        return self.json(self.record(mission if mission.over else self._ended(mission_id)))

    def _ended(self, mission_id: str) -> Mission:
        self.end(self.missions[mission_id], "cancelled", "cancel_requested")
        return self.missions[mission_id]


@breaks("CAN-3")
class DeadlinesForgotten(Minimal):
    def expire(self, mission: Mission) -> None:
        pass


@breaks("CAN-4")
class ReasonWanted(Minimal):
    async def cancel_mission(self, *, mission_id: str, document: dict[str, Any] | None) -> Response:
        if not document:
            violation = {"pointer": "/reason", "rule": "own", "message": "why?"}
            raise Refused(ErrorCode.DOCUMENT_INVALID, "why?", [violation])
        return await super().cancel_mission(mission_id=mission_id, document=document)
