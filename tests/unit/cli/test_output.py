import json
from typing import Any

import pytest

from dragancorp.cli import output
from dragancorp.cli.output import plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, café, 日本", "plain, café, 日本"),
        ("\x1b[2J", r"\x1b[2J"),
        ("a\r\nb\tc", r"a\r\nb\tc"),
        ("\x9b31m", r"\x9b31m"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\u2028", r"\u2028"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
        ("👩\u200d🔧", "👩\u200d🔧"),
        ("[bold]x[/bold]", "[bold]x[/bold]"),
    ],
)
def test_what_could_control_a_terminal_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_json_is_ascii_and_means_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = {"text": "\x1b[2J\x9b\u202e café"}

    output.document(hostile)

    text = capsys.readouterr().out
    assert text.isascii()
    assert "\x1b" not in text
    assert json.loads(text) == hostile


def test_facts_without_a_value_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    output.facts([("state", "running"), ("reason", None), ("attempt", 0)])

    assert capsys.readouterr().out.splitlines() == ["state    running", "attempt  0"]


def test_a_table_for_people_keeps_ids_whole_and_markup_as_text(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "watched", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    rows: list[Any] = [("m" * 40, "[red]x\x1b[0m " + "long " * 30)]

    output.table(("mission", "objective"), rows)

    text = capsys.readouterr().out
    assert "m" * 40 in text
    assert "[red]x" in text
    assert "\x1b" not in text
