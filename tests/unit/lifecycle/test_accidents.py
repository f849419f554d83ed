"""Accidents that happened in running systems of this kind, as far as the core could have kept them out."""

from dataclasses import replace
from datetime import timedelta

from dragancorp.lifecycle.rows import MissionRow
from dragancorp_contracts.errors import ErrorCode
from dragancorp_contracts.lifecycle import Actor, Holder, MissionKind, MissionState, ReasonCode, SessionState
from dragancorp_contracts.lifecycle import MissionTrigger as Does
from dragancorp_contracts.lifecycle import SessionTrigger as SessionDoes

from .lane_world import (
    EPOCH,
    NOW,
    POLICY,
    cancel_asked,
    changed,
    command,
    draft,
    facts,
    fence_of,
    queued,
    refused,
    running,
    session,
    session_command,
    session_facts,
    suspended,
)

MINUTE = timedelta(minutes=1)


def test_a_zombie_worker_cannot_finish_a_mission_that_another_has_taken() -> None:
    zombie = running()
    requeued = changed(zombie, command(Does.LEASE_LOST, Actor.RECONCILER, zombie), facts()).row
    successor = session(lease_owner="host-successor", lease_epoch=EPOCH + 2)
    taken = changed(
        requeued,
        command(Does.CLAIM, Actor.LANE, requeued, fence=replace(fence_of(requeued), lease_epoch=EPOCH + 2)),
        facts(session=successor),
        NOW + MINUTE,
    ).row
    assert (taken.attempt, taken.lease_epoch) == (2, EPOCH + 2)
    for ending in (Does.COMPLETE, Does.FAIL, Does.HAND_BACK, Does.REPORT, Does.STOPPED, Does.TIME_OVER, Does.BLOCK):
        late = command(ending, Actor.LANE, zombie)
        assert refused(requeued, late, facts()) is ErrorCode.STALE_EPOCH
        assert refused(taken, late, facts(session=successor)) is ErrorCode.STALE_EPOCH
    assert changed(taken, command(Does.COMPLETE, Actor.LANE, taken), facts(session=successor)).transition == "M5"


def test_a_worker_whose_lease_was_taken_over_is_a_zombie_before_its_mission_was_looked_at() -> None:
    mission = running()
    taken_over = facts(session=session(SessionState.RECOVERING, lease_epoch=EPOCH + 1))
    assert refused(mission, command(Does.COMPLETE, Actor.LANE, mission), taken_over) is ErrorCode.STALE_EPOCH


def test_a_lane_cannot_speak_for_the_primary_path_that_took_over() -> None:
    with_primary = replace(running(MissionKind.DELEGATED), attempt=2, holder=Holder.PRIMARY)
    for ending in (Does.COMPLETE, Does.FAIL, Does.REPORT, Does.TIME_OVER):
        borrowed = command(ending, Actor.LANE, with_primary, reason=ReasonCode.MAX_RUNTIME_EXCEEDED)
        assert refused(with_primary, borrowed, facts()) is ErrorCode.STALE_EPOCH


def test_a_holder_without_its_fence_is_not_believed_for_knowing_the_attempt() -> None:
    mission = running()
    bare = command(Does.COMPLETE, Actor.LANE, mission, fence=None, attempt_as_read=mission.attempt)
    assert refused(mission, bare, facts()) is ErrorCode.STALE_EPOCH


def test_two_workers_cannot_run_one_mission() -> None:
    mission = changed(queued(), command(Does.CLAIM, Actor.LANE, queued()), facts()).row
    assert refused(mission, command(Does.CLAIM, Actor.LANE, queued()), facts()) is ErrorCode.TRANSITION_REFUSED


def test_a_cancelled_mission_never_comes_back() -> None:
    cancelled = changed(queued(), command(Does.CANCEL, Actor.CALLER, queued()), facts()).row
    for trigger in Does:
        for actor in Actor:
            asked = command(trigger, actor, cancelled)
            assert refused(cancelled, asked, facts(), NOW + MINUTE) is ErrorCode.MISSION_TERMINAL


def test_a_cancel_of_a_queued_mission_ends_it_at_once_with_no_worker_alive() -> None:
    nobody = facts(session=session(SessionState.DEGRADED, held=False))
    for row in (queued(), queued(MissionKind.DELEGATED), queued(MissionKind.SHADOW), suspended()):
        change = changed(row, command(Does.CANCEL, Actor.CALLER, row), nobody)
        assert (change.transition, change.row.state) == ("C1", MissionState.CANCELLED)
        assert change.row.finished_at == NOW


def test_a_poison_mission_is_parked_when_it_has_ended_its_worker_too_often() -> None:
    row: MissionRow = queued()
    now = NOW
    waits = []
    for _ in range(POLICY.max_attempts):
        row = changed(row, command(Does.CLAIM, Actor.LANE, row), facts(), now).row
        row = changed(row, command(Does.LEASE_LOST, Actor.RECONCILER, row), facts(), now).row
        if row.not_before is not None and not row.terminal:
            waits.append((row.not_before - now).total_seconds())
            early = command(Does.CLAIM, Actor.LANE, row)
            assert refused(row, early, facts(), now) is ErrorCode.TRANSITION_REFUSED
            now = row.not_before
    assert (row.state, row.reason_code, row.parked) == (MissionState.FAILED, ReasonCode.ATTEMPTS_EXHAUSTED, True)
    assert (row.attempt, row.failures) == (POLICY.max_attempts, POLICY.max_attempts)
    assert waits == [5.0, 10.0]
    assert refused(row, command(Does.CLAIM, Actor.LANE, row), facts(), now) is ErrorCode.MISSION_TERMINAL


def test_a_mission_handed_back_by_a_draining_lane_is_not_counted_as_poison() -> None:
    row = queued()
    for _ in range(2 * POLICY.max_attempts):
        row = changed(row, command(Does.CLAIM, Actor.LANE, row), facts()).row
        row = changed(row, command(Does.HAND_BACK, Actor.LANE, row), facts()).row
    assert (row.state, row.failures) == (MissionState.QUEUED, 0)


def test_a_completion_after_the_cancel_is_cancelled_and_the_late_result_is_kept() -> None:
    row = cancel_asked(running())
    done = command(
        Does.COMPLETE,
        Actor.LANE,
        row,
        content={"summary": "done after all", "usage": {"llm_calls": 5}, "result": {"tests": "passed"}},
    )
    change = changed(row, done, facts())
    (event,) = change.events
    assert (change.transition, change.row.state) == ("C3", MissionState.CANCELLED)
    assert change.row.completed_via is None
    assert event["late_result"] == {"trigger": "complete", **done.content}
    assert "result" not in event
    assert change.row.usage["llm_calls"] == 5


def test_an_error_reported_after_the_cancel_keeps_its_reason_in_the_late_result() -> None:
    row = cancel_asked(running())
    failed = command(Does.FAIL, Actor.LANE, row, reason=ReasonCode.TOOL_FORBIDDEN)
    (event,) = changed(row, failed, facts()).events
    assert event["late_result"] == {"trigger": "fail", "reason_code": "tool_forbidden"}
    assert event["reason_code"] == "cancel_requested"


def test_a_holder_that_stopped_as_asked_leaves_no_late_result() -> None:
    row = cancel_asked(running())
    (event,) = changed(row, command(Does.STOPPED, Actor.LANE, row), facts()).events
    assert "late_result" not in event


def test_a_cancel_is_kept_when_the_primary_path_that_holds_the_mission_is_gone() -> None:
    row = cancel_asked(replace(running(MissionKind.DELEGATED), holder=Holder.PRIMARY))
    change = changed(row, command(Does.HOLD_EXPIRED, Actor.RECONCILER, row), facts())
    assert (change.transition, change.row.state) == ("C4", MissionState.CANCELLED)


def test_a_mission_left_running_by_a_dead_worker_does_not_stay_running() -> None:
    lost = facts(session=session(SessionState.DEGRADED, held=False, lease_epoch=EPOCH + 1))
    for kind in MissionKind:
        row = running(kind)
        after = changed(row, command(Does.LEASE_LOST, Actor.RECONCILER, row), lost).row
        assert after.state is not MissionState.RUNNING
        assert after.holder is Holder.NONE


def test_two_runtimes_of_one_name_do_not_share_a_lease() -> None:
    """The first is gone without a word; the second, of the same name, gets an epoch of its own."""
    first = changed(
        session(SessionState.IDLE, held=False), session_command(SessionDoes.ACQUIRE, Actor.LANE), session_facts()
    )
    lost = changed(
        first.row, session_command(SessionDoes.LEASE_LOST, Actor.RECONCILER), session_facts(observed_expired=True)
    )
    second = changed(lost.row, session_command(SessionDoes.ACQUIRE, Actor.LANE), session_facts())
    assert first.row.lease_owner == second.row.lease_owner
    renewal = session_command(SessionDoes.RENEW, Actor.LANE, lease_epoch=first.row.lease_epoch)
    assert refused(second.row, renewal, session_facts()) is ErrorCode.STALE_EPOCH
    held = running(lease_epoch=first.row.lease_epoch)
    assert refused(held, command(Does.COMPLETE, Actor.LANE, held), facts(session=second.row)) is ErrorCode.STALE_EPOCH


def test_every_entry_of_a_ledger_has_its_callback_in_the_same_change() -> None:
    row = draft()
    sent = []
    for trigger, actor in (
        (Does.DISPATCH, Actor.CALLER),
        (Does.CLAIM, Actor.LANE),
        (Does.REPORT, Actor.LANE),
        (Does.CANCEL, Actor.CALLER),
        (Does.STOPPED, Actor.LANE),
    ):
        change = changed(row, command(trigger, actor, row), facts())
        assert [entry.body for entry in change.outbox] == list(change.events)
        sent += [(entry.sequence, entry.endpoint) for entry in change.outbox]
        row = change.row
    assert sent == [(sequence, row.callback_url) for sequence in range(1, 6)]
