"""ERR: the form of every refusal, and which refusal stands for what."""

from collections.abc import Sequence

from dragancorp_conformance.checks import Trial, check
from dragancorp_conformance.exchange import Exchange
from dragancorp_conformance.operations import NO_LANE, NOWHERE, described
from dragancorp_conformance.session import MISSIONS
from dragancorp_conformance.verdicts import Broken, NotCovered
from dragancorp_contracts import judge
from dragancorp_contracts.api.document import openapi_document
from dragancorp_contracts.errors import CATALOGUE, CatalogueEntry, ErrorCode


def refusals(t: Trial) -> Sequence[Exchange]:
    """A refusal of every kind that can be had from anyone. What is not refused is for others to find."""
    return [one for one in _provoked(t) if (one.status or 0) >= 400]


def _provoked(t: Trial) -> Sequence[Exchange]:
    lane = t.target.lane
    ended = t.dispatched()
    return [
        t.ask("GET", MISSIONS, token=None),
        t.ask("GET", f"{MISSIONS}?nothing=1"),
        t.ask("GET", f"{MISSIONS}/-"),
        t.ask("GET", f"{MISSIONS}/{NOWHERE}"),
        t.ask("GET", f"/api/v1/vp/sessions/{NO_LANE}"),
        t.ask("GET", "/api/v1/conformance"),
        t.ask("PUT", MISSIONS, json_body={}),
        t.ask("POST", MISSIONS, content=b"{"),
        t.ask("POST", MISSIONS, json_body={}),
        t.ask("POST", MISSIONS, content=b"a", headers={"Content-Type": "text/plain"}),
        t.ask("POST", MISSIONS, json_body=t.target.envelope(vp_id=NO_LANE)),
        t.ask(
            "POST",
            MISSIONS,
            json_body=t.target.envelope(
                vp_id=lane, objective="x", idempotency_key=ended["envelope"]["idempotency_key"]
            ),
        ),
        t.ask("POST", MISSIONS, content=b" " * (mission_limit() + 1)),
    ]


def mission_limit() -> int:
    """How many bytes a dispatch may have."""
    for path, method, node in described(openapi_document()):
        if (path, method) == (MISSIONS, "post"):
            return int(node["x-dragan-limits"]["body_bytes"])
    raise KeyError(MISSIONS)


@check("ERR-1")
def refusals_are_problem_details(t: Trial) -> None:
    for exchange in refusals(t):
        with t.case():
            t.require((exchange.status or 0) < 500, f"it fails with {exchange.status}", exchange)
            media_type = exchange.headers.get("content-type", "").partition(";")[0]
            t.require(media_type == "application/problem+json", f"it is {media_type or 'of no type'}", exchange)
            broken = judge.violations("errors", exchange.members)
            t.require(not broken, f"no problem: {broken[0].pointer} {broken[0].message}" if broken else "", exchange)


@check("ERR-2")
def codes_and_statuses_are_the_catalogues(t: Trial) -> None:
    for exchange in refusals(t):
        with t.case():
            entry = _entry(exchange)
            if entry is None:
                raise Broken(f"the catalogue has no code {exchange.code!r}", exchange)
            t.require(entry.status == exchange.status, f"{exchange.code} is {entry.status} in the catalogue", exchange)
            said = exchange.members.get("status")
            t.require(said == exchange.status, f"the document says {said}", exchange)


@check("ERR-3")
def refusals_say_what_to_do(t: Trial) -> None:
    for exchange in refusals(t):
        with t.case():
            members = exchange.members
            t.require(_is_text(members.get("hint")), "there is no hint", exchange)
            t.require(_is_text(members.get("detail")), "there is no detail", exchange)
            entry = _entry(exchange)
            if entry is not None:
                for name, expected in (("title", entry.title), ("retryable", entry.retryable)):
                    t.require(
                        members.get(name) == expected, f"its {name} is not the catalogue's: {expected!r}", exchange
                    )


@check("ERR-4")
def an_unknown_address_is_404(t: Trial) -> None:
    for path in ("/api/v1/conformance", "/conformance", f"{MISSIONS}/{NOWHERE}/conformance", "/api/v2/missions"):
        with t.case():
            t.refused(t.ask("GET", path), 404, "route_unknown")


@check("ERR-5")
def a_known_address_names_its_methods(t: Trial) -> None:
    for method, path in (
        ("PUT", MISSIONS),
        ("DELETE", f"{MISSIONS}/{NOWHERE}"),
        ("GET", f"{MISSIONS}/{NOWHERE}/cancel"),
        ("PATCH", "/api/v1/vp/sessions"),
        ("POST", "/healthz"),
    ):
        with t.case():
            exchange = t.ask(method, path)
            t.refused(exchange, 405, "method_not_allowed")
            allowed = {one.strip() for one in exchange.headers.get("allow", "").split(",")}
            taken = _methods(t, path)
            t.require(taken <= allowed, f"Allow lacks {', '.join(sorted(taken - allowed))}", exchange)
            t.require(method not in allowed, f"Allow names {method}", exchange)


def _methods(t: Trial, path: str) -> set[str]:
    # What is planned may be missing: a server need not keep a place for it.
    found = set()
    for method in ("GET", "POST", "PUT", "DELETE"):
        node = t.session.judge.operation(method, path)
        if node is not None and node["x-dragan-level"] == "core" and node["operationId"] not in t.session.planned:
            found.add(method)
    return found


@check("ERR-6")
def what_does_not_exist_is_404_with_its_own_code(t: Trial) -> None:
    for path, code in (
        (f"{MISSIONS}/{NOWHERE}", "mission_unknown"),
        (f"{MISSIONS}/{NOWHERE}/events", "mission_unknown"),
        (f"/api/v1/vp/sessions/{NO_LANE}", "session_unknown"),
    ):
        with t.case():
            t.refused(t.ask("GET", path), 404, code)
    with t.case():
        t.refused(t.cancelled(NOWHERE), 404, "mission_unknown")
    with t.case():
        t.refused(t.ask("POST", MISSIONS, json_body=t.target.envelope(vp_id=NO_LANE)), 404, "lane_unknown")


@check("ERR-11")
def other_media_types_are_415(t: Trial) -> None:
    content = b'{"reason": "conformance"}'
    record = t.dispatched()
    for headers in (
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/jsonx"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ):
        for path in (MISSIONS, f"{MISSIONS}/{record['mission_id']}/cancel"):
            with t.case():
                t.refused(t.ask("POST", path, content=content, headers=headers), 415, "media_type_unsupported")
    with t.case():
        exchange = t.ask("POST", MISSIONS, content=b"{}", headers={"Content-Type": "Application/JSON; charset=UTF-8"})
        t.refused(exchange, 422, "document_invalid")


@check("ERR-12")
def a_full_queue_says_when_to_come_again(t: Trial) -> None:
    if t.target.full_lane is None:
        raise NotCovered("it needs a lane whose queue is full: name one with --full-lane")
    exchange = t.ask("POST", MISSIONS, json_body=t.target.envelope(vp_id=t.target.full_lane))
    t.refused(exchange, 429, "queue_full")
    after = exchange.headers.get("retry-after", "")
    t.require(after.isascii() and after.isdigit(), f"Retry-After is {after!r}, not a number of seconds", exchange)
    t.require(exchange.members.get("retryable") is True, "it does not say that it is retryable", exchange)


_CODES = frozenset(code.value for code in ErrorCode)


def _entry(exchange: Exchange) -> CatalogueEntry | None:
    return CATALOGUE[ErrorCode(exchange.code)] if exchange.code is not None and exchange.code in _CODES else None


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())
