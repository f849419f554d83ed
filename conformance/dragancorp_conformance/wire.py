"""Raw bytes over a socket: what no HTTP client would send, with a deadline for every answer."""

import http.client
import io
import select
import socket
import ssl
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from dragancorp_conformance.exchange import Exchange

BLOCK = 65536
LONGEST_ANSWER = 1024 * 1024
KEPT_BYTES = 4000


class Wire:
    """One connection, opened at once. Raises `OSError` when nobody listens."""

    def __init__(self, url: str, *, seconds: float) -> None:
        parts = urlsplit(url)
        self._url = url
        self._seconds = seconds
        secure = parts.scheme == "https"
        plain = socket.create_connection(
            (parts.hostname or "localhost", parts.port or (443 if secure else 80)), timeout=seconds
        )
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = (
            ssl.create_default_context().wrap_socket(plain, server_hostname=parts.hostname) if secure else plain
        )
        self._reader = self._socket.makefile("rb")
        self._first = b""
        self._started = time.monotonic()

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        with suppress(OSError):
            self._reader.close()
        with suppress(OSError):
            self._socket.close()

    def send(self, content: bytes | Iterable[bytes]) -> bool:
        """Send until everything is out, an answer is there or the other side hung up; whether everything went out."""
        for block in [content] if isinstance(content, bytes) else content:
            if len(self._first) < KEPT_BYTES:
                self._first += block[:KEPT_BYTES]
            if self._answer_is_there():
                return False
            try:
                self._socket.sendall(block)
            except OSError:  # reset, or nobody reads any more: the answer, if any, says which
                return False
        return True

    def finish(self) -> None:
        """Say that nothing more will be sent."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def _answer_is_there(self) -> bool:
        readable, _, _ = select.select([self._socket], [], [], 0)
        return bool(readable)

    def answer(self, *, method: str = "POST") -> Exchange:
        """The next answer. `status` is None when the other side hung up without one.

        Raises `TimeoutError` when neither came in time: it hangs.
        """
        response = http.client.HTTPResponse(_Readable(self._reader), method=method)  # type: ignore[arg-type]
        status: int | None = None
        headers: Mapping[str, str] = {}
        body = b""
        try:
            response.begin()
            while response.status == 100:
                response.begin()
            status, headers = response.status, {name.lower(): value for name, value in response.getheaders()}
            body = response.read(LONGEST_ANSWER)
        except (http.client.HTTPException, ConnectionError, ValueError):
            pass  # hung up, or said what is no HTTP: as far as it came, it is in the exchange
        return self._exchange(status, headers, body)

    def _exchange(self, status: int | None, headers: Mapping[str, str], body: bytes) -> Exchange:
        line = self._first.split(b"\r\n", 1)[0].split(b" ")
        method = line[0].decode("ascii", "replace").upper()
        path = line[1].decode("latin-1") if len(line) > 1 and line[1].startswith(b"/") else "/"
        return Exchange(
            method=method if method.isalpha() and len(method) <= 20 else "RAW",
            url=self._url + path[:2000],
            sent=self._first[:KEPT_BYTES],
            raw=True,
            status=status,
            headers=headers,
            body=body,
            seconds=time.monotonic() - self._started,
        )

    def hung(self) -> Exchange:
        """The exchange as it stands, without an answer."""
        return self._exchange(None, {}, b"")


class _Readable:
    """What `HTTPResponse` wants of a socket; the buffer outlives one answer, so that a second one can follow."""

    def __init__(self, reader: io.BufferedReader) -> None:
        self._reader = reader

    def makefile(self, _mode: str) -> Any:
        return _Unclosed(self._reader)


class _Unclosed:
    def __init__(self, reader: io.BufferedReader) -> None:
        self._reader = reader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    def close(self) -> None:
        pass
