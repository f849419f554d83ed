"""From an envelope to the row it begins as: what the caller said, and what the control plane assigns."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from dragancorp.jsonio import digest
from dragancorp.lifecycle.ledger_entry import utc_text
from dragancorp.lifecycle.rows import MissionRow
from dragancorp.registry.identifiers import new_id, new_trace_id
from dragancorp.registry.operations import Stored
from dragancorp_contracts.lifecycle import MissionKind, MissionState

Envelope = Mapping[str, Any]
# What the control plane may assign is not part of the request: a repeat that leaves it out is the same request.
ASSIGNABLE = ("mission_id", "vp_session_id", "vp_runtime_id", "source_instance_id", "trace_id", "created_at")
PRIORITY_RANK = {"interactive": 0, "deadline": 1, "background": 2}
SHADOW_RANK = 3  # behind every other: what nobody waits for
PRIORITY_CLASS = {rank: name for name, rank in PRIORITY_RANK.items()} | {SHADOW_RANK: "background"}
MICRO = 1_000_000
EARLIEST = datetime(1000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A mission to be: its row, and the members of the envelope that were assigned."""

    row: MissionRow
    assigned: Mapping[str, Any]
    hold_for_approval: bool


def request_digest(envelope: Envelope) -> str:
    """What makes two requests the same request."""
    return digest({name: value for name, value in envelope.items() if name not in ASSIGNABLE})


def moment(text: str | None) -> datetime | None:
    """An RFC 3339 time of the contracts (years 1000 to 2999, with an offset) in UTC."""
    # An offset must not carry it into a year of three digits: stored as text, such a time sorts wrong and cannot be
    # read again. It has passed either way.
    return None if text is None else max(datetime.fromisoformat(text).astimezone(UTC), EARLIEST)


def draft(
    envelope: Envelope, *, source_instance_id: str, kind: MissionKind, now: datetime, retry_of: str | None = None
) -> Draft:
    """The row and the assigned members for a valid envelope. `now` is when it was accepted."""
    assigned: dict[str, Any] = {
        "mission_id": envelope.get("mission_id") or new_id("m"),
        "trace_id": envelope.get("trace_id") or new_trace_id(),
        "created_at": envelope.get("created_at") or utc_text(now),
        "source_instance_id": source_instance_id,
    }
    budget, window = envelope.get("budget", {}), envelope.get("autonomy_window", {})
    minutes = budget.get("max_runtime_minutes")
    cost = budget.get("max_cost_usd")
    row = MissionRow(
        mission_id=assigned["mission_id"],
        vp_id=envelope["vp_id"],
        vp_session_id=envelope.get("vp_session_id", ""),
        kind=kind,
        state=MissionState.QUEUED,
        source_instance_id=source_instance_id,
        idempotency_key=envelope["idempotency_key"],
        request_digest=request_digest(envelope),
        priority_rank=SHADOW_RANK
        if kind is MissionKind.SHADOW
        else PRIORITY_RANK[envelope.get("priority_class", "background")],
        traffic=envelope.get("traffic", "real"),
        trace_id=assigned["trace_id"],
        parent_mission_id=envelope.get("parent_mission_id"),
        retry_of=retry_of,
        callback_url=envelope.get("callback", {}).get("status_url"),
        deadline_at=moment(envelope.get("deadline_at")),
        window_start_at=moment(window.get("start_at")),
        window_end_at=moment(window.get("end_at")),
        max_runtime_seconds=None if minutes is None else minutes * 60.0,
        max_llm_calls=budget.get("max_llm_calls"),
        max_cost_microusd=None if cost is None else int(Decimal(str(cost)) * MICRO),
        created_at=now,
        updated_at=now,
    )
    approvals = envelope.get("constraints", {}).get("approval_required", [])
    return Draft(row=row, assigned=assigned, hold_for_approval="*" in approvals)


def whole(stored: Stored, document: Envelope) -> dict[str, Any]:
    """The envelope as received, with what the control plane assigned."""
    envelope = {**document, **stored.assigned}
    if stored.row.vp_runtime_id is not None:
        envelope["vp_runtime_id"] = stored.row.vp_runtime_id
    return envelope


def ends_by(envelope: Envelope, now: datetime, backstop: float) -> datetime:
    """When an attempt that starts now is ended whatever it does: by deadline, window or backstop (seconds)."""
    ends = (moment(envelope.get("deadline_at")), moment(envelope.get("autonomy_window", {}).get("end_at")))
    return min([now + timedelta(seconds=backstop), *(end for end in ends if end is not None)])
