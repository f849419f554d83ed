"""The fake lane and the fake primary that gateway authors test with: told to misbehave, they do, on a real registry."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from dragancorp.errors import DraganError, ErrorCode
from dragancorp.gateway.turns import DelegationRefusedError
from dragancorp.testing.gateway import Completes, Crashes, Fails, FakeLane, FakePrimary, Hangs, LosesLease
from dragancorp_contracts.lifecycle import MissionState, MissionTrigger, ReasonCode, SessionState
from dragancorp_contracts.models.gateway_turn_v1 import TurnEvent

from .conftest import Opener
from .gateway import LANE, Gateway, eventually, turn

pytestmark = pytest.mark.anyio


async def heard(gateway: Gateway, primary: FakePrimary[Any]) -> list[Any]:
    async with aclosing(gateway.plane.delegate(turn(), primary=primary)) as events:
        return [event.type if isinstance(event, TurnEvent) else event async for event in events]


async def test_a_fake_lane_does_with_each_mission_what_it_was_told(open_gateway: Opener) -> None:
    gateway, primary = await open_gateway(serve_lanes=False), FakePrimary("mine")
    fallback = ["coder_vp_fallback", "mine"]
    started = ["delegated_to_coder_vp", "coder_vp_progress"]
    async with FakeLane(gateway.plane, LANE) as lane:
        lane.then(Completes("well done", progress=["half way"]), Fails("no model"), Crashes(), LosesLease())
        assert await heard(gateway, primary) == [*started, "coder_vp_progress", "coder_vp_completed"]
        assert await heard(gateway, primary) == [*started, "coder_vp_error", *fallback]
        assert await heard(gateway, primary) == [*started, "coder_vp_exception", *fallback]
        assert await heard(gateway, primary) == [*started, "coder_vp_lease_degraded", *fallback]
        assert await heard(gateway, primary) == [*started, "coder_vp_completed"]  # told nothing more, it completes
    assert [row.completed_via for row in await gateway.missions()] == ["lane", *["primary"] * 3, "lane"]
    assert [claimed.mission_id for claimed in lane.missions] == [row.mission_id for row in await gateway.missions()]
    assert (primary.finished, primary.closed, len(primary.turns)) == (3, 3, 3)
    summaries = [entry.get("summary") for entry in await gateway.ledger(lane.missions[0].mission_id)]
    assert summaries[-2:] == ["half way", "well done"]
    await eventually(gateway.is_free)
    assert await heard(gateway, primary) == ["coder_vp_bootstrap_fallback", "mine"]


async def test_a_fake_lane_that_hangs_stops_when_it_is_cancelled_and_goes_on(open_gateway: Opener) -> None:
    gateway = await open_gateway(serve_lanes=False)
    async with FakeLane(gateway.plane, LANE) as lane:
        lane.then(Hangs())
        _, listening = await gateway.ask_until(turn(), "coder_vp_progress")
        await gateway.step((await gateway.mission()).mission_id, MissionTrigger.CANCEL)
        answer = await asyncio.wait_for(listening, 30)
        assert isinstance(answer.error, DelegationRefusedError)
        assert answer.error.reason is ReasonCode.CANCEL_REQUESTED
        assert (await gateway.ask(turn())).names[-1] == "coder_vp_completed"


async def test_a_fake_lane_that_ends_while_it_hangs_leaves_the_turn_to_the_primary(open_gateway: Opener) -> None:
    gateway = await open_gateway(serve_lanes=False)
    async with FakeLane(gateway.plane, LANE).then(Hangs()):
        _, listening = await gateway.ask_until(turn(), "coder_vp_progress")
    answer = await asyncio.wait_for(listening, 30)
    assert answer.names[-3:] == ["coder_vp_fallback", "primary", "answer"]
    assert (await gateway.mission()).state is MissionState.COMPLETED


async def test_a_fake_lane_of_a_lane_that_is_served_is_refused(gateway: Gateway) -> None:
    with pytest.raises(DraganError) as refused:
        async with FakeLane(gateway.plane, LANE):
            pass
    assert refused.value.code is ErrorCode.LEASE_HELD


async def test_a_fake_primary_raises_and_hangs_as_it_was_told(open_gateway: Opener) -> None:
    gateway = await open_gateway(serve_lanes=False)
    failing = FakePrimary("one", error=ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await heard(gateway, failing)
    assert (failing.finished, failing.closed) == (0, 1)
    endless = FakePrimary("one", endless=True)
    async with aclosing(gateway.plane.delegate(turn(), primary=endless)) as events:
        async for event in events:
            if event == "one":
                break
    assert (endless.finished, endless.closed) == (0, 1)


async def test_the_lane_of_a_fake_is_active_while_it_serves(open_gateway: Opener) -> None:
    gateway = await open_gateway(serve_lanes=False)
    async with FakeLane(gateway.plane, LANE):
        await gateway.lane_is(SessionState.ACTIVE)
    await eventually(gateway.is_free)
