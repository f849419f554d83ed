"""Tokens: found by the digest of what is sent, never by the text; expired ones are as good as none."""

import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dragancorp.errors import DraganError, ErrorCode
from dragancorp.tokens_file import (
    ALL_SCOPES,
    OPS_SCOPES,
    Token,
    TokenBook,
    digest_of,
    new_token,
    operator_token,
    read_tokens,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A function that writes entries to a tokens file."""

    def write_all(*entries: dict[str, Any]) -> Path:
        path = tmp_path / "tokens.json"
        path.write_text(json.dumps({"tokens": list(entries)}))
        return path

    return write_all


def entry(text: str = "secret", **members: Any) -> dict[str, Any]:
    return {"name": "ci", "sha256": digest_of(text), "scopes": ["missions:read"]} | members


def test_a_token_is_found_by_its_text_and_no_other(write: Write) -> None:
    book = TokenBook(read_tokens(write(entry("one", name="one"), entry("two", name="two"))))
    assert book
    found = book.find("two", NOW)
    assert found is not None
    assert found.name == "two"
    for wrong in ("", "three", "one ", "ONE", digest_of("one"), "ü", "\udcff", "x" * 100_000):
        assert book.find(wrong, NOW) is None


def test_all_that_an_entry_says_is_kept(write: Write) -> None:
    said = entry(
        vp_ids=["vp.a", "vp.b"],
        source_instance_id="gateway-1",
        expires_at="2026-06-01T00:00:00+02:00",
        scopes=["missions:read", "missions:write"],
    )
    (token,) = read_tokens(write(said))
    assert token == Token(
        name="ci",
        sha256=digest_of("secret"),
        scopes=frozenset({"missions:read", "missions:write"}),
        vp_ids=frozenset({"vp.a", "vp.b"}),
        source_instance_id="gateway-1",
        expires_at=datetime(2026, 5, 31, 22, tzinfo=UTC),
    )
    (plain,) = read_tokens(write(entry()))
    assert (plain.vp_ids, plain.source_instance_id, plain.expires_at) == (None, None, None)


def test_a_token_is_good_until_the_moment_it_expires() -> None:
    expiry = NOW + timedelta(hours=1)
    book = TokenBook([Token(name="a", sha256=digest_of("a"), scopes=ALL_SCOPES, expires_at=expiry)])
    assert book.find("a", expiry - timedelta(microseconds=1)) is not None
    assert book.find("a", expiry) is None
    assert book.find("a", expiry + timedelta(days=1)) is None


@pytest.mark.parametrize("text", ["first", "last", "none"])
def test_every_entry_is_compared_in_constant_time_whatever_is_sent(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    compared: list[str] = []
    honest = hmac.compare_digest

    def noting(kept: str, sent: str) -> bool:
        compared.append(kept)
        return honest(kept, sent)

    monkeypatch.setattr("dragancorp.tokens_file.hmac.compare_digest", noting)
    names = ("first", "middle", "last")
    book = TokenBook([Token(name=name, sha256=digest_of(name), scopes=ALL_SCOPES) for name in names])
    found = book.find(text, NOW)
    assert (found is None) == (text == "none")
    assert compared == [digest_of(name) for name in names]


def test_the_operators_token_may_all_but_run_lanes() -> None:
    token = operator_token("secret")
    assert token.scopes == OPS_SCOPES == ALL_SCOPES - {"lanes:run"}
    assert (token.name, token.vp_ids, token.expires_at) == ("ops", None, None)


def test_a_new_token_is_long_and_never_the_same() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(token.startswith("drg_") and len(token) == 47 for token in tokens)


def test_an_empty_book_says_that_it_is_empty() -> None:
    assert not TokenBook([])
    assert TokenBook([]).find("x", NOW) is None


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("{", "tokens.json"),
        ('{"tokens": [], "tokens": []}', "tokens"),
        ('{"tokens": NaN}', "tokens.json"),
        ("[]", "at the top"),
        ('{"tokens": [{"name": "a"}]}', "/tokens/0"),
        (json.dumps({"tokens": [entry(sha256="secret")]}), "/tokens/0/sha256"),
        (json.dumps({"tokens": [entry(scopes=["everything"])]}), "/tokens/0/scopes/0"),
        (json.dumps({"tokens": [entry("one"), entry("two")]}), "TOK-1"),
        (json.dumps({"tokens": [entry(name="one"), entry(name="two")]}), "TOK-2"),
    ],
)
def test_a_broken_file_is_refused_and_says_where(tmp_path: Path, text: str, part: str) -> None:
    path = tmp_path / "tokens.json"
    path.write_text(text)
    with pytest.raises(DraganError) as refused:
        read_tokens(path)
    assert refused.value.code is ErrorCode.TOKENS_FILE_INVALID
    assert part in str(refused.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DraganError) as refused:
        read_tokens(tmp_path / "nowhere.json")
    assert refused.value.code is ErrorCode.TOKENS_FILE_INVALID
