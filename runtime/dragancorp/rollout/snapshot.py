"""The metrics snapshot of a lane (`specs/metrics-snapshot`): what the operator and the gates look at."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from dragancorp.lifecycle.ledger_entry import utc_text
from dragancorp.lifecycle.rows import MissionRow
from dragancorp.missions.records import mission_record, session_record
from dragancorp.registry.queries import LaneRecord, SnapshotParts
from dragancorp.rollout.statistics import nearest_rank, upper_bound
from dragancorp_contracts.lifecycle import Holder, MissionState, SessionState

# Turns with these reasons say nothing about the lane: the feature was off, so that nobody looked whether it was meant,
# or it was not.
NOT_MEANT = frozenset({"forced_fallback", "feature_disabled", "source_excluded", "intent_not_matched"})


def snapshot(
    vp_id: str, parts: SnapshotParts, *, mission_limit: int, event_limit: int, now: datetime
) -> dict[str, Any]:
    """The snapshot as a `MetricsSnapshot` document. Counts are of all time, rates and latencies of the window."""
    counters = parts.counters
    finished = [stored.row for stored in parts.missions if stored.row.terminal]
    completed = [row for row in finished if row.state is MissionState.COMPLETED]
    session_events = counters.get("session_event", {})
    return {
        "vp_id": vp_id,
        "generated_at": utc_text(now),
        "window": {"mission_limit": mission_limit, "event_limit": event_limit},
        "session": None if parts.lane is None else session_record(parts.lane),
        "mission_counts": _positive(counters.get("mission_state", {})),
        "event_counts": _positive(counters.get("mission_event", {})),
        "session_event_counts": _positive(session_events),
        "fallback": _fallback(finished),
        "latency_seconds": distribution([_seconds(row.created_at, row.finished_at) for row in completed]),
        "queue_seconds": distribution([_seconds(row.created_at, row.started_at) for row in completed]),
        "run_seconds": distribution([_seconds(row.started_at, row.finished_at) for row in completed]),
        "recovery": _recovery(session_events),
        "session_health": _health(parts.lane, parts, counters),
        "delegated": _delegated(counters.get("turn", {})) | {"minutes": _minutes(parts)},
        "recent_missions": [mission_record(stored) for stored in parts.missions],
        "recent_events": [dict(event) for event in parts.events],
    }


def distribution(values: Sequence[float]) -> dict[str, Any]:
    """Count, mean and nearest-rank percentiles of some durations in seconds."""
    return {
        "count": len(values),
        "avg": sum(values) / len(values) if values else None,
        "p50": nearest_rank(values, 0.50),
        "p95": nearest_rank(values, 0.95),
        "max": max(values, default=None),
    }


def _seconds(start: datetime | None, end: datetime | None) -> float:
    return max(0.0, (end - start).total_seconds()) if start is not None and end is not None else 0.0


def _positive(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count > 0}


def _fallback(finished: Sequence[MissionRow]) -> dict[str, Any]:
    considered = len(finished)
    taken = sum(row.fallback for row in finished)
    return {
        "missions_considered": considered,
        "missions_with_fallback": taken,
        "rate": taken / considered if considered else None,
        "bound": upper_bound(taken, considered),
    }


def _recovery(session_events: Mapping[str, int]) -> dict[str, Any]:
    attempts = session_events.get("vp.session.degraded", 0)
    successes = session_events.get("vp.session.recovered", 0)
    return {
        "attempts": attempts,
        "successes": successes,
        "success_rate": successes / attempts if attempts else None,
    }


def _health(lane: LaneRecord | None, parts: SnapshotParts, counters: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    unheld = lane is None or not lane.row.held or lane.row.status is SessionState.RETIRED
    orphaned = unheld and any(stored.row.holder is Holder.LANE for stored in parts.missions)
    signals = counters.get("orphan_signal", {}).get("missions", 0)
    claims = counters.get("mission_event", {}).get("vp.mission.accepted", 0)
    return {
        "currently_orphaned": orphaned,
        "orphan_signals": signals,
        "orphan_rate": signals / claims if claims else None,
    }


def _delegated(turns: Mapping[str, int]) -> dict[str, Any]:
    return {"turns": _positive(turns), "share": delegated_share(turns)}


def delegated_share(turns: Mapping[str, int]) -> float | None:
    """Eligible turns of those whose intent matched while the feature was on, by routing reason; None without such."""
    meant = sum(count for reason, count in turns.items() if reason not in NOT_MEANT)
    return turns.get("eligible", 0) / meant if meant else None


def _minutes(parts: SnapshotParts) -> list[dict[str, Any]]:
    by_minute: dict[datetime, dict[str, int]] = {}
    for minute, reason, count in parts.turn_minutes:
        by_minute.setdefault(minute, {})[reason] = count
    return [{"minute": utc_text(minute), **_delegated(turns)} for minute, turns in by_minute.items()]
