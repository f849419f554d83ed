"""Rows as the documents of `specs/vp-session-registry`: what the API, the snapshot and the gateway show."""

import json
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from dragancorp.lifecycle.ledger_entry import utc_text
from dragancorp.missions.envelopes import PRIORITY_CLASS, whole
from dragancorp.registry.operations import Stored
from dragancorp.registry.queries import LaneRecord

MISSION_MEMBERS = (
    "mission_id",
    "vp_id",
    "vp_session_id",
    "vp_runtime_id",
    "source_instance_id",
    "kind",
    "state",
    "attempt",
    "failures",
    "holder",
    "hold_expires_at",
    "cancel_requested_at",
    "reason_code",
    "cause",
    "parked",
    "not_before",
    "resume",
    "traffic",
    "completed_via",
    "fallback",
    "continuity_id",
    "retry_of",
    "parent_mission_id",
    "trace_id",
    "usage",
    "last_sequence",
    "created_at",
    "updated_at",
    "started_at",
    "finished_at",
)
SESSION_MEMBERS = (
    "vp_id",
    "vp_session_id",
    "status",
    "vp_runtime_id",
    "lease_owner",
    "lease_epoch",
    "lease_expires_at",
    "lease_embedded",
    "beat",
    "heartbeat_at",
    "executor_session_id",
    "continuity_id",
    "workspace",
    "last_error",
    "drain_open",
    "last_sequence",
    "created_at",
    "updated_at",
)


def mission_record(
    stored: Stored, *, undelivered: int | None = None, comparison: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A mission as `MissionRecord`; `undelivered` callbacks where it has any, its `comparison` where it is a shadow."""
    record = _members(stored.row, MISSION_MEMBERS)
    record["priority_class"] = PRIORITY_CLASS[stored.row.priority_rank]
    if undelivered is not None:
        record["callback_undelivered"] = undelivered
    if comparison is not None:
        record["comparison"] = dict(comparison)
    if stored.decision is not None:
        record["decision"] = dict(stored.decision)
    record["envelope"] = whole(stored, json.loads(stored.document))  # judged when it came in
    return record


def session_record(lane: LaneRecord) -> dict[str, Any]:
    """A lane session as `SessionRecord`."""
    record = _members(lane.row, SESSION_MEMBERS)
    record["mission_counts"] = {name: count for name, count in lane.unfinished.items() if count}
    return record


def _members(row: object, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: _plain(value) for name in names if (value := getattr(row, name)) is not None}


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return utc_text(value)
        case StrEnum():
            return value.value
        case Mapping():
            return dict(value)
    return value
