"""The operations of level core over a dictionary of missions."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from dragancorp_contracts.api.document import openapi_document
from dragancorp_contracts.api.operations import OPERATIONS, Operation
from dragancorp_contracts.errors import CATALOGUE, ErrorCode

from .ledger import Mission, digest, now
from .reading import Reading
from .refusing import Refused, Violation

LANE, FULL_LANE = "vp.minimal.lane", "vp.minimal.full"
FULL_TOKEN, LIMITED_TOKEN = "minimal-full-token", "minimal-limited-token"
ASSIGNABLE = {"mission_id", "vp_session_id", "vp_runtime_id", "source_instance_id", "trace_id", "created_at"}


class Minimal(Reading):
    """One server. Each method is a place where a broken one goes wrong."""

    planned: tuple[str, ...] = ()

    tokens: Mapping[str, frozenset[str]] = MappingProxyType(
        {
            FULL_TOKEN: frozenset({"missions:read", "missions:write", "ops:read", "ops:write", "fleet:write"}),
            LIMITED_TOKEN: frozenset({"missions:read"}),
        }
    )

    def __init__(self) -> None:
        self.missions: dict[str, Mission] = {}
        self.keys: dict[tuple[str, str], str] = {}
        self.lanes = {vp_id: f"s-{secrets.token_hex(4)}" for vp_id in (LANE, FULL_LANE)}
        self.started = now()

    def app(self) -> Starlette:
        """The ASGI application."""
        core = [one for one in OPERATIONS.values() if self.level(one) == "core"]
        paths = dict.fromkeys(one.path for one in core)
        routes = [Route(path, self.endpoint(path, core), methods=self.methods(path, core)) for path in paths]
        return Starlette(routes=routes, exception_handlers={HTTPException: self.lost, Exception: self.failed})

    def level(self, operation: Operation) -> str:
        return str(_DOCUMENT["paths"][operation.path][operation.method.lower()]["x-dragan-level"])

    def methods(self, path: str, core: list[Operation]) -> list[str]:
        return [one.method for one in core if one.path == path]

    def endpoint(self, path: str, core: list[Operation]) -> Callable[[Request], Awaitable[Response]]:
        by_method = {one.method: one for one in core if one.path == path}

        async def endpoint(request: Request) -> Response:
            operation = by_method.get(request.method)
            if operation is None:
                return await self.lost(request, HTTPException(405, headers={"Allow": ", ".join(by_method)}))
            try:
                return await self.answer(operation, request)
            except Refused as refused:
                return self.refused(refused)
            except ClientDisconnect:
                return Response(status_code=400)

        return endpoint

    async def answer(self, operation: Operation, request: Request) -> Response:
        if not operation.public:
            self.admit(operation, request)
        handler = getattr(self, operation.id, None)
        if handler is None or operation.id in self.planned:
            raise Refused(ErrorCode.NOT_IMPLEMENTED, "planned")
        arguments = self.arguments(operation, request)
        if operation.body is not None:
            arguments["document"] = await self.document(operation.body, request)
        response: Response = await handler(**arguments)
        return response

    def refused(self, refused: Refused) -> Response:
        status = CATALOGUE[refused.code].status
        return self.json(refused.document(), status, refused.headers, "application/problem+json")

    async def lost(self, request: Request, error: Exception) -> Response:
        headers = dict(getattr(error, "headers", None) or {})
        code = ErrorCode.METHOD_NOT_ALLOWED if getattr(error, "status_code", 404) == 405 else ErrorCode.ROUTE_UNKNOWN
        return self.refused(Refused(code, request.url.path[:200], headers=headers))

    async def failed(self, request: Request, error: Exception) -> Response:
        return self.refused(Refused(ErrorCode.INTERNAL_ERROR, type(error).__name__))

    def json(
        self,
        document: object,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        media: str = "application/json",
    ) -> Response:
        content = json.dumps(document, ensure_ascii=True).encode()
        return Response(content, status, dict(headers or {}), media_type=media)

    # missions

    async def dispatch_mission(self, *, document: dict[str, Any]) -> Response:
        broken = list(self.rules(document))
        if broken:
            raise Refused(ErrorCode.DOCUMENT_INVALID, "look at the violations", broken)
        if document["vp_id"] not in self.lanes:
            raise Refused(ErrorCode.LANE_UNKNOWN, document["vp_id"])
        if document["vp_id"] == FULL_LANE:
            raise self.full()
        key = (document.get("source_instance_id", "minimal"), document["idempotency_key"])
        request = self.request_digest(document)
        known = self.missions.get(self.keys.get(key, ""))
        if known is not None:
            return self.repeated(known, request)
        mission = Mission(document, request, self.lanes[document["vp_id"]])
        self.keep(key, mission)
        self.enter(mission, "vp.mission.dispatched")
        return self.json(self.record(mission), 201, {"Location": f"/api/v1/missions/{mission.id}"})

    def full(self) -> Refused:
        return Refused(ErrorCode.QUEUE_FULL, "no more", headers={"Retry-After": "1"})

    def request_digest(self, document: Mapping[str, Any]) -> str:
        return digest({name: value for name, value in document.items() if name not in ASSIGNABLE})

    def keep(self, key: tuple[str, str], mission: Mission) -> None:
        if mission.id in self.missions:
            violation = {"pointer": "/mission_id", "rule": "ENV-6", "message": "it is taken"}
            raise Refused(ErrorCode.DOCUMENT_INVALID, "the mission_id is taken", [violation])
        self.keys[key] = mission.id
        self.missions[mission.id] = mission

    def repeated(self, known: Mission, request: str) -> Response:
        if known.request != request:
            raise Refused(ErrorCode.IDEMPOTENCY_KEY_REUSED, "another request had this key")
        return self.json(self.record(known), 200, {"Idempotency-Replayed": "true"})

    def rules(self, document: Mapping[str, Any]) -> Iterator[Violation]:
        window = document.get("autonomy_window", {})
        if {"start_at", "end_at"} <= window.keys() and _time(window["end_at"]) <= _time(window["start_at"]):
            yield _broken("/autonomy_window/end_at", "ENV-1")
        if {"created_at", "deadline_at"} <= document.keys() and _time(document["deadline_at"]) <= _time(
            document["created_at"]
        ):
            yield _broken("/deadline_at", "ENV-2")
        uris = [one["uri"] for one in document.get("extensions", [])]
        for index, uri in enumerate(uris):
            if uri in uris[:index]:
                yield _broken(f"/extensions/{index}/uri", "ENV-3")
        if "mission_id" in document and document["mission_id"] == document.get("parent_mission_id"):
            yield _broken("/parent_mission_id", "ENV-4")

    def find(self, mission_id: str) -> Mission:
        mission = self.missions.get(mission_id)
        if mission is None:
            raise Refused(ErrorCode.MISSION_UNKNOWN, mission_id)
        self.expire(mission)
        return mission

    def expire(self, mission: Mission) -> None:
        deadline = mission.envelope.get("deadline_at")
        if not mission.over and deadline is not None and _time(deadline) <= datetime.now(UTC):
            self.end(mission, "timed_out", "deadline_passed")

    def end(self, mission: Mission, state: str, reason: str) -> None:
        mission.state, mission.reason = state, reason
        self.enter(
            mission, f"vp.mission.{state}", artifact_index=[], recommended_next_action="Nothing.", reason_code=reason
        )

    def enter(self, mission: Mission, kind: str, **members: Any) -> None:
        entry = {
            "mission_id": mission.id,
            "vp_id": mission.envelope["vp_id"],
            "type": kind,
            "status": mission.state,
            "sequence": len(mission.events) + 1,
            "attempt": 0,
            "emitted_at": now(),
            **members,
        }
        if mission.events:
            entry["previous_digest"] = mission.events[-1]["digest"]
        entry["digest"] = digest(entry)
        mission.events.append(entry)
        mission.updated_at = entry["emitted_at"]
        self.tell(mission)

    def tell(self, mission: Mission) -> None:
        mission.changed.set()
        mission.changed = asyncio.Event()

    def record(self, mission: Mission) -> dict[str, Any]:
        return mission.record()

    async def get_mission(self, *, mission_id: str) -> Response:
        return self.json(self.record(self.find(mission_id)))

    async def list_missions(
        self, *, vp_id: str | None, state: str | None, parked: bool | None, limit: int, cursor: str | None
    ) -> Response:
        every = list(enumerate(self.missions.values(), start=1))
        before = len(every) + 1 if cursor is None else self.position(cursor)
        found = [(at, one) for at, one in reversed(every) if at < before and self.matches(one, vp_id, state, parked)]
        page = found[:limit]
        following = self.cursor(page[-1][0]) if len(found) > limit else None
        return self.json({"missions": [self.record(one) for _, one in page], "next_cursor": following})

    def matches(self, mission: Mission, vp_id: str | None, state: str | None, parked: bool | None) -> bool:
        self.expire(mission)
        return vp_id in (None, mission.envelope["vp_id"]) and state in (None, mission.state) and not parked

    def cursor(self, position: int) -> str:
        return f"before-{position}"

    def position(self, cursor: str) -> int:
        name, _, digits = cursor.partition("-")
        if name != "before" or not digits.isascii() or not digits.isdigit() or len(digits) > 12:
            violation = {"pointer": "/query/cursor", "rule": "ops-api/v1#cursor", "message": "no page gave it"}
            raise Refused(ErrorCode.PARAMETER_INVALID, "no page gave this cursor", [violation])
        return int(digits)

    async def list_mission_events(self, *, mission_id: str, after: int, limit: int, wait: float) -> Response:
        mission = self.find(mission_id)
        until = asyncio.get_running_loop().time() + wait
        while not self.events_after(mission, after) and not mission.over:
            left = until - asyncio.get_running_loop().time()
            if left <= 0:
                break
            await self.wait_for(mission, left)
            self.expire(mission)
        events = self.events_after(mission, after)[:limit]
        return self.json({"events": events, "last_sequence": len(mission.events), "terminal": mission.over})

    async def wait_for(self, mission: Mission, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(mission.changed.wait(), min(seconds, 1.0))

    def events_after(self, mission: Mission, after: int) -> list[dict[str, Any]]:
        return mission.events[after:]

    async def stream_mission_events(self, *, mission_id: str, last_event_id: int | None) -> Response:
        mission = self.find(mission_id)
        if last_event_id is not None and last_event_id > len(mission.events):
            violation = {
                "pointer": "/header/Last-Event-ID",
                "rule": "ops-api/v1#stream",
                "message": "no stream gave it",
            }
            raise Refused(ErrorCode.PARAMETER_INVALID, "no stream gave this id", [violation])
        if mission.over and last_event_id == len(mission.events):
            return Response(status_code=204)
        return StreamingResponse(self.stream(mission, last_event_id), media_type="text/event-stream")

    async def stream(self, mission: Mission, after: int | None) -> AsyncIterator[str]:
        if after is None:
            after = len(mission.events)
            yield self.event("snapshot", after, self.record(mission))
        while True:
            for entry in self.events_after(mission, after):
                after = entry["sequence"]
                yield self.event("mission_event", after, entry)
            if mission.over:
                return
            await self.wait_for(mission, 1.0)
            self.expire(mission)
            yield ": still here\n\n"

    def event(self, name: str, number: int, document: object) -> str:
        return f"id: {number}\nevent: {name}\ndata: {json.dumps(document)}\n\n"

    async def list_mission_artifacts(self, *, mission_id: str) -> Response:
        self.find(mission_id)
        return self.json({"artifacts": []})

    async def explain_mission(self, *, mission_id: str) -> Response:
        mission = self.find(mission_id)
        sentence = f"It is {mission.state}."
        return self.json({"mission_id": mission.id, "code": mission.state, "sentence": sentence, "facts": {}})

    async def cancel_mission(self, *, mission_id: str, document: dict[str, Any] | None) -> Response:
        mission = self.find(mission_id)
        if mission.over and mission.state != "cancelled":
            raise Refused(ErrorCode.MISSION_TERMINAL, f"it is {mission.state}")
        if not mission.over:
            self.end(mission, "cancelled", "cancel_requested")
        return self.json(self.record(mission))

    # lanes and health

    async def list_sessions(self) -> Response:
        return self.json({"sessions": [self.lane(vp_id) for vp_id in self.lanes]})

    async def get_session(self, *, vp_id: str) -> Response:
        if vp_id not in self.lanes:
            raise Refused(ErrorCode.SESSION_UNKNOWN, vp_id)
        return self.json(self.lane(vp_id))

    def lane(self, vp_id: str) -> dict[str, Any]:
        return {
            "vp_id": vp_id,
            "vp_session_id": self.lanes[vp_id],
            "status": "idle",
            "lease_epoch": 0,
            "beat": 0,
            "continuity_id": f"c-{self.lanes[vp_id]}",
            "created_at": self.started,
            "updated_at": self.started,
        }

    async def get_health(self) -> Response:
        return self.json({"status": "ok", "version": "1.0"})

    async def get_readiness(self) -> Response:
        return self.json({"status": "ready", "instance_id": "minimal", "lanes": len(self.lanes)})

    async def get_openapi(self) -> Response:
        return self.json(self.openapi())

    def openapi(self) -> dict[str, Any]:
        """The contract as far as this server goes: level core, with what it lacks declared as planned."""
        document = openapi_document()
        for path, item in list(document["paths"].items()):
            for method in [name for name, node in item.items() if isinstance(node, dict) and "operationId" in node]:
                node = item[method]
                if node["x-dragan-level"] != "core":
                    del item[method]
                else:
                    lacking = node["operationId"] in self.planned or not hasattr(self, node["operationId"])
                    node["x-dragan-status"] = "planned" if lacking else "served"
            if not any(isinstance(node, dict) for node in item.values()):
                del document["paths"][path]
        return document


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _broken(pointer: str, rule: str) -> Violation:
    return {"pointer": pointer, "rule": rule, "message": "it does not hold"}


_DOCUMENT = openapi_document()
