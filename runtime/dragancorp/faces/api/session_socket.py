"""The WebSocket of a gateway session, as `specs/callbacks` has it: turns in, numbered frames and problems out.

Two tasks a connection, one for each way; when either ends, both do. The turn goes on without them.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from litestar import WebSocket, websocket
from litestar.handlers import WebsocketRouteHandler

from dragancorp.control_plane import ControlPlane
from dragancorp.embedded_plane import EmbeddedPlane
from dragancorp.errors import DraganError, ErrorCode
from dragancorp.faces.api.session_operations import session_of
from dragancorp.gateway.session import Frame, GatewaySession
from dragancorp.gateway.turns import Turn
from dragancorp.rules import checked
from dragancorp_contracts import strict_json
from dragancorp_contracts.api.records import ApiProblem, Principal

SCOPE = "missions:write"
CLOSED_BY_STATUS = 4000  # a refused handshake closes with this plus the problem's status
LARGEST_FRAME_BYTES = 8 * 1024 * 1024
Socket = WebSocket[Any, Any, Any]
Authenticate = Callable[[Mapping[str, str]], Principal]

log = structlog.get_logger("dragancorp.api")


def session_socket(plane: ControlPlane | EmbeddedPlane, authenticate: Authenticate) -> WebsocketRouteHandler:
    """The route of the session stream."""

    @websocket("/api/v1/sessions/{session_id:str}/stream", opt={"exclude_from_auth": True})
    async def stream(socket: Socket) -> None:
        await socket.accept()
        try:
            session, after = _admitted(plane, authenticate, socket, str(socket.path_params["session_id"]))
        except (ApiProblem, DraganError) as refused:
            problem = _problem(refused)
            await _send(socket, problem)
            await socket.close(CLOSED_BY_STATUS + int(problem["status"]), str(problem["title"])[:100])
            return
        await _serve(socket, session, after)

    return stream


def _admitted(
    plane: ControlPlane | EmbeddedPlane, authenticate: Authenticate, socket: Socket, session_id: str
) -> tuple[GatewaySession, int]:
    opened = plane.plane if isinstance(plane, EmbeddedPlane) else plane
    principal = authenticate(socket.headers)
    if SCOPE not in principal.scopes:
        raise DraganError(ErrorCode.SCOPE_MISSING, f"the token lacks {SCOPE}", facts={"missing_scopes": [SCOPE]})
    after = socket.query_params.get("after", "0")
    if not (after.isascii() and after.isdigit() and len(after) <= 16):
        raise DraganError(ErrorCode.PARAMETER_INVALID, "after takes the number of a frame")
    return session_of(opened, principal, session_id), int(after)


async def _serve(socket: Socket, session: GatewaySession, after: int) -> None:
    sending = asyncio.Lock()
    ways = {
        asyncio.create_task(_read(socket, session, sending), name=f"turns of {session.session_id}"),
        asyncio.create_task(_write(socket, session, after, sending), name=f"frames of {session.session_id}"),
    }
    try:
        done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
    for way in done:
        if (failure := way.exception()) is not None:
            log.info("a connection broke", action="session.connection_broke", error=str(failure))


async def _write(socket: Socket, session: GatewaySession, after: int, sending: asyncio.Lock) -> None:
    async for frame in session.listen(after):
        async with sending:
            await _send(socket, frame)


async def _read(socket: Socket, session: GatewaySession, sending: asyncio.Lock) -> None:
    """Take turns until the other side is gone."""
    while True:
        message: Mapping[str, Any] = await socket.receive()
        if message["type"] != "websocket.receive":
            return
        try:
            answer = session.take(_turn(message, session))
        except DraganError as refused:
            answer = refused.problem()
        if answer is not None:
            async with sending:
                await _send(socket, answer)


def _turn(message: Mapping[str, Any], session: GatewaySession) -> Turn:
    text = message.get("text")
    if text is None:
        raise DraganError(ErrorCode.JSON_INVALID, "a turn is a text frame, and this one is binary")
    try:
        document = strict_json.loads(text)
    except strict_json.JsonInvalid as error:
        raise DraganError(ErrorCode.JSON_INVALID, error.detail) from error
    checked("gateway-turn#/$defs/turn", document)
    if document["session_id"] != session.session_id:
        raise DraganError(
            ErrorCode.SESSION_UNKNOWN, f"the turn is for another session than this one, {session.session_id!r}"
        )
    return Turn(
        text=document["text"],
        session_id=document["session_id"],
        turn_id=document.get("turn_id"),
        source=document.get("source", "user"),
        mission=document.get("mission", {}),
    )


def _problem(refused: ApiProblem | DraganError) -> Frame:
    if isinstance(refused, ApiProblem):
        refused = DraganError(refused.code, refused.detail, facts=refused.facts)
    return refused.problem()


async def _send(socket: Socket, document: Frame) -> None:
    # ASCII escapes: what a caller sent may hold characters that cannot be encoded.
    await socket.send_text(json.dumps(document))
