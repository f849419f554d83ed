"""What operators decide, by the command line: about missions, and about lanes."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from .conftest import LANES, Plane


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """A control plane whose lane gives a mission one attempt only."""
    folder = tmp_path_factory.mktemp("plane")
    (folder / "lanes.yaml").write_text(LANES.replace("{backoff: 0.2}", "{backoff: 0.2, max_attempts: 1}"))
    plane = Plane(folder, extra={}, options=())
    yield plane
    plane.end()


def waiting_for_approval(dragan: Any, lane: str) -> str:
    """A mission that may not start before somebody has approved it."""
    envelope = {
        "vp_id": lane,
        "mission_type": "automation",
        "objective": "Mind the gap",
        "idempotency_key": f"held-{len(list(dragan.folder.iterdir()))}",
        "constraints": {"approval_required": ["*"]},
        "extensions": [
            {
                "uri": "https://dragancorp.dev/specs/automation-mission/v1/schema.json",
                "required": True,
                "value": {"steps": [{"run": ["echo", "done"]}]},
            }
        ],
    }
    file = dragan.folder / f"{envelope['idempotency_key']}.json"
    file.write_text(json.dumps(envelope))
    record = dragan.ask("mission", "dispatch", str(file))
    assert record["state"] == "blocked"
    return str(record["mission_id"])


def test_a_mission_that_waits_for_approval_says_so_and_runs_once_it_is_approved(dragan: Any, lane: str) -> None:
    mission_id = waiting_for_approval(dragan, lane)
    why = dragan("mission", "why", mission_id)
    assert (why.exit_code, why.out.splitlines()[0]) == (0, "It waits for a decision: approval_required.")
    assert dragan.ask("mission", "why", mission_id)["code"] == "approval_required"

    approved = dragan("mission", "approve", mission_id, "--reason", "looks harmless")

    assert (approved.exit_code, approved.out) == (0, "queued\n")
    watched = dragan("mission", "watch", mission_id, "--json")
    assert watched.exit_code == 0
    (resumed,) = [event for event in watched.json_lines if event["type"] == "vp.mission.resumed"]
    actor = {"kind": "operator", "name": "local-cli", "reason": "looks harmless", "way": "api"}
    assert resumed["actor"] == actor
    again = dragan("mission", "approve", mission_id, "--json")
    assert (again.exit_code, again.problem["code"]) == (1, "mission_terminal")


def test_a_denied_mission_has_failed_and_may_be_run_again_once(dragan: Any, lane: str) -> None:
    mission_id = waiting_for_approval(dragan, lane)

    denied = dragan.ask("mission", "deny", mission_id, "--reason", "not today")
    retried = dragan("mission", "retry", mission_id)

    assert (denied["state"], denied["reason_code"]) == ("failed", "approval_denied")
    assert retried.exit_code == 0
    again = dragan.ask("mission", "retry", mission_id)
    assert (again["mission_id"], again["retry_of"], again["state"]) == (retried.out.strip(), mission_id, "blocked")
    refused = dragan("mission", "retry", again["mission_id"], "--json")
    assert (refused.exit_code, refused.problem["code"]) == (1, "transition_refused")
    dragan("mission", "cancel", again["mission_id"])


def test_a_lane_is_drained_resumed_and_reset_and_what_was_lost_is_listed_as_parked(
    dragan: Any, lane: str, wait_until: Any
) -> None:
    running, waiting = dragan.dispatch("sleep 300"), dragan.dispatch("echo x")
    wait_until(lambda: dragan.state(running) == "running")

    drained = dragan("lane", "drain", lane, "--reason", "maintenance")
    assert (drained.exit_code, drained.out) == (0, "paused\n")
    assert dragan.ask("mission", "why", waiting)["code"] == "lane_paused"
    reset = dragan.ask("lane", "reset", lane, "--reason", "it hangs")
    assert reset["status"] == "idle"
    assert dragan("mission", "watch", waiting).exit_code == 0  # the lane took itself up again

    parked = dragan("mission", "list", "--parked")
    assert [line.split("\t")[:2] for line in parked.out.splitlines()[1:]] == [[running, "failed (parked)"]]
    why = dragan.ask("mission", "why", running)
    assert (why["code"], why["facts"]["reason_code"]) == ("parked", "attempts_exhausted")
    assert dragan("lane", "drain", lane, "--reason", "once more").exit_code == 0
    resumed = dragan.ask("lane", "resume", lane, "--reason", "done")
    assert resumed["status"] in ("active", "idle")


@pytest.mark.parametrize(
    "command", [("mission", "approve"), ("mission", "deny"), ("mission", "retry"), ("mission", "why")]
)
def test_an_unknown_mission_is_said_to_be_unknown(dragan: Any, command: tuple[str, str]) -> None:
    done = dragan(*command, "no-such-mission", "--json")
    assert (done.exit_code, done.problem["code"], done.out) == (1, "mission_unknown", "")
