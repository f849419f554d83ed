"""Each situation of a delegated turn: what the caller sees, in order, and what the registry holds afterwards."""

import asyncio
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from processes import alive

from dragancorp.control_plane import ControlPlane
from dragancorp.errors import DraganError
from dragancorp.gateway.turns import DelegationRefusedError, Turn
from dragancorp.lifecycle.commands import By, MissionCommand
from dragancorp.registry.operations import StepMission
from dragancorp_contracts.errors import ErrorCode
from dragancorp_contracts.lifecycle import (
    Actor,
    MissionKind,
    MissionState,
    MissionTrigger,
    ReasonCode,
    SessionState,
    SessionTrigger,
)

from .conftest import Opener
from .gateway import LANE, Agent, CutLink, Gateway, ShiftedClock, eventually, guards, lane, turn

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["postgresql", "sqlite"])
def adapter(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


DELEGATED, PROGRESS, COMPLETED = "delegated_to_coder_vp", "coder_vp_progress", "coder_vp_completed"
FALLBACK = "coder_vp_fallback"
ANSWER = ["primary", "answer"]


async def completed_by_primary(gateway: Gateway, reason: ReasonCode) -> dict[str, str]:
    """Checks the registry after a fallback; answers what the one fallback entry says."""
    row = await gateway.mission()
    assert (row.state, row.completed_via, row.fallback) == (MissionState.COMPLETED, "primary", True)
    assert row.kind is MissionKind.DELEGATED
    (fallback,) = await gateway.fallbacks(row.mission_id)
    assert (fallback["reason"], fallback["path"]) == (reason, "code-writer")
    return dict(fallback)


async def test_an_eligible_turn_shows_the_lanes_events_and_is_completed_by_the_lane(gateway: Gateway) -> None:
    heard = await gateway.ask(turn(["sh", "-c", "echo hello"]))
    assert heard.names == [DELEGATED, PROGRESS, COMPLETED]
    assert heard.error is None
    assert gateway.agent.turns == []
    row = await gateway.mission()
    assert (row.state, row.completed_via, row.fallback) == (MissionState.COMPLETED, "lane", False)
    said = heard.one(COMPLETED)
    assert (said["kind"], said["vp_id"], said["mission_id"]) == ("lane_event", LANE, row.mission_id)
    assert said["event"]["completed_via"] == "lane"
    sequences = [event.event.sequence for event in heard.events[1:]]
    assert sequences == sorted(set(sequences))


async def test_a_turn_first_thing_after_opening_reaches_the_lane(tmp_path: Path) -> None:
    clock = ShiftedClock()
    async with await ControlPlane.open(f"sqlite:///{tmp_path}/state.db", lanes=[lane()], clock=clock) as plane:
        heard = await Gateway(plane, Agent(), clock).ask(turn())
    assert heard.names == [DELEGATED, PROGRESS, COMPLETED]


async def test_without_a_live_lease_the_primary_answers_at_once_and_no_mission_is_stored(open_gateway: Opener) -> None:
    gateway = await open_gateway(serve_lanes=False)
    heard = await gateway.ask(turn())
    assert heard.names == ["coder_vp_bootstrap_fallback", *ANSWER]
    assert await gateway.missions() == []


async def test_a_full_queue_is_a_lane_that_cannot_start(open_gateway: Opener) -> None:
    gateway = await open_gateway(queue_limit=0)
    heard = await gateway.ask(turn())
    assert heard.names == ["coder_vp_bootstrap_fallback", *ANSWER]
    assert "queue" in heard.one("coder_vp_bootstrap_fallback")["message"]
    assert await gateway.missions() == []


async def test_a_mission_claimed_too_late_is_completed_by_the_primary(open_gateway: Opener) -> None:
    gateway = await open_gateway(start_timeout=0.3)
    await gateway.occupy(["sleep", "20"])
    heard = await gateway.ask(turn())
    assert heard.names == [DELEGATED, FALLBACK, *ANSWER]
    assert heard.one(FALLBACK)["reason_code"] == "start_timeout"
    _, late = await gateway.missions()
    assert (late.state, late.completed_via, late.fallback) == (MissionState.COMPLETED, "primary", True)
    assert await gateway.fallbacks(late.mission_id) == [{"reason": "start_timeout", "path": "code-writer"}]


async def test_a_draining_lane_takes_nothing_and_the_primary_answers(gateway: Gateway) -> None:
    await gateway.operate(SessionTrigger.DRAIN)
    heard = await gateway.ask(turn())
    assert heard.names == [DELEGATED, FALLBACK, *ANSWER]
    assert (await completed_by_primary(gateway, ReasonCode.LANE_DRAINING)).get("error") is None
    assert heard.one(FALLBACK)["reason_code"] == "lane_draining"
    assert heard.one(FALLBACK)["path"] == "code-writer"


async def test_an_error_that_the_lane_reports_is_a_log_line_before_the_fallback(gateway: Gateway) -> None:
    heard = await gateway.ask(turn(["sh", "-c", "exit 3"]))
    assert heard.names == [DELEGATED, PROGRESS, "coder_vp_error", FALLBACK, *ANSWER]
    assert heard.one("coder_vp_error")["kind"] == "log"
    assert "exited with 3" in heard.one("coder_vp_error")["message"]
    assert "exited with 3" in (await completed_by_primary(gateway, ReasonCode.EXECUTOR_ERROR))["error"]


async def test_a_command_that_a_signal_ends_is_a_crash_of_the_lane(gateway: Gateway) -> None:
    heard = await gateway.ask(turn(["sh", "-c", "kill -11 $$"]))
    assert heard.names == [DELEGATED, PROGRESS, "coder_vp_exception", FALLBACK, *ANSWER]
    assert heard.one("coder_vp_exception")["kind"] == "exception"
    assert "signal 11" in (await completed_by_primary(gateway, ReasonCode.EXECUTOR_CRASHED))["error"]


async def test_a_guard_that_is_killed_is_a_crash_of_the_lane_and_the_next_mission_runs(gateway: Gateway) -> None:
    _, asking = await gateway.ask_until(turn(["sleep", "20.001"]), PROGRESS)

    async def works() -> bool:
        return bool(alive("20.001"))

    await eventually(works)
    (guard,) = guards()
    guard.send_signal(signal.SIGKILL)
    heard = await asking
    assert heard.names == [DELEGATED, PROGRESS, "coder_vp_exception", FALLBACK, *ANSWER]
    await completed_by_primary(gateway, ReasonCode.EXECUTOR_CRASHED)
    assert alive("20.001") == []
    assert (await gateway.ask(turn())).names[-1] == COMPLETED


async def test_a_lost_lease_is_said_and_the_primary_takes_over(open_gateway: Opener) -> None:
    gateway = await open_gateway(lease_ttl=1)
    _, asking = await gateway.ask_until(turn(["sleep", "20.002"]), PROGRESS)
    CutLink.cut = True
    heard = await asking
    CutLink.cut = False
    assert heard.names == [DELEGATED, PROGRESS, "coder_vp_lease_degraded", FALLBACK, *ANSWER]
    assert heard.one("coder_vp_lease_degraded")["kind"] == "lease_degraded"
    await completed_by_primary(gateway, ReasonCode.LEASE_LOST)
    await gateway.lane_is(SessionState.ACTIVE)
    assert alive("20.002") == []
    assert (await gateway.ask(turn())).names[-1] == COMPLETED


async def test_the_primarys_own_failure_reaches_the_caller_and_the_mission_is_failed(open_gateway: Opener) -> None:
    gateway = await open_gateway(agent=Agent("half", error=ZeroDivisionError("no model left")))
    heard = await gateway.ask(turn(["sh", "-c", "exit 3"]))
    assert heard.names == [DELEGATED, PROGRESS, "coder_vp_error", FALLBACK, "half"]
    assert isinstance(heard.error, ZeroDivisionError)
    row = await gateway.mission()
    assert (row.state, row.reason_code) == (MissionState.FAILED, ReasonCode.FALLBACK_FAILED)
    assert [fallback["reason"] for fallback in await gateway.fallbacks(row.mission_id)] == ["executor_error"]
    assert "no model left" in (await gateway.ledger(row.mission_id))[-1]["summary"]


async def blocked(gateway: Gateway) -> "tuple[str, asyncio.Task[object]]":
    """A turn that waits for an approval before its start: the mission and the listening task."""
    asked = turn(constraints={"approval_required": ["*"]})
    heard, listening = await gateway.ask_until(asked, "mission_blocked")
    assert heard.names == [DELEGATED, "mission_blocked"]
    event = heard.one("mission_blocked")
    assert (event["kind"], event["reason_code"]) == ("mission_blocked", "approval_required")
    row = await gateway.mission()
    assert row.state is MissionState.BLOCKED
    return row.mission_id, listening


async def test_a_mission_that_needs_an_approval_waits_and_runs_once_it_is_given(open_gateway: Opener) -> None:
    gateway = await open_gateway(start_timeout=1.5)
    mission_id, listening = await blocked(gateway)
    await asyncio.sleep(1.7)  # an approval may take longer than a claim
    await gateway.step(mission_id, MissionTrigger.APPROVE)
    heard = await listening
    assert heard.names == [DELEGATED, "mission_blocked", PROGRESS, COMPLETED]


async def test_after_the_approval_the_lane_still_has_to_claim_in_time(open_gateway: Opener) -> None:
    gateway = await open_gateway(start_timeout=0.3)
    mission_id, listening = await blocked(gateway)
    await gateway.operate(SessionTrigger.DRAIN)
    await gateway.step(mission_id, MissionTrigger.APPROVE)
    heard = await listening
    assert heard.names == [DELEGATED, "mission_blocked", FALLBACK, *ANSWER]
    await completed_by_primary(gateway, ReasonCode.START_TIMEOUT)


async def refusal(gateway: Gateway, listening: "asyncio.Task[object]") -> DelegationRefusedError:
    """The typed error that a turn ended with; there was no fallback."""
    heard = await listening
    assert isinstance(heard.error, DelegationRefusedError), heard
    assert FALLBACK not in heard.names
    assert gateway.agent.turns == []
    row = await gateway.mission()
    assert not row.fallback
    assert heard.error.code is ErrorCode.DELEGATION_REFUSED
    assert (heard.error.mission_id, heard.error.state, heard.error.reason) == (
        row.mission_id,
        row.state,
        row.reason_code,
    )
    return heard.error


async def test_a_denied_approval_is_a_typed_error(gateway: Gateway) -> None:
    mission_id, listening = await blocked(gateway)
    await gateway.step(mission_id, MissionTrigger.DENY)
    error = await refusal(gateway, listening)
    assert (error.state, error.reason) == ("failed", ReasonCode.APPROVAL_DENIED)


async def test_an_expired_approval_is_a_typed_error(gateway: Gateway) -> None:
    _, listening = await blocked(gateway)
    gateway.clock.ahead = timedelta(hours=25)
    error = await refusal(gateway, listening)
    assert (error.state, error.reason) == ("failed", ReasonCode.APPROVAL_EXPIRED)


async def test_a_mission_cancelled_while_it_waits_for_approval_is_a_typed_error(gateway: Gateway) -> None:
    mission_id, listening = await blocked(gateway)
    await gateway.step(mission_id, MissionTrigger.CANCEL)
    error = await refusal(gateway, listening)
    assert (error.state, error.reason) == ("cancelled", ReasonCode.CANCEL_REQUESTED)


async def test_a_mission_cancelled_while_it_runs_is_a_typed_error_and_its_process_is_gone(gateway: Gateway) -> None:
    _, listening = await gateway.ask_until(turn(["sleep", "20.003"]), PROGRESS)
    await gateway.step((await gateway.mission()).mission_id, MissionTrigger.CANCEL)
    error = await refusal(gateway, listening)
    assert (error.state, error.reason) == ("cancelled", ReasonCode.CANCEL_REQUESTED)
    assert alive("20.003") == []


async def test_a_passed_deadline_is_a_typed_error(gateway: Gateway) -> None:
    deadline = (datetime.now(UTC) + timedelta(seconds=0.7)).isoformat()
    _, listening = await gateway.ask_until(turn(["sleep", "20.004"], deadline_at=deadline), PROGRESS)
    error = await refusal(gateway, listening)
    assert (error.state, error.reason) == ("timed_out", ReasonCode.DEADLINE_PASSED)

    async def gone() -> bool:
        return not alive("20.004")

    await eventually(gone)


async def test_a_forbidden_command_is_refused_before_anything_is_stored(gateway: Gateway) -> None:
    heard = await gateway.ask(turn(["rm", "-rf", "/"]))
    assert heard.events == []
    assert isinstance(heard.error, DraganError)
    assert heard.error.code is ErrorCode.COMMAND_NOT_ALLOWED
    assert await gateway.missions() == []
    assert gateway.agent.turns == []


async def test_a_cancel_while_the_primary_speaks_is_what_stands_in_the_ledger(open_gateway: Opener) -> None:
    gateway = await open_gateway(agent=Agent("one", "two", pause=0.2))
    _, listening = await gateway.ask_until(turn(["sh", "-c", "exit 3"]), FALLBACK)
    mission_id = (await gateway.mission()).mission_id
    await gateway.step(mission_id, MissionTrigger.CANCEL)
    assert (await listening).names[-2:] == ["one", "two"]
    assert (await gateway.mission()).state is MissionState.CANCELLED


async def test_the_same_turn_again_is_the_same_mission(gateway: Gateway) -> None:
    asked = Turn(text="CODIE, go", session_id="s" * 500, turn_id="t" * 200, mission=turn().mission)
    first, again = await gateway.ask(asked), await gateway.ask(asked)
    assert first.names == again.names == [DELEGATED, PROGRESS, COMPLETED]
    assert len(await gateway.missions()) == 1


async def test_other_turns_of_a_session_with_a_long_name_are_other_missions(gateway: Gateway) -> None:
    for number in range(2):
        await gateway.ask(Turn(text="CODIE", session_id="s" * 500, turn_id=f"t{number}", mission=turn().mission))
    await gateway.ask(Turn(text="CODIE", session_id="a:b", turn_id="c", mission=turn().mission))
    await gateway.ask(Turn(text="CODIE", session_id="a", turn_id="b:c", mission=turn().mission))
    assert len(await gateway.missions()) == 4


async def test_what_the_gateway_sets_itself_stands_in_the_envelope(gateway: Gateway) -> None:
    asked = turn(objective="Fix the parser.", priority_class="background", budget={"max_llm_calls": 5})
    await gateway.ask(asked)
    snapshot = await gateway.plane.snapshot(LANE)
    envelope = snapshot["recent_missions"][0]["envelope"]
    assert (envelope["objective"], envelope["priority_class"]) == ("Fix the parser.", "background")
    assert envelope["budget"] == {"max_llm_calls": 5}
    await gateway.ask(turn(text="CODIE, as it is said"))
    snapshot = await gateway.plane.snapshot(LANE)
    envelope = snapshot["recent_missions"][0]["envelope"]
    assert (envelope["objective"], envelope["priority_class"]) == ("CODIE, as it is said", "interactive")


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (Turn(text="CODIE \ud800", session_id="s1", mission=turn().mission), ErrorCode.JSON_INVALID),
        (Turn(text="CODIE", session_id="\ud800", mission=turn().mission), ErrorCode.JSON_INVALID),
        (turn(text="CODIE " + "x" * 300_000), ErrorCode.DOCUMENT_INVALID),
        (turn(nonsense=1), ErrorCode.DOCUMENT_INVALID),
        (Turn(text="CODIE", session_id="s1"), ErrorCode.DOCUMENT_INVALID),
    ],
    ids=["half a pair in the text", "half a pair in the session", "too long", "unknown member", "no commands"],
)
async def test_a_turn_that_makes_no_mission_is_a_typed_error_and_stores_nothing(
    gateway: Gateway, asked: Turn, code: ErrorCode
) -> None:
    heard = await gateway.ask(asked)
    assert isinstance(heard.error, DraganError)
    assert heard.error.code is code
    assert heard.events == []
    assert await gateway.missions() == []


async def test_a_mission_id_that_is_taken_is_refused_and_the_mission_that_has_it_goes_on(gateway: Gateway) -> None:
    _, listening = await gateway.ask_until(turn(["sleep", "0.5"], mission_id="m-1"), PROGRESS)
    heard = await gateway.ask(turn(mission_id="m-1"))
    assert isinstance(heard.error, DraganError)
    assert heard.error.code is ErrorCode.DOCUMENT_INVALID
    assert (await listening).names[-1] == COMPLETED


async def test_a_turn_that_another_gateway_answered_by_its_fallback_ends_for_both(gateway: Gateway) -> None:
    asked = Turn(text="CODIE", session_id="s1", turn_id="t1", mission=turn(["sh", "-c", "sleep 0.3; exit 3"]).mission)
    one, other = await asyncio.gather(gateway.ask(asked), gateway.ask(asked))
    assert len(gateway.agent.turns) == 1
    assert sorted([one.names[-1], other.names[-1]]) == ["answer", COMPLETED]
    await completed_by_primary(gateway, ReasonCode.EXECUTOR_ERROR)


async def test_the_gateway_is_the_actor_of_what_it_does(gateway: Gateway) -> None:
    await gateway.ask(turn(["sh", "-c", "exit 3"]))
    entries = await gateway.ledger((await gateway.mission()).mission_id)
    actors = {entry["type"].removeprefix("vp.mission."): entry["actor"]["kind"] for entry in entries}
    assert actors["dispatched"] == actors["fallback"] == "gateway"
    assert actors["accepted"] == actors["blocked"] == "lane"
    assert actors["completed"] == "primary"
    assert {entry["actor"]["name"] for entry in entries if entry["actor"]["kind"] != "lane"} == {"gateway-1"}


async def test_a_hold_that_expired_leaves_the_mission_failed_and_the_late_answer_changes_nothing(
    open_gateway: Opener,
) -> None:
    gateway = await open_gateway(agent=Agent("one", "two", pause=1.0))
    _, listening = await gateway.ask_until(turn(["sh", "-c", "exit 3"]), FALLBACK)
    gateway.clock.ahead = timedelta(seconds=400)
    assert (await listening).names[-1] == "two"
    row = await gateway.mission()
    assert (row.state, row.reason_code) == (MissionState.FAILED, ReasonCode.PRIMARY_LOST)


async def test_nobody_takes_the_fallback_twice(gateway: Gateway) -> None:
    await gateway.ask(turn(["sh", "-c", "exit 3"]))
    row = await gateway.mission()
    command = MissionCommand(
        trigger=MissionTrigger.TAKE_FALLBACK,
        by=By(kind=Actor.GATEWAY, name="another"),
        attempt_as_read=row.attempt,
        content={"path": "x"},
    )
    with pytest.raises(DraganError) as refused:
        await gateway.plane.store.execute(StepMission(mission_id=row.mission_id, command=command))
    assert refused.value.code is ErrorCode.MISSION_TERMINAL
