"""Stored stages and the override: what they do to turns, in this process and in every other."""

import asyncio
from pathlib import Path

import pytest

from dragancorp.gateway.turns import Turn
from dragancorp_contracts.models.rollout_policy_v1 import Stage

from .conftest import Opener, patient_policy
from .gateway import LANE, OPERATOR, Gateway, turn

pytestmark = pytest.mark.anyio
TURN = turn()


async def reason(gateway: Gateway, asked: Turn = TURN) -> str:
    explained = await gateway.plane.explain(asked)
    return str(explained["decision"]["reason"])


async def test_a_forced_fallback_keeps_the_very_next_turn_and_lifting_it_leads_to_shadow(gateway: Gateway) -> None:
    assert (await gateway.ask(TURN)).names[0] == "delegated_to_coder_vp"
    await gateway.plane.rollouts.roll_back(LANE, OPERATOR)
    assert (await gateway.ask(turn())).names == ["primary", "answer"]
    assert await reason(gateway) == "forced_fallback"
    await gateway.plane.rollouts.advance(LANE, Stage.shadow, OPERATOR)
    assert (await gateway.ask(turn())).names == ["primary", "answer"]
    assert await reason(gateway) == "shadow_mode"


async def test_the_stored_stage_comes_before_the_initial_one(open_gateway: Opener) -> None:
    gateway = await open_gateway(routing={"initial_stage": "off", "cohort_percent": 0})
    assert await reason(gateway) == "feature_disabled"
    await gateway.plane.rollouts.advance(LANE, Stage.shadow, OPERATOR)
    assert await reason(gateway) == "shadow_mode"


async def test_flags_are_a_ceiling_over_what_is_stored(open_gateway: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UA_CODER_VP_SHADOW_MODE", "1")
    gateway = await open_gateway()
    status = await gateway.plane.rollouts.status(LANE)
    assert (status["stage"], status["effective_stage"]) == ("default_on", "shadow")
    assert await reason(gateway) == "shadow_mode"


@pytest.mark.parametrize("adapter", ["postgresql"])
async def test_an_act_on_one_plane_takes_effect_in_every_other(open_gateway: Opener, adapter: str) -> None:
    one = await open_gateway(serve_lanes=False)
    other = await open_gateway(serve_lanes=False)
    assert await reason(other) == "eligible"
    await one.plane.rollouts.roll_back(LANE, OPERATOR)
    async with asyncio.timeout(30):
        while await reason(other) != "forced_fallback":
            await asyncio.sleep(0.05)
    (change,) = (await other.plane.rollouts.status(LANE))["changes"]
    assert change["actor"] == {"kind": "operator", "name": "ops", "reason": "a test", "way": "cli"}


async def test_the_lane_goes_by_the_policy_of_the_file(open_gateway: Opener, tmp_path: Path) -> None:
    gateway = await open_gateway(policy=patient_policy(tmp_path, consecutive_lane_failures=1))
    assert (await gateway.ask(turn(("sh", "-c", "exit 1")))).names[-1] == "answer"
    async with asyncio.timeout(30):
        while await reason(gateway) != "forced_fallback":
            await asyncio.sleep(0.05)
    assert "1 missions in a row" in (await gateway.plane.rollouts.status(LANE))["changes"][0]["actor"]["reason"]


async def test_a_rollout_survives_a_restart(open_gateway: Opener) -> None:
    first = await open_gateway()
    await first.plane.rollouts.roll_back(LANE, OPERATOR)
    await first.plane.close()
    second = await open_gateway()
    assert await reason(second) == "forced_fallback"
