"""A mission as people read it."""

from collections.abc import Sequence
from typing import Any

from dragancorp.cli import output
from dragancorp.cli.watching import event_line


def print_mission(record: dict[str, Any], events: Sequence[dict[str, Any]], *, last_events: int) -> None:
    """The record, the last events and the artifacts, on stdout. `events` are the newest ones, oldest first."""
    envelope = record["envelope"]
    output.facts(
        [
            ("mission", record["mission_id"]),
            ("lane", record["vp_id"]),
            ("state", record["state"] + (" (parked)" if record.get("parked") else "")),
            ("reason", record.get("reason_code")),
            ("awaits fallback for", record.get("cause")),
            ("objective", envelope["objective"]),
            ("type", envelope["mission_type"]),
            ("kind", record["kind"]),
            ("attempt", record["attempt"]),
            ("done by", record.get("completed_via")),
            ("asked by", record.get("source_instance_id")),
            ("key", envelope["idempotency_key"]),
            ("created", record["created_at"]),
            ("not before", record.get("not_before") if record["state"] == "queued" else None),
            ("started", record.get("started_at")),
            ("finished", record.get("finished_at")),
            ("callbacks undelivered", record.get("callback_undelivered") or None),
        ]
    )
    if events:
        output.data("\nevents" + (f" (the last {last_events})" if len(events) > last_events else ""))
        for event in events[-last_events:]:
            output.data(f"  {event_line(event)}")
    found = _artifacts(events)
    if found:
        output.data("\nartifacts")
        for artifact in found:
            output.data(output.plain(f"  {artifact['name']}  {_size(artifact)}{artifact.get('description', '')}"))
    following = next((event["recommended_next_action"] for event in events if "recommended_next_action" in event), None)
    if following:
        output.data(f"\nnext: {output.plain(following)}")


def _size(artifact: dict[str, Any]) -> str:
    size = artifact.get("size_bytes")
    return "" if size is None else f"{size} bytes  "


def _artifacts(events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """All artifacts, by the final event's index, or what was reported until now; the newest of each name."""
    by_name: dict[str, dict[str, Any]] = {}
    for event in events:
        for artifact in event.get("artifact_index") or event.get("artifact_refs") or ():
            by_name[artifact["name"]] = artifact
    return list(by_name.values())
