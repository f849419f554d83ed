import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dragancorp.cli.access import access
from dragancorp.errors import DraganError, ErrorCode
from dragancorp.settings import Settings
from dragancorp.tokens_file import OPS_SCOPES, WORKER_SCOPES, digest_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def tokens_file(tmp_path: Path) -> Path:
    path = tmp_path / "tokens.json"
    entry = {"name": "simone", "sha256": digest_of("of simone"), "scopes": ["missions:read"]}
    path.write_text(json.dumps({"tokens": [entry]}))
    return path


def test_without_any_token_one_is_made_for_this_run(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = access(Settings(), "127.0.0.1"), access(Settings(), "localhost")

    assert not first.configured
    assert first.local_token != second.local_token
    found = first.book.find(first.local_token, NOW)
    assert found is not None
    assert found.scopes == OPS_SCOPES


@pytest.mark.parametrize("token", [None, ""])
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "no.such.host.invalid"])
def test_without_any_token_no_other_host_is_served(
    monkeypatch: pytest.MonkeyPatch, host: str, token: str | None
) -> None:
    if token is not None:
        monkeypatch.setenv("UA_OPS_TOKEN", token)

    with pytest.raises(DraganError) as caught:
        access(Settings(), host)

    assert caught.value.code is ErrorCode.SETTINGS_INVALID
    assert "UA_OPS_TOKEN" in caught.value.detail


def test_the_operators_token_is_the_local_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UA_OPS_TOKEN", "of the operator")

    allowed = access(Settings(), "0.0.0.0")

    assert allowed.configured
    assert allowed.local_token == "of the operator"
    assert allowed.book.find("of the operator", NOW) is not None


def test_beside_a_tokens_file_the_command_line_has_a_token_of_this_run(
    monkeypatch: pytest.MonkeyPatch, tokens_file: Path
) -> None:
    monkeypatch.setenv("UA_TOKENS_FILE", str(tokens_file))

    allowed = access(Settings(), "0.0.0.0")

    assert allowed.configured
    assert allowed.book.find("of simone", NOW) is not None
    found = allowed.book.find(allowed.local_token, NOW)
    assert found is not None
    assert found.name == "local-cli"


def test_workers_of_this_host_have_a_token_that_is_no_operators(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UA_OPS_TOKEN", "of the operator")

    allowed = access(Settings(), "127.0.0.1")

    found = allowed.book.find(allowed.worker_token, NOW)
    assert found is not None
    assert (found.name, found.scopes, found.vp_ids) == ("local-worker", WORKER_SCOPES, None)


def test_the_internal_token_is_what_workers_show_and_a_token_that_is_configured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("UA_INTERNAL_API_TOKEN", "of workers")

    allowed = access(Settings(), "0.0.0.0")

    assert (allowed.configured, allowed.worker_token) == (True, "of workers")
    found = allowed.book.find("of workers", NOW)
    assert found is not None
    assert found.scopes == WORKER_SCOPES
    operator = allowed.book.find(allowed.local_token, NOW)
    assert operator is not None
    assert operator.scopes == OPS_SCOPES


def test_one_text_is_not_both_an_operators_and_a_workers_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UA_OPS_TOKEN", "the same")
    monkeypatch.setenv("UA_INTERNAL_API_TOKEN", "the same")

    with pytest.raises(DraganError) as caught:
        Settings.from_environment()

    assert caught.value.code is ErrorCode.SETTINGS_INVALID
    assert "UA_INTERNAL_API_TOKEN" in caught.value.detail
