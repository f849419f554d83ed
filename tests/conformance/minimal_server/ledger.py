"""A mission and its ledger, in memory."""

import asyncio
import hashlib
import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

FINAL = {"cancelled": "vp.mission.cancelled", "timed_out": "vp.mission.timed_out"}


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def digest(document: Mapping[str, Any]) -> str:
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


class Mission:
    """One mission. What a broken server does wrong is in `Minimal`, which makes the entries."""

    def __init__(self, envelope: Mapping[str, Any], request: str, session: str) -> None:
        made = now()
        assigned = {
            "mission_id": f"m-{secrets.token_hex(8)}",
            "trace_id": secrets.token_hex(15) + "01",
            "created_at": made,
            "vp_session_id": session,
        }
        self.envelope = {**assigned, **envelope, "source_instance_id": envelope.get("source_instance_id", "minimal")}
        self.id = str(self.envelope["mission_id"])
        self.request = request
        self.state = "queued"
        self.reason: str | None = None
        self.created_at = self.updated_at = made
        self.events: list[dict[str, Any]] = []
        self.changed = asyncio.Event()

    @property
    def over(self) -> bool:
        return self.state in FINAL

    def record(self) -> dict[str, Any]:
        record = {
            "mission_id": self.id,
            "vp_id": self.envelope["vp_id"],
            "vp_session_id": self.envelope["vp_session_id"],
            "source_instance_id": self.envelope["source_instance_id"],
            "kind": "dispatched",
            "state": self.state,
            "attempt": 0,
            "failures": 0,
            "holder": "none",
            "parked": False,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
            "last_sequence": len(self.events),
            "envelope": self.envelope,
        }
        return record if self.reason is None else record | {"reason_code": self.reason}
