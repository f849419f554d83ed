"""CAN: what waits is cancelled at once, an end is an end."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from dragancorp_conformance.checks import Trial, check
from dragancorp_conformance.session import MISSIONS
from dragancorp_conformance.target import moment

DEADLINE_SECONDS = 2


@check("CAN-1")
def what_waits_is_cancelled_at_once(t: Trial) -> None:
    mission_id = t.dispatched()["mission_id"]
    exchange = t.cancelled(mission_id)
    record = t.answered(exchange, 200)
    t.require(record.get("mission_id") == mission_id, "it answers another mission", exchange)
    t.require(record.get("state") == "cancelled", f"it is {record.get('state')}", exchange)
    t.require(t.mission(mission_id).get("state") == "cancelled", "read again it is not cancelled", exchange)
    types = [one.get("type") for one in t.ledger(mission_id)]
    t.require(types.count("vp.mission.cancelled") == 1, f"its ledger holds {types}", exchange)


@check("CAN-2")
def cancelled_again_is_the_same_answer(t: Trial) -> None:
    mission_id = t.dispatched()["mission_id"]
    first = t.cancelled(mission_id)
    t.answered(first, 200)
    before = t.ledger(mission_id)
    for body in ({"reason": "once more"}, {}):
        again = t.ask("POST", f"{MISSIONS}/{mission_id}/cancel", json_body=body)
        t.answered(again, 200)
        t.require(again.members == first.members, "the body is not the same as at first", again)
    t.require(t.ledger(mission_id) == before, "cancelling again has left an entry in the ledger")
    t.require(t.mission(mission_id) == dict(first.members), "the mission read is not the one that was answered", first)


@check("CAN-3")
def what_ended_otherwise_cannot_be_cancelled(t: Trial) -> None:
    # A mission that waits for its window and whose deadline passes meanwhile ends without any worker.
    deadline = datetime.now(UTC) + timedelta(seconds=DEADLINE_SECONDS)
    mission_id = t.dispatched(deadline_at=moment(deadline + timedelta(seconds=1)))["mission_id"]
    until = time.monotonic() + DEADLINE_SECONDS + t.target.pace.end_seconds
    record = t.mission(mission_id)
    while record.get("state") == "queued" and time.monotonic() < until:
        time.sleep(0.2)
        record = t.mission(mission_id)
    state = record.get("state")
    t.require(state == "timed_out", f"its deadline has passed and it is {state}")
    exchange = t.cancelled(mission_id)
    t.refused(exchange, 409, "mission_terminal")
    t.require(t.mission(mission_id).get("state") == "timed_out", "the refused cancel has changed it", exchange)


@check("CAN-4")
def the_reason_may_be_left_out(t: Trial) -> None:
    bodies: tuple[dict[str, Any], ...] = (
        {},
        {"json_body": {}},
        {"json_body": {"reason": "conformance"}},
        {"content": b""},
    )
    for options in bodies:
        with t.case():
            mission_id = t.dispatched()["mission_id"]
            t.answered(t.ask("POST", f"{MISSIONS}/{mission_id}/cancel", **options), 200)
