from typing import Any

import pytest


def test_lanes_are_listed_and_shown(dragan: Any, lane: str, wait_until: Any) -> None:
    wait_until(lambda: dragan.ask("lane", "show", lane)["status"] == "active")

    listed = dragan("lane", "list")
    shown = dragan("lane", "show", lane)

    assert listed.out.splitlines()[0].split("\t")[:3] == ["lane", "status", "missions"]
    assert listed.out.splitlines()[1].split("\t")[:2] == [lane, "active"]
    assert "lease epoch" in shown.out
    assert "none waits or runs" in shown.out


def test_unfinished_missions_of_a_lane_are_counted(dragan: Any, lane: str, wait_until: Any) -> None:
    running, waiting = dragan.dispatch("sleep 60"), dragan.dispatch("echo x")
    wait_until(lambda: dragan.state(running) == "running")

    shown = dragan.ask("lane", "show", lane)

    assert shown["mission_counts"] == {"queued": 1, "running": 1}
    assert "running 1" in dragan("lane", "list").out
    for mission_id in (waiting, running):
        dragan("mission", "cancel", mission_id)


@pytest.mark.parametrize("vp_id", ["vp.nobody"])
def test_an_unknown_lane_is_said_to_be_unknown(dragan: Any, vp_id: str) -> None:
    done = dragan("lane", "show", vp_id, "--json")

    assert done.exit_code == 1
    assert done.problem["status"] == 404
    assert vp_id in done.problem["detail"]


def test_where_a_turn_would_go_is_explained(dragan: Any, lane: str) -> None:
    done = dragan("lane", "route", "what is the capital of France?")

    assert done.exit_code == 1
    lines = done.out.splitlines()
    assert lines[0] == "intent_not_matched: the primary path"
    assert lines[1].split("\t")[:2] == ["lane", "reason"]
    assert lines[2].split("\t")[:2] == [lane, "intent_not_matched"]
