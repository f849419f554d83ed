"""The human page of the API: one HTML file that needs no other, so it can be read offline."""

from functools import cache
from pathlib import Path

__all__ = ["docs_page"]


@cache
def docs_page() -> str:
    """The page as HTML text."""
    return (Path(__file__).resolve().parent.parent / "docs.html").read_text(encoding="utf-8")
