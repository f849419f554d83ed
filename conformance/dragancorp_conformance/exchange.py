"""One request and its answer, as a report shows them: long bodies cut. Tokens are taken out by `report`."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dragancorp_contracts import strict_json

SHOWN_BYTES = 4000
SHOWN_HEADER = 2000
SHOWN_HEADERS = 50


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """What was sent and what came back; `status` is None when nothing did.

    `raw` marks a request that only a socket can send: `sent` then holds its first bytes, head included.
    """

    method: str
    url: str
    sent_headers: Mapping[str, str] = field(default_factory=dict)
    sent: bytes = b""
    raw: bool = False
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case."""
    body: bytes = b""
    seconds: float = 0.0

    @property
    def document(self) -> Any:
        """The answer's JSON document. Raises `strict_json.JsonInvalid`."""
        return strict_json.loads(self.body)

    @property
    def members(self) -> Mapping[str, Any]:
        """The members of the answer's document; none when it is no object."""
        try:
            found = self.document
        except strict_json.JsonInvalid:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def code(self) -> str | None:
        """The stable error code in the answer."""
        found = self.members.get("code")
        return found if isinstance(found, str) else None

    def request_document(self) -> dict[str, Any]:
        """The request for a report."""
        shown: dict[str, Any] = {"method": self.method, "url": self.url[:8000], "headers": _shown(self.sent_headers)}
        if self.sent:
            shown["body"] = _text(self.sent)
        return shown

    def answer_document(self) -> dict[str, Any] | None:
        """The answer for a report; None when there was none."""
        if self.status is None:
            return None
        return {"status": self.status, "headers": _shown(self.headers), "body": _text(self.body)}

    def command(self) -> str:
        """A shell line that sends the request again; its words are in single quotes."""
        if self.raw:
            return f"printf '%b' {shlex.quote(_escaped(self.sent[:SHOWN_BYTES]))} | nc {self._host()}"
        words = ["curl", "-i", "-X", self.method]
        words += [f"-H {shlex.quote(f'{name}: {value[:SHOWN_HEADER]}')}" for name, value in self.sent_headers.items()]
        if self.sent:
            words.append(f"--data-binary {shlex.quote(_text(self.sent))}")
        return " ".join([*words, shlex.quote(self.url[:4000])])

    def _host(self) -> str:
        authority = self.url.partition("://")[2].partition("/")[0]
        host, _, port = authority.rpartition(":")
        return f"{host} {port}" if host else f"{authority} 80"


def _shown(headers: Mapping[str, str]) -> dict[str, str]:
    pairs = list(headers.items())[:SHOWN_HEADERS]
    return {name: value[:SHOWN_HEADER].encode("utf-8", "backslashreplace").decode() for name, value in pairs}


def _text(content: bytes) -> str:
    text = content[:SHOWN_BYTES].decode("utf-8", "backslashreplace")
    return text if len(content) <= SHOWN_BYTES else f"{text}… ({len(content)} bytes in all)"


def _escaped(content: bytes) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 and byte not in b"\\%" else f"\\0{byte:03o}" for byte in content)
