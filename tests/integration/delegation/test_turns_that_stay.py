"""Turns that are not delegated: the primary's answer, byte for byte, no query, and a count."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from dragancorp.gateway.turns import Turn

from .conftest import Opener
from .gateway import LANE, Agent, Gateway, lane, turn

pytestmark = pytest.mark.anyio

WORDS = ("text", b"\x00\xff", {"type": "delta", "n": 1}, None, object())


class Ear:
    """Notes what this very task asks of the store; the plane's own loops go on beside it."""

    def __init__(self, gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
        self.heard: list[str] = []
        task = asyncio.current_task()
        for name in ("execute", "read", "watch"):
            monkeypatch.setattr(gateway.plane.store, name, self._noting(getattr(gateway.plane.store, name), task))

    def _noting(self, call: Any, task: object) -> Any:
        def note(asked: Any) -> Any:
            if asyncio.current_task() is task:
                self.heard.append(type(asked).__name__)
            return call(asked)

        return note


async def stays(gateway: Gateway, monkeypatch: pytest.MonkeyPatch, asked: Turn, *, shadowed: bool = False) -> None:
    """The primary alone answers: the very same objects in the very same order, and nobody asked the registry."""
    ear = Ear(gateway, monkeypatch)
    heard = await gateway.ask(asked)
    assert heard.error is None
    assert len(heard.events) == len(WORDS)
    assert all(event is word for event, word in zip(heard.events, WORDS, strict=True))
    assert gateway.agent.turns == [asked]
    assert gateway.agent.turns[0] is asked
    assert ear.heard == []
    assert shadowed or await gateway.missions() == []  # what runs in the shadow is begun by a task beside this one


async def reasons(gateway: Gateway) -> dict[str, int]:
    return dict((await gateway.plane.snapshot(LANE))["delegated"]["turns"])


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"UA_CODER_VP_FORCE_FALLBACK": "1"}, "forced_fallback"),
        ({"UA_DISABLE_CODER_VP": "true"}, "feature_disabled"),
        ({"UA_ENABLE_CODER_VP": "0"}, "feature_disabled"),
        ({"UA_ENABLE_CODER_VP": ""}, "feature_disabled"),
        ({"UA_CODER_VP_FORCE_FALLBACK": "1", "UA_DISABLE_CODER_VP": "1"}, "forced_fallback"),
        ({"UA_CODER_VP_SHADOW_MODE": "on"}, "shadow_mode"),
    ],
)
async def test_a_flag_keeps_every_turn_on_the_primary_path(
    open_gateway: Opener, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], reason: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    gateway = await open_gateway(agent=Agent(*WORDS))
    await stays(gateway, monkeypatch, turn(), shadowed=reason == "shadow_mode")
    assert await reasons(gateway) == {reason: 1}


@pytest.mark.parametrize("source", ["cron", "heartbeat", "webhook"])
async def test_turns_that_no_person_made_stay(
    open_gateway: Opener, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    gateway = await open_gateway(agent=Agent(*WORDS))
    await stays(gateway, monkeypatch, Turn(text="CODIE, go", session_id="s1", source=source, mission=turn().mission))
    assert await reasons(gateway) == {"source_excluded": 1}


async def test_a_turn_that_means_no_lane_stays(open_gateway: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = await open_gateway(agent=Agent(*WORDS), markers=["api"])
    await stays(gateway, monkeypatch, Turn(text="What is the capital of France?", session_id="s1"))
    assert await reasons(gateway) == {"intent_not_matched": 1}


async def test_without_any_lane_every_turn_stays(open_gateway: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = await open_gateway(lanes=(), agent=Agent(*WORDS))
    await stays(gateway, monkeypatch, turn())


async def test_the_primarys_own_failure_is_passed_on_when_nothing_is_delegated(open_gateway: Opener) -> None:
    gateway = await open_gateway(agent=Agent("half", error=KeyError("lost")))
    heard = await gateway.ask(Turn(text="hello", session_id="s1"))
    assert heard.events == ["half"]
    assert isinstance(heard.error, KeyError)


async def test_leaving_a_turn_that_stayed_closes_the_primary(open_gateway: Opener) -> None:
    closed = asyncio.Event()

    class Closing(Agent):
        async def __call__(self, turn: Turn) -> Any:
            try:
                yield "one"
                yield "two"
            finally:
                closed.set()

    gateway = await open_gateway(agent=Closing())
    await gateway.ask(Turn(text="hello", session_id="s1"), leave_after=1)
    assert closed.is_set()


async def test_turns_are_counted_by_reason_and_the_share_is_of_those_that_meant_the_lane(
    open_gateway: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = await open_gateway(markers=["parser"])
    for text in ("CODIE, go", "fix the parser", "codie?", "hello", "a parsers' meeting"):
        await gateway.ask(Turn(text=text, session_id="s1", mission=turn().mission))
    await gateway.ask(Turn(text="CODIE", session_id="s1", source="cron"))
    delegated = (await gateway.plane.snapshot(LANE))["delegated"]
    counted = {"turns": {"eligible": 3, "intent_not_matched": 2, "source_excluded": 1}, "share": 1.0}
    assert {name: delegated[name] for name in counted} == counted
    assert sum(sum(minute["turns"].values()) for minute in delegated["minutes"]) == 6
    await gateway.plane.close()

    monkeypatch.setenv("UA_CODER_VP_SHADOW_MODE", "1")
    shadowed = await open_gateway(markers=["parser"])
    await shadowed.ask(turn())
    delegated = (await shadowed.plane.snapshot(LANE))["delegated"]
    assert delegated["turns"]["shadow_mode"] == 1
    assert delegated["share"] == 0.75

    await shadowed.plane.close()
    monkeypatch.setenv("UA_CODER_VP_FORCE_FALLBACK", "1")
    forced = await open_gateway(markers=["parser"])
    for text in ("hello", "CODIE"):
        await forced.ask(Turn(text=text, session_id="s1"))
    delegated = (await forced.plane.snapshot(LANE))["delegated"]
    assert delegated["turns"]["forced_fallback"] == 2
    assert delegated["share"] == 0.75


async def test_of_several_lanes_the_one_that_is_meant_gets_the_turn(open_gateway: Opener) -> None:
    second = lane(vp_id="vp.research.primary", aliases=["Rosa"], markers=["look it up"], fallback_path="librarian")
    del second["flag"]
    gateway = await open_gateway([lane(), second])
    heard = await gateway.ask(turn(["sh", "-c", "exit 3"], text="Rosa, and CODIE too late"))
    assert heard.names[0] == "delegated_to_coder_vp"  # the first lane of the file that is meant
    heard = await gateway.ask(turn(["sh", "-c", "exit 3"], text="please look it up"))
    assert heard.names == [
        "delegated_to_research_primary",
        "research_primary_progress",
        "research_primary_error",
        "research_primary_fallback",
        "primary",
        "answer",
    ]
    assert heard.one("research_primary_fallback")["path"] == "librarian"
    assert [row.vp_id for row in await gateway.missions()] == [LANE, "vp.research.primary"]


async def test_a_lane_that_is_off_does_not_keep_the_others_from_their_turns(
    open_gateway: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UA_CODER_VP_FORCE_FALLBACK", "1")
    monkeypatch.setenv("UA_ENABLE_RESEARCH", "1")
    second = lane(vp_id="vp.research.primary", aliases=["Rosa"], flag="RESEARCH")
    gateway = await open_gateway([lane(), second])
    assert (await gateway.ask(turn(text="Rosa, go"))).names[0] == "delegated_to_research"
    assert (await gateway.ask(turn(text="CODIE, go"))).names == ["primary", "answer"]


async def test_turns_stay_while_the_lane_has_as_much_to_do_as_it_may(open_gateway: Opener) -> None:
    gateway = await open_gateway(routing={"saturated_at": 1})
    asked = turn(["true"])
    assert (await gateway.plane.explain(asked))["decision"]["unfinished"] == 0
    await gateway.occupy(["sleep", "20.013"])
    explained = await gateway.plane.explain(asked)
    assert (explained["decision"]["reason"], explained["decision"]["unfinished"]) == ("lane_saturated", 1)
    assert explained["considered"] == [explained["decision"]]
    assert (await gateway.ask(asked)).events == ["primary", "answer"]
    assert await reasons(gateway) == {"lane_saturated": 1}


async def test_an_explanation_is_what_happens_and_counts_nothing(open_gateway: Opener) -> None:
    gateway = await open_gateway(routing={"initial_stage": "limited_cohort", "cohort_percent": 40})
    for number in range(12):
        asked = Turn(text="CODIE, go", session_id=f"s{number}", mission=turn().mission)
        told = (await gateway.plane.explain(asked))["decision"]
        heard = await gateway.ask(asked)
        assert told["delegate"] == (heard.names != ["primary", "answer"])
        assert told["reason"] == ("eligible" if told["cohort_place"] < 40 else "outside_cohort")
    assert sum((await reasons(gateway)).values()) == 12


async def test_the_last_sixty_minutes_are_told_one_by_one_newest_first(gateway: Gateway) -> None:
    for text, ahead in (("CODIE", 0), ("hello", 30), ("hello", 59), ("CODIE, go", 59), ("CODIE", 61)):
        gateway.clock.ahead = timedelta(minutes=ahead)
        await gateway.ask(turn(text=text))
    delegated = (await gateway.plane.snapshot(LANE))["delegated"]
    assert [(one["turns"], one["share"]) for one in delegated["minutes"]] == [
        ({"eligible": 1}, 1.0),
        ({"eligible": 1, "intent_not_matched": 1}, 1.0),
        ({"intent_not_matched": 1}, None),
    ]
    told = [datetime.fromisoformat(one["minute"]) for one in delegated["minutes"]]
    assert told == sorted(told, reverse=True)
    assert all(minute.second == minute.microsecond == 0 for minute in told)
    assert delegated["turns"] == {"eligible": 3, "intent_not_matched": 2}
