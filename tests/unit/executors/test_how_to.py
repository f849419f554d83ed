"""What the how-to pages show works as it stands there."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from dragancorp.executors.catalogue import make_executor
from dragancorp.executors.protocol import ProcessRunner
from dragancorp.executors.workspace import prepare
from dragancorp.rules import violations

from .programs import Lane, envelope, of_type

pytestmark = pytest.mark.anyio
PAGES = Path(__file__).parents[3] / "docs" / "how-to"
# What the agents print, in shape: an answer at its end; lines of work and then an answer; a report with costs.
TRANSCRIPTS = {
    "claude": ["The parser now accepts empty files, and a test covers it."],
    "claude json": ['{"type": "result", "result": "Done.", "session_id": "5f0e6a3c-1f0a-4c33-9a38-6a7c1f0b2d11"}'],
    "codex": [
        "[10:00:00] OpenAI Codex",
        "--------",
        "[10:00:02] exec sed -n 1,80p parser.py",
        "[10:00:09] codex",
        "Done.",
    ],
    "aider": [
        "Aider v1",
        "Git repo: .git with 3 files",
        "",
        "I added the check.",
        "",
        "Tokens: 2.1k sent, 120 received.",
    ],
}


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (PAGES / page).read_text(), re.MULTILINE | re.DOTALL)


def entries(page: str) -> list[dict[str, Any]]:
    return [lane for block in blocks(page, "yaml") for lane in yaml.safe_load(block)["lanes"]]


@pytest.mark.parametrize("page", ["lane.md", "agents.md"])
def test_every_lanes_file_of_a_page_is_a_good_one(page: str) -> None:
    found = blocks(page, "yaml")
    assert found
    for block in found:
        assert violations("lanes-file", yaml.safe_load(block)) == []


async def test_the_ten_lines_are_a_lane(tmp_path: Path, processes: ProcessRunner) -> None:
    [script] = blocks("lane.md", "sh")
    lane = Lane(prepare(tmp_path / "lane", "vp.files.primary", {"kind": "folder"}), processes)
    events = await lane.run(lane.executor(lane.script(script.removeprefix("#!/bin/sh\n"))))
    assert (events[-1]["type"], events[-1]["summary"]) == ("completed", "wrote down which files there are")
    assert (lane.context().artifacts / "files.txt").exists()


@pytest.mark.parametrize("entry", entries("agents.md"), ids=lambda entry: entry["executor"]["command"][0])
async def test_an_agent_is_understood_by_the_shape_of_what_it_prints(
    entry: dict[str, Any], tmp_path: Path, processes: ProcessRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = entry["executor"]["command"][0]
    shape = f"{agent} json" if "json" in entry["executor"]["command"] else agent
    lane = Lane(prepare(tmp_path / "lane", entry["vp_id"], {"kind": "folder"}), processes)
    transcript = tmp_path / "transcript"
    transcript.write_text("\n".join(TRANSCRIPTS[shape]) + "\n", encoding="utf-8")
    program = Path(lane.script(f'printf "%s\\n" "$@" > words; cat {transcript}', name=agent))
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    mission = envelope(objective="--help me: mend the parser")
    executor = make_executor(entry["executor"])
    assert executor.refuse(mission) == []
    events = await lane.run(executor, mission)
    words = (lane.workspace.path / "words").read_text().splitlines()
    assert words[-1].removeprefix("--message=") == mission["objective"]
    assert events[-1]["type"] == "completed"
    assert events[-1]["summary"] == TRANSCRIPTS[shape][-1]
    assert len(of_type(events, "session")) == ("session_member" in entry["executor"])
    assert of_type(events, "progress")
