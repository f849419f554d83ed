"""MIS: a mission is what was asked for, with what the control plane assigned."""

from dragancorp_conformance.checks import Trial, check
from dragancorp_conformance.session import MISSIONS
from dragancorp_contracts import judge

TEXTS = (
    "plain",
    "Größe, 日本語, \U0001f680, עברית",
    'quotes " and \\ and / and <b>&amp;</b>',
    "line\nfeed\ttab\r\u2028\u2029",
    "e\u0301 and é are not the same",
    "\u0000 nul \u001b[31m escape \u202e override",
    " leading and trailing ",
    "x" * 4000,
)


@check("MIS-1")
def a_mission_is_found_where_it_was_said_to_be(t: Trial) -> None:
    exchange = t.ask("POST", MISSIONS, json_body=t.target.envelope())
    record = t.answered(exchange, 201)
    location = exchange.headers.get("location", "")
    t.require(location.endswith(f"{MISSIONS}/{record.get('mission_id')}"), f"Location is {location!r}", exchange)
    found = t.mission(str(record.get("mission_id")))
    t.require(found == record, "the mission read is not the one that was answered", exchange)
    t.require(record.get("state") == "queued", f"it waits for its window and is {record.get('state')}", exchange)
    t.require(record.get("kind") == "dispatched", f"its kind is {record.get('kind')}", exchange)


@check("MIS-2")
def what_was_left_out_is_assigned(t: Trial) -> None:
    envelope = t.target.envelope(mission_id=None, trace_id=None, created_at=None, vp_session_id=None)
    exchange = t.ask("POST", MISSIONS, json_body=envelope)
    record = t.answered(exchange, 201)
    kept = record.get("envelope") or {}
    for name in ("mission_id", "trace_id", "created_at", "vp_session_id"):
        with t.case():
            t.require(kept.get(name), f"{name} was left out and not assigned", exchange)
    t.require(kept.get("mission_id") == record.get("mission_id"), "record and envelope differ in mission_id", exchange)
    broken = judge.violations("mission-envelope", kept)
    t.require(not broken, f"the envelope is none: {broken[0].message}" if broken else "", exchange)
    for name, value in envelope.items():
        with t.case():
            t.require(kept.get(name) == value, f"{name} is not what was sent", exchange)


@check("MIS-3")
def text_comes_back_as_it_was_sent(t: Trial) -> None:
    for text in TEXTS:
        with t.case():
            record = t.dispatched(objective=text)
            for found in (record, t.mission(record["mission_id"])):
                t.require(
                    found["envelope"]["objective"] == text,
                    f"sent was {text!r}, kept {found['envelope']['objective']!r}",
                )


@check("MIS-4")
def two_missions_have_two_ids(t: Trial) -> None:
    found = [t.dispatched() for _ in range(5)]
    t.require(len({one["mission_id"] for one in found}) == 5, "one id stands for two missions")
    t.require(len({one["envelope"].get("trace_id") for one in found}) == 5, "one trace id stands for two missions")
