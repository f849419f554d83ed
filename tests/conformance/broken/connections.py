"""Broken in what they make of a connection: each stands in front of a sound server."""

import asyncio
from contextlib import suppress
from typing import Any

from ..minimal_server.server import Minimal
from . import breaks

FAULT = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
OBEYED = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
HEAD_SECONDS = 5.0


class Front(Minimal):
    """Takes the connections itself, looks at each request's head, and hands on what it does not spoil."""

    def spoiled(self, head: bytes) -> bytes | None:
        """The answer to give instead; None: hand it on."""
        raise NotImplementedError

    async def head(self, reader: asyncio.StreamReader) -> bytes:
        """The first bytes, to the empty line; nothing when the caller hung up before."""
        head = b""
        with suppress(TimeoutError):
            async with asyncio.timeout(HEAD_SECONDS):
                while b"\r\n\r\n" not in head:
                    part = await reader.read(65536)
                    if not part:
                        return b""
                    head += part
        return head

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, behind: int) -> None:
        head = await self.head(reader)
        if not head:
            return
        answer = self.spoiled(head)
        if answer is None:
            await _handed_on(head, reader, writer, behind)
        elif answer:
            writer.write(answer)
            await writer.drain()
            await _drained(reader)
        else:
            await asyncio.sleep(HEAD_SECONDS)


async def _handed_on(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, behind: int) -> None:
    there, back = await asyncio.open_connection("127.0.0.1", behind)
    back.write(head)
    try:
        await asyncio.gather(_copied(reader, back), _copied(there, writer))
    finally:
        back.close()


async def _copied(source: asyncio.StreamReader, sink: Any) -> None:
    with suppress(ConnectionError):
        while part := await source.read(65536):
            sink.write(part)
            await sink.drain()
        sink.write_eof()


async def _drained(reader: asyncio.StreamReader) -> None:
    with suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(0.5):
            while await reader.read(65536):
                pass


@breaks("RAW-11")
class OneConnectionAtATime(Front):
    busy: asyncio.Lock | None = None

    async def head(self, reader: asyncio.StreamReader) -> bytes:
        self.busy = self.busy or asyncio.Lock()
        async with self.busy:
            return await super().head(reader)

    def spoiled(self, head: bytes) -> bytes | None:
        return None


@breaks("RAW-12")
class ManyHeadersFail(Front):
    def spoiled(self, head: bytes) -> bytes | None:
        return FAULT if b"X-Flood" in head else None


@breaks("RAW-13")
class GarbageObeyed(Front):
    def spoiled(self, head: bytes) -> bytes | None:
        return OBEYED * 2 if b"garbage" in head.lower() else None


@breaks("RAW-14")
class OldHttpFails(Front):
    def spoiled(self, head: bytes) -> bytes | None:
        return FAULT if b"HTTP/1.0" in head else None


@breaks("RAW-15")
class BrokenChunkHangs(Front):
    def spoiled(self, head: bytes) -> bytes | None:
        return b"" if b"\r\n\r\nzz\r\n" in head else None


@breaks("RAW-16")
class FirstLengthTaken(Front):
    def spoiled(self, head: bytes) -> bytes | None:
        return OBEYED if head.count(b"Content-Length") > 1 else None


@breaks("RAW-17")
class BrokenLineFails(Front):
    def spoiled(self, head: bytes) -> bytes | None:
        return FAULT if head.startswith(b"GET\r\n") else None
