"""Rollouts in the registry, on both databases: stages in order, gates, evidence, and the controller."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from dragancorp.clock import FakeClock
from dragancorp.errors import ErrorCode
from dragancorp.lifecycle.commands import By
from dragancorp.registry.port import Store
from dragancorp.registry.rollouts import ListRollouts, ReadChanges, ReadEvidence
from dragancorp.rollout.book import bundle, faults, markdown_log
from dragancorp.rollout.controller import RolloutController
from dragancorp.rollout.effect import RolloutLane
from dragancorp.rollout.policy import RolloutPolicy, standard_policy
from dragancorp.rollout.rollouts import Rollouts, Window
from dragancorp.rules import violations
from dragancorp.settings import LaneFlags
from dragancorp_contracts.lifecycle import Actor, MissionKind, MissionState, ReasonCode, SessionTrigger
from dragancorp_contracts.models.rollout_policy_v1 import Stage

from .world import LANE, OPERATOR, Runtime, Tables, World, refused

pytestmark = pytest.mark.anyio
ON = LaneFlags(enabled=True)


def policy(**changes: Any) -> RolloutPolicy:
    """The standard policy with small samples, so that a test need not run a hundred missions."""
    document = dict(standard_policy().document)
    document["edges"] = [
        {**edge, "min_missions": few, "max_bound": bound, "observe_missions": 0}
        for edge, few, bound in zip(document["edges"], (2, 3, 4), (0.8, 0.7, 0.6), strict=True)
    ]
    return RolloutPolicy({**document, **changes})


class House:
    """A lane whose rollout is steered, and what speaks to it."""

    def __init__(self, world: World, flags: LaneFlags = ON, rules: RolloutPolicy | None = None) -> None:
        lane = RolloutLane(vp_id=LANE, lane={"vp_id": LANE, "routing": {"initial_stage": "off"}}, flags=flags)
        self.world = world
        self.rollouts = Rollouts(world.store, world.clock, rules or policy(), [lane])
        self.controller = self.another_controller("factory-1")

    def another_controller(self, name: str) -> RolloutController:
        return RolloutController(self.rollouts, self.world.store, self.world.clock, instance_id=name)

    async def stage(self) -> tuple[str, str]:
        row = await self.rollouts.row(LANE)
        return row.stage.value, row.override.value

    async def advance(self, to: Stage) -> None:
        await self.rollouts.advance(LANE, to, OPERATOR)

    async def evidence(self) -> list[dict[str, Any]]:
        """The chain, oldest first."""
        found = await self.world.store.read(ReadEvidence(vp_id=LANE, limit=500))
        return [dict(entry) for entry in reversed(found)]

    async def changes(self) -> list[dict[str, Any]]:
        """The ledger, oldest first."""
        found = await self.world.store.read(ReadChanges(vp_id=LANE, limit=500))
        return [dict(entry) for entry in reversed(found)]


async def shadows(world: World, lane: Runtime, count: int) -> None:
    """So many shadow missions, all completed."""
    for _ in range(count):
        await world.dispatch(kind=MissionKind.SHADOW)
        await lane.complete(await lane.claim_one())


async def delegated(world: World, lane: Runtime, outcomes: str, **members: Any) -> None:
    """Delegated missions: `k` is kept by the lane, `f` falls back to the primary path."""
    for outcome in outcomes:
        await world.delegate(**members)
        row = await lane.claim_one()
        if outcome == "k":
            await lane.complete(row)
            continue
        await lane.fail(row, reason=ReasonCode.EXECUTOR_ERROR)
        taken = await world.take_fallback(await world.row(row.mission_id))
        await world.primary_ends(taken.row)


async def limited(world: World, **house: Any) -> tuple[House, Runtime]:
    """A lane in the limited cohort, with a runtime."""
    lane = await world.working_lane()
    made = House(world, **house)
    await made.advance(Stage.shadow)
    await shadows(world, lane, 2)
    await made.advance(Stage.limited_cohort)
    return made, lane


async def test_a_lane_walks_from_off_to_default_on_by_its_gates(world: World) -> None:
    house, lane = await limited(world)
    await delegated(world, lane, "kkk")
    await house.advance(Stage.broadened)
    await delegated(world, lane, "kkkk")
    await house.advance(Stage.default_on)
    assert await house.stage() == ("default_on", "none")
    changes = await house.changes()
    assert [(change["stage_before"], change["stage"]) for change in changes] == [
        ("off", "shadow"),
        ("shadow", "limited_cohort"),
        ("limited_cohort", "broadened"),
        ("broadened", "default_on"),
    ]
    evidence = await house.evidence()
    for change in changes:
        assert violations("rollout-evidence#/$defs/change", change) == []
        stands_on = evidence[change["evidence"]["sequence"] - 1]
        assert stands_on["digest"] == change["evidence"]["digest"]
        assert stands_on["action"] == "advance"
        assert change["actor"]["name"] == "ops"
        assert change["actor"]["reason"] == "maintenance"
    for entry in evidence:
        assert violations("rollout-evidence", entry) == []


async def test_a_gate_that_holds_names_what_is_missing_and_leaves_the_evidence(world: World) -> None:
    house, lane = await limited(world)
    await delegated(world, lane, "k")
    with refused(ErrorCode.GATE_HELD) as caught:
        await house.advance(Stage.broadened)
    assert "missions: 1 of 3 needed" in str(caught.value.detail)
    assert await house.stage() == ("limited_cohort", "none")
    assert (await house.evidence())[-1]["decision"] == "HOLD_STAGE"


async def test_no_stage_is_skipped(world: World) -> None:
    house, lane = await limited(world)
    await delegated(world, lane, "kkkkkkk")
    with refused(ErrorCode.TRANSITION_REFUSED):
        await house.advance(Stage.default_on)


async def test_a_hold_refuses_promotions_until_it_is_lifted(world: World) -> None:
    house, lane = await limited(world)
    await delegated(world, lane, "kkk")
    await house.rollouts.hold(LANE, OPERATOR)
    with refused(ErrorCode.GATE_HELD):
        await house.advance(Stage.broadened)
    await house.rollouts.hold(LANE, OPERATOR, lift=True)
    await house.advance(Stage.broadened)
    types = [change["type"] for change in await house.changes()]
    assert types == ["advanced", "advanced", "held", "hold_lifted", "advanced"]


async def test_a_forced_fallback_is_lifted_to_shadow_and_the_count_begins_anew(world: World) -> None:
    house, lane = await limited(world)
    await delegated(world, lane, "kkk")
    await house.rollouts.roll_back(LANE, OPERATOR)
    assert await house.stage() == ("limited_cohort", "forced_fallback")
    with refused(ErrorCode.TRANSITION_REFUSED):
        await house.advance(Stage.limited_cohort)
    await house.advance(Stage.shadow)
    assert await house.stage() == ("shadow", "none")
    assert (await house.rollouts.status(LANE))["numbers"]["missions_considered"] == 0


@pytest.mark.parametrize("left_by", ["a promotion", "a rollback"])
async def test_leaving_shadow_ends_the_shadow_missions(world: World, left_by: str) -> None:
    lane = await world.working_lane(parallel_missions=2)
    house = House(world)
    await house.advance(Stage.shadow)
    await shadows(world, lane, 2)
    waiting = await world.dispatch(kind=MissionKind.SHADOW)
    running = await lane.claim_one()
    queued = await world.dispatch(kind=MissionKind.SHADOW)
    await world.delegate()
    if left_by == "a promotion":
        await house.advance(Stage.limited_cohort)
    else:
        await house.rollouts.roll_back(LANE, OPERATOR)
    assert running.mission_id == waiting.row.mission_id
    assert (await world.row(running.mission_id)).cancel_requested_at is not None
    ended = await world.row(queued.row.mission_id)
    assert (ended.state, ended.reason_code) == (MissionState.CANCELLED, ReasonCode.STAGE_LEFT_SHADOW)


async def test_only_real_delegated_missions_count_above_shadow(world: World) -> None:
    house, lane = await limited(world)
    await delegated(world, lane, "kkk", traffic="synthetic")
    await world.dispatch()
    await lane.complete(await lane.claim_one())
    with refused(ErrorCode.GATE_HELD):
        await house.advance(Stage.broadened)
    await delegated(world, lane, "kkk")
    await house.advance(Stage.broadened)


async def test_what_a_caller_ended_counts_neither_for_nor_against_the_lane(world: World) -> None:
    house, lane = await limited(world)
    await delegated(world, lane, "kkk")
    gone = await world.delegate()
    await world.cancel(gone.row.mission_id)
    numbers = (await house.rollouts.status(LANE))["numbers"]
    assert (numbers["missions_considered"], numbers["missions_with_fallback"]) == (3, 0)


async def test_an_edited_row_of_the_exported_chain_is_named(world: World) -> None:
    house, lane = await limited(world)
    await delegated(world, lane, "kfk")
    await house.rollouts.capture(LANE, OPERATOR, Window(label="a | night", notes="<b>fine</b>\nso far"))
    entries = await house.evidence()
    whole = bundle(LANE, entries, [house.rollouts.policy.document], world.clock.wall())
    assert violations("rollout-evidence#/$defs/bundle", whole) == []
    assert list(faults(whole)) == []
    log = markdown_log(LANE, entries)
    assert r"a \| night" in log
    assert r"\<b\>fine\</b\> so far" in log
    edited = [*entries[:2], {**entries[2], "decision": "GO_BROADER_TRAFFIC_ACTIVE"}]
    assert {sequence for sequence, _ in faults({**whole, "evidence": edited})} == {3}
    prettier = {**entries[2], "numbers": {**entries[2]["numbers"], "upper_bound": 0.01}}
    assert any("upper_bound" in fault for _, fault in faults({**whole, "evidence": [*entries[:2], prettier]}))
    assert {sequence for sequence, _ in faults({**whole, "evidence": entries[1:]})} == {2, 3}


async def test_the_ledgers_of_rollouts_never_change(world: World, tables: Tables, adapter: str) -> None:
    await limited(world)
    for table in ("vp_rollout_changes", "vp_rollout_evidence"):
        assert len(tables(f"SELECT document FROM {table}")) == 2
        if adapter == "postgresql":
            with pytest.raises(Exception, match="never changes"):
                tables(f"UPDATE {table} SET document = '' RETURNING document")


async def test_of_two_operators_that_act_at_one_moment_one_promotes(world: World) -> None:
    house, lane = await limited(world)
    await delegated(world, lane, "kkk")
    await asyncio.gather(*(house.advance(Stage.broadened) for _ in range(4)), return_exceptions=True)
    assert await house.stage() == ("broadened", "none")
    assert [change["type"] for change in await house.changes()] == ["advanced"] * 3


# The controller


async def test_the_controller_captures_on_cadence_and_promotes_nothing(world: World, clock: FakeClock) -> None:
    house, lane = await limited(world)
    await delegated(world, lane, "kkk")
    before = len(await house.evidence())
    clock.advance(3600.0)
    assert await house.controller.tick() == 1
    assert await house.controller.tick() == 0
    clock.advance(3599.0)
    assert await house.controller.tick() == 0
    clock.advance(1.0)
    assert await house.controller.tick() == 1
    assert len(await house.evidence()) == before + 2
    assert (await house.evidence())[-1]["decision"] == "GO_BROADER_TRAFFIC_ACTIVE"
    assert await house.stage() == ("limited_cohort", "none")


async def test_the_controller_promotes_where_the_policy_says_so(world: World, clock: FakeClock) -> None:
    house, lane = await limited(world, rules=policy(auto_promote=True))
    await delegated(world, lane, "kkk")
    clock.advance(3600.0)
    await house.controller.tick()
    assert await house.stage() == ("broadened", "none")


async def test_of_two_controllers_one_captures(world: World, clock: FakeClock) -> None:
    house, _ = await limited(world)
    clock.advance(3600.0)
    other = house.another_controller("factory-2")
    assert sorted(await asyncio.gather(house.controller.tick(), other.tick())) == [0, 1]


@pytest.mark.parametrize(
    ("outcomes", "why"), [("kkkkk" + "f" * 5, "5 missions in a row"), ("kf" * 5, "proves a rate above")]
)
async def test_a_lane_that_goes_bad_is_rolled_back_by_the_next_tick(world: World, outcomes: str, why: str) -> None:
    house, lane = await limited(world)
    await delegated(world, lane, outcomes)
    await house.controller.tick()
    assert await house.stage() == ("limited_cohort", "forced_fallback")
    change = (await house.changes())[-1]
    assert why in change["actor"]["reason"]
    assert change["lifted_by"] == "an operator with ops:write"
    assert change["actor"]["kind"] == "control_plane"
    evidence = (await house.evidence())[change["evidence"]["sequence"] - 1]
    assert evidence["action"] == "force_fallback"
    assert await house.controller.tick() == 0, "once is enough"


async def test_a_workspace_that_changes_unaccounted_for_rolls_the_lane_back(world: World) -> None:
    house, lane = await limited(world)
    await lane.session(SessionTrigger.READY, outcome="opened", executor_session_id="e-1", workspace="/one")
    await house.controller.tick()
    assert await house.stage() == ("limited_cohort", "none")
    await lane.session(SessionTrigger.READY, outcome="opened", executor_session_id="e-1", workspace="/another")
    await house.controller.tick()
    assert await house.stage() == ("limited_cohort", "forced_fallback")


async def test_a_rollback_that_was_cut_off_is_made_by_the_next_look_of_any_plane(world: World) -> None:
    house, lane = await limited(world)
    await delegated(world, lane, "f" * 5)
    later = house.another_controller("factory-2")
    await later.tick()
    assert (await house.changes())[-1]["actor"]["name"] == "factory-2"


async def test_without_evidence_for_two_cadences_the_fallback_is_forced(world: World, clock: FakeClock) -> None:
    house, lane = await limited(world)
    await delegated(world, lane, "k")
    await house.controller.tick()
    clock.advance(7200.0)  # nobody ticked: the process was stopped, or the database away
    await house.controller.tick()
    assert await house.stage() == ("limited_cohort", "forced_fallback")
    assert "no evidence for" in (await house.changes())[-1]["actor"]["reason"]


async def test_a_controller_that_starts_does_not_hold_the_time_before_against_the_lane(
    world: World, clock: FakeClock
) -> None:
    house, lane = await limited(world)
    await delegated(world, lane, "k")
    clock.advance(100_000.0)
    await house.another_controller("factory-2").tick()
    assert await house.stage() == ("limited_cohort", "none")


async def test_flags_that_do_not_let_the_stage_act_block_the_pipeline(world: World) -> None:
    _house, lane = await limited(world)
    capped = House(world, flags=replace(ON, shadow_mode=True))
    await delegated(world, lane, "kkk")
    entry = await capped.rollouts.capture(LANE, OPERATOR)
    assert (entry["decision"], entry["action"]) == ("BLOCKED_EXECUTION_PIPELINE", "hold")
    with refused(ErrorCode.GATE_HELD):
        await capped.advance(Stage.broadened)


async def test_a_lane_that_is_off_is_left_alone(world: World, store: Store) -> None:
    await world.lane()
    house = House(world)
    assert await house.controller.tick() == 0
    assert await store.read(ListRollouts()) == {}


async def test_an_unknown_lane_is_a_clear_error(world: World) -> None:
    house = House(world)
    with refused(ErrorCode.LANE_UNKNOWN):
        await house.rollouts.status("vp.nobody")
    with refused(ErrorCode.LANE_UNKNOWN):
        await house.rollouts.hold(LANE, By(kind=Actor.OPERATOR, name="ops"))
