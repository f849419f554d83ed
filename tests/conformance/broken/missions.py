"""Broken in what a mission, a key or a page is."""

import asyncio
import json
import unicodedata
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from dragancorp_contracts.errors import ErrorCode

from ..minimal_server.ledger import Mission, digest
from ..minimal_server.refusing import Refused
from ..minimal_server.server import Minimal
from . import breaks


@breaks("IDM-1", "API-2", "IDM-3", "IDM-4", "IDM-5")
class RepeatNotMarked(Minimal):
    def repeated(self, known: Mission, request: str) -> Response:
        response = super().repeated(known, request)
        del response.headers["idempotency-replayed"]
        return response


@breaks("IDM-1")
class OrderOfMembersCounts(Minimal):
    def request_digest(self, document: Mapping[str, Any]) -> str:
        return json.dumps({name: value for name, value in document.items() if name != "mission_id"})


@breaks("IDM-2")
class ReuseOfKeyAccepted(Minimal):
    def repeated(self, known: Mission, request: str) -> Response:
        return super().repeated(known, known.request)


@breaks("IDM-2")
class ReuseOverwrites(Minimal):
    def repeated(self, known: Mission, request: str) -> Response:
        if known.request != request:
            known.envelope = {**known.envelope, "objective": "overwritten"}
        return super().repeated(known, request)


@breaks("IDM-3")
class RaceLost(Minimal):
    async def dispatch_mission(self, *, document: dict[str, Any]) -> Response:
        known = dict(self.keys)
        await asyncio.sleep(0.05)
        now, self.keys = self.keys, known
        try:
            return await super().dispatch_mission(document=document)
        finally:
            self.keys = {**now, **self.keys}


@breaks("IDM-4")
class AssignedCounts(Minimal):
    def request_digest(self, document: Mapping[str, Any]) -> str:
        return digest(document)


@breaks("IDM-5")
class KeyDiesWithMission(Minimal):
    def end(self, mission: Mission, state: str, reason: str) -> None:
        super().end(mission, state, reason)
        self.keys = {key: one for key, one in self.keys.items() if one != mission.id}


@breaks("IDM-6")
class RefusedRequestTakesKey(Minimal):
    def parsed(self, body: Any, content: bytes) -> dict[str, Any] | None:
        try:
            return super().parsed(body, content)
        except Refused as refused:
            if refused.code is ErrorCode.DOCUMENT_INVALID and b"idempotency_key" in content:
                found = json.loads(content)
                if isinstance(found, dict):
                    ghost = Mission({"vp_id": "vp.minimal.lane", **found}, "refused", "s-ghost")
                    self.missions[ghost.id] = ghost
                    self.keys["minimal", found["idempotency_key"]] = ghost.id
            raise

    def matches(self, mission: Mission, vp_id: str | None, state: str | None, parked: bool | None) -> bool:
        return mission.request != "refused" and super().matches(mission, vp_id, state, parked)


@breaks("MIS-1")
class LocationOfNothing(Minimal):
    async def dispatch_mission(self, *, document: dict[str, Any]) -> Response:
        response = await super().dispatch_mission(document=document)
        response.headers["location"] = "/api/v1/missions"
        return response


@breaks("MIS-2")
class NothingAssigned(Minimal):
    def keep(self, key: tuple[str, str], mission: Mission) -> None:
        del mission.envelope["trace_id"]
        super().keep(key, mission)


@breaks("MIS-2")
class DefaultsPutIn(Minimal):
    def keep(self, key: tuple[str, str], mission: Mission) -> None:
        mission.envelope["traffic"] = "real"
        super().keep(key, mission)


@breaks("MIS-3")
class TextMadeNice(Minimal):
    def keep(self, key: tuple[str, str], mission: Mission) -> None:
        mission.envelope["objective"] = unicodedata.normalize("NFC", mission.envelope["objective"])
        super().keep(key, mission)


@breaks("MIS-4")
class OneTraceForAll(Minimal):
    def keep(self, key: tuple[str, str], mission: Mission) -> None:
        mission.envelope["trace_id"] = "1" * 32
        super().keep(key, mission)


@breaks("PAG-1")
class PagesOverlap(Minimal):
    def cursor(self, position: int) -> str:
        return super().cursor(position + 1)


@breaks("PAG-1", "PAG-2")
class PagesLose(Minimal):
    def cursor(self, position: int) -> str:
        return super().cursor(position - 1)


@breaks("PAG-2")
class OldestFirst(Minimal):
    async def list_missions(self, **arguments: Any) -> Response:
        response = await super().list_missions(**arguments)
        document = json.loads(bytes(response.body))
        document["missions"].reverse()
        return self.json(document)


@breaks("PAG-3")
class BadCursorStartsOver(Minimal):
    def position(self, cursor: str) -> int:
        try:
            return super().position(cursor)
        except Refused:
            return len(self.missions) + 1


@breaks("PAG-3")
class BadCursorFails(Minimal):
    def position(self, cursor: str) -> int:
        return int(cursor.partition("-")[2])


@breaks("PAG-4")
class PagesMove(Minimal):
    def cursor(self, position: int) -> str:
        return super().cursor(len(self.missions) - position)

    def position(self, cursor: str) -> int:
        return len(self.missions) - super().position(cursor)


@breaks("PAG-5")
class FilterIgnored(Minimal):
    def matches(self, mission: Mission, vp_id: str | None, state: str | None, parked: bool | None) -> bool:
        return super().matches(mission, vp_id, None, parked)
