"""Entries of the ledgers: complete documents, numbered and chained by digest."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from dragancorp.jsonio import digest

ERROR_LIMIT = 8000  # characters; the bound of an error's text in the contracts. What raised may say more.


def utc_text(moment: datetime) -> str:
    """An aware time as RFC 3339 in UTC with microseconds, always 27 characters, so that texts sort as times do."""
    text = (moment if moment.tzinfo is UTC else moment.astimezone(UTC)).isoformat(timespec="microseconds")
    return text.removesuffix("+00:00") + "Z"


def chained(entry: dict[str, Any], *, sequence: int, previous_digest: str | None) -> dict[str, Any]:
    """The entry with its sequence, the digest of the entry before it, and its own digest."""
    entry["sequence"] = sequence
    if previous_digest is not None:
        entry["previous_digest"] = previous_digest
    entry["digest"] = digest(entry)
    return entry


def verified(entry: Mapping[str, Any]) -> bool:
    """Whether the entry's digest is that of its content."""
    content = {name: value for name, value in entry.items() if name != "digest"}
    return entry.get("digest") == digest(content)
