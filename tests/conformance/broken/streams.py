"""Broken in the stream of a mission, and in what is said of it."""

from collections.abc import AsyncIterator

from starlette.responses import Response

from ..minimal_server.ledger import Mission
from ..minimal_server.server import Minimal
from . import breaks


@breaks("STR-1")
class SnapshotWithoutItsPlace(Minimal):
    def event(self, name: str, number: int, document: object) -> str:
        return super().event(name, 0 if name == "snapshot" else number, document)


@breaks("STR-1")
class SnapshotAndWhatItStandsFor(Minimal):
    async def stream(self, mission: Mission, after: int | None) -> AsyncIterator[str]:
        if after is None:
            yield self.event("snapshot", len(mission.events), self.record(mission))
        async for text in super().stream(mission, after or 0):
            yield text


@breaks("STR-2", "STR-3")
class StreamSkips(Minimal):
    async def stream(self, mission: Mission, after: int | None) -> AsyncIterator[str]:
        async for text in super().stream(mission, after):
            if not text.startswith("id: 1\n"):
                yield text


@breaks("STR-3")
class StreamStartsOver(Minimal):
    async def stream(self, mission: Mission, after: int | None) -> AsyncIterator[str]:
        async for text in super().stream(mission, 0 if after else after):
            yield text


@breaks("STR-3")
class StreamNeverOver(Minimal):
    async def stream_mission_events(self, *, mission_id: str, last_event_id: int | None) -> Response:
        answer = await super().stream_mission_events(mission_id=mission_id, last_event_id=last_event_id)
        return Response(b"", media_type="text/event-stream") if answer.status_code == 204 else answer


@breaks("WHY-1")
class WhyOfTheEndedFails(Minimal):
    async def explain_mission(self, *, mission_id: str) -> Response:
        if self.find(mission_id).over:
            raise RuntimeError("nothing to explain")
        return await super().explain_mission(mission_id=mission_id)
