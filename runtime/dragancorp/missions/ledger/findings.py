"""What a look at the ledgers finds, and what it does not look at.

A finding says where something differs from what the ledger tells; no finding means that every row could be rebuilt
from its entries alone.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from dragancorp.jsonio import canonical
from dragancorp.lifecycle.ledger_entry import utc_text

SHOWN = 200  # characters of a value in a finding's sentence


class Rule(StrEnum):
    """What is wrong; the words of `LedgerFinding` in `specs/ops-api`."""

    SEQUENCE_GAP = "sequence_gap"
    DIGEST_WRONG = "digest_wrong"
    CHAIN_BROKEN = "chain_broken"
    EVENT_NOT_DECIDED = "event_not_decided"
    EVENT_MISSING = "event_missing"
    ENTRY_DIFFERS = "entry_differs"
    ROW_DIFFERS = "row_differs"
    LEASE_UNKNOWN = "lease_unknown"
    ARTIFACT_DIFFERS = "artifact_differs"
    RECEIPT_MISSING = "receipt_missing"
    CALLBACK_DIFFERS = "callback_differs"
    COUNTER_DIFFERS = "counter_differs"
    ARCHIVE_DIFFERS = "archive_differs"
    DOCUMENT_UNREADABLE = "document_unreadable"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One difference: of which mission, lane, counter or archive (`subject`, `id`), at which entry, in a sentence."""

    subject: str
    id: str
    rule: Rule
    detail: str
    sequence: int | None = None

    def as_json(self) -> dict[str, Any]:
        """The finding as `LedgerFinding`."""
        document = {"subject": self.subject, "id": self.id, "rule": self.rule.value, "detail": self.detail}
        return document if self.sequence is None else {**document, "sequence": self.sequence}


OUTSIDE_THE_LEDGER: Mapping[str, Mapping[str, str]] = {
    "mission": {
        "hold_expires_at": "while the primary path holds the mission: it renews its hold without an entry",
    },
    "session": {
        "lease_expires_at": "while the lease is held: a heartbeat is no entry",
        "heartbeat_at": "a heartbeat is no entry",
        "beat": "a heartbeat is no entry",
        "updated_at": "a heartbeat is no entry",
    },
    "entry": {
        "position": "a reader's cursor over all missions; gaps in it mean nothing",
        "report_digest": "of a report as it was sent, of which the entry keeps what it says",
    },
    "counter": {"probe": "writes that mean nothing, of readiness checks"},
    "lane": {"policy": "configuration: the lanes file is where it comes from"},
    "callback": {
        "status": "deliveries are outside the life cycle",
        "attempts": "deliveries are outside the life cycle",
        "next_attempt_at": "deliveries are outside the life cycle",
    },
}
"""What is not compared, and why. Everything else is."""


def differences(expected: object, found: object, fields: Iterator[str]) -> Iterator[tuple[str, str]]:
    """The fields in which two records differ, each with a sentence."""
    for name in fields:
        ledger, row = getattr(expected, name), getattr(found, name)
        if ledger != row:
            yield name, f"{name} is {shown(row)}, the ledger says {shown(ledger)}"


def shown(value: object) -> str:
    """A value for a finding's sentence, cut where it is long."""
    match value:
        case datetime():
            text = utc_text(value)
        case StrEnum():
            text = value.value
        case None | str() | bool() | int() | float() | dict() | list():
            text = canonical(value)
        case _:
            text = str(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
