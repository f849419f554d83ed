"""What children use counts against their parents, and what they may not be given above them."""

import pytest

from dragancorp.errors import ErrorCode
from dragancorp_contracts.lifecycle import Holder, MissionState, ReasonCode

from .world import SECOND_LANE, World, refused

pytestmark = pytest.mark.anyio


async def family(world: World) -> None:
    """A grandchild on another lane, below a child, below a parent with five calls; all of them run."""
    runtime = await world.working_lane(parallel_missions=3)
    await world.lane(SECOND_LANE)
    other = await world.runtime(SECOND_LANE)
    five = {"budget": {"max_llm_calls": 5}}
    await world.dispatch(mission_id="parent", **five)
    await world.dispatch(mission_id="child", parent_mission_id="parent", **five)
    await world.dispatch(mission_id="grandchild", parent_mission_id="child", vp_id=SECOND_LANE, **five)
    rows = {row.mission_id: row for row in [*await runtime.claim(3), *await other.claim(3)]}
    world.said = lambda name, calls: (other if name == "grandchild" else runtime).report(  # type: ignore[attr-defined]
        rows[name], usage={"llm_calls": calls}
    )


async def says(world: World, name: str, calls: int) -> None:
    await world.said(name, calls)  # type: ignore[attr-defined]


async def states(world: World) -> list[str]:
    return [(await world.row(name)).state.value for name in ("parent", "child", "grandchild")]


async def test_a_family_may_use_together_what_its_parent_may(world: World) -> None:
    await family(world)
    await says(world, "parent", 1)
    await says(world, "child", 1)
    await says(world, "grandchild", 3)
    assert await states(world) == ["running", "running", "running"]


async def test_one_call_more_stops_whoever_made_it_and_all_above_whose_budget_is_used_up(world: World) -> None:
    await family(world)
    await says(world, "parent", 2)
    await says(world, "child", 1)
    await says(world, "grandchild", 3)
    assert await states(world) == ["blocked", "running", "blocked"]  # the child's own family has used four
    parent, grandchild = await world.row("parent"), await world.row("grandchild")
    assert (parent.reason_code, parent.holder) == (ReasonCode.BUDGET_EXHAUSTED, Holder.LANE)
    assert (grandchild.reason_code, grandchild.usage) == (ReasonCode.BUDGET_EXHAUSTED, {"llm_calls": 3})
    wanted = (await world.last_event("parent"))["wanted"]
    assert wanted == {"kind": "budget", "usage": {"llm_calls": 2}, "used_below": {"llm_calls": 4, "cost_microusd": 0}}
    assert (await world.last_event("grandchild"))["wanted"]["of"] == "parent"


async def test_what_a_child_used_before_its_end_counts_on(world: World) -> None:
    await family(world)
    await says(world, "child", 4)
    await world.cancel("child")
    await says(world, "parent", 2)
    assert (await world.row("parent")).state is MissionState.BLOCKED


async def test_a_parents_budget_is_raised_above_what_its_family_used_and_a_childs_within_its_parents(
    world: World,
) -> None:
    await family(world)
    await says(world, "parent", 2)
    await says(world, "child", 4)
    assert await states(world) == ["blocked", "blocked", "running"]
    with refused(ErrorCode.DOCUMENT_INVALID):
        await world.approve("parent", max_llm_calls=5)
    with refused(ErrorCode.DOCUMENT_INVALID):
        await world.approve("child", max_llm_calls=6)  # more than its parent has
    await world.approve("parent", max_llm_calls=8)
    await world.approve("child", max_llm_calls=6)
    assert await states(world) == ["running", "running", "running"]
    await says(world, "child", 6)
    assert await states(world) == ["running", "running", "running"]
    await says(world, "child", 7)
    assert await states(world) == ["blocked", "blocked", "running"]


async def test_the_entries_of_a_family_are_what_the_life_cycle_would_have_written(world: World) -> None:
    from dragancorp.jsonio import loads
    from dragancorp.missions.ledger.mission_replay import replay_mission
    from dragancorp.registry.queries import GetMission

    await family(world)
    await says(world, "parent", 2)
    await says(world, "grandchild", 4)
    await world.approve("parent", max_llm_calls=9)
    for name in ("parent", "child", "grandchild"):
        stored = await world.store.read(GetMission(mission_id=name))
        assert stored is not None
        replay = replay_mission(loads(stored.document), stored.assigned, await world.events(name))
        assert replay.findings == ()
        assert replay.row is not None
        assert replay.row.state is stored.row.state
