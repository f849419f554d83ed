"""Broken in who may ask."""

from starlette.requests import Request
from starlette.responses import Response

from dragancorp_contracts.api.operations import Operation
from dragancorp_contracts.errors import ErrorCode

from ..minimal_server.refusing import Refused
from ..minimal_server.server import FULL_TOKEN, Minimal
from . import breaks


@breaks("AUT-1", "AUT-2", "AUT-5")
class OneRouteOpen(Minimal):
    def admit(self, operation: Operation, request: Request) -> None:
        if operation.id != "get_session":
            super().admit(operation, request)


@breaks("AUT-1")
class NoChallenge(Minimal):
    def admit(self, operation: Operation, request: Request) -> None:
        try:
            super().admit(operation, request)
        except Refused as refused:
            if not self.token(request):
                refused.headers.clear()
            raise


@breaks("AUT-2")
class TokenWithoutItsEnd(Minimal):
    def token(self, request: Request) -> str:
        found = super().token(request)
        return FULL_TOKEN if found.startswith(FULL_TOKEN) else found


@breaks("AUT-2")
class TokenInAnyCase(Minimal):
    def token(self, request: Request) -> str:
        return super().token(request).lower()


@breaks("AUT-2")
class AnySchemeWillDo(Minimal):
    def token(self, request: Request) -> str:
        return request.headers.get("authorization", "").rpartition(" ")[2] or super().token(request)


@breaks("AUT-3", "AUT-1", "AUT-2")
class ExistenceBeforeAuthorisation(Minimal):
    def admit(self, operation: Operation, request: Request) -> None:
        mission_id = request.path_params.get("mission_id")
        if mission_id is not None and mission_id not in self.missions:
            raise Refused(ErrorCode.MISSION_UNKNOWN, str(mission_id))
        super().admit(operation, request)


@breaks("AUT-3")
class TellsStrangersWhatExists(Minimal):
    def admit(self, operation: Operation, request: Request) -> None:
        try:
            super().admit(operation, request)
        except Refused as refused:
            if request.path_params.get("mission_id") in self.missions:
                refused.detail = "that mission is not for you"
            raise


@breaks("AUT-3")
class ReadsBeforeAsking(Minimal):
    async def answer(self, operation: Operation, request: Request) -> Response:
        if operation.id == "dispatch_mission" and operation.body is not None and "x-" not in request.headers:
            self.media_type(request)
        return await super().answer(operation, request)


@breaks("AUT-4")
class OneHeaderOnly(Minimal):
    def token(self, request: Request) -> str:
        return request.headers.get("authorization", "").removeprefix("Bearer ").removeprefix("bearer ")


@breaks("AUT-5")
class ScopesForgotten(Minimal):
    def admit(self, operation: Operation, request: Request) -> None:
        try:
            super().admit(operation, request)
        except Refused as refused:
            if refused.code is not ErrorCode.SCOPE_MISSING:
                raise


@breaks("AUT-5")
class DocumentBeforeScope(Minimal):
    async def answer(self, operation: Operation, request: Request) -> Response:
        if operation.id == "dispatch_mission" and self.token(request) in self.tokens:
            assert operation.body is not None
            await request.body()  # kept, so that it can be read once more
            await self.document(operation.body, request)
        return await super().answer(operation, request)


@breaks("AUT-6", "API-2")
class HealthForMembersOnly(Minimal):
    async def answer(self, operation: Operation, request: Request) -> Response:
        if operation.id == "get_readiness":
            self.admit(operation, request)
        return await super().answer(operation, request)
