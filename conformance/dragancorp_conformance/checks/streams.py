"""STR, WHY: a mission's stream is its ledger, taken up anywhere; and there is an answer to why it does not run."""

import json
from collections.abc import Mapping
from typing import Any

from dragancorp_conformance.checks import Trial, check
from dragancorp_conformance.checks.ledger import ended_mission
from dragancorp_conformance.exchange import Exchange
from dragancorp_conformance.session import MISSIONS

Sent = Mapping[str, str]


def stream(t: Trial, mission_id: str, after: int | None = None) -> Exchange:
    """All of a stream that ends."""
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    return t.ask("GET", f"{MISSIONS}/{mission_id}/events/stream", headers=headers, whole=True)


def sent(exchange: Exchange) -> list[Sent]:
    """The events of a stream, by their fields; comments are none."""
    found: list[Sent] = []
    for block in exchange.body.decode("utf-8", "replace").replace("\r\n", "\n").split("\n\n"):
        fields = dict(line.partition(":")[::2] for line in block.split("\n") if line and not line.startswith(":"))
        if fields:
            found.append({name: value.removeprefix(" ") for name, value in fields.items()})
    return found


def read(event: Sent) -> Any:
    """An event's document; None where there is none."""
    try:
        return json.loads(event.get("data", ""))
    except ValueError:
        return None


@check("STR-1")
def a_stream_begins_with_the_mission_as_it_is(t: Trial) -> None:
    mission_id = ended_mission(t)
    exchange = stream(t, mission_id)
    t.answered(exchange, 200)
    events = sent(exchange)
    t.require(len(events) == 1, f"it sent {len(events)} events, where the mission as it is says all", exchange)
    record = read(events[0])
    t.require(events[0].get("event") == "snapshot", "the first is no snapshot", exchange)
    t.require(isinstance(record, dict) and record.get("state") == "cancelled", "it is not the mission", exchange)
    last = str(len(t.ledger(mission_id)))
    t.require(events[0].get("id") == last, f"its id is {events[0].get('id')}, the newest sequence {last}", exchange)


@check("STR-2")
def from_zero_a_stream_is_the_ledger(t: Trial) -> None:
    mission_id = ended_mission(t)
    exchange = stream(t, mission_id, 0)
    t.answered(exchange, 200)
    events = sent(exchange)
    t.require([read(one) for one in events] == t.ledger(mission_id), "it is not the ledger", exchange)
    ids = [one.get("id") for one in events]
    t.require(ids == [str(read(one)["sequence"]) for one in events], f"the ids are {ids}", exchange)
    t.require({one.get("event") for one in events} == {"mission_event"}, "it sends other events too", exchange)


@check("STR-3")
def a_stream_is_taken_up_where_it_was_left(t: Trial) -> None:
    mission_id = ended_mission(t)
    whole = t.ledger(mission_id)
    for after in range(len(whole)):
        with t.case():
            exchange = stream(t, mission_id, after)
            t.answered(exchange, 200)
            t.require([read(one) for one in sent(exchange)] == whole[after:], f"after {after} comes another", exchange)
    with t.case():
        t.answered(stream(t, mission_id, len(whole)), 204)
    with t.case():
        t.refused(stream(t, mission_id, len(whole) + 1), 400, "parameter_invalid")


@check("WHY-1")
def there_is_an_answer_to_why(t: Trial) -> None:
    for mission_id in (str(t.dispatched()["mission_id"]), ended_mission(t)):
        with t.case():
            exchange = t.ask("GET", f"{MISSIONS}/{mission_id}/why")
            members = t.answered(exchange, 200)
            t.require(members.get("mission_id") == mission_id, "it is about another mission", exchange)
            t.require(members.get("code") and members.get("sentence"), "it says nothing", exchange)
    with t.case():
        t.refused(t.ask("GET", f"{MISSIONS}/conformance-no-such-thing/why"), 404, "mission_unknown")
