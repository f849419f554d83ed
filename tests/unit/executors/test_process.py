"""A program that speaks lane-process/v1: what it says, how it ends, and what it may do wrong."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from processes import alive

from dragancorp.errors import DraganError, ErrorCode
from dragancorp.executors.lane_process import longest_event
from dragancorp.executors.output_log import LOG_EVENTS
from dragancorp.executors.protocol import ProcessRunner, SessionContext
from dragancorp.executors.workspace import prepare

from .programs import Lane, envelope, of_type

pytestmark = pytest.mark.anyio


@pytest.fixture
def lane(tmp_path: Path, processes: ProcessRunner) -> Lane:
    return Lane(prepare(tmp_path / "lane", "vp.coder.primary", {"kind": "folder"}), processes)


async def ending(lane: Lane, text: str) -> dict[str, Any]:
    """The last event of a script's run."""
    return (await lane.run(lane.executor(lane.script(text))))[-1]


async def test_it_reads_the_envelope_and_what_it_says_is_passed_on(lane: Lane) -> None:
    script = """
    cat > envelope.json
    echo '{"type": "progress", "message": "looking around"}'
    echo '{"type": "tool_started", "tool": "ls", "call_id": "1"}'
    echo '{"type": "tool_finished", "tool": "ls", "call_id": "1", "ok": true}'
    echo '{"type": "usage", "usage": {"llm_calls": 3}}'
    echo ready > "$DRAGAN_ARTIFACTS/note.txt"
    echo '{"type": "artifact", "path": "note.txt"}'
    echo 'not an event'
    echo 'on stderr' >&2
    echo '{"type": "completed", "summary": "mended", "result": {"tests": 4}}'
    """
    events = await lane.run(lane.executor(lane.script(script)), envelope(success_criteria=["ü"]))
    assert json.loads((lane.workspace.path / "envelope.json").read_text()) == envelope(success_criteria=["ü"])
    assert [event["message"] for event in of_type(events, "progress")] == ["looking around"]
    assert {(event["message"], event["stream"]) for event in of_type(events, "log")} == {
        ("not an event", "stdout"),
        ("on stderr", "stderr"),
    }
    assert [event["path"] for event in of_type(events, "artifact")] == ["note.txt", "logs/output.log"]
    usage = of_type(events, "usage")[-1]["usage"]
    assert usage["llm_calls"] == 3
    assert usage["runtime_seconds"] >= 0
    assert (events[-1]["type"], events[-1]["summary"]) == ("completed", "mended")
    assert events[-1]["result"]["tests"] == 4
    assert events[-1]["result"]["exit_code"] == 0
    assert "not an event" in lane.log()


@pytest.mark.parametrize(
    ("code", "type_", "reason"),
    [
        (0, "completed", None),
        (1, "failed", "executor_error"),
        (2, "failed", "constraint_refused"),
        (3, "failed", "extension_unsupported"),
        (4, "failed", "session_unresumable"),
        (5, "failed", "executor_error"),
        (126, "failed", "executor_crashed"),
        (255, "failed", "executor_crashed"),
    ],
)
async def test_a_program_that_says_nothing_is_judged_by_its_exit_code(
    lane: Lane, code: int, type_: str, reason: str | None
) -> None:
    last = await ending(lane, f"exit {code}")
    assert (last["type"], last.get("reason_code")) == (type_, reason)


@pytest.mark.parametrize(
    ("script", "reason", "said"),
    [
        ('echo \'{"type": "completed", "summary": "fine"}\'; exit 1', "executor_error", "completed and exits with 1"),
        ('echo \'{"type": "failed", "reason_code": "tool_forbidden", "message": "no"}\'', "tool_forbidden", "no"),
        ('echo \'{"type": "cancelled"}\'', "executor_error", "nobody asked for it"),
        ('echo \'{"type": "completed", "summary": "fine"}\'; kill -SEGV $$', "executor_crashed", "signal 11"),
    ],
    ids=["completed, exit code 1", "failed, exit code 0", "cancelled by itself", "ended by a signal"],
)
async def test_last_word_and_exit_code_count_together(lane: Lane, script: str, reason: str, said: str) -> None:
    last = await ending(lane, script)
    assert (last["type"], last["reason_code"]) == ("failed", reason)
    assert said in last["message"]


async def test_what_follows_the_last_word_is_a_log_line(lane: Lane) -> None:
    final = '{"type": "completed", "summary": "first"}'
    later = '{"type": "failed", "reason_code": "executor_error", "message": "second"}'
    events = await lane.run(lane.executor(lane.script(f"echo '{final}'; echo '{later}'")))
    assert (events[-1]["type"], events[-1]["summary"]) == ("completed", "first")
    assert later in [event["message"] for event in of_type(events, "log")]


@pytest.mark.parametrize(
    "line",
    [
        '{"type": "usage", "usage": {"cost_microusd": -5}}',
        '{"type": "progress"}',
        '{"type": "progress", "message": "a", "message": "b"}',
        '{"type": "artifact", "path": "../../etc/passwd"}',
        '{"type": "invented"}',
        "{" * 5000,
    ],
)
async def test_a_broken_event_is_a_log_line_that_says_why(lane: Lane, line: str) -> None:
    events = await lane.run(lane.executor(lane.script(f"printf '%s\\n' '{line}'")))
    assert [event["type"] for event in events if event["type"] not in ("log", "artifact", "usage")] == ["completed"]
    assert any(event["message"].startswith("[no executor event: ") for event in of_type(events, "log"))
    assert events[-1]["type"] == "completed"


async def test_lines_of_a_megabyte_bytes_that_are_no_text_and_lines_without_an_end_stop_nobody(lane: Lane) -> None:
    size = longest_event()
    script = f"""
    head -c {size - 100} /dev/zero | tr '\\0' x | sed 's/^/{{"type": "progress", "message": "/; s/$/"}}/'; echo
    head -c {2 * size} /dev/zero | tr '\\0' y; echo
    printf '\\377\\376 broken\\n'
    echo '{{"type": "progress", "message": "still here"}}'
    printf '{{"type": "completed", "summary": "no newline"}}'
    """
    events = await lane.run(lane.executor(lane.script(script)))
    assert [event["message"] for event in of_type(events, "progress")] == ["still here"]
    assert "\ufffd\ufffd broken" in [event["message"] for event in of_type(events, "log")]
    assert (events[-1]["type"], events[-1]["summary"]) == ("completed", "no newline")


async def test_a_long_line_within_the_limit_is_an_event(lane: Lane) -> None:
    size = 60_000  # beyond the pieces that a guard hands on
    script = f"""printf '{{"type": "progress", "message": "'; head -c {size} /dev/zero | tr '\\0' x; echo '"}}'"""
    [progress] = of_type(await lane.run(lane.executor(lane.script(script))), "progress")
    assert progress["message"] == "x" * size


async def test_a_flood_of_lines_is_bounded_in_events_and_whole_in_the_log(lane: Lane) -> None:
    events = await lane.run(lane.executor(lane.script("seq 1 100000")))
    assert len(of_type(events, "log")) == LOG_EVENTS
    assert lane.log().splitlines()[-1] == "100000"
    assert events[-1]["result"]["last_lines"][-1] == "100000"


async def test_a_grandchild_that_keeps_the_pipe_open_is_ended_with_its_program(lane: Lane) -> None:
    last = await ending(lane, 'sleep 30.771 & echo \'{"type": "completed", "summary": "left one"}\'')
    assert (last["type"], last["summary"]) == ("completed", "left one")
    assert not alive("30.771")


async def test_a_cancel_ends_the_whole_group_and_whatever_the_exit_code_it_is_cancelled(lane: Lane) -> None:
    script = 'trap \'exit 0\' TERM; sleep 30.772 & echo \'{"type": "progress", "message": "up"}\'; wait'
    executor = lane.executor(lane.script(script))
    cancels: list[asyncio.Task[None]] = []

    async def cancel(event: dict[str, Any]) -> None:
        if event["type"] == "progress":
            cancels.append(asyncio.create_task(executor.cancel()))

    events = await lane.run(executor, on_event=cancel)
    await cancels[0]
    assert events[-1]["type"] == "cancelled"
    assert not alive("30.772")


async def test_one_that_ignores_the_cancel_is_killed(lane: Lane) -> None:
    script = 'trap \'\' TERM; echo \'{"type": "progress", "message": "up"}\'; sleep 30.773; sleep 30.773'
    executor = lane.executor(lane.script(script))
    cancels: list[asyncio.Task[None]] = []

    async def cancel(event: dict[str, Any]) -> None:
        if event["type"] == "progress":
            cancels.append(asyncio.create_task(executor.cancel()))

    assert (await lane.run(executor, on_event=cancel))[-1]["type"] == "cancelled"
    await cancels[0]
    assert not alive("30.773")


async def test_one_that_asks_is_ended_since_nobody_can_answer_it(lane: Lane) -> None:
    asks = '{"type": "approval_wanted", "request_id": "r1", "tool": "git push", "message": "may I?"}'
    last = await ending(lane, f"echo '{asks}'; sleep 30.774")
    assert (last["type"], last["reason_code"]) == ("failed", "constraint_refused")
    assert "may I?" in last["message"]
    assert not alive("30.774")


async def test_it_sees_what_the_lane_names_and_no_other_variable(lane: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOWN", "yes")
    monkeypatch.setenv("SECRET_TOKEN", "hidden")
    executor = lane.executor(lane.script("env > seen"), environment=["PATH", "SHOWN"])
    await lane.run(executor)
    seen = dict(line.partition("=")[::2] for line in (lane.workspace.path / "seen").read_text().splitlines())
    assert seen["SHOWN"] == "yes"
    assert seen["DRAGAN_MISSION_ID"] == "m-1"
    assert "SECRET_TOKEN" not in seen
    assert "HOME" not in seen


@pytest.mark.parametrize("program", ["/nowhere/agent", "no-such-agent"])
async def test_a_program_that_is_not_there_keeps_the_lane_from_opening(lane: Lane, program: str) -> None:
    session = SessionContext(
        vp_id="vp.coder.primary",
        vp_session_id="s1",
        executor_session_id=None,
        workspace=lane.workspace.path,
        config={"type": "process"},
    )
    with pytest.raises(DraganError) as refused:
        await lane.executor(program).open(session)
    assert refused.value.code is ErrorCode.WORKSPACE_UNUSABLE
    assert program in refused.value.detail
    opened = await lane.executor(lane.script("true")).open(session)
    assert opened.outcome == "opened"


async def test_a_program_that_goes_away_after_the_lane_opened_fails_its_mission(lane: Lane) -> None:
    last = (await lane.run(lane.executor("/nowhere/agent")))[-1]
    assert (last["type"], last["reason_code"]) == ("failed", "executor_crashed")
    assert "/nowhere/agent could not be started" in last["message"]


async def test_a_mission_that_would_need_an_approval_in_its_course_is_refused(lane: Lane) -> None:
    executor = lane.executor(lane.script("true"))
    assert executor.refuse(envelope(constraints={"approval_required": ["*"]})) == []
    [reason] = executor.refuse(envelope(constraints={"approval_required": ["*", "git push"]}))
    assert reason.pointer == "/constraints/approval_required/1"
    last = (await lane.run(executor, envelope(constraints={"approval_required": ["git push"]})))[-1]
    assert (last["type"], last["reason_code"]) == ("failed", "constraint_refused")
