"""Secrets that programs print are taken out before anybody reads, stores or shows it."""

from pathlib import Path

import pytest

from dragancorp.executors.protocol import ProcessRunner
from dragancorp.executors.redaction import Redaction
from dragancorp.executors.workspace import prepare

from .programs import Lane, of_type

pytestmark = pytest.mark.anyio
SECRET = "hunter2-and-more"


def test_values_of_variables_that_hold_secrets_are_taken_out() -> None:
    redact = Redaction(
        {"ANTHROPIC_API_KEY": SECRET, "MY_TOKEN": f"{SECRET}-longer", "HOME": "/home/codie", "PIN_KEY": "1"}
    )
    assert redact(f"using {SECRET}-longer and {SECRET} in /home/codie, 1") == (
        "using [redacted] and [redacted] in /home/codie, 1"
    )


@pytest.mark.parametrize(
    "secret",
    [
        "sk-ant-api03-abcdefghijklmnop_qrstuvwx",
        "ghp_" + "a1" * 18,
        "github_pat_" + "a1" * 20,
        "glpat-" + "x" * 20,
        "xoxb-1234567890-abc",
        "AKIAIOSFODNN7EXAMPLE",
        "AIza" + "b" * 35,
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0aaaa.c2lnbmF0dXJlLWlzLWhlcmU",
    ],
)
def test_keys_of_well_known_shapes_are_taken_out_whoever_they_belong_to(secret: str) -> None:
    assert Redaction({})(f"key={secret}.") == "key=[redacted]."


@pytest.mark.parametrize("text", ["task-1234", "a risk-free sketch", "ghp_short", "eyJ.a.b", "AKIA"])
def test_other_words_stay(text: str) -> None:
    assert Redaction({})(text) == text


@pytest.mark.parametrize("kind", ["process", "tool"])
async def test_no_secret_of_a_program_reaches_events_or_log(
    kind: str, tmp_path: Path, processes: ProcessRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_API_KEY", SECRET)
    lane = Lane(prepare(tmp_path / "lane", "vp.coder.primary", {"kind": "folder"}), processes)
    script = lane.script('echo "out $MY_API_KEY"; echo "err $MY_API_KEY" >&2; echo "last $MY_API_KEY"')
    words = ["{objective}"] if kind == "tool" else []
    events = await lane.run(lane.executor(script, *words, kind=kind, environment=["PATH", "MY_API_KEY"]))
    assert SECRET not in str(events)
    log = (lane.context().artifacts / "logs" / "output.log").read_text()
    assert SECRET not in log
    assert log.count("[redacted]") == 3
    assert of_type(events, "log") or of_type(events, "progress")
