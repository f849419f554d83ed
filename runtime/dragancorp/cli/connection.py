"""Finding the control plane, and speaking to it."""

import ipaddress
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import stamina.instrumentation
import typer

from dragancorp.cli import plane_file
from dragancorp.cli.plane_file import PlaneFile
from dragancorp.errors import DraganError, ErrorCode
from dragancorp_contracts import strict_json
from dragancorp_contracts.api.operations import DISPATCH_MISSION, Operation
from dragancorp_contracts.client import AnswerUnreadable, Client, ProblemError, Reply, ServerUnreachable
from dragancorp_contracts.judge import violations_at

TIMEOUT_SECONDS = 30.0
WORKER_TIMEOUT_SECONDS = 10.0  # on top of what a request itself asks to wait


@dataclass(frozen=True, kw_only=True)
class Server:
    """How the options name a control plane. It is looked up anew for every connection: a restart may move it."""

    url: str | None
    token: str | None
    data: Path

    def found(self) -> tuple[str, str | None]:
        """URL and an operator's token; see `_found`."""
        return self._found(os.environ.get("UA_OPS_TOKEN"), lambda plane: plane.token)

    def found_by_worker(self) -> tuple[str, str | None]:
        """URL and a worker's token, which the operator's is not; see `_found`."""
        url, token = self._found(os.environ.get("UA_INTERNAL_API_TOKEN"), lambda plane: plane.worker_token)
        return url, _header_value(token)

    def _found(self, configured: str | None, own: Callable[[PlaneFile], str]) -> tuple[str, str | None]:
        """URL and token: the option's, the environment's, else `plane.json`'s, shown only to the plane that wrote it.

        Raises `ServerUnreachable` when nothing names a server, `settings_invalid` for what is no URL.
        """
        plane = plane_file.read(self.data)
        url = self.url or (plane.url if plane else None)
        if url is None:
            raise ServerUnreachable(
                f"no control plane has left its address in {self.data / plane_file.NAME}, and --url names none"
            )
        if not _is_url(url):
            raise DraganError(ErrorCode.SETTINGS_INVALID, f"--url is {url!r}; it takes http://HOST:PORT")
        token = self.token or configured or None
        if token is None and plane is not None and plane.url == url.rstrip("/"):
            token = own(plane)
        return url, token

    def client(self, *, attempts: int = 4) -> Client:
        """A client of the server; `async with` closes it."""
        url, token = self.found()
        # Its notes about attempts would stand among the data on stdout; what counts is how the last one ended.
        stamina.instrumentation.set_on_retry_hooks([])
        return Client(url, _header_value(token), timeout=TIMEOUT_SECONDS, attempts=attempts, transport=_transport(url))

    async def send_envelope(self, content: bytes) -> Reply:
        """Dispatch the bytes of an envelope as they are: the server judges them and keeps them so."""
        limit = DISPATCH_MISSION.body.limit if DISPATCH_MISSION.body else len(content)
        if len(content) > limit:
            raise DraganError(ErrorCode.BODY_TOO_LARGE, f"the envelope has {len(content)} bytes; {limit} are taken")
        url, token = self.found()
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {_header_value(token)}"
        try:
            async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT_SECONDS, transport=_transport(url)) as http:
                response = await http.post(DISPATCH_MISSION.path, content=content, headers=headers)
        except httpx.TransportError as error:
            raise ServerUnreachable(f"POST {url}: {error or type(error).__name__}") from error
        return _reply(response)


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        # The port is judged when it is asked for.
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _reply(response: httpx.Response) -> Reply:
    try:
        document = strict_json.loads(response.content)
    except strict_json.JsonInvalid as error:
        raise AnswerUnreadable(f"{response.request.method} {response.request.url}: {error}") from error
    if not isinstance(document, dict):
        raise AnswerUnreadable(f"an object was promised, not {type(document).__name__}")
    if not response.is_success:
        raise ProblemError(response.status_code, document)
    return Reply(status=response.status_code, headers=response.headers, document=document)


def _header_value(token: str | None) -> str | None:
    # What no header can carry is no token that any server knows; said here it is not taken for a broken connection.
    if token is not None and not (token.isascii() and token.isprintable()):
        raise DraganError(ErrorCode.UNAUTHENTICATED, "the token holds characters that no token has")
    return token


def worker_client(url: str, token: str | None) -> Client:
    """A client that repeats nothing by itself: its worker knows what may be repeated, and until when."""
    return Client(url, token, timeout=WORKER_TIMEOUT_SECONDS, attempts=1, transport=_transport(url))


def _transport(url: str) -> httpx.AsyncHTTPTransport | None:
    """For a server on this host a transport of its own: a proxy of the environment could not reach it."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    # Certificates take a while to load; plain HTTP has no use for them.
    return httpx.AsyncHTTPTransport(verify=parts.scheme == "https") if local else None


def path_arguments(operation: Operation, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments, once those that become part of the address are known to be fit for it. Wrong ones: usage."""
    for parameter in operation.parameters:
        if parameter.where != "path":
            continue
        broken = violations_at(parameter.reference, arguments[parameter.argument])
        if broken:
            raise typer.BadParameter(broken[0].message, param_hint=parameter.argument.upper())
    return dict(arguments)
