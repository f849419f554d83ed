"""A directed search over bounded rows, commands and facts: what can be reached, and that everything has an answer."""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from dragancorp.lifecycle import Change, Refusal, decide
from dragancorp.lifecycle.commands import MissionCommand, SessionCommand
from dragancorp.lifecycle.facts import MissionFacts, SessionFacts
from dragancorp.lifecycle.rows import MissionRow, SessionRow
from dragancorp_contracts.errors import ErrorCode
from dragancorp_contracts.lifecycle import (
    MISSION_TRANSITIONS,
    SESSION_TRANSITIONS,
    TERMINAL_MISSION_STATES,
    TRIGGER_REASONS,
    Actor,
    MissionKind,
    MissionState,
    MissionTrigger,
    ReasonCode,
    SessionState,
    SessionTrigger,
)

from .lane_world import (
    NOW,
    POLICY,
    awaiting_fallback,
    blocked,
    cancel_asked,
    changed,
    command,
    draft,
    ended,
    facts,
    queued,
    running,
    session,
    session_command,
    session_draft,
    session_facts,
    suspended,
    with_primary,
)
from .promises import mission_kept_its_promises, session_kept_its_promises

MOST_ATTEMPTS = 2
MOST_EPOCHS = 3
REASONS = {
    MissionTrigger.BLOCK: (ReasonCode.APPROVAL_WANTED, ReasonCode.BUDGET_EXHAUSTED),
    MissionTrigger.FAIL: (ReasonCode.EXECUTOR_ERROR, ReasonCode.TOOL_FORBIDDEN),
    MissionTrigger.TIME_OVER: (ReasonCode.DEADLINE_PASSED,),
}
LATER = NOW + timedelta(days=2)  # beyond every hold and every time for a decision
WHEN_TIME_IS_OVER = {
    MissionTrigger.FALLBACK_EXPIRED,
    MissionTrigger.HOLD_EXPIRED,
    MissionTrigger.APPROVAL_EXPIRED,
}
LEASE_LOST_FACTS = (
    facts(),
    facts(lane=replace(POLICY, retry=False)),
    facts(lane=replace(POLICY, max_attempts=1)),
)


def permitted(table: Any, trigger: Any) -> list[Actor]:
    """The roles that some row lets pull the trigger."""
    return sorted({actor for row in table if trigger in row.triggers for actor in row.who})


def mission_commands(row: MissionRow) -> Iterator[tuple[MissionCommand, MissionFacts]]:
    for trigger in MissionTrigger:
        known = LEASE_LOST_FACTS if trigger is MissionTrigger.LEASE_LOST else (facts(),)
        for actor, reason, one in product(
            permitted(MISSION_TRANSITIONS, trigger), REASONS.get(trigger, (None,)), known
        ):
            yield command(trigger, actor, row, reason=reason), one


def mission_key(row: MissionRow) -> tuple[Any, ...]:
    return (
        row.last_sequence == 0,
        row.kind,
        row.state,
        row.attempt,
        row.failures,
        row.holder,
        row.cancel_requested_at is None,
        row.reason_code,
        row.cause,
        row.resume,
        row.hold_expires_at is None,
        row.not_before is None,
        row.fallback,
    )


def session_commands(row: SessionRow) -> Iterator[tuple[SessionCommand, SessionFacts]]:
    for trigger in SessionTrigger:
        for actor, outcome in product(permitted(SESSION_TRANSITIONS, trigger), (None, "resumed", "replaced")):
            asked = session_command(trigger, actor, lease_epoch=row.lease_epoch, outcome=outcome, error="late")
            for held, expired in product((0, 1), (False, True)):
                yield asked, session_facts(held_missions=held, unfinished_missions=held, observed_expired=expired)


def session_key(row: SessionRow) -> tuple[Any, ...]:
    return (
        row.last_sequence == 0,
        row.status,
        row.held,
        row.lease_epoch,
        row.drain_open,
        row.last_error,
        row.executor_session_id,
    )


def search(starts: list[Any], commands: Any, key: Any, kept: Any, within: Any) -> tuple[set[str], list[Any]]:
    """Breadth first from the drafts: the ids of all rows taken, and one example of every distinguishable row."""
    taken: set[str] = set()
    seen = {key(start): start for start in starts}
    waiting = deque(starts)
    while waiting:
        row = waiting.popleft()
        for asked, known in commands(row):
            answer = decide(row, asked, known, LATER if asked.trigger in WHEN_TIME_IS_OVER else NOW)
            if isinstance(answer, Refusal):
                continue
            kept(row, answer)
            taken.add(answer.transition)
            if within(answer.row) and key(answer.row) not in seen:
                seen[key(answer.row)] = answer.row
                waiting.append(answer.row)
    return taken, list(seen.values())


@pytest.fixture(scope="module")
def missions() -> tuple[set[str], list[Any]]:
    return search(
        [draft(kind) for kind in MissionKind],
        mission_commands,
        mission_key,
        mission_kept_its_promises,
        within=lambda row: row.attempt <= MOST_ATTEMPTS and row.failures <= MOST_ATTEMPTS,
    )


@pytest.fixture(scope="module")
def sessions() -> tuple[set[str], list[Any]]:
    return search(
        [session_draft()],
        session_commands,
        session_key,
        session_kept_its_promises,
        within=lambda row: row.lease_epoch <= MOST_EPOCHS,
    )


def test_every_row_of_the_mission_table_can_be_taken(missions: tuple[set[str], list[Any]]) -> None:
    assert missions[0] == {row.id for row in MISSION_TRANSITIONS}


def test_every_row_of_the_session_table_can_be_taken(sessions: tuple[set[str], list[Any]]) -> None:
    assert sessions[0] == {row.id for row in SESSION_TRANSITIONS}


def test_every_state_of_a_mission_is_reachable(missions: tuple[set[str], list[Any]]) -> None:
    assert {row.state for row in missions[1]} == set(MissionState)


def test_every_state_of_a_session_is_reachable(sessions: tuple[set[str], list[Any]]) -> None:
    assert {row.status for row in sessions[1]} == set(SessionState)


def test_a_mission_can_always_be_cancelled(missions: tuple[set[str], list[Any]]) -> None:
    for row in missions[1]:
        if row.last_sequence == 0 or row.terminal:
            continue
        asked = changed(row, command(MissionTrigger.CANCEL, Actor.OPERATOR, row), facts()).row
        if not asked.terminal:
            asked = changed(asked, command(MissionTrigger.CANCEL_DEADLINE, Actor.RECONCILER, asked), facts()).row
        assert asked.state is MissionState.CANCELLED, row


def test_a_cancel_that_was_asked_for_is_kept_by_its_deadline_wherever_the_mission_stands(
    missions: tuple[set[str], list[Any]],
) -> None:
    asked = [row for row in missions[1] if row.cancel_requested_at is not None and not row.terminal]
    lost = [
        row
        for row in asked
        if isinstance(
            decide(row, command(MissionTrigger.CANCEL_DEADLINE, Actor.RECONCILER, row), facts(), NOW), Refusal
        )
    ]
    assert asked
    assert lost == []


def standing_missions() -> list[MissionRow]:
    """One mission for every situation that the guards tell apart."""
    rows: list[MissionRow] = [with_primary(), awaiting_fallback(), *(ended(state) for state in TERMINAL_MISSION_STATES)]
    for kind in MissionKind:
        rows += [draft(kind), queued(kind), running(kind), blocked(kind), suspended(kind)]
    return rows + [cancel_asked(row) for row in rows if row.last_sequence and not row.terminal]


def test_every_state_and_command_of_a_mission_has_an_answer() -> None:
    lost = facts(lane=None, session=None)
    for row, trigger, actor in product(standing_missions(), MissionTrigger, Actor):
        right = command(trigger, actor, row)
        bare = replace(right, fence=None, attempt_as_read=None)
        stale = replace(bare, attempt_as_read=row.attempt + 1)
        for asked, known in product((right, bare, stale), (facts(), lost)):
            answer = decide(row, asked, known, NOW)
            if isinstance(answer, Change):
                mission_kept_its_promises(row, answer)
                assert row.last_sequence or trigger is MissionTrigger.DISPATCH
            else:
                assert answer.code in ErrorCode
                assert answer.detail
            if row.terminal:
                assert isinstance(answer, Refusal)
                assert answer.code is ErrorCode.MISSION_TERMINAL


def test_every_reason_has_an_answer_wherever_it_is_given() -> None:
    standing = [row for row in standing_missions() if not row.terminal]
    for row, trigger, reason in product(standing, TRIGGER_REASONS, ReasonCode):
        for actor in permitted(MISSION_TRANSITIONS, trigger):
            answer = decide(row, command(trigger, actor, row, reason=reason), facts(), NOW)
            if isinstance(answer, Change):
                mission_kept_its_promises(row, answer)


def test_every_state_and_command_of_a_session_has_an_answer() -> None:
    rows = [session_draft()]
    rows += [session(status) for status in (SessionState.ACTIVE, SessionState.RECOVERING)]
    rows += [session(status, held=False) for status in (SessionState.IDLE, SessionState.RETIRED)]
    rows += [
        session(status, held=held) for status in (SessionState.PAUSED, SessionState.DEGRADED) for held in (True, False)
    ]
    for row, trigger, actor in product(rows, SessionTrigger, Actor):
        right = session_command(trigger, actor)
        for asked in (right, replace(right, lease_epoch=row.lease_epoch - 1), replace(right, owner=None)):
            answer = decide(row, asked, session_facts(observed_expired=True), NOW)
            if isinstance(answer, Change):
                session_kept_its_promises(row, answer)
                assert row.last_sequence or trigger is SessionTrigger.CONFIGURE
            if row.status is SessionState.RETIRED:
                assert isinstance(answer, Refusal)
                assert answer.code is ErrorCode.LANE_RETIRED
