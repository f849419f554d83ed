"""Where two rows could answer, and where a command could slip through a gap between them."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from dragancorp.lifecycle.commands import By
from dragancorp.lifecycle.mission import follow_up
from dragancorp_contracts.errors import ErrorCode
from dragancorp_contracts.lifecycle import MISSION_TRANSITIONS, Actor, Holder, MissionKind, MissionState, SessionState
from dragancorp_contracts.lifecycle import MissionTrigger as Does
from dragancorp_contracts.lifecycle import ReasonCode as Why
from dragancorp_contracts.lifecycle import SessionTrigger as SessionDoes

from .lane_world import (
    EPOCH,
    NOW,
    awaiting_fallback,
    blocked,
    by,
    cancel_asked,
    changed,
    command,
    draft,
    facts,
    queued,
    refused,
    running,
    session,
    session_command,
    session_facts,
    suspended,
    with_primary,
)

LANE, PRIMARY, OPERATOR, RECONCILER = Actor.LANE, Actor.PRIMARY, Actor.OPERATOR, Actor.RECONCILER


def test_cancelling_rows_stand_before_those_of_time_those_before_recovery_and_that_before_all_others() -> None:
    ranks = [{"C": 0, "T": 1, "R": 2}.get(row.id[0], 3) for row in MISSION_TRANSITIONS]
    assert ranks == sorted(ranks)


@pytest.mark.parametrize("kind", list(MissionKind))
def test_a_lost_lease_ends_a_mission_whose_cancel_was_asked_instead_of_queueing_it_again(kind: MissionKind) -> None:
    for row in (cancel_asked(running(kind)), cancel_asked(blocked(kind))):
        assert changed(row, command(Does.LEASE_LOST, RECONCILER, row), facts()).transition == "C4"


@pytest.mark.parametrize("trigger", [Does.COMPLETE, Does.FAIL, Does.HAND_BACK, Does.STOPPED])
def test_whatever_a_holder_ends_with_after_the_cancel_it_is_cancelled(trigger: Does) -> None:
    for row, actor in (
        (cancel_asked(running(MissionKind.DELEGATED)), LANE),
        (cancel_asked(running(MissionKind.SHADOW)), LANE),
        (cancel_asked(blocked()), LANE),
        (cancel_asked(with_primary()), PRIMARY),
    ):
        change = changed(row, command(trigger, actor, row, reason=Why.EXECUTOR_ERROR), facts(receipt=False))
        assert (change.transition, change.row.state) == ("C3", MissionState.CANCELLED)


def test_no_fallback_follows_a_cancel() -> None:
    row = cancel_asked(running(MissionKind.DELEGATED))
    for trigger, actor in ((Does.FAIL, LANE), (Does.HAND_BACK, LANE), (Does.LEASE_LOST, RECONCILER)):
        assert changed(row, command(trigger, actor, row), facts()).row.state is MissionState.CANCELLED
    assert refused(row, command(Does.IDLE, RECONCILER, row), facts()) is ErrorCode.TRANSITION_REFUSED


def test_an_operator_cannot_put_a_mission_back_to_work_that_awaits_its_fallback() -> None:
    row = awaiting_fallback()
    for trigger in (Does.APPROVE, Does.DENY):
        assert refused(row, command(trigger, OPERATOR, row), facts()) is ErrorCode.TRANSITION_REFUSED


def test_a_lane_cannot_give_itself_a_fallback_by_blocking_for_one() -> None:
    for kind in (MissionKind.DISPATCHED, MissionKind.DELEGATED):
        row = running(kind)
        asked = command(Does.BLOCK, LANE, row, reason=Why.AWAITING_FALLBACK)
        assert refused(row, asked, facts()) is ErrorCode.DOCUMENT_INVALID


@pytest.mark.parametrize("reason", list(Why))
def test_the_end_of_a_mission_is_not_lost_over_the_reason_its_executor_gives(reason: Why) -> None:
    for kind in MissionKind:
        row = running(kind)
        after = changed(row, command(Does.FAIL, LANE, row, reason=reason), facts()).row
        assert after.state is not MissionState.RUNNING


def test_a_failure_without_a_reason_is_an_error_of_the_executor_and_has_its_fallback() -> None:
    row = running(MissionKind.DELEGATED)
    change = changed(row, command(Does.FAIL, LANE, row), facts())
    assert (change.transition, change.row.cause) == ("M7", Why.EXECUTOR_ERROR)


def test_a_denial_without_a_reason_takes_it_from_what_was_wanted() -> None:
    for wanted, why in ((Why.BUDGET_EXHAUSTED, Why.BUDGET_DENIED), (Why.LOGIN_WANTED, Why.APPROVAL_DENIED)):
        row = suspended(reason_code=wanted)
        assert changed(row, command(Does.DENY, OPERATOR, row), facts()).row.reason_code is why


def test_a_suspended_mission_that_is_approved_waits_in_the_queue_and_resumes_in_a_new_attempt() -> None:
    row = blocked()
    row = changed(row, command(Does.SUSPEND, LANE, row), facts()).row
    assert (row.state, row.holder, row.reason_code) == (MissionState.BLOCKED, Holder.NONE, Why.APPROVAL_WANTED)
    assert row.approval_expires_at == blocked().approval_expires_at
    row = changed(row, command(Does.APPROVE, OPERATOR, row), facts()).row
    assert (row.state, row.resume, row.attempt) == (MissionState.QUEUED, True, 1)
    row = changed(row, command(Does.CLAIM, LANE, row), facts()).row
    assert (row.state, row.attempt, row.resume) == (MissionState.RUNNING, 2, True)


def test_a_lane_that_gave_up_its_slot_cannot_go_on_with_its_old_fence() -> None:
    held = blocked()
    row = changed(held, command(Does.SUSPEND, LANE, held), facts()).row
    row = changed(row, command(Does.APPROVE, OPERATOR, row), facts()).row
    assert refused(row, command(Does.REPORT, LANE, held), facts()) is ErrorCode.STALE_EPOCH


def test_the_time_of_a_blocked_mission_runs_out_and_its_holder_is_let_go() -> None:
    row = blocked()
    after = changed(row, command(Does.TIME_OVER, RECONCILER, row, reason=Why.DEADLINE_PASSED), facts()).row
    assert (after.state, after.holder, after.hold_expires_at) == (MissionState.TIMED_OUT, Holder.NONE, None)
    assert refused(after, command(Does.APPROVE, OPERATOR, row), facts()) is ErrorCode.MISSION_TERMINAL


def test_the_hold_of_a_blocked_mission_and_the_wait_for_a_fallback_run_out_each_in_its_own_way() -> None:
    held, waiting = blocked(), awaiting_fallback(hold_expires_at=NOW)
    expired, suspend = Does.FALLBACK_EXPIRED, Does.SUSPEND
    assert refused(held, command(expired, RECONCILER, held), facts()) is ErrorCode.TRANSITION_REFUSED
    assert refused(waiting, command(suspend, RECONCILER, waiting), facts()) is ErrorCode.TRANSITION_REFUSED
    assert changed(held, command(suspend, RECONCILER, held), facts()).transition == "B4"
    assert changed(waiting, command(expired, RECONCILER, waiting), facts()).row.reason_code is Why.EXECUTOR_CRASHED


def test_the_reconciler_hits_the_attempt_it_has_read_and_no_other() -> None:
    read = running()
    row = running(attempt=2)
    for trigger in (Does.LEASE_LOST, Does.IDLE, Does.TIME_OVER, Does.CANCEL_DEADLINE, Does.HOLD_EXPIRED):
        assert refused(row, command(trigger, RECONCILER, read), facts()) is ErrorCode.STALE_EPOCH


def test_an_end_with_figures_that_went_back_is_taken_and_what_was_used_stays_used() -> None:
    content = {"usage": {"llm_calls": 1, "output_tokens": 40}}
    for row, trigger, actor in (
        (running(), Does.FAIL, LANE),
        (cancel_asked(running()), Does.STOPPED, LANE),
        (with_primary(), Does.COMPLETE, PRIMARY),
    ):
        after = changed(row, command(trigger, actor, row, content=content), facts()).row
        assert after.usage == {"llm_calls": 3, "cost_microusd": 500, "output_tokens": 40}


def test_the_ledger_says_why_the_primary_path_took_over_whatever_the_gateway_believes() -> None:
    row = awaiting_fallback(cause=Why.LEASE_LOST)
    (event,) = changed(row, command(Does.TAKE_FALLBACK, Actor.GATEWAY, row), facts()).events
    assert event["fallback"] == {"reason": "lease_lost", "path": "primary"}
    row = queued(MissionKind.DELEGATED)
    for reason, said in ((None, "start_timeout"), (Why.LANE_DRAINING, "lane_draining")):
        (event,) = changed(row, command(Does.START_TIMEOUT, Actor.GATEWAY, row, reason=reason), facts()).events
        assert event["fallback"]["reason"] == said


def test_the_ledger_says_why_the_end_of_a_running_mission_was_asked_for() -> None:
    row = running()
    change = changed(row, command(Does.CANCEL, Actor.GATEWAY, row, reason=Why.CALLER_GONE), facts())
    assert change.events[0]["reason_code"] == "caller_gone"
    assert change.row.reason_code is None


def test_an_error_longer_than_the_contract_takes_is_cut_to_it() -> None:
    row = awaiting_fallback()
    content = {"path": "code-writer", "error": "x" * 9000}
    (event,) = changed(row, command(Does.TAKE_FALLBACK, Actor.GATEWAY, row, content=content), facts()).events
    assert len(event["fallback"]["error"]) == 8000


def test_a_raised_budget_is_said_before_the_mission_goes_on() -> None:
    row = blocked(reason_code=Why.BUDGET_EXHAUSTED, max_llm_calls=2)
    change = changed(row, command(Does.APPROVE, OPERATOR, row, content={"max_llm_calls": 10}), facts())
    assert [event["type"] for event in change.events] == ["vp.mission.budget_changed", "vp.mission.resumed"]
    assert [event["sequence"] for event in change.events] == [2, 3]
    assert change.row.max_llm_calls == 10


def test_a_report_over_the_budget_is_followed_by_a_stop_that_the_table_takes() -> None:
    row = running(max_llm_calls=4)
    report = command(Does.REPORT, LANE, row, content={"usage": {"llm_calls": 5}})
    reported = changed(row, report, facts()).row
    stop = follow_up(reported, report)
    assert stop is not None
    change = changed(reported, stop, facts())
    assert (change.transition, change.row.reason_code) == ("B1", Why.BUDGET_EXHAUSTED)


def test_a_report_at_the_limit_of_the_budget_is_followed_by_nothing() -> None:
    row = running(max_llm_calls=5)
    report = command(Does.REPORT, LANE, row, content={"usage": {"llm_calls": 5}})
    assert follow_up(changed(row, report, facts()).row, report) is None


def test_neither_the_primary_path_nor_a_mission_about_to_be_cancelled_is_stopped_at_its_budget() -> None:
    for row, actor in ((with_primary(max_llm_calls=4), PRIMARY), (cancel_asked(running(max_llm_calls=4)), LANE)):
        report = command(Does.REPORT, actor, row, content={"usage": {"llm_calls": 5}})
        assert follow_up(changed(row, report, facts()).row, report) is None


def test_a_mission_that_must_be_approved_first_is_held_in_the_same_breath() -> None:
    dispatch = command(Does.DISPATCH, Actor.CALLER, draft(), content={"hold_for_approval": True})
    row = changed(draft(), dispatch, facts()).row
    hold = follow_up(row, dispatch)
    assert hold is not None
    assert changed(row, hold, facts()).transition == "M2"


def test_run_time_is_counted_over_all_attempts_and_not_while_blocked() -> None:
    row = running(attempt_started_at=NOW - timedelta(seconds=60))
    row = changed(row, command(Does.BLOCK, LANE, row, reason=Why.INPUT_WANTED), facts()).row
    row = changed(row, command(Does.APPROVE, OPERATOR, row), facts(), NOW + timedelta(hours=1)).row
    ended = NOW + timedelta(hours=1, seconds=30)
    assert row.runtime_at(ended) == 90.0
    assert changed(row, command(Does.COMPLETE, LANE, row), facts(), ended).row.runtime_seconds == 90.0


def test_a_clock_that_jumped_back_makes_no_negative_figures() -> None:
    row = running()
    (event,) = changed(row, command(Does.COMPLETE, LANE, row), facts(), NOW - timedelta(days=1)).events
    assert event["latency_seconds"] == 0.0


def test_an_event_is_dated_in_utc_whatever_zone_the_clock_is_in() -> None:
    abroad = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))
    row = running()
    (event,) = changed(row, command(Does.REPORT, LANE, row), facts(), abroad).events
    assert event["emitted_at"] == "2026-03-01T12:00:00.000000Z"
    assert datetime.fromisoformat(event["emitted_at"]) == NOW


def test_the_ledger_names_who_came_why_and_which_way() -> None:
    person = By(kind=OPERATOR, name="ann", reason="wrong branch", way="cli")
    row = running()
    (event,) = changed(row, replace(command(Does.CANCEL, OPERATOR, row), by=person), facts()).events
    assert event["actor"] == {"kind": "operator", "name": "ann", "reason": "wrong branch", "way": "cli"}
    assert by(LANE).as_json() == {"kind": "lane", "name": "host-7f3a"}


# Sessions


def test_a_paused_lane_stays_paused_whoever_comes_and_goes() -> None:
    row = session(SessionState.PAUSED, held=False)
    for asked, known in (
        (session_command(SessionDoes.ACQUIRE, LANE), session_facts()),
        (session_command(SessionDoes.READY, LANE, lease_epoch=EPOCH + 1, outcome="resumed"), session_facts()),
        (session_command(SessionDoes.RENEW, LANE, lease_epoch=EPOCH + 1), session_facts()),
        (session_command(SessionDoes.LEASE_LOST, RECONCILER), session_facts(observed_expired=True)),
    ):
        row = changed(row, asked, known).row
        assert row.status is SessionState.PAUSED
        waiting = queued()
        assert refused(waiting, command(Does.CLAIM, LANE, waiting), facts(session=row)) is ErrorCode.LANE_PAUSED
    assert changed(row, session_command(SessionDoes.RESUME, OPERATOR), session_facts()).row.status is SessionState.IDLE


def test_a_drain_is_announced_once_however_often_it_is_asked_for() -> None:
    drain, drained = session_command(SessionDoes.DRAIN, OPERATOR), session_command(SessionDoes.DRAINED, Actor.STORE)
    row = changed(session(), drain, session_facts()).row
    row = changed(row, drain, session_facts()).row
    row = changed(row, drained, session_facts()).row
    row = changed(row, drain, session_facts()).row
    assert refused(row, drained, session_facts()) is ErrorCode.TRANSITION_REFUSED


def test_a_reset_fences_the_holder() -> None:
    row = changed(session(), session_command(SessionDoes.RESET, OPERATOR), session_facts(held_missions=1)).row
    assert (row.status, row.held, row.lease_epoch) == (SessionState.IDLE, False, EPOCH + 1)
    for trigger in (SessionDoes.RENEW, SessionDoes.RELEASE, SessionDoes.READY, SessionDoes.RECOVER):
        assert refused(row, session_command(trigger, LANE), session_facts()) is ErrorCode.STALE_EPOCH
    held = running()
    assert refused(held, command(Does.COMPLETE, LANE, held), facts(session=row)) is ErrorCode.STALE_EPOCH


def test_a_lease_that_lapsed_by_the_wall_clock_alone_is_still_good() -> None:
    later = NOW + timedelta(days=1)
    row = changed(session(), session_command(SessionDoes.RENEW, LANE), session_facts(), later).row
    assert (row.beat, row.lease_epoch) == (8, EPOCH)
    lost = session_command(SessionDoes.LEASE_LOST, RECONCILER)
    assert refused(session(), lost, session_facts(), later) is ErrorCode.TRANSITION_REFUSED
