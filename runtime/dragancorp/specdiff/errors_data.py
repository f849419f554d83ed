"""The error catalogue: `errors.json`."""

from collections.abc import Iterator
from typing import Any

from dragancorp.specdiff.change import Change, changed
from dragancorp.specdiff.schema import Place

__all__ = ["compare", "is_catalogue"]

_JUDGED = {"status": "error_status_changed", "retryable": "error_retry_changed"}


def is_catalogue(document: Any) -> bool:
    """Whether a document is an error catalogue."""
    return isinstance(document, dict) and isinstance(document.get("errors"), list)


def compare(old: dict[str, Any], new: dict[str, Any], root: Place) -> Iterator[Change]:
    """Every change of the catalogue, by code; the order says nothing."""
    before = {str(entry["code"]): entry for entry in old["errors"]}
    after = {str(entry["code"]): entry for entry in new["errors"]}
    for code in sorted(before.keys() | after.keys()):
        place = root / "errors" / code
        if code not in after:
            yield changed("error_removed", place, code)
        elif code not in before:
            yield changed("error_added", place, code)
        else:
            yield from _entry(before[code], after[code], place)


def _entry(before: dict[str, Any], after: dict[str, Any], place: Place) -> Iterator[Change]:
    for member in sorted(before.keys() | after.keys()):
        if before.get(member) != after.get(member):
            name = _JUDGED.get(member, "words_changed")
            yield changed(name, place / member, f"{before.get(member)} became {after.get(member)}")
