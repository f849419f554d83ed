"""LED: a mission's ledger is complete, in order, chained, and never changes."""

import hashlib
import json
import threading
import time
from collections.abc import Mapping
from typing import Any

from dragancorp_conformance.checks import Trial, check
from dragancorp_conformance.session import MISSIONS
from dragancorp_contracts import judge

FINAL = {
    "vp.mission.completed": "completed",
    "vp.mission.failed": "failed",
    "vp.mission.cancelled": "cancelled",
    "vp.mission.timed_out": "timed_out",
}
PROMPT_SECONDS = 1.0
"""An event has to wake whoever waits for it; much later than this, it was found by looking again."""


def ended_mission(t: Trial) -> str:
    """A mission with a few events: dispatched and cancelled."""
    mission_id = str(t.dispatched()["mission_id"])
    t.cancelled(mission_id)
    return mission_id


def digest(entry: Mapping[str, Any]) -> str:
    """SHA-256 of the entry's canonical JSON without its digest."""
    content = {name: value for name, value in entry.items() if name != "digest"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


@check("LED-1")
def sequences_have_no_gaps(t: Trial) -> None:
    waiting, ended = str(t.dispatched()["mission_id"]), ended_mission(t)
    for mission_id, expected in ((waiting, "vp.mission.dispatched"), (ended, "vp.mission.cancelled")):
        with t.case():
            exchange = t.ask("GET", f"{MISSIONS}/{mission_id}/events")
            members = t.answered(exchange, 200)
            events = members.get("events") or [{}]
            sequences = [one.get("sequence") for one in events]
            t.require(sequences == list(range(1, len(events) + 1)), f"the sequences are {sequences}", exchange)
            t.require(
                members.get("last_sequence") == len(events), "last_sequence is not that of the last event", exchange
            )
            t.require(
                events[0].get("type") == "vp.mission.dispatched", "the first is no vp.mission.dispatched", exchange
            )
            t.require(events[-1].get("type") == expected, f"the last is no {expected}", exchange)
            t.require({one.get("mission_id") for one in events} == {mission_id}, "events of another mission", exchange)


@check("LED-2")
def after_and_limit_cut_the_same_ledger(t: Trial) -> None:
    mission_id = ended_mission(t)
    whole = t.ledger(mission_id)
    for after in range(len(whole) + 2):
        with t.case():
            exchange = t.ask("GET", f"{MISSIONS}/{mission_id}/events?after={after}")
            found = t.answered(exchange, 200).get("events")
            t.require(found == whole[after:], f"after={after} does not answer what follows it", exchange)
            last = exchange.members.get("last_sequence")
            t.require(last == len(whole), f"last_sequence is {last}, not that of the mission's newest event", exchange)
    with t.case():
        pieces = [one for after in range(len(whole)) for one in t.ledger(mission_id, f"after={after}&limit=1")]
        t.require(pieces == whole, "the ledger read one by one is another than in one piece")


@check("LED-3")
def digests_chain(t: Trial) -> None:
    mission_id = ended_mission(t)
    exchange = t.ask("GET", f"{MISSIONS}/{mission_id}/events")
    previous = None
    for entry in t.answered(exchange, 200).get("events") or [{}]:
        with t.case():
            number = entry.get("sequence")
            t.require(
                entry.get("digest") == digest(entry), f"the digest of {number} is not that of its content", exchange
            )
            found = entry.get("previous_digest")
            t.require(found == previous, f"{number} does not carry the digest of the entry before it", exchange)
        previous = entry.get("digest")


@check("LED-4")
def a_poll_for_nothing_waits_its_time(t: Trial) -> None:
    mission_id, seconds = t.dispatched()["mission_id"], t.target.pace.wait_seconds
    last = len(t.ledger(mission_id))
    exchange = t.ask("GET", f"{MISSIONS}/{mission_id}/events?after={last}&wait={seconds}", timeout=seconds + 30)
    t.require(t.answered(exchange, 200).get("events") == [], "it answers events that there are not", exchange)
    said = f"asked to wait {seconds} s, it answered after {exchange.seconds:.2f} s"
    t.require(exchange.seconds >= seconds * 0.9, said, exchange)
    t.require(exchange.seconds <= seconds + t.target.pace.answer_seconds, said, exchange)
    with t.case():
        known = t.ask("GET", f"{MISSIONS}/{mission_id}/events?wait=20", timeout=40)
        t.require(known.seconds < PROMPT_SECONDS * 5, "it waits although events are there", known)


@check("LED-5")
def a_poll_ends_when_an_event_comes(t: Trial) -> None:
    mission_id = t.dispatched()["mission_id"]
    last = len(t.ledger(mission_id))
    cancelled: list[float] = []

    def cancel() -> None:
        t.cancelled(mission_id)
        cancelled.append(time.monotonic())

    timer = threading.Timer(0.3, cancel)
    timer.start()
    exchange = t.ask("GET", f"{MISSIONS}/{mission_id}/events?after={last}&wait=20", timeout=60)
    heard = time.monotonic()
    timer.join()
    events = t.answered(exchange, 200).get("events") or []
    t.require(events, "it answered no event although one came", exchange)
    late = heard - cancelled[0]
    t.require(late < PROMPT_SECONDS, f"it answered {late:.1f} s after the event had been written", exchange)
    with t.case():
        over = t.ask("GET", f"{MISSIONS}/{mission_id}/events?after={last + 1}&wait=20", timeout=60)
        t.require(over.seconds < PROMPT_SECONDS * 5, "it waits for events of a mission that has ended", over)


@check("LED-6")
def the_end_is_the_last_event(t: Trial) -> None:
    waiting, ended = t.dispatched()["mission_id"], ended_mission(t)
    for mission_id, over in ((waiting, False), (ended, True)):
        with t.case():
            exchange = t.ask("GET", f"{MISSIONS}/{mission_id}/events")
            members = t.answered(exchange, 200)
            t.require(members.get("terminal") is over, f"terminal is {members.get('terminal')}", exchange)
            events = members.get("events") or [{}]
            final = [index for index, one in enumerate(events) if one.get("type") in FINAL]
            t.require(
                final == ([len(events) - 1] if over else []), "there is not one final event, at the end", exchange
            )
            for one in events:
                broken = judge.violations("mission-event", one)
                t.require(not broken, f"no event of the contract: {broken[0].message}" if broken else "", exchange)
                state = FINAL.get(one["type"])
                t.require(state is None or state == one["status"], f"{one['type']} leaves {one['status']}", exchange)
                if one["type"] not in FINAL:
                    t.require(one["status"] not in FINAL.values(), f"{one['type']} leaves {one['status']}", exchange)


@check("LED-7")
def entries_never_change(t: Trial) -> None:
    mission_id = str(t.dispatched()["mission_id"])
    before = t.ledger(mission_id)
    t.require(t.ledger(mission_id) == before, "the same ledger read twice is not the same")
    t.answered(t.cancelled(mission_id), 200)
    after = t.ledger(mission_id)
    t.require(after[: len(before)] == before, "an entry that stood in the ledger has changed")
    t.require(len(after) > len(before), "the cancel has left no entry")
