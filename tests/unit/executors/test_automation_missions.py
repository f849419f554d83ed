"""The automation executor at work: a real guard, real git, real programs."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dragancorp.clock import SystemClock
from dragancorp.executors import artifacts
from dragancorp.executors.automation import AUTOMATION_URI, AutomationExecutor
from dragancorp.executors.protocol import MissionContext, ProcessRunner, SessionContext
from dragancorp.executors.workspace import Workspace, prepare
from dragancorp_contracts import judge

pytestmark = pytest.mark.anyio

ALLOW = ["git", "python3", "sh -c *", "no-such-program"]
PATCH = """--- a/adder.py
+++ b/adder.py
@@ -1,2 +1,2 @@
 def add(a, b):
-    return a - b
+    return a + b
"""
APPLY = {"name": "apply the change", "run": ["git", "apply", "-"], "stdin": PATCH}
TEST = {"name": "test", "kind": "test", "run": ["python3", "-m", "unittest"]}

Events = list[dict[str, Any]]
Perform = Callable[..., Any]


@pytest.fixture
def workspace(tmp_path: Path, repository: Path) -> Workspace:
    return prepare(tmp_path / "lane", "vp.coder.primary", {"kind": "worktree", "repository": str(repository)})


@pytest.fixture
def executor() -> AutomationExecutor:
    return AutomationExecutor({"type": "automation", "allow": ALLOW, "cancel_grace_seconds": 0.5})


@pytest.fixture
def perform(executor: AutomationExecutor, workspace: Workspace, processes: ProcessRunner) -> Perform:
    """A function (steps, mission_id, ...) that runs a mission and returns its events, each judged."""

    async def run(*steps: dict[str, Any], mission_id: str = "m-1", on_event: Any = None, **more: Any) -> Events:
        context = MissionContext(
            **{
                "mission_id": mission_id,
                "attempt": 1,
                "lease_epoch": 1,
                "resume": False,
                "workspace": workspace.path,
                "artifacts": workspace.artifacts_dir(mission_id),
                "processes": processes,
                "clock": SystemClock(),
                "environment": {"DRAGAN_MISSION_ID": mission_id},
                **more,
            }
        )
        envelope = {"extensions": [{"uri": AUTOMATION_URI, "required": True, "value": {"steps": list(steps)}}]}
        events: Events = []
        async for event in executor.run(envelope, context):
            assert judge.violations("executor-events", json.loads(json.dumps(event))) == []
            events.append(dict(event))
            if on_event is not None:
                on_event(event)
        assert [event["type"] for event in events if event["type"] in ("completed", "failed", "cancelled")] == [
            events[-1]["type"]
        ]
        return events

    return run


def of_type(events: Events, kind: str) -> Events:
    return [event for event in events if event["type"] == kind]


async def test_a_change_is_applied_tested_and_reported(
    perform: Perform, workspace: Workspace, repository: Path, in_git: Callable[..., str]
) -> None:
    events = await perform(APPLY, TEST)
    last = events[-1]
    assert last["type"] == "completed"
    assert last["summary"] == "2 of 2 steps run; tests passed; 1 file changed (+1 -1)"
    assert "vp/vp-coder-primary" in last["recommended_next_action"]
    result = last["result"]
    assert [(step["name"], step["kind"], step["exit_code"]) for step in result["steps"]] == [
        ("apply the change", "change", 0),
        ("test", "test", 0),
    ]
    assert result["tests"]["passed"]
    assert "OK" in result["tests"]["last_lines"]
    assert result["diff"]["files"] == [{"path": "adder.py", "insertions": 1, "deletions": 1}]

    index = artifacts.index(workspace.artifacts_dir("m-1"))
    names = ["diff.patch", "logs/01-apply-the-change.log", "logs/02-test.log", "report.json", "steps.json"]
    assert [artifact.name for artifact in index.artifacts] == names
    assert sorted(event["path"] for event in of_type(events, "artifact")) == names
    assert in_git(repository, "apply", "--check", str(workspace.artifacts_dir("m-1") / "diff.patch")) == ""
    assert [event["tool"] for event in of_type(events, "tool_finished")] == ["git", "python3"]
    assert events[-2]["usage"]["runtime_seconds"] > 0
    assert in_git(workspace.path, "for-each-ref", "refs/worktree").strip() == ""
    assert in_git(workspace.path, "diff", "--cached", "--name-only") == "", "the real index does not move"


async def test_the_next_mission_goes_on_where_the_last_one_left_off(perform: Perform) -> None:
    await perform(APPLY, TEST)
    events = await perform({"run": ["sh", "-c", "printf 'a\\0b' > blob && echo new > 'näme'"]}, TEST, mission_id="m-2")
    assert events[-1]["result"]["tests"]["passed"]
    assert events[-1]["result"]["diff"]["files"] == [
        {"path": "blob", "insertions": None, "deletions": None},
        {"path": "näme", "insertions": 1, "deletions": 0},
    ]


async def test_a_failing_step_ends_the_mission_with_its_results(perform: Perform, workspace: Workspace) -> None:
    events = await perform(TEST, APPLY)
    last = events[-1]
    assert (last["type"], last["reason_code"]) == ("failed", "executor_error")
    assert last["message"] == "Step 1 'test' (python3 -m unittest) exited with 1"
    assert len(last["result"]["steps"]) == 1
    assert not last["result"]["tests"]["passed"]
    assert last["result"]["diff"]["files_changed"] == 0
    assert not (workspace.artifacts_dir("m-1") / "diff.patch").exists()
    report = json.loads((workspace.artifacts_dir("m-1") / "report.json").read_bytes())
    assert (report["outcome"], report["steps"]) == ("failed", last["result"]["steps"])


async def test_a_failure_may_be_passed_over_and_still_counts(perform: Perform) -> None:
    events = await perform(TEST | {"continue_on_failure": True}, APPLY)
    assert events[-1]["type"] == "completed"
    assert "tests failed" in events[-1]["summary"]
    assert events[-1]["result"]["steps"][0]["problem"] == "exited with 1"


async def test_a_missing_program_fails_the_step_in_a_sentence(perform: Perform) -> None:
    last = (await perform({"run": ["no-such-program"]}))[-1]
    assert last["type"] == "failed"
    assert "could not be started: No such file or directory" in last["message"]
    assert last["result"]["steps"][0]["exit_code"] is None


async def test_a_step_that_takes_too_long_is_stopped(perform: Perform) -> None:
    start = time.monotonic()
    last = (await perform({"run": ["sh", "-c", "sleep 60"], "timeout_seconds": 0.3}))[-1]
    assert time.monotonic() - start < 3
    assert last["type"] == "failed"
    assert "time limit of 0.3 s" in last["message"]


async def test_a_cancelled_mission_stops_its_command_and_starts_no_other(
    perform: Perform, executor: AutomationExecutor, workspace: Workspace
) -> None:
    tasks = []

    def cancel_when_it_speaks(event: dict[str, Any]) -> None:
        if event["type"] == "log":
            tasks.append(asyncio.create_task(executor.cancel()))

    start = time.monotonic()
    deaf = {"run": ["sh", "-c", "trap '' TERM; echo up; sleep 60; sleep 60"]}
    events = await perform(deaf, {"run": ["sh", "-c", "touch second"]}, on_event=cancel_when_it_speaks)
    await asyncio.gather(*tasks)
    assert time.monotonic() - start < 5
    assert events[-1]["type"] == "cancelled"
    assert [step["problem"] for step in events[-1]["result"]["steps"]] == ["was cancelled"]
    assert not (workspace.path / "second").exists()
    assert (await perform(APPLY, mission_id="m-2"))[-1]["type"] == "completed", "the cancel was for the first alone"


async def test_a_cancel_before_the_first_step_is_not_lost(perform: Perform, executor: AutomationExecutor) -> None:
    tasks = []

    def cancel_at_once(event: dict[str, Any]) -> None:
        if not tasks:
            tasks.append(asyncio.create_task(executor.cancel()))

    events = await perform({"run": ["sh", "-c", "sleep 60"]}, on_event=cancel_at_once)
    assert events[-1]["type"] == "cancelled"


async def test_a_refused_mission_starts_nothing(perform: Perform, workspace: Workspace) -> None:
    events = await perform({"run": ["git", "init", "x"]}, {"run": ["touch", "y"]})
    assert [event["type"] for event in events] == ["failed"]
    assert events[0]["reason_code"] == "tool_forbidden"
    assert not (workspace.path / "x").exists()


async def test_a_second_attempt_reports_the_change_since_before_the_first(
    perform: Perform, executor: AutomationExecutor, workspace: Workspace, in_git: Callable[..., str]
) -> None:
    class WorkerDiedError(Exception):
        pass

    def die_after_the_first_step(event: dict[str, Any]) -> None:
        if event["type"] == "tool_finished":
            raise WorkerDiedError

    first = {"run": ["sh", "-c", "echo 1 >> count"]}
    with pytest.raises(WorkerDiedError):
        await perform(first, on_event=die_after_the_first_step)
    await executor.close()
    events = await perform(first, resume=True, attempt=2)
    assert events[-1]["result"]["diff"]["files"] == [{"path": "count", "insertions": 2, "deletions": 0}]


async def test_a_second_attempt_goes_on_behind_the_steps_that_are_done(
    perform: Perform, executor: AutomationExecutor, workspace: Workspace
) -> None:
    class WorkerDiedError(Exception):
        pass

    def die_in_the_second_step(event: dict[str, Any]) -> None:
        if event["type"] == "tool_started" and event["call_id"].endswith("-2"):
            raise WorkerDiedError

    steps = [{"run": ["sh", "-c", "echo 1 >> count"]}, {"kind": "test", "run": ["sh", "-c", "wc -l < count"]}]
    with pytest.raises(WorkerDiedError):
        await perform(*steps, on_event=die_in_the_second_step)
    await executor.close()
    events = await perform(*steps, resume=True, attempt=2)
    assert events[-1]["type"] == "completed"
    assert (workspace.path / "count").read_text() == "1\n"
    done, ran = events[-1]["result"]["steps"]
    assert (done["earlier_attempt"], done["exit_code"], "earlier_attempt" in ran) == (True, 0, False)
    assert events[-1]["result"]["diff"]["files"] == [{"path": "count", "insertions": 1, "deletions": 0}]


@pytest.mark.parametrize("left", ["", "{", '{"plan": "another", "done": []}', '{"plan": 1}', "[]"])
async def test_a_journal_that_cannot_be_used_means_starting_over(
    perform: Perform, workspace: Workspace, left: str
) -> None:
    (workspace.artifacts_dir("m-1") / "steps.json").write_text(left)
    events = await perform({"run": ["sh", "-c", "echo 1 >> count"]}, resume=True, attempt=2)
    assert events[-1]["type"] == "completed"
    assert (workspace.path / "count").read_text() == "1\n"


async def test_a_flood_of_output_is_whole_in_the_log_and_bounded_in_the_events(
    perform: Perform, workspace: Workspace
) -> None:
    events = await perform({"run": ["python3", "-c", "for n in range(20_000): print(n)\nprint('x' * 200_000)"]})
    assert len(of_type(events, "log")) == 200
    log = (workspace.artifacts_dir("m-1") / "logs" / "01-python3-1.log").read_text()
    assert log == "".join(f"{n}\n" for n in range(20_000)) + "x" * 200_000 + "\n"


async def test_commands_see_only_the_named_environment(
    workspace: Workspace, processes: ProcessRunner, perform: Perform, executor: AutomationExecutor
) -> None:
    narrow = AutomationExecutor(
        {"type": "automation", "allow": ["env"], "environment": ["GREETING", "MISSING"]},
        {"GREETING": "hello", "UA_OPS_TOKEN": "secret", "PATH": "/nowhere"},
    )
    executor.run = narrow.run  # type: ignore[method-assign]
    events = await perform({"run": ["env"]})
    seen = {event["message"].partition("=")[0] for event in of_type(events, "log")}
    assert seen - {"LC_CTYPE"} == {
        "PATH",
        "GREETING",
        "GIT_CEILING_DIRECTORIES",
        "DRAGAN_MISSION_ID",
        "DRAGAN_WORKSPACE_LOCK",
    }


async def test_a_plain_folder_inside_a_repository_is_no_work_tree_and_patches_still_apply(
    repository: Path, perform: Perform
) -> None:
    inside = prepare(repository / "data", "vp.coder.primary", {"kind": "folder"})
    make = {"run": ["sh", "-c", "printf 'def add(a, b):\\n    return a - b\\n' > adder.py"]}
    events = await perform(make, APPLY, workspace=inside.path)
    assert events[-1]["type"] == "completed"
    assert "diff" not in events[-1]["result"]
    assert (inside.path / "adder.py").read_text().endswith("return a + b\n")


async def test_a_session_keeps_its_id(executor: AutomationExecutor, workspace: Workspace) -> None:
    def session(known: str | None) -> SessionContext:
        return SessionContext(
            vp_id="vp.coder.primary",
            vp_session_id="s-1",
            executor_session_id=known,
            workspace=workspace.path,
            config={},
        )

    first = await executor.open(session(None))
    assert first.outcome == "opened"
    second = await executor.open(session(first.executor_session_id))
    assert (second.executor_session_id, second.outcome) == (first.executor_session_id, "resumed")
