"""RAW: bodies that no client of ours would send."""

from collections.abc import Iterator

from dragancorp_conformance.checks import Trial, check
from dragancorp_conformance.checks.errors import mission_limit
from dragancorp_conformance.exchange import Exchange
from dragancorp_conformance.session import MISSIONS
from dragancorp_conformance.verdicts import Broken
from dragancorp_conformance.wire import BLOCK, Wire

DEPTH = 10_000


def alive(t: Trial) -> None:
    """Raise `Broken` unless it still answers."""
    exchange = t.ask("GET", "/healthz", token=None)
    t.require(exchange.status == 200, "after that it is not healthy any more", exchange)


def head(t: Trial, *headers: str, line: str = f"POST {MISSIONS} HTTP/1.1", token: bool = True) -> bytes:
    """The head of a request, to its empty line."""
    own = [f"Host: {t.target.host}", "Content-Type: application/json", "Connection: close"]
    if token:
        own.append(f"Authorization: Bearer {t.target.token}")
    return "\r\n".join([line, *own, *headers, "", ""]).encode("latin-1")


def sent(t: Trial, *content: bytes | Iterator[bytes], method: str = "POST") -> Exchange:
    """What comes back for raw bytes. Raises `Broken` when nothing does in time, or a fault of the server."""
    t.cases += 1
    try:
        with Wire(t.target.url, seconds=t.target.pace.answer_seconds) as wire:
            for part in content:
                if not wire.send(part):
                    break
            try:
                exchange = wire.answer(method=method)
            except TimeoutError:
                raise Broken(f"it hangs: no answer within {t.target.pace.answer_seconds:.0f} s", wire.hung()) from None
    except OSError as error:
        raise Broken(f"it takes no connection: {error}") from None
    if exchange.status == 201:
        t.session.remember(exchange)
    t.require(exchange.status is None or exchange.status < 500, f"it fails with {exchange.status}", exchange)
    return exchange


def posted(t: Trial, body: bytes) -> Exchange:
    """The answer to a mission's dispatch with this body."""
    return sent(t, head(t, f"Content-Length: {len(body)}") + body)


def _in_objective(t: Trial, text: bytes) -> bytes:
    """An envelope whose objective is this text, quotes included, as it stands."""
    import json

    whole = json.dumps(t.target.envelope(objective="@here@")).encode()
    return whole.replace(b'"@here@"', text)


def _not_json(t: Trial, *bodies: bytes) -> None:
    for body in bodies:
        with t.case():
            t.refused(posted(t, body), 400, "json_invalid")
    alive(t)


@check("RAW-1")
def broken_utf8(t: Trial) -> None:
    _not_json(
        t,
        *(
            _in_objective(t, b'"' + bad + b'"')
            for bad in (b"\xff", b"\xc3", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf5\x80\x80\x80")
        ),
    )


@check("RAW-2")
def not_a_number(t: Trial) -> None:
    _not_json(t, *(_in_objective(t, bad) for bad in (b"NaN", b"Infinity", b"-Infinity", b"[NaN]")))


@check("RAW-3")
def duplicate_keys(t: Trial) -> None:
    whole = _in_objective(t, b'"x"')
    _not_json(t, whole[:-1] + b', "objective": "y"}', b'{"a": {"b": 1, "b": 1}}', b'{"a": 1, "\\u0061": 2}')


@check("RAW-4")
def lone_surrogates(t: Trial) -> None:
    _not_json(
        t, *(_in_objective(t, bad) for bad in (rb'"\ud800"', rb'"\udc00 x"', rb'"\ud800\ud800"')), rb'{"\udfff": 1}'
    )


@check("RAW-5")
def great_depth(t: Trial) -> None:
    _not_json(
        t,
        b"[" * DEPTH + b"]" * DEPTH,
        b"[" * DEPTH,
        b'{"a":' * DEPTH + b"1" + b"}" * DEPTH,
        _in_objective(t, b"[" * 100 + b"]" * 100),
    )


@check("RAW-6")
def huge_numbers(t: Trial) -> None:
    for number in (b"1e999", b"-1e999", b"9" * 5000, b"1" + b"0" * 100_000, b"1e400"):
        with t.case():
            exchange = posted(t, _with_calls(t, number))
            t.require(exchange.status in (400, 422), f"expected 400 or 422; it answered {exchange.status}", exchange)
    for number in (b"0." + b"9" * 5000, b"1e-999999999"):  # these a double can hold, rounded
        with t.case():
            exchange = posted(t, _with_calls(t, number))
            t.require(exchange.status in (201, 400, 422), f"it answered {exchange.status}", exchange)
    alive(t)


def _with_calls(t: Trial, number: bytes) -> bytes:
    return _in_objective(t, b'"x"')[:-1] + b', "budget": {"max_llm_calls": ' + number + b"}}"


@check("RAW-7")
def no_document(t: Trial) -> None:
    whole = _in_objective(t, b'"x"')
    _not_json(
        t, b"", b" ", b"{", whole[:-1], whole + b"x", whole + whole, b"\xef\xbb\xbf" + whole, b"'x'", b"{a: 1}", b"\x00"
    )


@check("RAW-8")
def one_byte_too_many(t: Trial) -> None:
    limit = mission_limit()
    body = _in_objective(t, b'"x"')
    whole = body + b" " * (limit + 1 - len(body))
    with t.case():
        t.refused(posted(t, whole), 413, "body_too_large")
    with t.case():
        t.refused(sent(t, head(t, "Transfer-Encoding: chunked"), _chunks([whole]), b"0\r\n\r\n"), 413, "body_too_large")
    with t.case():
        fits = posted(t, whole[:limit])
        t.require(fits.status == 201, f"one byte less is at the limit; it answered {fits.status}", fits)
    alive(t)


@check("RAW-9")
def enormous_bodies(t: Trial) -> None:
    size = t.target.pace.big_bytes
    for framed, token in ((False, True), (True, True), (False, False)):
        with t.case():
            if framed:
                exchange = sent(t, head(t, "Transfer-Encoding: chunked"), _chunks(_blocks(size)), b"0\r\n\r\n")
            else:
                exchange = sent(t, head(t, f"Content-Length: {size}", token=token), _blocks(size))
            expected = 413 if token else 401
            # Whoever hangs up on so much is right too, and an answer may be lost with the connection.
            t.require(
                exchange.status in (expected, None), f"expected {expected}; it answered {exchange.status}", exchange
            )
            alive(t)


def _blocks(size: int) -> Iterator[bytes]:
    block = b" " * BLOCK
    for _ in range(size // BLOCK):
        yield block
    yield b" " * (size % BLOCK)


def _chunks(blocks: list[bytes] | Iterator[bytes]) -> Iterator[bytes]:
    for block in blocks:
        if block:
            yield b"%x\r\n%s\r\n" % (len(block), block)
