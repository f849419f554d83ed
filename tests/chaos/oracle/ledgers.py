"""What the ledgers, the rows and the outbox say agrees, and says nothing impossible."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dragancorp.jsonio import loads
from dragancorp.lifecycle.ledger_entry import verified
from dragancorp_contracts.lifecycle import TERMINAL_MISSION_STATES, Actor, EventType, MissionState, ReasonCode

from ..evidence import Entry, Evidence, LaneRecord, MissionRecord
from . import Found, Invariant

# Steps after which nobody holds the mission though it has not ended: held out, handed on, or not yet approved.
LETS_GO = frozenset({"M2", "M7", "R4", "B4"})
LEASE_BEGINS = (EventType.SESSION_ACTIVATED.value, EventType.SESSION_RECOVERING.value)


@dataclass(frozen=True)
class Hold:
    """Who held a mission before an entry of its ledger (`owner` None: nobody), and under what."""

    owner: str | None = None
    attempt: int = 0
    epoch: int = 0


def _holds(events: Sequence[Entry]) -> Iterator[tuple[Entry, Hold]]:
    """Each entry with the hold before it, as the entries so far have it."""
    hold = Hold()
    for event in events:
        yield event, hold
        if event["type"] in (EventType.MISSION_ACCEPTED.value, EventType.MISSION_FALLBACK.value):
            hold = Hold(event["actor"]["name"], event["attempt"], event.get("lease_epoch", 0))
        elif event["status"] == MissionState.QUEUED or _ended(event) or event.get("transition") in LETS_GO:
            hold = Hold(None, event["attempt"], hold.epoch)


def _ended(event: Entry) -> bool:
    return event["status"] in TERMINAL_MISSION_STATES


def _one_terminal_event(evidence: Evidence) -> Found:
    for mission_id, record in evidence.missions.items():
        ends = [event["sequence"] for event in record.events if _ended(event)]
        if not ends:
            yield mission_id, f"never ended; it is {record.row['state'].value}"
        elif len(ends) > 1:
            yield mission_id, f"has {len(ends)} entries of an end: {ends}"
        elif ends[0] != record.events[-1]["sequence"]:
            yield mission_id, f"ended with entry {ends[0]}, and entry {record.events[-1]['sequence']} follows"


def _no_sequence_gap(evidence: Evidence) -> Found:
    records: tuple[tuple[str, MissionRecord | LaneRecord], ...] = (*evidence.missions.items(), *evidence.lanes.items())
    for subject, record in records:
        numbers = [event["sequence"] for event in record.events]
        if numbers != list(range(1, len(numbers) + 1)):
            yield subject, f"its ledger counts {numbers}"
        digests = [None, *(event["digest"] for event in record.events)]
        for event, before in zip(record.events, digests, strict=False):
            if event.get("previous_digest") != before or not verified(event):
                yield subject, f"entry {event['sequence']} does not follow from the one before"


def _row_agrees(evidence: Evidence) -> Found:
    for mission_id, record in evidence.missions.items():
        row, last = record.row, record.events[-1]
        told = {"state": last["status"], "attempt": last["attempt"], "last_sequence": last["sequence"]}
        told["last_digest"] = last["digest"]
        for name, value in told.items():
            if row[name] != value:
                yield mission_id, f"{name} is {row[name]!r}, its ledger ends with {value!r}"
        if (row["finished_at"] is not None) != _ended(last):
            yield mission_id, f"finished_at is {row['finished_at']}, its ledger ends {last['status']}"
    for vp_id, lane in evidence.lanes.items():
        if lane.row["last_sequence"] != lane.events[-1]["sequence"]:
            yield vp_id, "its row and its ledger end differently"


def _one_holder(evidence: Evidence) -> Found:
    for mission_id, record in evidence.missions.items():
        for event, hold in _holds(record.events):
            if event["type"] != EventType.MISSION_ACCEPTED.value:
                continue
            claimant = event["actor"]["name"]
            if hold.owner is not None:
                yield mission_id, f"entry {event['sequence']}: {claimant} claims it while {hold.owner} holds it"
            if event["attempt"] != hold.attempt + 1:
                yield mission_id, f"entry {event['sequence']}: attempt {event['attempt']} after {hold.attempt}"


def _no_stale_write(evidence: Evidence) -> Found:
    owners = {vp_id: _owners(lane) for vp_id, lane in evidence.lanes.items()}
    for mission_id, record in evidence.missions.items():
        for event, hold in _holds(record.events):
            if event["actor"]["kind"] != Actor.LANE:
                continue
            writer, place = event["actor"]["name"], f"entry {event['sequence']} ({event['type']})"
            if event["type"] == EventType.MISSION_ACCEPTED.value:
                owner = owners[record.row["vp_id"]].get(event["lease_epoch"])
                if owner != writer:
                    yield mission_id, f"{place}: {writer} claims under epoch {event['lease_epoch']}, which is {owner}'s"
            elif (writer, event["attempt"], event.get("lease_epoch", 0)) != (hold.owner, hold.attempt, hold.epoch):
                held = f"{hold.owner} holds attempt {hold.attempt} under epoch {hold.epoch}"
                yield mission_id, f"{place}: written by {writer} for attempt {event['attempt']}, while {held}"


def _owners(lane: LaneRecord) -> dict[int, str]:
    return {
        event["lease_epoch"]: event["detail"]["owner"]
        for event in lane.events
        if event["type"] in LEASE_BEGINS and "owner" in event["detail"]
    }


def _outbox_agrees(evidence: Evidence) -> Found:
    for mission_id, record in evidence.missions.items():
        expected = record.events if record.row["callback_url"] is not None else []
        sent = [loads(entry["body"]) for entry in record.outbox]
        if sent != list(expected):
            numbers = [body["sequence"] for body in sent]
            yield mission_id, f"callbacks for entries {numbers}, of {len(expected)} that must leave"


def _poison_parked(evidence: Evidence) -> Found:
    for mission_id, record in evidence.missions.items():
        policy = evidence.lanes[record.row["vp_id"]].row["policy"]
        lost = [event for event in record.events if event.get("reason_code") == ReasonCode.LEASE_LOST]
        if len(lost) >= policy["max_attempts"]:
            yield mission_id, f"lost its worker {len(lost)} times and was given out again"
        exhausted = record.row["reason_code"] is ReasonCode.ATTEMPTS_EXHAUSTED
        if exhausted != bool(record.row["parked"]):
            yield mission_id, f"parked is {record.row['parked']}, its reason {record.row['reason_code']}"


def _ledger_replays(evidence: Evidence) -> Found:
    yield from evidence.replay


INVARIANTS = (
    Invariant(
        name="one-terminal-event",
        sentence="Every accepted mission has exactly one terminal event, and it is the last of its ledger.",
        check=_one_terminal_event,
    ),
    Invariant(
        name="no-sequence-gap",
        sentence="Every ledger counts from 1 without a gap, each entry chained to the one before.",
        check=_no_sequence_gap,
    ),
    Invariant(
        name="row-agrees",
        sentence="Every row says what the last entry of its ledger says.",
        check=_row_agrees,
    ),
    Invariant(
        name="one-holder",
        sentence="A mission is given out only while nobody holds it, and each time under the next attempt.",
        check=_one_holder,
    ),
    Invariant(
        name="no-stale-write",
        sentence="Nothing is written by anybody but the present holder, under its own attempt and epoch.",
        check=_no_stale_write,
    ),
    Invariant(
        name="outbox-agrees",
        sentence="Every entry of a mission with a callback has one callback with the same words, and no other has any.",
        check=_outbox_agrees,
    ),
    Invariant(
        name="poison-parked",
        sentence="A mission that keeps losing its worker is parked at its last attempt.",
        check=_poison_parked,
    ),
    Invariant(
        name="ledger-replays",
        sentence="Replaying every ledger through the one decision gives the rows as they are.",
        check=_ledger_replays,
    ),
)
