"""JSON at the edges: strict reading, one canonical form, and its digest."""

import hashlib
import json

from dragancorp_contracts.strict_json import JsonInvalid, loads

__all__ = ["JsonInvalid", "canonical", "digest", "loads"]


def canonical(document: object) -> str:
    """The document as JSON text with sorted keys and no spaces: equal documents give equal texts.

    Raises `ValueError` for NaN and Infinity, `TypeError` for what JSON cannot hold.
    """
    return _CANONICAL.encode(document)


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(document: object) -> str:
    """SHA-256 of the canonical form, as 64 hex digits."""
    return hashlib.sha256(canonical(document).encode()).hexdigest()
