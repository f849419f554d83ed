"""A program that knows nothing of missions: its words, its progress, its result."""

from pathlib import Path

import pytest

from dragancorp.executors.protocol import ProcessRunner
from dragancorp.executors.workspace import prepare
from dragancorp.rules.command_words import fields_in, filled

from .programs import Lane, envelope, of_type

pytestmark = pytest.mark.anyio


@pytest.fixture
def lane(tmp_path: Path, processes: ProcessRunner, repository: Path) -> Lane:
    workspace = {"kind": "worktree", "repository": str(repository)}
    return Lane(prepare(tmp_path / "lane", "vp.coder.primary", workspace), processes)


async def test_the_mission_stands_among_its_words_and_never_meets_a_shell(lane: Lane) -> None:
    objective = "Say \"hi\"; $(touch hacked) {mission_id} `id` && 'é'"
    script = lane.script('printf "%s\\n" "$@" > words')
    executor = lane.executor(script, "--task={objective}", "{mission_id}", "{{}}", kind="tool")
    events = await lane.run(executor, envelope(objective=objective))
    assert events[-1]["type"] == "completed"
    words = (lane.workspace.path / "words").read_text().splitlines()
    assert words == [f"--task={objective}", "m-1", "{}"]
    assert not (lane.workspace.path / "hacked").exists()


async def test_what_it_prints_is_progress_and_its_last_line_the_summary(lane: Lane) -> None:
    events = await lane.run(lane.executor(lane.script("seq 1 500; echo All done."), kind="tool"))
    told = of_type(events, "progress")
    assert 1 <= len(told) < 50  # one a second, however much it prints
    assert (events[-1]["type"], events[-1]["summary"]) == ("completed", "All done.")
    assert lane.log().splitlines()[499] == "500"


async def test_what_it_changed_is_a_patch_among_the_artifacts(lane: Lane) -> None:
    executor = lane.executor("sed", "-i", "s/a - b/a + b/", "adder.py", kind="tool")
    events = await lane.run(executor)
    assert "diff.patch" in [event["path"] for event in of_type(events, "artifact")]
    assert events[-1]["result"]["diff"]["files_changed"] == 1
    assert "+    return a + b" in (Path(lane.context().artifacts) / "diff.patch").read_text()


@pytest.mark.parametrize(
    ("script", "reason"),
    [("echo no; exit 3", "executor_error"), ("exit 127", "executor_crashed"), ("kill -9 $$", "executor_crashed")],
)
async def test_its_exit_code_is_the_result(lane: Lane, script: str, reason: str) -> None:
    last = (await lane.run(lane.executor(lane.script(script), kind="tool")))[-1]
    assert (last["type"], last["reason_code"]) == ("failed", reason)


async def test_an_objective_never_becomes_an_option(lane: Lane) -> None:
    attack = envelope(objective="--dangerously-skip-permissions")
    [reason] = lane.executor("agent", "-p", "{objective}", kind="tool").refuse(attack)
    assert reason.pointer == "/objective"
    assert "--" in reason.sentence
    assert lane.executor("agent", "-p", "--", "{objective}", kind="tool").refuse(attack) == []
    assert lane.executor("agent", "--task={objective}", kind="tool").refuse(attack) == []


async def test_constraints_and_extensions_that_it_cannot_keep_are_refused(lane: Lane) -> None:
    executor = lane.executor("true", kind="tool")
    constraints = {"allowed_tools": ["git"], "forbidden_tools": ["curl"], "approval_required": ["git push"]}
    extensions = [{"uri": "https://example.org/ext", "required": True, "value": {}}]
    refused = executor.refuse(envelope(constraints=constraints, extensions=extensions))
    assert {reason.pointer for reason in refused} == {
        "/extensions/0",
        "/constraints/allowed_tools",
        "/constraints/forbidden_tools",
        "/constraints/approval_required/0",
    }


def test_braces_are_read_once_and_doubled_ones_stand_for_themselves() -> None:
    assert fields_in("{objective} {{not}} {x} } {") == ["objective", "x", "}", "{"]
    assert filled("{{{objective}}}", {"objective": "{mission_id}"}) == "{{mission_id}}"
