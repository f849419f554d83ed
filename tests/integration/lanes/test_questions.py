"""What an executor asks people: the slot is kept a while, given up, taken up again; and what it is told."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from dragancorp.executors.protocol import Capabilities, MissionContext, Stop
from dragancorp.lanes import mission_run, questions
from dragancorp.lifecycle.commands import By
from dragancorp.missions.commands import Requester
from dragancorp.missions.decisions import Decisions
from dragancorp_contracts.errors import ErrorCode
from dragancorp_contracts.lifecycle import Actor, Holder, MissionState, MissionTrigger, ReasonCode

from .house import DONE, OPERATOR, Event, House, Scripted, eventually

pytestmark = pytest.mark.anyio
QUESTION = {"type": "approval_wanted", "request_id": "push", "tool": "git push", "message": "May I push?"}
OPS = Requester(by=By(kind=Actor.OPERATOR, name="ops", reason="seen", way="api"))


async def asks(agent: Scripted, envelope: Event, context: MissionContext) -> AsyncGenerator[Event, None]:
    """Asks before it works, unless it was decided while it was suspended."""
    assert isinstance(agent, Agent)
    if context.decision is None:
        yield QUESTION
        await agent.told.wait()
        if agent.asked_to_stop.is_set() or agent.suspended:
            yield {"type": "cancelled", "message": "stopped"}
            return
    yield {"type": "progress", "message": "pushing"}
    yield DONE


class Agent(Scripted):
    """A scripted executor that waits for answers and may be suspended; it notes what it is told."""

    capabilities = Capabilities(resume_session=True, suspend=True, approvals=True, usage=True, stop=Stop.FENCED)

    def __init__(self, work: Any = asks) -> None:
        super().__init__(work)
        self.told = asyncio.Event()
        self.answers: list[tuple[str, Event]] = []
        self.suspended = 0

    async def answer(self, request_id: str, answer: Event) -> None:
        self.answers.append((request_id, dict(answer)))
        self.told.set()

    async def cancel(self) -> None:
        await super().cancel()
        self.told.set()

    async def suspend(self) -> None:
        self.suspended += 1
        self.told.set()


def decisions(house: House) -> Decisions:
    return Decisions(house.store, house.missions, house.clock)


async def asking(house: House, agent: Agent, **members: Any) -> str:
    """A mission whose executor has asked."""
    await house.serve(agent)
    mission_id = await house.dispatch(**members)
    row = await house.state_is(mission_id, MissionState.BLOCKED)
    assert (row.reason_code, row.holder) == (ReasonCode.APPROVAL_WANTED, Holder.LANE)
    return mission_id


async def test_an_approval_reaches_the_executor_that_waits_for_it_and_the_mission_goes_on(house: House) -> None:
    agent = Agent()
    mission_id = await asking(house, agent)
    decision = {"request_id": "push", "answer": {"approved": True, "branch": "main"}}
    await decisions(house).approve(mission_id, OPS, decision)
    row = await house.ended(mission_id)
    assert (row.state, row.attempt) == (MissionState.COMPLETED, 1)
    assert agent.answers == [("push", decision["answer"])]
    assert await house.event_types(mission_id) == [
        *["dispatched", "accepted", "blocked", "resumed", "progress", "completed"]
    ]
    assert (await house.ledger(mission_id))[3]["decision"] == decision


async def test_a_bare_approval_is_an_answer_too(house: House) -> None:
    agent = Agent()
    await decisions(house).approve(mission_id := await asking(house, agent), OPS, {})
    assert (await house.ended(mission_id)).state is MissionState.COMPLETED
    assert agent.answers == [("push", {"approved": True})]


async def test_a_slot_that_was_kept_long_enough_is_given_up_and_the_approval_comes_with_the_next_claim(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questions, "HOLD_SECONDS", 0.3)
    agent = Agent()
    mission_id = await asking(house, agent)

    async def given_up() -> bool:
        return (await house.row(mission_id)).holder is Holder.NONE

    await eventually(given_up)
    assert (await house.row(mission_id)).state is MissionState.BLOCKED
    assert agent.suspended == 1
    assert not agent.asked_to_stop.is_set()
    other = await house.dispatch()  # the slot is free: another mission has its turn, and asks too
    await house.state_is(other, MissionState.BLOCKED)
    await house.missions.cancel(other, OPS)
    agent.told.clear()
    await decisions(house).approve(mission_id, OPS, {"answer": {"approved": True}})
    row = await house.ended(mission_id)
    assert (row.state, row.attempt) == (MissionState.COMPLETED, 2)
    context = agent.contexts[-1]
    assert context.resume
    assert context.decision is not None
    assert context.decision["answer"] == {"approved": True}
    types = await house.event_types(mission_id)
    assert types == [*["dispatched", "accepted", "blocked", "progress", "resumed", "accepted", "progress", "completed"]]


async def test_a_reconciler_that_is_first_suspends_the_executor_too(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = Agent()
    mission_id = await asking(house, agent)
    monkeypatch.setattr(mission_run, "EARLY_SECONDS", 400.0)  # as if the hold were over by the reconciler's clock
    await house.step(
        mission_id,
        MissionTrigger.SUSPEND,
        By(kind=Actor.RECONCILER, name="reconciler"),
        attempt_as_read=1,
    )

    async def suspended() -> bool:
        return agent.suspended == 1

    await eventually(suspended)
    assert not agent.asked_to_stop.is_set()


async def test_an_executor_that_cannot_be_suspended_is_stopped_instead(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questions, "HOLD_SECONDS", 0.3)

    class Stubborn(Agent):
        capabilities = Scripted.capabilities

    agent = Stubborn()
    mission_id = await asking(house, agent)

    async def given_up() -> bool:
        return (await house.row(mission_id)).holder is Holder.NONE

    await eventually(given_up)
    assert agent.suspended == 0
    assert agent.asked_to_stop.is_set()


async def test_a_denied_mission_has_failed_and_its_executor_is_stopped(house: House) -> None:
    agent = Agent()
    mission_id = await asking(house, agent)
    await decisions(house).deny(mission_id, OPS)
    row = await house.ended(mission_id)
    assert (row.state, row.reason_code) == (MissionState.FAILED, ReasonCode.APPROVAL_DENIED)
    async with asyncio.timeout(10):
        await agent.asked_to_stop.wait()
    assert (agent.answers, agent.suspended) == ([], 0)
    assert (await house.ledger(mission_id))[-1]["actor"] == OPS.by.as_json()
    agent.work = quiet
    assert (await house.ended(await house.dispatch())).state is MissionState.COMPLETED  # and the lane goes on


async def quiet(agent: Scripted, envelope: Event, context: MissionContext) -> AsyncGenerator[Event, None]:
    yield DONE


async def test_a_mission_that_waits_for_people_is_cancelled_in_time(house: House) -> None:
    agent = Agent()
    mission_id = await asking(house, agent)
    await house.cancel(mission_id)
    row = await house.ended(mission_id)
    assert row.state is MissionState.CANCELLED
    assert agent.asked_to_stop.is_set()


async def test_a_worker_that_stops_gives_up_the_slot_of_what_waits_for_people(house: House) -> None:
    agent = Agent()
    mission_id = await asking(house, agent)
    (runtime,) = house.serving
    await house.dismiss(runtime)
    row = await house.row(mission_id)
    assert (row.state, row.holder, agent.suspended) == (MissionState.BLOCKED, Holder.NONE, 1)
    assert not (await house.session()).held


async def test_the_answer_to_another_question_is_refused(house: House) -> None:
    agent = Agent()
    mission_id = await asking(house, agent)
    with pytest.raises(Exception, match=ErrorCode.TRANSITION_REFUSED) as refused:
        await decisions(house).approve(mission_id, OPS, {"request_id": "pull"})
    assert refused.value.facts["request_id"] == "push"  # type: ignore[attr-defined]
    assert (await house.row(mission_id)).state is MissionState.BLOCKED


async def test_an_executor_that_cannot_take_its_answer_has_crashed(house: House) -> None:
    class Deaf(Agent):
        async def answer(self, request_id: str, answer: Event) -> None:
            raise ValueError("what is that?")

    mission_id = await asking(house, Deaf())
    await decisions(house).approve(mission_id, OPS, {})
    row = await house.ended(mission_id)
    assert (row.state, row.reason_code) == (MissionState.FAILED, ReasonCode.EXECUTOR_CRASHED)


async def spends(agent: Scripted, envelope: Event, context: MissionContext) -> AsyncGenerator[Event, None]:
    """Uses more than it may, then works on."""
    yield {"type": "usage", "usage": {"llm_calls": 5}}
    yield {"type": "progress", "message": "and on"}
    yield DONE


@pytest.mark.parametrize("work", ["goes on", "ends"])
async def test_what_goes_on_over_its_budget_waits_until_the_budget_is_raised(house: House, work: str) -> None:
    async def ends(agent: Scripted, envelope: Event, context: MissionContext) -> AsyncGenerator[Event, None]:
        yield {"type": "usage", "usage": {"llm_calls": 5}}
        yield DONE

    agent = Agent(spends if work == "goes on" else ends)
    await house.serve(agent)
    mission_id = await house.dispatch(budget={"max_llm_calls": 4})
    row = await house.state_is(mission_id, MissionState.BLOCKED)
    assert (row.reason_code, row.holder) == (ReasonCode.BUDGET_EXHAUSTED, Holder.LANE)
    with pytest.raises(Exception, match=ErrorCode.DOCUMENT_INVALID):
        await decisions(house).approve(mission_id, OPS, {})
    await decisions(house).approve(mission_id, OPS, {"max_llm_calls": 6})
    row = await house.ended(mission_id)
    assert (row.state, row.attempt, row.usage["llm_calls"]) == (MissionState.COMPLETED, 1, 5)
    assert agent.answers == []


async def test_a_budget_that_is_refused_ends_what_waits_for_it(house: House) -> None:
    await house.serve(Agent(spends))
    mission_id = await house.dispatch(budget={"max_cost_usd": 1, "max_llm_calls": 4})
    await house.state_is(mission_id, MissionState.BLOCKED)
    await house.step(mission_id, MissionTrigger.DENY, OPERATOR)
    row = await house.ended(mission_id)
    assert (row.state, row.reason_code) == (MissionState.FAILED, ReasonCode.BUDGET_DENIED)
    assert "progress" not in (await house.event_types(mission_id))[3:]


async def test_what_has_ended_over_its_budget_gives_up_its_slot_when_the_worker_stops_and_is_not_run_again(
    house: House,
) -> None:
    async def ends(agent: Scripted, envelope: Event, context: MissionContext) -> AsyncGenerator[Event, None]:
        yield {"type": "usage", "usage": {"llm_calls": 5}}
        yield DONE

    agent = Agent(ends)
    runtime = await house.serve(agent)
    mission_id = await house.dispatch(budget={"max_llm_calls": 4})
    await house.state_is(mission_id, MissionState.BLOCKED)
    await asyncio.sleep(0.3)  # its end is refused meanwhile
    await house.dismiss(runtime)
    row = await house.row(mission_id)
    assert (row.state, row.holder) == (MissionState.BLOCKED, Holder.NONE)
    await decisions(house).approve(mission_id, OPS, {"max_llm_calls": 9})
    await house.serve(agent)
    row = await house.ended(mission_id)
    assert (row.state, row.attempt, len(agent.contexts)) == (MissionState.COMPLETED, 2, 1)
