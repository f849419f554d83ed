"""A lane with several missions, walked at random as its store would drive it; every change keeps its promises."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dragancorp.lifecycle import Change, Refusal, decide
from dragancorp.lifecycle.commands import Fence, MissionCommand, SessionCommand
from dragancorp.lifecycle.facts import LanePolicy, MissionFacts
from dragancorp.lifecycle.mission import follow_up
from dragancorp.lifecycle.rows import MissionRow, SessionRow
from dragancorp_contracts.errors import ErrorCode
from dragancorp_contracts.lifecycle import (
    Actor,
    Holder,
    MissionKind,
    MissionState,
    MissionTrigger,
    ReasonCode,
    SessionState,
    SessionTrigger,
)

from .lane_world import NOW, POLICY, by, command, draft, fence_of, session_draft, session_facts
from .promises import mission_is_sound, mission_kept_its_promises, session_is_sound, session_kept_its_promises

MOST_MISSIONS = 8
WORKERS = ("host-a", "host-b")
HOLDERS_WORDS = (
    MissionTrigger.REPORT,
    MissionTrigger.COMPLETE,
    MissionTrigger.FAIL,
    MissionTrigger.STOPPED,
    MissionTrigger.BLOCK,
    MissionTrigger.HAND_BACK,
    MissionTrigger.SUSPEND,
)
DUE = (
    (MissionTrigger.APPROVE, Actor.OPERATOR),
    (MissionTrigger.DENY, Actor.OPERATOR),
    (MissionTrigger.APPROVAL_EXPIRED, Actor.RECONCILER),
    (MissionTrigger.TAKE_FALLBACK, Actor.GATEWAY),
    (MissionTrigger.FALLBACK_EXPIRED, Actor.RECONCILER),
    (MissionTrigger.START_TIMEOUT, Actor.GATEWAY),
    (MissionTrigger.CANCEL_DEADLINE, Actor.RECONCILER),
    (MissionTrigger.SUSPEND, Actor.RECONCILER),
    (MissionTrigger.HOLD_EXPIRED, Actor.RECONCILER),
    (MissionTrigger.IDLE, Actor.RECONCILER),
)
LANES_REASONS = (ReasonCode.EXECUTOR_ERROR, ReasonCode.EXECUTOR_CRASHED, ReasonCode.TOOL_FORBIDDEN)
CONTENTS = st.sampled_from(
    [{}, {"summary": "half"}, {"usage": {"llm_calls": 2}}, {"usage": {"llm_calls": 9}}, {"max_llm_calls": 20}]
)


class LaneWalk(RuleBasedStateMachine):
    """The registry of one lane, in memory: rows, the present time, and every fence that was ever handed out."""

    def __init__(self) -> None:
        super().__init__()
        self.now: datetime = NOW
        self.policy: LanePolicy = replace(POLICY, parallel_missions=2)
        self.session: SessionRow = session_draft()
        self.missions: dict[str, MissionRow] = {}
        self.fences: list[tuple[str, Fence]] = []

    # What the store does

    def facts(self, **more: Any) -> MissionFacts:
        known = MissionFacts(
            lane=self.policy,
            session=self.session,
            queued=sum(row.state is MissionState.QUEUED for row in self.missions.values()),
            held_by_lane=len(self.held()),
        )
        return replace(known, **more)

    def held(self) -> list[MissionRow]:
        return [row for row in self.missions.values() if row.holder is Holder.LANE]

    def in_state(self, state: MissionState) -> list[MissionRow]:
        return [row for row in self.missions.values() if row.state is state]

    def apply_to_mission(self, row: MissionRow, asked: MissionCommand, **more: Any) -> Change[MissionRow] | Refusal:
        answer = decide(row, asked, self.facts(**more), self.now)
        if isinstance(answer, Refusal):
            return answer
        mission_kept_its_promises(row, answer)
        self.missions[row.mission_id] = answer.row
        if answer.row.holder is not Holder.NONE and answer.row.attempt != row.attempt:
            self.fences.append((row.mission_id, fence_of(answer.row)))
        following = follow_up(answer.row, asked)
        if following is not None:
            then = self.apply_to_mission(answer.row, following, **more)
            assert isinstance(then, Change), f"what must follow was refused: {then}"
        return answer

    def apply_to_session(self, asked: SessionCommand, **more: Any) -> Change[SessionRow] | Refusal:
        unfinished = sum(not row.terminal for row in self.missions.values())
        known = session_facts(held_missions=len(self.held()), unfinished_missions=unfinished, lane=self.policy, **more)
        answer = decide(self.session, asked, known, self.now)
        if isinstance(answer, Refusal):
            return answer
        session_kept_its_promises(self.session, answer)
        if self.session.held and not answer.row.held and asked.trigger is not SessionTrigger.RELEASE:
            for row in self.held():
                lost = command(MissionTrigger.LEASE_LOST, Actor.RECONCILER, row)
                assert isinstance(self.apply_to_mission(row, lost), Change)
        self.session = answer.row
        return answer

    def holder_says(self, trigger: SessionTrigger, **more: Any) -> SessionCommand:
        owner, epoch = self.session.lease_owner, self.session.lease_epoch
        return SessionCommand(
            trigger=trigger, by=by(Actor.LANE), owner=owner, lease_epoch=epoch, vp_runtime_id=owner, **more
        )

    # What happens

    @initialize(kinds=st.lists(st.sampled_from(MissionKind), min_size=1, max_size=3))
    def the_lane_starts_with_missions_waiting(self, kinds: list[MissionKind]) -> None:
        asked = SessionCommand(trigger=SessionTrigger.CONFIGURE, by=by(Actor.CONTROL_PLANE))
        assert isinstance(self.apply_to_session(asked), Change)
        self.acquire(WORKERS[0])
        for kind in kinds:
            self.dispatch(kind, hold=False, limit=5)

    @rule(seconds=st.sampled_from([1, 30, 600]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @precondition(lambda self: len(self.missions) < MOST_MISSIONS)
    @rule(
        kind=st.sampled_from(MissionKind), hold=st.sampled_from([False, False, True]), limit=st.sampled_from([None, 5])
    )
    def dispatch(self, kind: MissionKind, hold: bool, limit: int | None) -> None:
        number = len(self.missions) + 1
        new = draft(kind, mission_id=f"m-{number}", created_at=self.now, updated_at=self.now, max_llm_calls=limit)
        asked = command(MissionTrigger.DISPATCH, Actor.CALLER, new, content={"hold_for_approval": hold})
        answer = self.apply_to_mission(new, asked)
        retired = self.session.status is SessionState.RETIRED
        assert isinstance(answer, Refusal) == retired

    @rule(worker=st.sampled_from(WORKERS))
    def acquire(self, worker: str) -> None:
        asked = SessionCommand(
            trigger=SessionTrigger.ACQUIRE, by=by(Actor.LANE), owner=worker, vp_runtime_id=worker, lease_epoch=None
        )
        before = self.session
        answer = self.apply_to_session(asked)
        if before.held:
            assert isinstance(answer, Refusal)
            assert answer.code is ErrorCode.LEASE_HELD

    @precondition(lambda self: self.session.held)
    @rule(
        trigger=st.sampled_from(
            [
                SessionTrigger.RENEW,
                SessionTrigger.RELEASE,
                SessionTrigger.READY,
                SessionTrigger.RECOVER,
                SessionTrigger.DEGRADE,
            ]
        ),
        outcome=st.sampled_from(["opened", "resumed", "replaced"]),
    )
    def the_holder_speaks(self, trigger: SessionTrigger, outcome: str) -> None:
        self.apply_to_session(self.holder_says(trigger, outcome=outcome, executor_session_id="exec-1", error="late"))

    @precondition(lambda self: self.session.held)
    @rule(trigger=st.sampled_from([SessionTrigger.RENEW, SessionTrigger.RELEASE, SessionTrigger.READY]))
    def a_former_holder_speaks(self, trigger: SessionTrigger) -> None:
        asked = replace(self.holder_says(trigger), lease_epoch=self.session.lease_epoch - 1)
        answer = self.apply_to_session(asked)
        assert isinstance(answer, Refusal)
        assert answer.code is ErrorCode.STALE_EPOCH

    @precondition(lambda self: self.session.held and self.held())
    @rule()
    def the_lease_is_seen_to_have_expired(self) -> None:
        asked = SessionCommand(trigger=SessionTrigger.LEASE_LOST, by=by(Actor.RECONCILER))
        assert isinstance(self.apply_to_session(asked, observed_expired=True), Change)
        assert self.held() == []

    @rule(
        trigger=st.sampled_from(
            [SessionTrigger.RESUME, SessionTrigger.RESUME, SessionTrigger.DRAIN, SessionTrigger.RESET]
        )
    )
    def an_operator_steers_the_lane(self, trigger: SessionTrigger) -> None:
        self.apply_to_session(SessionCommand(trigger=trigger, by=by(Actor.OPERATOR)))

    @precondition(lambda self: len(self.missions) == MOST_MISSIONS)
    @rule()
    def an_operator_retires_the_lane(self) -> None:
        unfinished = any(not row.terminal for row in self.missions.values())
        answer = self.apply_to_session(SessionCommand(trigger=SessionTrigger.RETIRE, by=by(Actor.OPERATOR)))
        assert isinstance(answer, Refusal) or not unfinished

    @rule()
    def the_store_announces_the_drain(self) -> None:
        answer = self.apply_to_session(SessionCommand(trigger=SessionTrigger.DRAINED, by=by(Actor.STORE)))
        assert isinstance(answer, Refusal) or not self.held()

    @rule()
    def the_lane_comes_up(self) -> None:
        """Whatever its trouble, some sequence of steps makes the lane take missions again; a retired one stays."""
        assert self.session.status is not SessionState.RETIRED or not self.in_state(MissionState.QUEUED)
        if self.session.status is SessionState.RETIRED:
            return
        if self.session.status is SessionState.PAUSED:
            self.apply_to_session(SessionCommand(trigger=SessionTrigger.RESUME, by=by(Actor.OPERATOR)))
        if not self.session.held:
            self.acquire(WORKERS[1])
        if self.session.status is SessionState.RECOVERING:
            self.apply_to_session(self.holder_says(SessionTrigger.READY, outcome="resumed"))
        if self.session.status is SessionState.DEGRADED:
            self.apply_to_session(self.holder_says(SessionTrigger.RECOVER))
        assert self.session.status is SessionState.ACTIVE

    def the_lane_claims_it(self, row: MissionRow) -> None:
        self.the_lane_comes_up()
        fence = Fence(attempt=row.attempt, holder=Holder.LANE, lease_epoch=self.session.lease_epoch)
        answer = self.apply_to_mission(row, command(MissionTrigger.CLAIM, Actor.LANE, row, fence=fence))
        if isinstance(answer, Change):
            assert self.session.status is SessionState.ACTIVE
            assert row.not_before is None or row.not_before <= self.now

    def speaks_up(self, row: MissionRow, trigger: MissionTrigger, reason: ReasonCode) -> None:
        actor = Actor.LANE if row.holder is Holder.LANE else Actor.PRIMARY
        if trigger is MissionTrigger.BLOCK:
            reason = ReasonCode.INPUT_WANTED
        answer = self.apply_to_mission(row, command(trigger, actor, row, reason=reason), receipt=True)
        assert isinstance(answer, Change) or answer.code is not ErrorCode.STALE_EPOCH

    @precondition(lambda self: self.in_state(MissionState.QUEUED))
    @rule(
        data=st.data(),
        story=st.lists(st.sampled_from(HOLDERS_WORDS) | st.sampled_from(DUE), min_size=1, max_size=5),
        reason=st.sampled_from(LANES_REASONS),
    )
    def a_mission_is_claimed_and_has_its_story(self, data: st.DataObject, story: list[Any], reason: ReasonCode) -> None:
        mission_id = data.draw(st.sampled_from(self.in_state(MissionState.QUEUED))).mission_id
        self.the_lane_claims_it(self.missions[mission_id])
        for word in story:
            row = self.missions[mission_id]
            if isinstance(word, tuple):
                self.apply_to_mission(row, command(word[0], word[1], row))
            elif row.holder is not Holder.NONE:
                self.speaks_up(row, word, reason)

    @precondition(lambda self: self.fences)
    @rule(data=st.data(), trigger=st.sampled_from(HOLDERS_WORDS), content=CONTENTS, receipt=st.booleans())
    def somebody_who_held_it_once_speaks(
        self, data: st.DataObject, trigger: MissionTrigger, content: dict[str, Any], receipt: bool
    ) -> None:
        mission_id, fence = data.draw(st.sampled_from(self.fences))
        row = self.missions[mission_id]
        actor = Actor.LANE if fence.holder is Holder.LANE else Actor.PRIMARY
        reason = ReasonCode.APPROVAL_WANTED if trigger is MissionTrigger.BLOCK else ReasonCode.EXECUTOR_ERROR
        asked = command(trigger, actor, row, fence=fence, reason=reason, content=content)
        answer = self.apply_to_mission(row, asked, receipt=receipt)
        present = (fence.attempt, fence.holder) == (row.attempt, row.holder)
        if fence.holder is Holder.LANE:
            present = present and fence.lease_epoch == self.session.lease_epoch and self.session.held
        if not present:
            assert isinstance(answer, Refusal)
            assert answer.code in {ErrorCode.STALE_EPOCH, ErrorCode.MISSION_TERMINAL}
        if isinstance(answer, Change) and answer.row.state is MissionState.COMPLETED:
            assert receipt or fence.holder is Holder.PRIMARY

    @precondition(lambda self: self.missions)
    @rule(data=st.data(), actor=st.sampled_from([Actor.CALLER, Actor.GATEWAY, Actor.OPERATOR]))
    def somebody_cancels(self, data: st.DataObject, actor: Actor) -> None:
        row = data.draw(st.sampled_from(self.in_state(MissionState.RUNNING) or list(self.missions.values())))
        answer = self.apply_to_mission(row, command(MissionTrigger.CANCEL, actor, row))
        after = self.missions[row.mission_id]
        if not row.terminal:
            assert isinstance(answer, Change)
            assert after.state is MissionState.CANCELLED or after.cancel_requested_at is not None

    @precondition(lambda self: self.missions)
    @rule(
        data=st.data(),
        trigger=st.sampled_from(MissionTrigger),
        actor=st.sampled_from(Actor),
        reason=st.sampled_from([None, *ReasonCode]),
        content=CONTENTS,
    )
    def anybody_asks_anything(
        self,
        data: st.DataObject,
        trigger: MissionTrigger,
        actor: Actor,
        reason: ReasonCode | None,
        content: dict[str, Any],
    ) -> None:
        row = data.draw(st.sampled_from(list(self.missions.values())))
        if trigger in {MissionTrigger.LEASE_LOST, MissionTrigger.CLAIM}:
            return  # the first is the store's own consequence, the second has a rule of its own
        answer = self.apply_to_mission(row, command(trigger, actor, row, reason=reason, content=content))
        if row.terminal:
            assert isinstance(answer, Refusal)
            assert answer.code is ErrorCode.MISSION_TERMINAL

    @precondition(lambda self: self.missions)
    @rule(data=st.data(), due=st.sampled_from(DUE))
    def what_is_due_is_done(self, data: st.DataObject, due: tuple[MissionTrigger, Actor]) -> None:
        row = data.draw(
            st.sampled_from([row for row in self.missions.values() if not row.terminal] or [*self.missions.values()])
        )
        self.apply_to_mission(row, command(due[0], due[1], row))

    # What always holds

    @invariant()
    def rows_are_sound(self) -> None:
        session_is_sound(self.session)
        for row in self.missions.values():
            mission_is_sound(row)

    @invariant()
    def a_lane_holds_only_under_its_present_lease(self) -> None:
        for row in self.held():
            assert self.session.held
            assert row.lease_epoch == self.session.lease_epoch

    @invariant()
    def no_more_missions_are_held_than_may_run_at_once(self) -> None:
        assert len(self.held()) <= self.policy.parallel_missions


LaneWalk.TestCase.settings = settings(
    derandomize=True,
    print_blob=True,
    max_examples=150,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestALaneAndItsMissions = LaneWalk.TestCase
