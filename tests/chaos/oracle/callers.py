"""What callers were told stays true."""

from collections import defaultdict

from dragancorp_contracts.lifecycle import EventType, MissionState

from ..evidence import Evidence
from . import Found, Invariant


def _dispatch_kept(evidence: Evidence) -> Found:
    for told in evidence.journal.accepted:
        record = evidence.missions.get(told.mission_id)
        if record is None:
            yield told.mission_id, f"was acknowledged for the key {told.key!r} and is not in the registry"
        elif record.row["idempotency_key"] != told.key:
            yield told.mission_id, f"was acknowledged for the key {told.key!r}, stored for another"


def _one_mission_a_key(evidence: Evidence) -> Found:
    by_key: defaultdict[str, set[str]] = defaultdict(set)
    for told in evidence.journal.accepted:
        by_key[told.key].add(told.mission_id)
    for mission_id, record in evidence.missions.items():
        by_key[record.row["idempotency_key"]].add(mission_id)
        if record.row["idempotency_key"] not in evidence.journal.asked:
            yield mission_id, f"nobody asked with its key {record.row['idempotency_key']!r}"
    for key, missions in by_key.items():
        if len(missions) > 1:
            yield key, f"is {len(missions)} missions: {sorted(missions)}"


def _terminal_forever(evidence: Evidence) -> Found:
    for seen in evidence.journal.ended:
        record = evidence.missions.get(seen.mission_id)
        if record is None:
            yield seen.mission_id, f"was {seen.state}, and is gone"
            continue
        row = record.row
        now = (row["state"].value, row["last_sequence"], row["last_digest"])
        if now != (seen.state, seen.last_sequence, seen.last_digest):
            yield seen.mission_id, f"was {seen.state} (entry {seen.last_sequence}), is {now[0]} (entry {now[1]})"


def _cancel_holds(evidence: Evidence) -> Found:
    for told in evidence.journal.cancels:
        record = evidence.missions.get(told.mission_id)
        if record is not None and record.row["state"] is not MissionState.CANCELLED:
            yield told.mission_id, f"its cancel was taken, and it is {record.row['state'].value}"
    for mission_id, record in evidence.missions.items():
        types = [event["type"] for event in record.events]
        asked = EventType.MISSION_CANCEL_REQUESTED.value in types
        if asked and record.row["state"] is MissionState.COMPLETED:
            yield mission_id, "its cancel is in the ledger, and it completed"
        if EventType.MISSION_CANCELLED.value in types and EventType.MISSION_COMPLETED.value in types:
            yield mission_id, "was cancelled and completed"


INVARIANTS = (
    Invariant(
        name="dispatch-kept",
        sentence="A dispatch that was acknowledged is in the registry, under its key.",
        check=_dispatch_kept,
    ),
    Invariant(
        name="one-mission-a-key",
        sentence="A key that is used again is the same mission, whoever asks and however often.",
        check=_one_mission_a_key,
    ),
    Invariant(
        name="terminal-forever",
        sentence="A mission that was seen to have ended never changes again.",
        check=_terminal_forever,
    ),
    Invariant(
        name="cancel-holds",
        sentence="A mission whose cancel was taken never completes; it ends cancelled.",
        check=_cancel_holds,
    ),
)
