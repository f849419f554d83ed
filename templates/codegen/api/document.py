"""The OpenAPI document, bundled: what the server serves and every response is held against."""

import json
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["openapi_document", "openapi_text"]


@cache
def openapi_text() -> str:
    """The document as JSON text."""
    return (Path(__file__).resolve().parent.parent / "openapi.json").read_text(encoding="utf-8")


def openapi_document() -> dict[str, Any]:
    """The document, parsed anew at each call, so the caller may change what it gets."""
    document: dict[str, Any] = json.loads(openapi_text())
    return document
