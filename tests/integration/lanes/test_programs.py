"""Any program is a lane: scripts beside a lanes file, served by a real plane."""

import json
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from processes import alive

from dragancorp.control_plane import ControlPlane
from dragancorp.errors import DraganError, ErrorCode
from dragancorp.executors.program_ears import session_in
from dragancorp.executors.protocol import MissionContext
from dragancorp.lifecycle.commands import SessionCommand
from dragancorp.missions.commands import Requester
from dragancorp.registry.operations import StepSession
from dragancorp.registry.queries import GetLane, GetMission, ListArtifacts, ReadLedger, ReadSessionLedger
from dragancorp_contracts.lifecycle import MissionState, ReasonCode, SessionState, SessionTrigger

from .house import CALLER, LANE, OPERATOR, eventually

pytestmark = pytest.mark.anyio


class Programs:
    """A plane with one lane, whose program is a script beside its lanes file."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane

    async def dispatch(self, **members: Any) -> str:
        envelope = {
            "vp_id": LANE,
            "mission_type": "coding",
            "objective": "Mend the parser.",
            "idempotency_key": f"key-{time.monotonic_ns()}",
            **members,
        }
        return (await self.plane.missions.dispatch(envelope, CALLER)).mission.row.mission_id

    async def row(self, mission_id: str) -> Any:
        stored = await self.plane.store.read(GetMission(mission_id=mission_id))
        assert stored is not None
        return stored.row

    async def ended(self, mission_id: str) -> Any:
        async def over() -> bool:
            return bool((await self.row(mission_id)).terminal)

        await eventually(over)
        return await self.row(mission_id)

    async def summaries(self, mission_id: str) -> list[str]:
        part = await self.plane.store.read(ReadLedger(mission_id=mission_id))
        assert part is not None
        return [event.get("summary", "") for event in part.events]


Serve = Callable[..., Awaitable[Programs]]


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    """A function (script, *words, **members of the lane) that serves a lane with this script as its program."""
    async with AsyncExitStack() as opened:

        async def one(script: str, *words: str, kind: str = "process", **members: Any) -> Programs:
            program = tmp_path / "agent"
            program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
            program.chmod(0o755)
            executor = {"type": kind, "command": ["./agent", *words], "cancel_grace_seconds": 0.2}
            executor |= members.pop("executor", {})
            lanes = tmp_path / "lanes.yaml"
            lanes.write_text(json.dumps({"lanes": [{"vp_id": LANE, "executor": executor, **members}]}))
            plane = await ControlPlane.open(f"sqlite:///{tmp_path / 'state.db'}", lanes=lanes)
            opened.push_async_callback(plane.close)
            return Programs(plane)

        yield one


async def test_a_script_of_a_few_lines_is_a_lane(serve: Serve, tmp_path: Path) -> None:
    lane = await serve("""
    read -r envelope
    echo '{"type": "progress", "message": "looking around"}'
    ls > "$DRAGAN_ARTIFACTS/files.txt"
    echo "$DRAGAN_DEADLINE_AT" > "$DRAGAN_ARTIFACTS/deadline.txt"
    echo '{"type": "usage", "usage": {"llm_calls": 2, "cost_microusd": 1500}}'
    echo '{"type": "completed", "summary": "wrote down which files there are"}'
    """)
    deadline = "2999-01-01T00:00:00Z"
    mission_id = await lane.dispatch(deadline_at=deadline)
    row = await lane.ended(mission_id)
    assert row.state is MissionState.COMPLETED
    assert row.usage["llm_calls"] == 2
    assert {"looking around", "wrote down which files there are"} <= set(await lane.summaries(mission_id))
    found = await lane.plane.store.read(ListArtifacts(mission_id=mission_id))
    assert {one["name"] for one in found} == {"files.txt", "deadline.txt", "logs/output.log"}
    [told] = tmp_path.rglob("deadline.txt")
    ends = datetime.fromisoformat(told.read_text().strip())
    assert datetime.now(UTC) < ends < datetime.fromisoformat(deadline)  # the backstop is nearer


async def test_a_tool_that_knows_nothing_of_missions_is_one_too(serve: Serve) -> None:
    lane = await serve('echo "you said: $1"', "--", "{objective}", kind="tool")
    mission_id = await lane.dispatch(objective="Tidy up; rm -rf $HOME")
    row = await lane.ended(mission_id)
    assert row.state is MissionState.COMPLETED
    assert (await lane.summaries(mission_id))[-1] == "you said: --"


async def test_a_cancel_reaches_the_program_and_all_it_started(serve: Serve) -> None:
    lane = await serve('sleep 31.881 & echo \'{"type": "progress", "message": "up"}\'; wait')
    mission_id = await lane.dispatch()

    async def runs() -> bool:
        return "up" in await lane.summaries(mission_id)

    await eventually(runs)
    await lane.plane.missions.cancel(mission_id, CALLER)
    row = await lane.ended(mission_id)
    assert (row.state, row.reason_code) == (MissionState.CANCELLED, ReasonCode.CANCEL_REQUESTED)
    assert not alive("31.881")


async def test_a_program_that_is_silent_too_long_is_ended(serve: Serve) -> None:
    lane = await serve("exec sleep 31.882", idle_limit=1)
    row = await lane.ended(await lane.dispatch())
    assert (row.state, row.reason_code) == (MissionState.FAILED, ReasonCode.IDLE_TIMEOUT)
    assert not alive("31.882")


async def test_a_program_that_says_its_tool_runs_may_be_silent(serve: Serve) -> None:
    lane = await serve(
        """
        echo '{"type": "tool_started", "tool": "pytest", "call_id": "1"}'; sleep 2
        echo '{"type": "tool_finished", "tool": "pytest", "call_id": "1", "ok": true}'
        """,
        idle_limit=1,
    )
    assert (await lane.ended(await lane.dispatch())).state is MissionState.COMPLETED


async def test_a_program_that_never_ends_meets_the_backstop_whatever_it_says(serve: Serve) -> None:
    lane = await serve(
        """
        echo '{"type": "tool_started", "tool": "pytest", "call_id": "1"}'
        while :; do echo '{"type": "progress", "message": "still at it"}'; sleep 0.51; done
        """,
        backstop=1,
    )
    row = await lane.ended(await lane.dispatch())
    assert (row.state, row.reason_code) == (MissionState.TIMED_OUT, ReasonCode.BACKSTOP_REACHED)


async def test_a_program_that_is_not_there_degrades_the_lane_and_names_it(serve: Serve, tmp_path: Path) -> None:
    lane = await serve("true")
    (tmp_path / "agent").unlink()
    await lane.plane.close()
    lanes = tmp_path / "lanes.yaml"
    plane = await ControlPlane.open(f"sqlite:///{tmp_path / 'state.db'}", lanes=lanes)
    try:

        async def degraded() -> bool:
            record = await plane.store.read(GetLane(vp_id=LANE))
            return record is not None and record.row.status is SessionState.DEGRADED

        await eventually(degraded)
        record = await plane.store.read(GetLane(vp_id=LANE))
        assert record is not None
        assert f"{tmp_path}/agent" in (record.row.last_error or "")
    finally:
        await plane.close()


async def test_a_generator_that_would_end_the_process_fails_its_mission_and_the_lane_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def codie(mission: Mapping[str, Any], context: MissionContext) -> AsyncGenerator[Mapping[str, Any], Any]:
        if mission["objective"] == "exit":
            raise SystemExit(1)
        answer = yield {"type": "approval_wanted", "request_id": "1", "tool": "git push", "message": "May I push?"}
        yield {"type": "completed", "summary": "pushed" if answer["approved"] else "left alone"}

    module = ModuleType("agents_of_a_gateway")
    module.codie = codie  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    executor = {"type": "callable", "target": "agents_of_a_gateway:codie"}
    plane = await ControlPlane.open(f"sqlite:///{tmp_path / 'state.db'}", lanes=[{"vp_id": LANE, "executor": executor}])
    try:
        lane = Programs(plane)
        row = await lane.ended(await lane.dispatch(objective="exit"))
        assert (row.state, row.reason_code) == (MissionState.FAILED, ReasonCode.EXECUTOR_CRASHED)
        mission_id = await lane.dispatch(objective="push")

        async def waits() -> bool:
            return bool((await lane.row(mission_id)).state is MissionState.BLOCKED)

        await eventually(waits)
        await plane.decisions.approve(mission_id, Requester(by=OPERATOR), {"answer": {"approved": True}})
        assert (await lane.ended(mission_id)).state is MissionState.COMPLETED
        assert (await lane.summaries(mission_id))[-1] == "pushed"
    finally:
        await plane.close()


async def test_a_mission_that_the_program_could_never_do_is_refused_at_once(serve: Serve) -> None:
    lane = await serve("true", "{objective}", kind="tool")
    with pytest.raises(DraganError) as refused:
        await lane.dispatch(objective="--help")
    assert refused.value.code is ErrorCode.COMMAND_NOT_ALLOWED
    assert refused.value.violations[0].pointer == "/objective"


# The agent's own session

SESSION = """
said="$*"; echo "$said" >> "$DRAGAN_WORKSPACE/../../said.txt"
case "$said" in
  *"--resume gone"*) echo "no such session" >&2; exit 1 ;;
esac
"""
RESUMED = {
    "executor": {"resume_command": ["./agent", "--resume", "{session_id}", "--", "{objective}"], "session_member": "id"}
}


async def told(lane: Programs, objective: str) -> Any:
    return await lane.ended(await lane.dispatch(objective=objective))


def said(folder: Path) -> list[str]:
    [found] = folder.rglob("said.txt")
    return found.read_text().splitlines()


async def session(lane: Programs) -> Any:
    record = await lane.plane.store.read(GetLane(vp_id=LANE))
    assert record is not None
    return record.row


async def session_events(lane: Programs) -> list[tuple[str, str | None]]:
    events = await lane.plane.store.read(ReadSessionLedger(vp_id=LANE))
    return [(event["type"].removeprefix("vp.session."), event["detail"].get("outcome")) for event in events]


async def test_a_tool_goes_on_in_its_own_session_also_after_a_restart(serve: Serve, tmp_path: Path) -> None:
    script = SESSION + """echo '{"id": "chat-1", "text": "hello"}'"""
    lane = await serve(script, "--", "{objective}", kind="tool", **RESUMED)
    for objective in ("first", "second"):
        assert (await told(lane, objective)).state is MissionState.COMPLETED
    assert (await session(lane)).executor_session_id == "chat-1"
    continuity = (await session(lane)).continuity_id
    await lane.plane.close()
    again = await serve(script, "--", "{objective}", kind="tool", **RESUMED)
    await told(again, "third")
    assert said(tmp_path) == ["-- first", "--resume chat-1 -- second", "--resume chat-1 -- third"]
    assert (await session(again)).continuity_id == continuity
    assert [event for event in await session_events(again) if event[0] == "opened"] == [
        ("opened", "opened"),
        ("opened", "opened"),
        ("opened", "resumed"),
    ]


async def test_an_agent_that_goes_on_under_another_name_is_resumed(serve: Serve, tmp_path: Path) -> None:
    script = SESSION + """echo "{\\"id\\": \\"chat-$DRAGAN_MISSION_ID\\"}" """
    lane = await serve(script, "--", "{objective}", kind="tool", **RESUMED)
    first = await told(lane, "first")
    continuity = (await session(lane)).continuity_id
    second = await told(lane, "second")
    assert said(tmp_path)[1] == f"--resume chat-{first.mission_id} -- second"
    row = await session(lane)
    assert (row.executor_session_id, row.continuity_id) == (f"chat-{second.mission_id}", continuity)


async def test_a_session_that_cannot_be_resumed_is_replaced_on_record(serve: Serve, tmp_path: Path) -> None:
    script = (
        SESSION
        + """
    [ -e ../again ] && echo '{"id": "chat-2"}' || echo '{"id": "gone"}'; : > ../again
    """
    )
    lane = await serve(script, "--", "{objective}", kind="tool", **RESUMED)
    await told(lane, "first")
    continuity = (await session(lane)).continuity_id
    failed = await told(lane, "second")
    assert (failed.state, failed.reason_code) == (MissionState.FAILED, ReasonCode.SESSION_UNRESUMABLE)
    assert (await told(lane, "third")).state is MissionState.COMPLETED
    assert said(tmp_path) == ["-- first", "--resume gone -- second", "-- third"]
    row = await session(lane)
    assert (row.status, row.executor_session_id) == (SessionState.ACTIVE, "chat-2")
    assert row.continuity_id != continuity
    assert (await session_events(lane))[-3:] == [("degraded", None), ("opened", "replaced"), ("recovered", None)]
    numbers = (await lane.plane.rollouts.status(LANE))["numbers"]
    assert numbers["continuity_breaks"] == 0, "what is on record is no break"


async def test_a_session_replaced_while_the_lane_is_drained_costs_no_mission_and_is_no_break(
    serve: Serve, tmp_path: Path
) -> None:
    script = (
        SESSION
        + """
    case "$said" in
      *third*) until [ -e ../drained ]; do sleep 0.05; done; echo '{"id": "chat-2"}' ;;
      *) pwd > ../where; echo '{"id": "gone"}' ;;
    esac
    """
    )
    lane = await serve(script, "--", "{objective}", kind="tool", **RESUMED)
    await told(lane, "first")
    await told(lane, "second")
    third = await lane.dispatch(objective="third")

    async def runs() -> bool:
        return (await lane.row(third)).state is MissionState.RUNNING

    await eventually(runs)
    await lane.plane.store.execute(
        StepSession(vp_id=LANE, command=SessionCommand(trigger=SessionTrigger.DRAIN, by=OPERATOR))
    )
    [where] = tmp_path.rglob("where")
    where.with_name("drained").touch()
    assert (await lane.ended(third)).state is MissionState.COMPLETED
    assert (await session(lane)).executor_session_id == "chat-2"
    assert ("opened", "replaced") in await session_events(lane)
    numbers = (await lane.plane.rollouts.status(LANE))["numbers"]
    assert numbers["continuity_breaks"] == 0


async def test_a_program_that_speaks_names_its_session_and_is_told_it(serve: Serve, tmp_path: Path) -> None:
    lane = await serve("""
    read -r envelope; echo "${DRAGAN_SESSION_ID-none}" >> ../said.txt
    echo '{"type": "session", "executor_session_id": "talk-1"}'
    """)
    for objective in ("first", "second"):
        await told(lane, objective)
    assert said(tmp_path) == ["none", "talk-1"]
    assert (await session(lane)).executor_session_id == "talk-1"


@pytest.mark.parametrize(
    "line", ['{"id": "--help"}', '{"id": 5}', '{"id": ""}', '{"other": "x"}', '["id"]', '{"id": "a", "id": "b"}', "id"]
)
def test_what_could_not_be_given_back_is_no_session(line: str) -> None:
    assert session_in(line, "id") is None
    assert session_in('{"id": "chat-1"}', "id") == "chat-1"
