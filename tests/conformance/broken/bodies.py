"""Broken in what they take for a document."""

import asyncio
import json
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from dragancorp_contracts import strict_json
from dragancorp_contracts.api.operations import Body, Operation

from ..minimal_server.server import Minimal
from . import breaks


@breaks("RAW-1")
class Utf8Mended(Minimal):
    def parsed(self, body: Body, content: bytes) -> dict[str, Any] | None:
        return super().parsed(body, content.decode("utf-8", "replace").encode())


@breaks("RAW-2")
class NanTaken(Minimal):
    def parsed(self, body: Body, content: bytes) -> dict[str, Any] | None:
        for name in (b"-Infinity", b"Infinity", b"NaN"):
            content = content.replace(name, b"0")
        return super().parsed(body, content)


@breaks("RAW-3")
class LastKeyWins(Minimal):
    def parsed(self, body: Body, content: bytes) -> dict[str, Any] | None:
        try:
            strict_json.loads(content)
        except strict_json.JsonInvalid as error:
            if error.reason == "duplicate_key":
                content = json.dumps(json.loads(content)).encode()
        return super().parsed(body, content)


@breaks("RAW-4")
class SurrogatesFail(Minimal):
    def parsed(self, body: Body, content: bytes) -> dict[str, Any] | None:
        if b"\\u" in content:
            json.dumps(json.loads(content), ensure_ascii=False).encode()
        return super().parsed(body, content)


@breaks("RAW-5")
class RecursesAsDeepAsItGoes(Minimal):
    def parsed(self, body: Body, content: bytes) -> dict[str, Any] | None:
        if len(content) > 10_000:
            self.depth(content, 0)
        return super().parsed(body, content)

    def depth(self, content: bytes, at: int) -> int:
        return 1 + self.depth(content, at + 1) if content[at : at + 1] == b"[" else 0


@breaks("RAW-6")
class InfinityFails(Minimal):
    def parsed(self, body: Body, content: bytes) -> dict[str, Any] | None:
        if b"1e999" in content:
            int(float("1e999"))
        return super().parsed(body, content)


@breaks("RAW-7", "ERR-7")
class NothingIsAnObject(Minimal):
    def parsed(self, body: Body, content: bytes) -> dict[str, Any] | None:
        return super().parsed(body, content.strip() or b"{}")


@breaks("RAW-7", "RAW-3")
class RestIgnored(Minimal):
    def parsed(self, body: Body, content: bytes) -> dict[str, Any] | None:
        text = content.decode("utf-8", "surrogateescape")
        try:
            found, _ = json.JSONDecoder().raw_decode(text)
        except (ValueError, RecursionError):
            return super().parsed(body, content)
        return super().parsed(body, json.dumps(found).encode() if isinstance(found, dict) else content)


@breaks("RAW-8", "ERR-1", "ERR-2")
class NoLimit(Minimal):
    async def content(self, body: Body, request: Request) -> bytes:
        content = await super().content(Body(reference=body.reference, limit=4 * body.limit), request)
        return content.rstrip()


@breaks("RAW-8")
class LimitTooLow(Minimal):
    async def content(self, body: Body, request: Request) -> bytes:
        return await super().content(Body(reference=body.reference, limit=body.limit - 1), request)


@breaks("RAW-9")
class ChokesOnMuch(Minimal):
    async def content(self, body: Body, request: Request) -> bytes:
        size = 0
        parts = []
        async for part in request.stream():
            size += len(part)
            parts.append(part if size <= body.limit else b"")
            if size > 2 * body.limit:
                raise MemoryError("that much")
        request._body = b"".join(parts)
        return await super().content(body, request)


class _OneAtATime(Minimal):
    """Serves a few requests at a time, from their first byte to the last of the answer."""

    places = 1

    def __init__(self) -> None:
        super().__init__()
        self.free = asyncio.Semaphore(self.places)

    async def answer(self, operation: Operation, request: Request) -> Response:
        if operation.public:
            return await super().answer(operation, request)
        async with self.free:
            return await super().answer(operation, request)


@breaks("RAW-10", "LED-5")
class SlowBodyHoldsOthersUp(_OneAtATime):
    pass


@breaks("RAW-20", "*")
class WaitsForThoseWhoLeft(_OneAtATime):
    places = 6


@breaks("RAW-18")
class OddAddressFails(Minimal):
    def arguments(self, operation: Operation, request: Request) -> dict[str, Any]:
        for value in request.path_params.values():
            if "\x00" in value:
                raise ValueError("embedded null byte")
        return super().arguments(operation, request)


@breaks("RAW-19")
class HalfABodyIsEnough(Minimal):
    async def content(self, body: Body, request: Request) -> bytes:
        content = b""
        try:
            async for part in request.stream():
                content += part
        except ClientDisconnect:
            pass
        request._body = content
        return await super().content(body, request)
