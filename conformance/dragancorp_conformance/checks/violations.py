"""ERR: a bad document or parameter is refused with every broken rule at once, each with its place."""

from datetime import UTC, datetime, timedelta
from typing import Any

from dragancorp_conformance.checks import Trial, check
from dragancorp_conformance.exchange import Exchange
from dragancorp_conformance.session import MISSIONS
from dragancorp_conformance.target import moment
from dragancorp_conformance.verdicts import Broken


def violations(exchange: Exchange) -> list[dict[str, Any]]:
    """The violations in a refusal. Raises `Broken` when there is no list of them."""
    found = exchange.members.get("violations")
    if not isinstance(found, list) or not found or not all(isinstance(one, dict) for one in found):
        raise Broken("it names no violations", exchange)
    return found


def named(t: Trial, exchange: Exchange, *expected: tuple[str, str]) -> None:
    """Raise `Broken` unless each (pointer, rule) is among the violations; an empty rule: whatever it is called."""
    found = violations(exchange)
    for pointer, rule in expected:
        there = [one for one in found if one.get("pointer") == pointer]
        t.require(there, f"no violation at {pointer or 'the document'}", exchange)
        t.require(
            all(one.get("rule") and one.get("message") for one in there), f"{pointer}: no rule or message", exchange
        )
        if rule:
            rules = [str(one["rule"]) for one in there]
            t.require(rule in rules, f"{pointer} breaks {rule}; named is {', '.join(rules)}", exchange)


@check("ERR-7")
def every_broken_rule_of_a_document_is_named(t: Trial) -> None:
    bad = t.target.envelope(
        objective="", mission_type="cooking", priority_class="later", budget={"max_llm_calls": -1}, surprise=True
    )
    exchange = t.ask("POST", MISSIONS, json_body=bad)
    t.refused(exchange, 422, "document_invalid")
    named(
        t,
        exchange,
        ("/objective", "mission-envelope/v1#/properties/objective/minLength"),
        ("/mission_type", "mission-envelope/v1#/properties/mission_type/enum"),
        ("/priority_class", "mission-envelope/v1#/properties/priority_class/enum"),
        ("/budget/max_llm_calls", "mission-envelope/v1#/properties/budget/properties/max_llm_calls/minimum"),
    )
    with t.case():
        t.require(
            any("surprise" in str(one) for one in violations(exchange)), "the unknown member is not named", exchange
        )
    with t.case():
        empty = t.ask("POST", MISSIONS, json_body={})
        t.refused(empty, 422, "document_invalid")
        text = str(violations(empty))
        for member in ("vp_id", "mission_type", "objective", "idempotency_key"):
            t.require(member in text, f"the missing {member} is not named", empty)
    with t.case():
        record = t.dispatched()
        cancel = t.ask("POST", f"{MISSIONS}/{record['mission_id']}/cancel", json_body={"reason": 5, "why": "x"})
        t.refused(cancel, 422, "document_invalid")
        named(t, cancel, ("/reason", ""))
    for content in (b"[]", b'"text"', b"5", b"null", b"true"):
        with t.case():
            t.refused(t.ask("POST", MISSIONS, content=content), 422, "document_invalid")


@check("ERR-8")
def rules_beyond_the_schema_are_named_too(t: Trial) -> None:
    now = datetime.now(UTC)
    later, earlier = moment(now + timedelta(days=2)), moment(now + timedelta(days=1))
    same = {"uri": "https://dragancorp.dev/conformance/extension", "required": False, "value": 1}
    bad = t.target.envelope(
        autonomy_window={"start_at": later, "end_at": earlier},
        created_at=later,
        deadline_at=earlier,
        extensions=[same, same],
        mission_id="conformance-own-parent",
        parent_mission_id="conformance-own-parent",
    )
    exchange = t.ask("POST", MISSIONS, json_body=bad)
    t.refused(exchange, 422, "document_invalid")
    rules = {str(one.get("rule")) for one in violations(exchange)}
    for rule in ("ENV-1", "ENV-2", "ENV-3", "ENV-4"):
        with t.case():
            t.require(rule in rules, f"{rule} is broken and not named; named are {', '.join(sorted(rules))}", exchange)


@check("ERR-9")
def unknown_and_bad_query_parameters_are_refused(t: Trial) -> None:
    for path, pointers in (
        ("?nothing=1", ["/query/nothing"]),
        ("?limit=0", ["/query/limit"]),
        ("?limit=501", ["/query/limit"]),
        ("?limit=ten", ["/query/limit"]),
        ("?limit=", ["/query/limit"]),
        ("?limit=1&limit=2", ["/query/limit"]),
        ("?limit=%D9%A3", ["/query/limit"]),
        ("?state=sleeping", ["/query/state"]),
        ("?parked=yes", ["/query/parked"]),
        ("?vp_id=CODIE", ["/query/vp_id"]),
        ("?limit=0&state=sleeping&nothing=1", ["/query/limit", "/query/state", "/query/nothing"]),
    ):
        with t.case():
            exchange = t.ask("GET", MISSIONS + path)
            t.refused(exchange, 400, "parameter_invalid")
            named(t, exchange, *((pointer, "") for pointer in pointers))
    record = t.dispatched()
    for query in ("after=-1", "after=x", "limit=1001", "wait=31", "wait=nan", "wait=-1", "until=5"):
        with t.case():
            exchange = t.ask("GET", f"{MISSIONS}/{record['mission_id']}/events?{query}")
            t.refused(exchange, 400, "parameter_invalid")
            named(t, exchange, (f"/query/{query.partition('=')[0]}", ""))


@check("ERR-10")
def bad_path_parameters_are_refused(t: Trial) -> None:
    for path, pointer in (
        (f"{MISSIONS}/-starts-with-a-dash", "/path/mission_id"),
        (f"{MISSIONS}/{'x' * 129}", "/path/mission_id"),
        (f"{MISSIONS}/two.words/events", "/path/mission_id"),
        ("/api/v1/vp/sessions/CODIE", "/path/vp_id"),
        ("/api/v1/vp/sessions/vp.", "/path/vp_id"),
    ):
        with t.case():
            exchange = t.ask("GET", path)
            t.refused(exchange, 400, "parameter_invalid")
            named(t, exchange, (pointer, ""))
