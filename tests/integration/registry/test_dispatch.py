"""Handing a mission over: what is stored, what a repeat answers, what is refused."""

import asyncio
import json
from datetime import timedelta

import pytest

from dragancorp.errors import ErrorCode
from dragancorp.executors.unfit import Unfit
from dragancorp.jsonio import loads
from dragancorp.lifecycle.commands import By
from dragancorp.missions.commands import Requester
from dragancorp.missions.envelopes import draft
from dragancorp.registry.operations import DispatchMission
from dragancorp_contracts.lifecycle import Actor, Holder, MissionKind, MissionState, ReasonCode, SessionTrigger

from .world import CALLER, LANE, World, refused

pytestmark = pytest.mark.anyio


async def test_a_dispatched_mission_is_queued_and_its_first_entry_says_by_whom(world: World) -> None:
    session = await world.lane()
    stored = await world.dispatch()
    row = stored.row
    assert (row.state, row.attempt, row.holder, row.vp_session_id) == (
        MissionState.QUEUED,
        0,
        Holder.NONE,
        session.vp_session_id,
    )
    (event,) = await world.events(row.mission_id)
    assert (event["type"], event["sequence"], event["actor"]["name"]) == ("vp.mission.dispatched", 1, "simone")
    assert await world.registry.get_mission(row.mission_id) == stored


async def test_what_the_caller_leaves_out_is_assigned_beside_the_document(world: World) -> None:
    session = await world.lane()
    stored = await world.dispatch()
    assert set(stored.assigned) == {"mission_id", "trace_id", "created_at", "source_instance_id", "vp_session_id"}
    assert stored.assigned["vp_session_id"] == session.vp_session_id
    assert not set(stored.assigned) & set(loads(stored.document))


@pytest.mark.parametrize(
    "objective", ["naïve – 日本語 🙂", '"quoted" \\ and \t tab', "<script>alert(1)</script>", "a\u0000b"]
)
async def test_the_document_is_kept_exactly_as_received(world: World, objective: str) -> None:
    await world.lane()
    envelope = world.envelope(objective=objective, mission_id="m-1")
    text = "\n  " + json.dumps(envelope, indent=3) + "\r\n"
    await world.missions.dispatch(envelope, CALLER, text=text)
    assert (await world.registry.get_mission("m-1")).document == text


async def test_the_same_request_again_is_the_same_mission_even_while_it_runs(world: World) -> None:
    runtime = await world.working_lane()
    envelope = world.envelope()
    first = await world.ask(envelope)
    again = await world.ask(envelope)
    await runtime.claim_one()
    running = await world.ask(envelope)
    assert not first.replayed
    assert again.replayed
    assert running.replayed
    assert again.mission == first.mission
    assert running.mission.row.mission_id == first.mission.row.mission_id
    assert running.mission.row.state is MissionState.RUNNING
    assert len((await world.registry.list_missions()).missions) == 1


async def test_a_repeat_is_answered_after_the_end_and_by_a_retired_lane(world: World) -> None:
    await world.lane()
    envelope = world.envelope()
    first = await world.ask(envelope)
    await world.cancel(first.mission.row.mission_id)
    await world.operate(SessionTrigger.RETIRE)
    again = await world.ask(envelope)
    assert again.replayed
    assert again.mission.row.state is MissionState.CANCELLED


async def test_what_the_plane_assigns_makes_no_other_request(world: World) -> None:
    await world.lane()
    envelope = world.envelope()
    first = await world.ask(envelope)
    again = await world.ask({**envelope, "trace_id": "0af7651916cd43dd8448eb211c80319c"})
    assert again.replayed
    assert again.mission.row.trace_id == first.mission.row.trace_id


async def test_a_key_used_again_for_another_request_is_refused(world: World) -> None:
    await world.lane()
    envelope = world.envelope()
    first = await world.ask(envelope)
    with refused(ErrorCode.IDEMPOTENCY_KEY_REUSED) as caught:
        await world.ask({**envelope, "objective": "Something else."})
    assert caught.value.facts == {"mission_id": first.mission.row.mission_id}


async def test_the_same_key_of_another_source_is_another_mission(world: World) -> None:
    await world.lane()
    envelope = world.envelope()
    other = Requester(by=By(kind=Actor.CALLER, name="other"), source_instance_id="factory-2")
    first, second = await world.ask(envelope), await world.ask(envelope, requester=other)
    assert not second.replayed
    assert first.mission.row.mission_id != second.mission.row.mission_id


async def test_two_hundred_racing_callers_with_one_key_make_one_mission(world: World) -> None:
    await world.lane()
    envelope = world.envelope()
    answers = await asyncio.gather(*(world.ask(envelope) for _ in range(200)))
    assert len({answer.mission.row.mission_id for answer in answers}) == 1
    assert sum(not answer.replayed for answer in answers) == 1
    assert len((await world.registry.list_missions()).missions) == 1


async def test_a_mission_id_is_given_once(world: World) -> None:
    await world.lane()
    await world.dispatch(mission_id="m-1")
    with refused(ErrorCode.DOCUMENT_INVALID) as caught:
        await world.dispatch(mission_id="m-1")
    (violation,) = caught.value.violations
    assert violation.pointer == "/mission_id"


async def test_a_full_queue_takes_no_more_and_the_refused_key_stays_free(world: World) -> None:
    runtime = await world.working_lane(queue_limit=2)
    await world.dispatch()
    await world.dispatch()
    third = world.envelope()
    with refused(ErrorCode.QUEUE_FULL):
        await world.ask(third)
    await runtime.claim_one()
    assert not (await world.ask(third)).replayed


async def test_a_lane_that_nobody_configured_is_unknown(world: World) -> None:
    with refused(ErrorCode.LANE_UNKNOWN):
        await world.dispatch(vp_id="vp.nobody.configured")


async def test_a_retired_lane_takes_no_work(world: World) -> None:
    await world.lane()
    await world.operate(SessionTrigger.RETIRE)
    with refused(ErrorCode.LANE_RETIRED):
        await world.dispatch()


async def test_a_paused_lane_still_queues(world: World) -> None:
    await world.lane()
    await world.operate(SessionTrigger.DRAIN)
    assert (await world.dispatch()).row.state is MissionState.QUEUED


async def test_a_session_that_is_not_the_lanes_is_unknown(world: World) -> None:
    await world.lane()
    with refused(ErrorCode.SESSION_UNKNOWN):
        await world.dispatch(vp_session_id="s-of-yesterday")


async def test_a_source_the_token_is_not_bound_to_is_refused(world: World) -> None:
    await world.lane()
    bound = Requester(by=CALLER.by, source_instance_id="factory-2")
    with refused(ErrorCode.SOURCE_MISMATCH):
        await world.ask(world.envelope(source_instance_id="factory-3"), requester=bound)


async def test_a_lane_outside_the_requesters_lanes_does_not_exist_for_it(world: World) -> None:
    await world.lane()
    stored = await world.dispatch()
    elsewhere = Requester(by=CALLER.by, vp_ids=frozenset({"vp.other.lane"}))
    with refused(ErrorCode.LANE_UNKNOWN):
        await world.ask(world.envelope(), requester=elsewhere)
    with refused(ErrorCode.MISSION_UNKNOWN):
        await world.missions.get(stored.row.mission_id, elsewhere)
    with refused(ErrorCode.MISSION_UNKNOWN):
        await world.missions.cancel(stored.row.mission_id, elsewhere)
    assert (await world.missions.list(elsewhere)).missions == ()
    assert (await world.missions.list(elsewhere, vp_id=LANE)).missions == ()


async def test_a_broken_envelope_is_refused_with_every_violation(world: World) -> None:
    await world.lane()
    with refused(ErrorCode.DOCUMENT_INVALID) as caught:
        await world.ask(world.envelope(objective="", mission_type="dancing", surprise=1))
    assert len(caught.value.violations) >= 3
    assert (await world.registry.list_missions()).missions == ()


async def test_an_executors_refusal_comes_before_the_registry(world: World) -> None:
    await world.lane()
    unfit = Unfit(
        pointer="/extensions/0",
        sentence="rm is not allowed",
        error=ErrorCode.COMMAND_NOT_ALLOWED,
        reason=ReasonCode.TOOL_FORBIDDEN,
    )
    world.missions._refusers = {LANE: lambda envelope: [unfit]}
    with refused(ErrorCode.COMMAND_NOT_ALLOWED) as caught:
        await world.dispatch()
    assert caught.value.violations[0].pointer == "/extensions/0"


async def test_an_approval_before_the_start_blocks_in_the_same_transaction(world: World) -> None:
    runtime = await world.working_lane()
    row = (await world.dispatch(constraints={"approval_required": ["*"]})).row
    assert (row.state, row.reason_code) == (MissionState.BLOCKED, ReasonCode.APPROVAL_REQUIRED)
    assert await world.event_types(row.mission_id) == ["dispatched", "blocked"]
    assert await runtime.claim() == []
    assert (await world.approve(row.mission_id)).row.state is MissionState.QUEUED
    assert [claimed.mission_id for claimed in await runtime.claim()] == [row.mission_id]


async def test_a_child_of_nobody_is_refused(world: World) -> None:
    await world.lane()
    with refused(ErrorCode.MISSION_UNKNOWN):
        await world.dispatch(parent_mission_id="m-none")


async def test_a_child_may_not_ask_for_more_than_its_parent(world: World) -> None:
    await world.lane()
    parent = await world.dispatch(budget={"max_llm_calls": 5})
    with refused(ErrorCode.CHILD_EXCEEDS_PARENT):
        await world.dispatch(parent_mission_id=parent.row.mission_id, budget={"max_llm_calls": 6})
    child = await world.dispatch(parent_mission_id=parent.row.mission_id, budget={"max_llm_calls": 5})
    assert child.row.parent_mission_id == parent.row.mission_id


async def test_an_ended_parent_gets_no_children(world: World) -> None:
    await world.lane()
    parent = await world.dispatch()
    await world.cancel(parent.row.mission_id)
    with refused(ErrorCode.CHILD_EXCEEDS_PARENT):
        await world.dispatch(parent_mission_id=parent.row.mission_id)


async def test_missions_nest_five_deep_and_no_deeper(world: World) -> None:
    await world.lane()
    parent = None
    for _ in range(5):
        parent = (await world.dispatch(parent_mission_id=parent)).row.mission_id
    with refused(ErrorCode.CHILD_EXCEEDS_PARENT):
        await world.dispatch(parent_mission_id=parent)


async def test_a_deadline_that_has_passed_already_is_stored_and_never_claimed(world: World) -> None:
    runtime = await world.working_lane()
    now = world.clock.wall()
    made = draft(
        world.envelope(deadline_at=(now - timedelta(seconds=1)).isoformat()),
        source_instance_id="factory-1",
        kind=MissionKind.DISPATCHED,
        now=now,
    )
    await world.store.execute(DispatchMission(draft=made.row, document="{}", assigned=made.assigned, by=CALLER.by))
    assert await runtime.claim() == []
    await world.reconciler.tick()
    assert (await world.row(made.row.mission_id)).state is MissionState.TIMED_OUT


async def test_a_deadline_a_thousand_years_ago_spoils_no_later_reading(world: World) -> None:
    runtime = await world.working_lane()
    ages_ago = {"created_at": "1000-01-01T00:00:00+10:00", "deadline_at": "1000-01-01T00:00:00+05:00"}
    row = (await world.dispatch(**ages_ago)).row
    assert await world.row(row.mission_id) == row
    assert await runtime.claim() == []
    await world.reconciler.tick()
    assert (await world.row(row.mission_id)).state is MissionState.TIMED_OUT
