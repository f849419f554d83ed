"""RAW: connections that are slow, broken, hung up or full of garbage."""

import json
import time
from contextlib import ExitStack

from dragancorp_conformance.checks import Trial, check
from dragancorp_conformance.checks.bodies import alive, head, sent
from dragancorp_conformance.checks.idempotency import missions_of
from dragancorp_conformance.exchange import Exchange
from dragancorp_conformance.session import MISSIONS
from dragancorp_conformance.target import new_key
from dragancorp_conformance.verdicts import Broken
from dragancorp_conformance.wire import Wire

OTHERS_SECONDS = 5.0
"""Others have to be answered meanwhile; a server on a busy machine gets this long."""
GET_LIST = f"GET {MISSIONS}?limit=1 HTTP/1.1"


def _others_are_served(t: Trial) -> None:
    exchange = t.ask("GET", f"{MISSIONS}?limit=1", timeout=OTHERS_SECONDS)
    t.require(exchange.status == 200, "meanwhile others are not served", exchange)


def _refused_or_closed(t: Trial, exchange: Exchange) -> None:
    t.require(exchange.status is None or 400 <= exchange.status < 500, f"it answered {exchange.status}", exchange)


@check("RAW-10")
def a_slow_body_holds_nobody_up(t: Trial) -> None:
    body = json.dumps(t.target.envelope()).encode()
    seconds = t.target.pace.slow_seconds
    with ExitStack() as stack:
        slow = [stack.enter_context(_wire(t)) for _ in range(t.target.pace.crowd)]
        for wire in slow:
            wire.send(head(t, f"Content-Length: {len(body)}") + body[:1])
        until = time.monotonic() + seconds
        at = 1
        while time.monotonic() < until and at < len(body) - 1:
            for wire in slow:
                wire.send(body[at : at + 1])
            at += 1
            with t.case():
                _others_are_served(t)
            time.sleep(seconds / 10)
        # Whoever closed a connection that is too slow may; those that are still read are answered at their end.
        slow[0].send(body[at:])
        exchange = _answer(t, slow[0])
        t.require(exchange.status in (201, 408, None), f"the slow one was answered {exchange.status}", exchange)
        if exchange.status == 201:
            t.session.remember(exchange)
    alive(t)


def _wire(t: Trial) -> Wire:
    t.cases += 1
    try:
        return Wire(t.target.url, seconds=t.target.pace.answer_seconds)
    except OSError as error:
        raise Broken(f"it takes no connection: {error}") from None


def _answer(t: Trial, wire: Wire, *, method: str = "POST") -> Exchange:
    try:
        return wire.answer(method=method)
    except TimeoutError:
        raise Broken(f"it hangs: no answer within {t.target.pace.answer_seconds:.0f} s", wire.hung()) from None


@check("RAW-11")
def half_open_connections_hold_nobody_up(t: Trial) -> None:
    with ExitStack() as stack:
        for number in range(t.target.pace.crowd):
            wire = stack.enter_context(_wire(t))
            wire.send((b"", b"POST", b"POST /api/v1/missions HTTP/1.1\r\nHost: x\r\nX-Half")[number % 3])
        _others_are_served(t)
    alive(t)


@check("RAW-12")
def floods_of_headers_are_refused(t: Trial) -> None:
    many = [f"X-Flood-{number}: {'x' * 20}" for number in range(10_000)]
    for headers in (many, [f"X-Flood: {'x' * 1_000_000}"], [f"{'X' * 200_000}: x"]):
        with t.case():
            _refused_or_closed(t, sent(t, head(t, *headers, line=GET_LIST), method="GET"))
            alive(t)


@check("RAW-13")
def garbage_behind_a_request_is_not_obeyed(t: Trial) -> None:
    good = head(t, line=GET_LIST).replace(b"Connection: close\r\n", b"")
    for garbage in (b"\x00\xff\x00garbage\r\n\r\n", b"GARBAGE\r\n\r\n" * 100, b"\r\n" * 5 + b"\x16\x03\x01\x02\x00"):
        with t.case(), _wire(t) as wire:
            wire.send(good + garbage)
            first = _answer(t, wire, method="GET")
            # A server that reads ahead may refuse the whole connection; what it answers has to be whole.
            t.require(first.status in (200, 400, None), f"the request before it is answered {first.status}", first)
            wire.finish()
            second = _answer(t, wire, method="GET")
            t.require(
                second.status is None or 400 <= second.status < 500, f"garbage is answered {second.status}", second
            )
    with t.case(), _wire(t) as wire:
        wire.send(good + good)
        statuses = [_answer(t, wire, method="GET").status for _ in range(2)]
        t.require(statuses == [200, 200], f"two requests in one go are answered {statuses}", wire.hung())
    alive(t)


@check("RAW-14")
def http_1_0_is_answered(t: Trial) -> None:
    for line, method in ((GET_LIST.replace("1.1", "1.0"), "GET"), ("GET /healthz HTTP/1.0", "GET")):
        with t.case():
            exchange = sent(t, head(t, line=line), method=method)
            t.require(exchange.status in (200, 505), f"it answered {exchange.status}", exchange)
    with t.case():
        body = json.dumps(t.target.envelope()).encode()
        exchange = sent(t, head(t, f"Content-Length: {len(body)}", line=f"POST {MISSIONS} HTTP/1.0") + body)
        t.require(exchange.status in (201, 505), f"it answered {exchange.status}", exchange)


@check("RAW-15")
def broken_chunks_are_refused(t: Trial) -> None:
    for chunks in (
        b"zz\r\n{}\r\n0\r\n\r\n",
        b"-1\r\n{}\r\n0\r\n\r\n",
        b"2\r\n{}garbage\r\n0\r\n\r\n",
        b"f" * 5000 + b"\r\n",
    ):
        with t.case():
            _refused_or_closed(t, sent(t, head(t, "Transfer-Encoding: chunked") + chunks))
            alive(t)


@check("RAW-16")
def lengths_that_disagree_are_refused(t: Trial) -> None:
    key = new_key()
    body = json.dumps(t.target.envelope(idempotency_key=key)).encode()
    for headers in (
        ["Content-Length: 5", f"Content-Length: {len(body)}"],
        [f"Content-Length: -{len(body)}"],
        ["Content-Length: many"],
        [f"Content-Length: {'9' * 400}"],
        ["Transfer-Encoding: gibberish"],
    ):
        with t.case():
            _refused_or_closed(t, sent(t, head(t, *headers) + body))
    t.require(not missions_of(t, key), "a request whose length is unclear has made a mission")
    alive(t)


@check("RAW-17")
def broken_request_lines_are_refused(t: Trial) -> None:
    for line in (
        "",
        "GET",
        "GET  HTTP/1.1",
        "GET /healthz FTP/1.1",
        "G\x00T /healthz HTTP/1.1",
        "GET /heal\x00thz HTTP/1.1",
        "BREW /healthz HTTP/1.1",
        "PRI * HTTP/2.0",
        "CONNECT example.org:443 HTTP/1.1",
        "TRACE /healthz HTTP/1.1",
        "GET /" + "x" * 200_000 + " HTTP/1.1",
    ):
        with t.case():
            _refused_or_closed(t, sent(t, head(t, line=line), method="GET"))
    for header in ("X-Bad\x00: x", "X-Bad : x", ": x", "no colon", "X-Bad: a\x00b"):
        with t.case():
            exchange = sent(t, head(t, header, line=GET_LIST), method="GET")
            # An odd header that is taken for harmless is; a fault is not.
            t.require(exchange.status in (200, 400, None), f"it answered {exchange.status}", exchange)
    alive(t)


@check("RAW-19")
def half_a_body_makes_no_mission(t: Trial) -> None:
    key = new_key()
    body = json.dumps(t.target.envelope(idempotency_key=key)).encode()
    padded = body + b" " * 100
    for framing, part in (
        (f"Content-Length: {len(padded)}", body),
        ("Transfer-Encoding: chunked", b"%x\r\n%s\r\n" % (len(body), body)),
    ):
        with t.case(), _wire(t) as wire:
            wire.send(head(t, framing) + part)
            wire.finish()
            exchange = _answer(t, wire)
            t.require(
                exchange.status is None or 400 <= exchange.status < 500, f"it answered {exchange.status}", exchange
            )
    t.require(not missions_of(t, key), "a request that was never whole has made a mission")
    alive(t)


@check("RAW-20")
def callers_who_hang_up_leave_nothing_behind(t: Trial) -> None:
    mission_id = t.dispatched()["mission_id"]
    last = len(t.ledger(mission_id))
    line = f"GET {MISSIONS}/{mission_id}/events?after={last}&wait=30 HTTP/1.1"
    for _ in range(3):
        with ExitStack() as stack:
            for _ in range(t.target.pace.crowd):
                stack.enter_context(_wire(t)).send(head(t, line=line))
            _others_are_served(t)
    t.answered(t.cancelled(mission_id), 200)
    alive(t)
