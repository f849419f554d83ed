"""AUT: who asks is settled before anything is looked at, and nothing is learnt from a refusal."""

from typing import Any

from dragancorp_conformance.checks import Trial, check
from dragancorp_conformance.exchange import Exchange
from dragancorp_conformance.operations import NOWHERE, Operation, described, operations
from dragancorp_conformance.session import MISSIONS
from dragancorp_conformance.verdicts import NotCovered, NotImplementedYet

WRONG = ("wrong-token", "drg_" + "a" * 43, "x" * 5000)


def _guarded(t: Trial) -> list[Operation]:
    return [one for one in operations().values() if t.target.asks_for(one.level) and not one.public]


def _refused_to_nobody(t: Trial, exchange: Exchange) -> None:
    t.refused(exchange, 401, "unauthenticated")
    challenge = exchange.headers.get("www-authenticate", "")
    t.require(challenge.lower().startswith("bearer"), f"WWW-Authenticate is {challenge!r}", exchange)


def _ask(t: Trial, one: Operation, path: str, **options: object) -> Exchange | None:
    """The answer; None where the operation is planned and the server keeps no place for it."""
    body: dict[str, Any] = {"json_body": {}} if one.takes_body else {}
    try:
        exchange = t.ask(one.method, path, **body, **options)
    except NotImplementedYet:
        return None
    absent = exchange.status in (404, 405) and exchange.code in ("route_unknown", "method_not_allowed")
    return None if absent and one.id in t.session.planned else exchange


@check("AUT-1")
def without_a_token_nothing_is_answered(t: Trial) -> None:
    lane = t.target.lane
    for one in _guarded(t):
        for path in {one.address(), one.address(vp_id=lane)}:
            with t.case():
                exchange = _ask(t, one, path, token=None)
                if exchange is not None:
                    _refused_to_nobody(t, exchange)


@check("AUT-2")
def a_wrong_token_is_no_token(t: Trial) -> None:
    for one in _guarded(t):
        with t.case():
            exchange = _ask(t, one, one.address(), token=WRONG[0])
            if exchange is not None:
                _refused_to_nobody(t, exchange)
    full = t.target.token
    for token in (*WRONG[1:], full[:-1], full + "x", full.swapcase(), f"{full},{full}"):
        with t.case():
            _refused_to_nobody(t, t.ask("GET", MISSIONS, token=token))
    for headers in (
        {"Authorization": full},
        {"Authorization": f"Basic {full}"},
        {"Authorization": "Bearer"},
        {"x-ua-ops-token": ""},
        {"x-ua-ops-token": "wrong-token"},
        {"Cookie": f"token={full}"},
    ):
        with t.case():
            _refused_to_nobody(t, t.ask("GET", MISSIONS, token=None, headers=headers))


@check("AUT-3")
def a_stranger_learns_nothing(t: Trial) -> None:
    mission_id = t.dispatched()["mission_id"]
    for path in ("", "/events", "/events?after=x", "?nothing=1"):
        with t.case():
            ours = t.ask("GET", f"{MISSIONS}/{mission_id}{path}", token=None)
            other = t.ask("GET", f"{MISSIONS}/{NOWHERE}{path}", token=None)
            _refused_to_nobody(t, ours)
            _refused_to_nobody(t, other)
            shown = [_what_is_shown(exchange) for exchange in (ours, other)]
            t.require(
                shown[0] == shown[1], "a mission that exists is refused in another way than one that does not", ours
            )
    for content, headers in ((b"{", {}), (b"[]", {}), (b"x", {"Content-Type": "text/plain"}), (b" " * 2_000_000, {})):
        with t.case():
            _refused_to_nobody(t, t.ask("POST", MISSIONS, content=content, headers=headers, token=None))
    with t.case():
        _refused_to_nobody(t, t.ask("POST", f"{MISSIONS}/{mission_id}/cancel", token=None))
        t.require(t.mission(mission_id).get("state") == "queued", "a stranger has cancelled it", None)


def _what_is_shown(exchange: Exchange) -> dict[str, object]:
    own = {"instance", "trace_id"}  # what says which request it was
    return {name: value for name, value in exchange.members.items() if name not in own}


@check("AUT-4")
def both_headers_are_taken(t: Trial) -> None:
    full = t.target.token
    for headers in (
        {"Authorization": f"Bearer {full}"},
        {"authorization": f"bearer {full}"},
        {"x-ua-ops-token": full},
        {"X-UA-Ops-Token": full},
        {"x-ua-ops-token": full, "Authorization": f"Bearer {full}"},
    ):
        with t.case():
            t.answered(t.ask("GET", f"{MISSIONS}?limit=1", token=None, headers=headers), 200)


@check("AUT-5")
def a_missing_scope_is_403(t: Trial) -> None:
    limited = t.target.limited_token
    if limited is None:
        _refused_to_operators(t)
        return
    t.answered(t.ask("GET", f"{MISSIONS}?limit=1", token=limited), 200)
    for one in _guarded(t):
        if set(one.scopes) <= {"missions:read"}:
            continue
        with t.case():
            exchange = _ask(t, one, one.address(), token=limited)
            if exchange is not None:
                t.refused(exchange, 403, "scope_missing")
    envelope = t.target.envelope()
    for options in ({"json_body": envelope}, {"content": b"{"}, {"content": b"x", "headers": {"Content-Type": "a/b"}}):
        with t.case():
            t.refused(t.ask("POST", MISSIONS, token=limited, **options), 403, "scope_missing")
    exchange = t.ask("POST", MISSIONS, json_body=envelope)
    t.require(exchange.status == 201, "the refused request has made a mission", exchange)


def _refused_to_operators(t: Trial) -> None:
    """The operators' token never has lanes:run, so what needs that is refused even to them."""
    known = {node.get("operationId") for _, _, node in described(t.session.declared)}
    asked = [one for one in operations().values() if one.scopes == ("lanes:run",) and one.id in known]
    if not asked:
        raise NotCovered("it needs a token with the scope missions:read alone: give one with --limited-token")
    for one in asked:
        for content in (b"{}", b"{"):
            with t.case():
                t.refused(t.ask(one.method, one.address(), content=content), 403, "scope_missing")


@check("AUT-6")
def public_operations_ask_for_no_token(t: Trial) -> None:
    for one in operations().values():
        if not one.public or not t.target.asks_for(one.level) or "{" in one.path:
            continue
        for token in (None, "wrong-token"):
            with t.case():
                exchange = t.ask(one.method, one.path, token=token)
                t.require(exchange.status not in (401, 403), "it asks for a token", exchange)
