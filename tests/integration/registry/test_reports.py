"""What a holder says about its mission: progress, artifacts, usage, the end; and whose word counts."""

from dataclasses import replace

import pytest

from dragancorp.errors import ErrorCode
from dragancorp_contracts.lifecycle import Holder, MissionState, MissionTrigger, ReasonCode

from .world import OPERATOR, World, artifact, refused

pytestmark = pytest.mark.anyio


async def test_progress_stands_in_the_ledger_and_moves_nothing(world: World) -> None:
    runtime = await world.working_lane()
    await world.dispatch()
    row = await runtime.claim_one()
    stepped = await runtime.report(row, summary="Tests written.", usage={"llm_calls": 2})
    assert (stepped.row.state, stepped.row.usage) == (MissionState.RUNNING, {"llm_calls": 2})
    event = await world.last_event(row.mission_id)
    assert (event["type"], event["summary"], event["usage"]) == (
        "vp.mission.progress",
        "Tests written.",
        {"llm_calls": 2},
    )


async def test_a_completed_mission_says_how_and_lists_what_was_made(world: World) -> None:
    runtime = await world.working_lane()
    await world.dispatch()
    row = await runtime.claim_one()
    await runtime.report(row, artifact_refs=[artifact()], artifacts=(artifact(),))
    world.clock.advance(7)
    ended = await runtime.complete(row, artifacts=(artifact("report.md"),), recommended_next_action="Merge it.")
    assert (ended.row.state, ended.row.completed_via, ended.row.holder) == (
        MissionState.COMPLETED,
        "lane",
        Holder.NONE,
    )
    final = await world.last_event(row.mission_id)
    assert [one["name"] for one in final["artifact_index"]] == ["out/diff.txt", "report.md"]
    assert (final["recommended_next_action"], final["completed_via"], final["latency_seconds"]) == (
        "Merge it.",
        "lane",
        7.0,
    )
    assert await world.event_types(row.mission_id) == ["dispatched", "accepted", "artifact", "completed"]


async def test_an_artifact_stored_twice_is_listed_once_as_it_was_last(world: World) -> None:
    runtime = await world.working_lane()
    await world.dispatch()
    row = await runtime.claim_one()
    await runtime.report(row, artifacts=(artifact(),))
    await runtime.complete(row, artifacts=({**artifact(), "size_bytes": 99},))
    (listed,) = (await world.last_event(row.mission_id))["artifact_index"]
    assert listed["size_bytes"] == 99


async def test_there_is_no_completion_without_a_receipt(world: World) -> None:
    runtime = await world.working_lane()
    await world.dispatch()
    row = await runtime.claim_one()
    with refused(ErrorCode.RECEIPT_MISSING):
        await runtime.complete(row, receipt=None)
    assert (await world.row(row.mission_id)).state is MissionState.RUNNING
    assert (await runtime.complete(row)).row.state is MissionState.COMPLETED


async def test_there_is_no_completion_without_the_required_outputs(world: World) -> None:
    runtime = await world.working_lane()
    await world.dispatch(artifact_policy={"required_outputs": ["report.md"], "storage_scope": "factory"})
    row = await runtime.claim_one()
    with refused(ErrorCode.RECEIPT_MISSING):
        await runtime.complete(row, artifacts=(artifact(),))
    # Nothing of the refused report is kept, its artifact neither.
    ended = await runtime.complete(row, artifacts=(artifact("report.md"),))
    assert ended.row.state is MissionState.COMPLETED
    assert [one["name"] for one in (await world.last_event(row.mission_id))["artifact_index"]] == ["report.md"]


async def test_a_failure_says_why_and_counts_no_further_attempt(world: World) -> None:
    runtime = await world.working_lane()
    await world.dispatch()
    row = await runtime.claim_one()
    ended = await runtime.fail(row, reason=ReasonCode.EXECUTOR_CRASHED, summary="Signal 9.")
    assert (ended.row.state, ended.row.reason_code) == (MissionState.FAILED, ReasonCode.EXECUTOR_CRASHED)
    assert (await world.last_event(row.mission_id))["reason_code"] == "executor_crashed"
    assert await runtime.claim() == []


@pytest.mark.parametrize("changes", [{"attempt": 2}, {"attempt": 0}])
async def test_a_word_about_another_attempt_is_refused(world: World, changes: dict[str, int]) -> None:
    runtime = await world.working_lane()
    await world.dispatch()
    row = await runtime.claim_one()
    with refused(ErrorCode.STALE_EPOCH):
        await runtime.complete(replace(row, **changes))
    assert await world.event_types(row.mission_id) == ["dispatched", "accepted"]


async def test_a_zombie_cannot_finish_what_another_has_taken(world: World) -> None:
    zombie = await world.working_lane()
    await world.dispatch()
    old = await zombie.claim_one()
    await world.lose_lease()
    fresh = await world.runtime(name="rt-2")
    world.clock.advance(60)
    row = await fresh.claim_one()
    assert (row.mission_id, row.attempt) == (old.mission_id, 2)
    for said in (zombie.report(old), zombie.complete(old), zombie.fail(old)):
        with refused(ErrorCode.STALE_EPOCH):
            await said
    assert (await fresh.complete(row)).row.completed_via == "lane"


async def test_a_zombie_cannot_speak_for_a_requeued_mission(world: World) -> None:
    zombie = await world.working_lane()
    await world.dispatch()
    old = await zombie.claim_one()
    await world.lose_lease()
    with refused(ErrorCode.STALE_EPOCH):
        await zombie.complete(old)
    assert (await world.row(old.mission_id)).state is MissionState.QUEUED


async def test_a_report_repeated_by_its_key_is_answered_and_stored_once(world: World) -> None:
    runtime = await world.working_lane()
    await world.dispatch()
    row = await runtime.claim_one()
    first = await runtime.report(row, key="r-1", summary="Half way.")
    again = await runtime.report(row, key="r-1", summary="Half way.")
    assert (first.replayed, again.replayed) == (False, True)
    assert again.events == first.events
    assert again.transition == first.transition
    assert await world.event_types(row.mission_id) == ["dispatched", "accepted", "progress"]


async def test_the_last_report_may_be_repeated_after_the_end(world: World) -> None:
    runtime = await world.working_lane()
    await world.dispatch()
    row = await runtime.claim_one()
    await runtime.complete(row, key="end", summary="Done.")
    again = await runtime.complete(row, key="end", summary="Done.")
    assert again.replayed
    assert again.row.state is MissionState.COMPLETED
    assert (await world.event_types(row.mission_id)).count("completed") == 1


@pytest.mark.parametrize(
    ("trigger", "said"),
    [
        (MissionTrigger.REPORT, {"summary": "Something else."}),
        (MissionTrigger.FAIL, {"summary": "Half way."}),
        (MissionTrigger.COMPLETE, {"summary": "Half way."}),
    ],
)
async def test_a_reports_key_stands_for_one_report(world: World, trigger: MissionTrigger, said: dict[str, str]) -> None:
    runtime = await world.working_lane()
    await world.dispatch()
    row = await runtime.claim_one()
    await runtime.report(row, key="r-1", summary="Half way.")
    with refused(ErrorCode.EVENT_KEY_REUSED):
        await runtime.say(row, trigger, key="r-1", receipt={}, **said)


async def test_a_failure_for_another_reason_is_another_report(world: World) -> None:
    runtime = await world.working_lane()
    await world.dispatch()
    row = await runtime.claim_one()
    await runtime.fail(row, key="end", reason=ReasonCode.EXECUTOR_ERROR)
    assert (await runtime.fail(row, key="end", reason=ReasonCode.EXECUTOR_ERROR)).replayed
    with refused(ErrorCode.EVENT_KEY_REUSED):
        await runtime.fail(row, key="end", reason=ReasonCode.TOOL_FORBIDDEN)


async def test_one_key_may_stand_for_reports_of_different_missions(world: World) -> None:
    runtime = await world.working_lane(parallel_missions=2)
    await world.dispatch()
    await world.dispatch()
    for row in await runtime.claim(2):
        assert not (await runtime.report(row, key="r-1")).replayed


async def test_nothing_is_reported_about_what_has_ended(world: World) -> None:
    runtime = await world.working_lane()
    await world.dispatch()
    row = await runtime.claim_one()
    await runtime.complete(row)
    before = await world.events(row.mission_id)
    for said in (runtime.report(row), runtime.complete(row), runtime.fail(row)):
        with refused(ErrorCode.MISSION_TERMINAL):
            await said
    assert await world.events(row.mission_id) == before


async def test_usage_never_falls(world: World) -> None:
    runtime = await world.working_lane()
    await world.dispatch()
    row = await runtime.claim_one()
    await runtime.report(row, usage={"llm_calls": 5, "cost_microusd": 10})
    with refused(ErrorCode.USAGE_DECREASED):
        await runtime.report(row, usage={"llm_calls": 4})
    with refused(ErrorCode.USAGE_DECREASED):
        await runtime.complete(row, usage={"cost_microusd": 9})
    assert (await world.row(row.mission_id)).usage == {"llm_calls": 5, "cost_microusd": 10}


async def test_a_report_over_the_budget_is_kept_and_blocks_until_more_is_given(world: World) -> None:
    runtime = await world.working_lane()
    await world.dispatch(budget={"max_llm_calls": 3})
    row = await runtime.claim_one()
    assert (await runtime.report(row, usage={"llm_calls": 3})).row.state is MissionState.RUNNING
    stepped = await runtime.report(row, usage={"llm_calls": 4}, key="r-2")
    assert (stepped.row.state, stepped.row.reason_code, stepped.row.holder) == (
        MissionState.BLOCKED,
        ReasonCode.BUDGET_EXHAUSTED,
        Holder.LANE,
    )
    with refused(ErrorCode.DOCUMENT_INVALID):
        await world.approve(row.mission_id)
    raised = await world.approve(row.mission_id, max_llm_calls=10)
    assert (raised.row.state, raised.row.attempt) == (MissionState.RUNNING, 1)
    assert await world.event_types(row.mission_id) == [
        *["dispatched", "accepted", "progress", "progress", "blocked"],
        *["budget_changed", "resumed"],
    ]


async def test_an_operators_word_may_be_repeated_by_its_key_too(world: World) -> None:
    runtime = await world.working_lane()
    await world.dispatch(budget={"max_llm_calls": 3})
    row = await runtime.claim_one()
    await runtime.report(row, usage={"llm_calls": 4})
    said = {"idempotency_key": "op-1", "content": {"max_llm_calls": 10}}
    first = await world.step(row.mission_id, MissionTrigger.APPROVE, OPERATOR, **said)
    again = await world.step(row.mission_id, MissionTrigger.APPROVE, OPERATOR, **said)
    assert (first.replayed, again.replayed) == (False, True)
    assert (await world.event_types(row.mission_id)).count("resumed") == 1


async def test_a_denied_mission_fails_for_that_reason(world: World) -> None:
    runtime = await world.working_lane()
    await world.dispatch()
    row = await runtime.claim_one()
    await runtime.block(row)
    denied = await world.step(row.mission_id, MissionTrigger.DENY, OPERATOR)
    assert (denied.row.state, denied.row.reason_code) == (MissionState.FAILED, ReasonCode.APPROVAL_DENIED)


async def test_only_its_lane_may_complete_a_mission(world: World) -> None:
    runtime = await world.working_lane()
    await world.dispatch()
    row = await runtime.claim_one()
    with refused(ErrorCode.ACTOR_NOT_PERMITTED):
        await world.step(row.mission_id, MissionTrigger.COMPLETE, OPERATOR)


async def test_nobody_reports_about_a_mission_that_is_unknown(world: World) -> None:
    runtime = await world.working_lane()
    await world.dispatch()
    row = await runtime.claim_one()
    with refused(ErrorCode.MISSION_UNKNOWN):
        await runtime.report(replace(row, mission_id="m-none"))
