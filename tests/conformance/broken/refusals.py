"""Broken in how they say no, and in what they say of themselves."""

from collections.abc import Iterator, Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from dragancorp_contracts.api.operations import Operation, Parameter
from dragancorp_contracts.errors import CATALOGUE, ErrorCode

from ..minimal_server.refusing import Refused, Violation
from ..minimal_server.server import Minimal
from . import breaks


@breaks("API-1")
class DocumentOfItsOwn(Minimal):
    def openapi(self) -> dict[str, Any]:
        document = super().openapi()
        document["paths"]["/api/v1/missions"]["get"]["parameters"][3]["schema"]["maximum"] = 1000
        return document


@breaks("API-1")
class OperationKeptQuiet(Minimal):
    def openapi(self) -> dict[str, Any]:
        document = super().openapi()
        del document["paths"]["/api/v1/missions/{mission_id}/cancel"]
        return document


@breaks("API-2")
class NumberAsText(Minimal):
    def lane(self, vp_id: str) -> dict[str, Any]:
        return super().lane(vp_id) | {"beat": "0"}


@breaks("API-2", "CAN-1")
class UndeclaredStatus(Minimal):
    async def cancel_mission(self, *, mission_id: str, document: dict[str, Any] | None) -> Response:
        response = await super().cancel_mission(mission_id=mission_id, document=document)
        response.status_code = 203
        return response


@breaks("OPS-14")
class PlannedWithoutSaying(Minimal):
    planned = ("list_mission_artifacts",)

    def openapi(self) -> dict[str, Any]:
        document = super().openapi()
        document["paths"]["/api/v1/missions/{mission_id}/artifacts"]["get"]["x-dragan-status"] = "served"
        return document


@breaks("OPS-3")
class ServedWithoutSaying(Minimal):
    def openapi(self) -> dict[str, Any]:
        document = super().openapi()
        document["paths"]["/api/v1/missions/{mission_id}"]["get"]["x-dragan-status"] = "planned"
        return document


class _OtherProblem(Minimal):
    """Answers a changed problem document."""

    media = "application/problem+json"

    def changed(self, document: dict[str, Any]) -> dict[str, Any]:
        return document

    def refused(self, refused: Refused) -> Response:
        status = CATALOGUE[refused.code].status
        return self.json(self.changed(refused.document()), status, refused.headers, self.media)


@breaks("ERR-1", "API-2")
class PlainJsonErrors(_OtherProblem):
    media = "application/json"


@breaks("ERR-1", "API-2")
class ErrorsWithoutType(_OtherProblem):
    def changed(self, document: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in document.items() if name != "type"}


@breaks("ERR-2", "ERR-6")
class WrongStatus(Minimal):
    def refused(self, refused: Refused) -> Response:
        response = super().refused(refused)
        if refused.code is ErrorCode.LANE_UNKNOWN:
            response.status_code = 422
        return response


@breaks("ERR-2", "ERR-6", "ERR-1", "ERR-3", "API-2")
class CodeOfItsOwn(_OtherProblem):
    def changed(self, document: dict[str, Any]) -> dict[str, Any]:
        own = {"mission_unknown": "no_such_mission"}
        return document | {"code": own.get(document["code"], document["code"])}


@breaks("ERR-3", "ERR-1", "API-2")
class MissingHint(_OtherProblem):
    def changed(self, document: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in document.items() if name != "hint"}


@breaks("ERR-3")
class EverythingIsRetryable(_OtherProblem):
    def changed(self, document: dict[str, Any]) -> dict[str, Any]:
        return document | {"retryable": True}


@breaks("ERR-4")
class WelcomePage(Minimal):
    async def lost(self, request: Request, error: Exception) -> Response:
        if getattr(error, "status_code", 404) == 404:
            return self.json({"hello": "world"})
        return await super().lost(request, error)


@breaks("ERR-5")
class NoAllow(Minimal):
    async def lost(self, request: Request, error: Exception) -> Response:
        return await super().lost(request, HTTPException(getattr(error, "status_code", 404)))


@breaks("ERR-5")
class WrongMethodIsNotFound(Minimal):
    async def lost(self, request: Request, error: Exception) -> Response:
        return await super().lost(request, HTTPException(404))


@breaks("ERR-6")
class OneCodeForAll(Minimal):
    def refused(self, refused: Refused) -> Response:
        if refused.code is ErrorCode.SESSION_UNKNOWN:
            refused = Refused(ErrorCode.MISSION_UNKNOWN, refused.detail)
        return super().refused(refused)


@breaks("ERR-7", "ERR-8", "ERR-9")
class FirstViolationOnly(Minimal):
    def refused(self, refused: Refused) -> Response:
        refused.violations = refused.violations[:1]
        return super().refused(refused)


@breaks("ERR-8")
class OneRuleForgotten(Minimal):
    def rules(self, document: Mapping[str, Any]) -> Iterator[Violation]:
        return (one for one in super().rules(document) if one["rule"] != "ENV-3")


@breaks("ERR-9")
class UnknownParametersIgnored(Minimal):
    def query(self, request: Request) -> dict[str, list[str]]:
        known = ("vp_id", "state", "parked", "limit", "cursor", "after", "wait")
        return {name: value for name, value in super().query(request).items() if name in known}


@breaks("ERR-9")
class NumbersReadLoosely(Minimal):
    def argument(self, one: Parameter, given: list[str]) -> tuple[Any, list[Violation]]:
        if one.kind == "integer" and given and given[0].isdigit():
            given = [str(min(int(given[0]), 500))]
        return super().argument(one, given)


@breaks("ERR-10", "ERR-1", "ERR-2")
class PathNotJudged(Minimal):
    def argument(self, one: Parameter, given: list[str]) -> tuple[Any, list[Violation]]:
        return (given[0], []) if one.where == "path" else super().argument(one, given)


@breaks("ERR-11", "ERR-1")
class AnyMediaType(Minimal):
    def media_type(self, request: Request) -> None:
        pass


@breaks("ERR-12", "API-2")
class NoRetryAfter(Minimal):
    def full(self) -> Refused:
        return Refused(ErrorCode.QUEUE_FULL, "no more")


@breaks("HLT-1", "API-2")
class AliveInOtherWords(Minimal):
    async def get_health(self) -> Response:
        return self.json({"status": "fine", "version": "1.0"})


@breaks("HLT-2")
class NeverReady(Minimal):
    async def get_readiness(self) -> Response:
        raise Refused(ErrorCode.STORAGE_BUSY, "later", headers={"Retry-After": "1"})


@breaks("HLT-3")
class LaneKeptQuiet(Minimal):
    async def list_sessions(self) -> Response:
        return self.json({"sessions": []})


@breaks("GEN-1")
class FailsAtTheBound(Minimal):
    def arguments(self, operation: Operation, request: Request) -> dict[str, Any]:
        found = super().arguments(operation, request)
        if found.get("limit") == 500:
            raise RuntimeError("one too many")
        return found


@breaks("GEN-2")
class FailsByChance(Minimal):
    def arguments(self, operation: Operation, request: Request) -> dict[str, Any]:
        found = super().arguments(operation, request)
        if found.get("parked") is True and (found.get("limit") or 0) > 20:
            raise RuntimeError("nobody ever asked for so many of those")
        return found


@breaks("GEN-3", "IDM-2", "MIS-1")
class FailsInAChain(Minimal):
    async def get_mission(self, *, mission_id: str) -> Response:
        if mission_id in self.missions and not self.missions[mission_id].over:
            raise RuntimeError("found, for once")
        return await super().get_mission(mission_id=mission_id)
