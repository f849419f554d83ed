"""Tokens: who may call, told by the digest of what they send."""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from dragancorp.errors import DraganError, ErrorCode
from dragancorp.jsonio import JsonInvalid, loads
from dragancorp.rules import violations

ALL_SCOPES = frozenset({"missions:read", "missions:write", "lanes:run", "ops:read", "ops:write", "fleet:write"})
WORKER_SCOPES = frozenset({"lanes:run"})
OPS_SCOPES = ALL_SCOPES - WORKER_SCOPES
TOKEN_BYTES = 32


@dataclass(frozen=True, kw_only=True)
class Token:
    """One entry: the digest of a token's text and what its bearer may do. `vp_ids` None: every lane."""

    name: str
    sha256: str
    scopes: frozenset[str]
    vp_ids: frozenset[str] | None = None
    source_instance_id: str | None = None
    expires_at: datetime | None = None


class TokenBook:
    """All tokens of a server."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tuple(tokens)

    def __bool__(self) -> bool:
        return bool(self._tokens)

    def find(self, text: str, now: datetime) -> Token | None:
        """The entry for a token's text, unless it has expired. Takes the same time for every wrong token."""
        presented = digest_of(text)
        found: Token | None = None
        for token in self._tokens:
            if hmac.compare_digest(token.sha256, presented):
                found = token
        if found is not None and found.expires_at is not None and found.expires_at <= now:
            return None
        return found


def digest_of(text: str) -> str:
    """SHA-256 of a token's text, as 64 hex digits."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def new_token() -> str:
    """A new token's text: `drg_` and 43 URL-safe characters of 256 random bits."""
    return "drg_" + secrets.token_urlsafe(TOKEN_BYTES)


def operator_token(text: str, *, name: str = "ops") -> Token:
    """The token of `UA_OPS_TOKEN`: every scope but lanes:run."""
    return Token(name=name, sha256=digest_of(text), scopes=OPS_SCOPES)


def worker_token(text: str, *, name: str = "internal") -> Token:
    """The token of `UA_INTERNAL_API_TOKEN`: lanes:run, for workers of every lane."""
    return Token(name=name, sha256=digest_of(text), scopes=WORKER_SCOPES)


def read_tokens(path: Path) -> tuple[Token, ...]:
    """The tokens of a file of `specs/tokens`. Raises `tokens_file_invalid` with every violation."""
    try:
        document = loads(path.read_bytes())
    except OSError as error:
        raise DraganError(ErrorCode.TOKENS_FILE_INVALID, f"{path}: {error.strerror or error}") from error
    except JsonInvalid as error:
        raise DraganError(ErrorCode.TOKENS_FILE_INVALID, f"{path}: {error}") from error
    found = violations("tokens", document)
    if found:
        first = found[0]
        raise DraganError(
            ErrorCode.TOKENS_FILE_INVALID,
            f"{path} at {first.pointer or 'the top'}: {first.message} [{first.rule}]",
            violations=found,
        )
    return tuple(
        Token(
            name=entry["name"],
            sha256=entry["sha256"],
            scopes=frozenset(entry["scopes"]),
            vp_ids=frozenset(entry["vp_ids"]) if "vp_ids" in entry else None,
            source_instance_id=entry.get("source_instance_id"),
            expires_at=datetime.fromisoformat(entry["expires_at"]) if "expires_at" in entry else None,
        )
        for entry in document["tokens"]
    )
