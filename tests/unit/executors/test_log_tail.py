"""The log of a mission, read while it grows."""

from pathlib import Path

import pytest

from dragancorp.errors import DraganError, ErrorCode
from dragancorp.executors.log_tail import MOST_BYTES, read


def log(folder: Path, name: str, text: str | bytes) -> None:
    (folder / "logs").mkdir(exist_ok=True)
    with (folder / "logs" / name).open("ab") as file:
        file.write(text.encode() if isinstance(text, str) else text)


def test_what_is_new_is_read_once_and_in_order(tmp_path: Path) -> None:
    assert read(tmp_path, None).pieces == ()
    log(tmp_path, "01-build.log", "one\n")
    first = read(tmp_path, None)
    assert first.pieces == (("logs/01-build.log", "one\n"),)
    assert read(tmp_path, first.cursor) == type(first)(pieces=(), cursor=first.cursor)
    log(tmp_path, "01-build.log", "two\n")
    log(tmp_path, "02-test.log", "three\n")
    assert read(tmp_path, first.cursor).pieces == (("logs/01-build.log", "two\n"), ("logs/02-test.log", "three\n"))


def test_a_long_log_comes_in_parts_and_nothing_is_lost(tmp_path: Path) -> None:
    whole = "".join(f"line {number} äöü 🙂\n" for number in range(9_000))
    log(tmp_path, "output.log", whole)
    got, cursor = "", None
    for _ in range(100):
        part = read(tmp_path, cursor)
        got, cursor = got + "".join(text for _, text in part.pieces), part.cursor
        assert sum(len(text.encode()) for _, text in part.pieces) <= MOST_BYTES
        if not part.pieces:
            break
    assert got == whole


def test_half_a_character_waits_for_its_other_half(tmp_path: Path) -> None:
    smile = "🙂".encode()
    log(tmp_path, "output.log", b"a" + smile[:2])
    first = read(tmp_path, None)
    assert first.pieces == (("logs/output.log", "a"),)
    log(tmp_path, "output.log", smile[2:])
    assert read(tmp_path, first.cursor).pieces == (("logs/output.log", "🙂"),)


def test_links_are_no_logs(tmp_path: Path) -> None:
    log(tmp_path, "output.log", "mine\n")
    (tmp_path / "logs" / "passwords.log").symlink_to("/etc/hostname")
    assert read(tmp_path, None).pieces == (("logs/output.log", "mine\n"),)
    (tmp_path / "logs" / "output.log").rename(tmp_path / "kept")
    (tmp_path / "logs" / "passwords.log").unlink()
    (tmp_path / "logs").rmdir()
    (tmp_path / "logs").symlink_to(tmp_path)
    assert read(tmp_path, "0:logs/kept").pieces == ()


@pytest.mark.parametrize("cursor", ["x", "5", "-1:logs/a", "9" * 16 + ":logs/a", "٣:logs/a"])
def test_a_cursor_that_nobody_gave_is_refused(tmp_path: Path, cursor: str) -> None:
    with pytest.raises(DraganError) as refused:
        read(tmp_path, cursor)
    assert refused.value.code is ErrorCode.PARAMETER_INVALID
