"""Small sets of contracts that differ in one place."""

import copy
from typing import Any

from dragancorp.specdiff import Change, Snapshot, compare

CONTRACT = "thing/v1"
FILE = f"{CONTRACT}/schema.json"
ADDRESS = f"https://dragancorp.dev/specs/{FILE}"


def schema(reader: str, members: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A contract's schema; its root is open when it is read tolerantly."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": ADDRESS,
        "title": "Thing",
        "description": "A thing.",
        "x-dragan-reader": reader,
        "type": "object",
        "properties": members,
        "additionalProperties": reader == "tolerant",
        **more,
    }


def snapshot(label: str, documents: dict[str, Any], readmes: dict[str, str] | None = None) -> Snapshot:
    return Snapshot(label=label, documents=copy.deepcopy(documents), readmes=readmes or {})


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[Change]:
    """What changed between two sets of documents, by path."""
    return compare(snapshot("old", before), snapshot("new", after))


def summary(changes: list[Change]) -> dict[str, str]:
    """Rule by rule whom it breaks, in letters: Producers, Consumers, code (K)."""
    letters = {"producers": "P", "consumers": "C", "code": "K"}
    return {one.rule.id: "".join(sorted(letters[audience] for audience in one.breaks)) for one in changes}
