"""`dragan token new`: shown once, kept as a digest."""

import json
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dragancorp.cli.tokens_entry import append
from dragancorp.tokens_file import TokenBook, digest_of, read_tokens


def test_without_a_file_text_and_entry_are_printed(dragan: Any, tmp_path: Path) -> None:
    done = dragan("token", "new", "--name", "simone", "--scope", "missions:read", "--scope", "missions:write")

    assert done.exit_code == 0
    text, _, rest = done.stdout.partition("\n")
    assert json.loads(rest) == {
        "name": "simone",
        "sha256": digest_of(text),
        "scopes": ["missions:read", "missions:write"],
    }
    assert list(tmp_path.iterdir()) == []


def test_with_a_file_only_the_text_is_printed_and_the_file_lets_it_in(dragan: Any, tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"

    done = dragan(
        "token", "new", "--name", "codie", "--scope", "lanes:run", "--vp", "vp.coder.primary", "--source", "factory.a",
        "--expires-in", "7", "--file", str(file),
    )  # fmt: skip

    assert done.exit_code == 0
    text = done.stdout.strip()
    assert text.startswith("drg_")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert text not in file.read_text()
    book, now = TokenBook(read_tokens(file)), datetime.now(UTC)
    found = book.find(text, now)
    assert found is not None
    assert found.scopes == {"lanes:run"}
    assert found.vp_ids == {"vp.coder.primary"}
    assert found.source_instance_id == "factory.a"
    assert book.find(text, now + timedelta(days=8)) is None


def test_json_holds_text_and_entry(dragan: Any) -> None:
    done = dragan("token", "new", "--name", "a", "--scope", "ops:read", "--json")

    answer = json.loads(done.stdout)
    assert answer["entry"]["sha256"] == digest_of(answer["token"])


def test_a_name_that_is_there_already_is_refused_and_the_file_unchanged(dragan: Any, tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    ask = ("token", "new", "--name", "simone", "--scope", "ops:read", "--file", str(file))
    assert dragan(*ask).exit_code == 0
    before = file.read_bytes()

    done = dragan(*ask)

    assert (done.exit_code, done.stdout) == (1, "")
    assert "TOK-1" in done.stderr
    assert file.read_bytes() == before


def test_a_broken_file_is_not_touched(dragan: Any, tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    file.write_text('{"tokens": [{"name": "x"}]}')

    done = dragan("token", "new", "--name", "simone", "--scope", "ops:read", "--file", str(file))

    assert (done.exit_code, done.stdout) == (3, "")
    assert "(tokens_file_invalid)" in done.stderr
    assert file.read_text() == '{"tokens": [{"name": "x"}]}'


@pytest.mark.parametrize("place", ["missing/tokens.json", "."])
def test_a_place_that_cannot_hold_it_is_said(dragan: Any, place: str) -> None:
    done = dragan("token", "new", "--name", "simone", "--scope", "ops:read", "--file", place)

    assert (done.exit_code, done.stdout) == (3, "")
    assert "(tokens_file_invalid)" in done.stderr


def test_an_existing_file_keeps_its_mode_and_a_link_its_target(dragan: Any, tmp_path: Path) -> None:
    file, link = tmp_path / "tokens.json", tmp_path / "link.json"
    file.write_text('{"tokens": []}')
    file.chmod(0o640)
    link.symlink_to(file)

    assert dragan("token", "new", "--name", "a", "--scope", "ops:read", "--file", str(link)).exit_code == 0

    assert link.is_symlink()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert [token.name for token in read_tokens(file)] == ["a"]


def test_of_entries_made_at_once_none_is_lost(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    entries = [{"name": f"t{n}", "sha256": digest_of(str(n)), "scopes": ["ops:read"]} for n in range(12)]
    threads = [threading.Thread(target=append, args=(file, entry)) for entry in entries]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {token.name for token in read_tokens(file)} == {f"t{n}" for n in range(12)}
