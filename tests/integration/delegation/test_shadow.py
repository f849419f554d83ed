"""Shadow runs: beside the primary path, in a workspace of their own, unseen by the caller, compared and kept."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dragancorp.gateway.shadow import similarity, text_of
from dragancorp.lifecycle.rows import MissionRow
from dragancorp.registry.comparisons import GetComparison
from dragancorp.rules import violations
from dragancorp_contracts.lifecycle import MissionKind, MissionState
from dragancorp_contracts.models.rollout_policy_v1 import Stage

from .conftest import Opener
from .gateway import LANE, OPERATOR, Agent, Gateway, turn

pytestmark = pytest.mark.anyio
SHADOW = {"routing": {"initial_stage": "shadow"}}


async def until(holds: Callable[[], Awaitable[Any]]) -> Any:
    async with asyncio.timeout(30):
        while not (found := await holds()):
            await asyncio.sleep(0.02)
    return found


async def the_shadow(gateway: Gateway) -> MissionRow:
    async def ended() -> MissionRow | None:
        rows = await gateway.missions()
        return rows[0] if rows and rows[0].terminal else None

    found: MissionRow = await until(ended)
    return found


async def comparison(gateway: Gateway, row: MissionRow) -> dict[str, Any]:
    found = await until(lambda: gateway.plane.store.read(GetComparison(mission_id=row.mission_id)))
    assert violations("gateway-turn#/$defs/shadow_comparison", found) == []
    return dict(found)


async def test_the_caller_sees_the_primary_alone_and_the_lane_really_runs(open_gateway: Opener, tmp_path: Path) -> None:
    words = ("one", b"two", {"text": "three"}, object())
    gateway = await open_gateway(agent=Agent(*words), **SHADOW)
    heard = await gateway.ask(turn(("sh", "-c", "echo made > made.txt; pwd > ../where")))
    assert all(event is word for event, word in zip(heard.events, words, strict=True))
    row = await the_shadow(gateway)
    assert (row.kind, row.state) == (MissionKind.SHADOW, MissionState.COMPLETED)
    compared = await comparison(gateway, row)
    assert compared["primary"]["outcome"] == "answered"
    assert compared["primary"]["characters"] == len("onetwothree")
    assert compared["lane"]["outcome"] == "completed"
    (made,) = tmp_path.rglob("made.txt")
    assert row.mission_id in made.parts, "it worked in a workspace of its own"
    assert not list((tmp_path / "lanes" / LANE / "workspace").iterdir())


async def test_a_shadow_that_fails_is_the_lanes_failure_and_nobody_elses(open_gateway: Opener) -> None:
    gateway = await open_gateway(**SHADOW)
    heard = await gateway.ask(turn(("sh", "-c", "exit 3")))
    assert (heard.names, heard.error) == (["primary", "answer"], None)
    row = await the_shadow(gateway)
    assert (row.state, row.fallback) == (MissionState.FAILED, False)
    assert (await comparison(gateway, row))["lane"]["reason_code"] == "executor_error"
    numbers = (await gateway.plane.rollouts.status(LANE))["numbers"]
    assert (numbers["missions_considered"], numbers["missions_with_fallback"]) == (1, 1)


async def test_the_callers_answer_never_waits_for_the_shadow(open_gateway: Opener) -> None:
    gateway = await open_gateway(**SHADOW)
    heard = await gateway.ask(turn(("sleep", "60")))
    assert heard.names == ["primary", "answer"]
    assert not any(row.terminal for row in await gateway.missions())
    await gateway.plane.rollouts.roll_back(LANE, OPERATOR)
    row = await the_shadow(gateway)
    assert row.state is MissionState.CANCELLED


async def test_a_shadow_is_what_is_dropped_while_the_lane_has_other_work(open_gateway: Opener) -> None:
    gateway = await open_gateway(**SHADOW)
    await gateway.ask(turn(("sleep", "60")))
    await until(lambda: gateway.missions())
    await gateway.ask(turn(("true",)))
    await until(lambda: _none_under_way(gateway, but=1))
    assert len(await gateway.missions()) == 1
    await gateway.plane.rollouts.roll_back(LANE, OPERATOR)


async def _none_under_way(gateway: Gateway, *, but: int) -> bool:
    return len(gateway.plane.shadows._running) <= but


async def test_a_primary_that_fails_or_is_left_is_compared_as_that(open_gateway: Opener) -> None:
    gateway = await open_gateway(agent=Agent("half", error=KeyError("lost")), **SHADOW)
    heard = await gateway.ask(turn())
    assert isinstance(heard.error, KeyError)
    assert (await comparison(gateway, await the_shadow(gateway)))["primary"]["outcome"] == "failed"
    gateway.agent.error = None
    await gateway.ask(turn(), leave_after=1)
    await until(lambda: _none_under_way(gateway, but=0))
    newest = (await gateway.missions())[0]
    other = (await gateway.missions())[-1]
    outcomes = {(await comparison(gateway, row))["primary"]["outcome"] for row in (newest, other)}
    assert outcomes == {"failed", "left"}


async def test_a_gateways_own_measure_is_kept_and_one_that_raises_costs_only_itself(open_gateway: Opener) -> None:
    gateway = await open_gateway(agent=Agent("four words of answer"), **SHADOW)
    gateway.plane.shadows.measure = lambda turn, said, ending: {"words": len(said.split()), "type": ending["type"]}
    await gateway.ask(turn())
    compared = await comparison(gateway, await the_shadow(gateway))
    assert compared["measures"] == {"words": 4, "type": "vp.mission.completed"}
    gateway.plane.shadows.measure = lambda turn, said, ending: {"x": 1 / 0}
    await gateway.ask(turn())
    await until(lambda: _none_under_way(gateway, but=0))
    for row in await gateway.missions():
        assert "x" not in (await comparison(gateway, row)).get("measures", {})


async def test_a_repeated_turn_runs_once_in_the_shadow_too(open_gateway: Opener) -> None:
    gateway = await open_gateway(**SHADOW)
    again = replace(turn(), turn_id="t-1")
    for _ in range(2):
        await gateway.ask(again)
        await until(lambda: _none_under_way(gateway, but=0))
    assert len(await gateway.missions()) == 1


async def test_closing_the_plane_waits_for_no_shadow(open_gateway: Opener) -> None:
    gateway = await open_gateway(**SHADOW)
    await gateway.ask(turn(("sleep", "60")))
    await until(lambda: gateway.missions())
    async with asyncio.timeout(30):
        await gateway.plane.close()


async def test_the_stage_after_shadow_ends_what_still_runs_in_it(open_gateway: Opener) -> None:
    gateway = await open_gateway(routing={"initial_stage": "off"})
    await gateway.plane.rollouts.advance(LANE, Stage.shadow, OPERATOR)
    await gateway.ask(turn(("sleep", "60")))
    await until(lambda: gateway.missions())
    await gateway.plane.rollouts.roll_back(LANE, OPERATOR)
    assert (await the_shadow(gateway)).state is MissionState.CANCELLED


class Said:
    text = "by attribute"


@pytest.mark.parametrize(
    ("event", "said"),
    [("a", "a"), (b"b\xff", "b\ufffd"), ({"delta": "c"}, "c"), (Said(), "by attribute"), (5, ""), ({"text": 5}, "")],
)
def test_what_an_event_says_is_found_in_the_usual_places(event: object, said: str) -> None:
    assert text_of(event) == said


def test_answers_are_alike_by_their_words() -> None:
    assert similarity("the same words", "the same words") == 1.0
    assert similarity("the same words", "quite another thing") == 0.0
    assert similarity("", "words") is None
