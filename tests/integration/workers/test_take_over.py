"""Workers that stop, die or are cut off: another one takes over, nothing late counts, and there is one outcome."""

import asyncio
import signal
import time

import pytest

from dragancorp_contracts.lifecycle import MissionState

from .crew import CALLER, Crew, alive, eventually, gone, up, worker_http

# Real processes: what takes seconds takes a minute where many others run.
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]


def once(crew: Crew, seconds: str) -> str:
    """A script whose first run sleeps, and whose second is quick; each leaves a line in a file outside."""
    log, first = crew.folder / "runs", crew.folder / "first"
    return f"echo run >> {log}; if mkdir {first} 2>/dev/null; then sleep {seconds}; fi; echo done >> {log}"


async def test_two_workers_cannot_run_one_mission_and_a_zombie_cannot_finish_what_another_has_taken(
    crew: Crew,
) -> None:
    first = await crew.working("first-host")
    second = crew.worker("second-host")
    await second.says("lane.waiting")
    mission_id = await crew.dispatch(["sh", "-c", once(crew, "60.511")])
    await up("60.511")
    before = await crew.session()

    first.signal(signal.SIGSTOP)
    await second.says("lane.acquired")
    row = await crew.over(mission_id)
    assert (row.state, row.attempt, row.failures) == (MissionState.COMPLETED, 2, 1)
    assert alive("60.511") == []  # its guard was not stopped, and ended what it ran

    first.signal(signal.SIGCONT)
    await first.says("lane.lease_lost")
    await first.says("lane.waiting")
    last_word = {
        "lease_owner": before.lease_owner,
        "lease_epoch": before.lease_epoch,
        "attempt": 1,
        "trigger": "fail",
        "idempotency_key": "late",
    }
    async with worker_http(crew.url) as http:
        refused = await http.post(f"/api/v1/missions/{mission_id}/events", json=last_word)
    assert (refused.status_code, refused.json()["code"]) == (409, "mission_terminal")
    types = await crew.types(mission_id)
    assert types[-1] == "completed"
    assert [kind for kind in types if kind in ("completed", "failed", "cancelled", "timed_out")] == ["completed"]
    assert (crew.folder / "runs").read_text().split() == ["run", "run", "done"]
    assert (await crew.session()).lease_epoch > before.lease_epoch


async def test_a_worker_killed_in_the_middle_leaves_nothing_running_and_its_mission_is_finished_once(
    crew: Crew,
) -> None:
    first = await crew.working("first-host")
    mission_id = await crew.dispatch(["sh", "-c", once(crew, "60.512")])
    await up("60.512")
    first.signal(signal.SIGKILL)
    await gone("60.512")

    async def requeued() -> bool:
        return "requeued" in await crew.types(mission_id)

    await eventually(requeued)  # with no worker alive: the reconciler saw the same beat for a whole TTL
    await crew.working("second-host")
    row = await crew.over(mission_id)
    assert (row.state, row.attempt) == (MissionState.COMPLETED, 2)
    assert (await crew.types(mission_id)).count("completed") == 1
    assert (crew.folder / "runs").read_text().split() == ["run", "run", "done"]


async def test_what_is_dispatched_after_the_workers_death_is_not_given_to_the_dead(crew: Crew) -> None:
    first = await crew.working("first-host")
    await first.says("lane.acquired")
    await asyncio.sleep(0.5)  # its claim waits at the plane
    first.signal(signal.SIGKILL)
    await first.ended()
    await asyncio.sleep(0.3)  # the plane hears that the connection is closed
    mission_id = await crew.dispatch(["true"])
    await crew.working("second-host")
    row = await crew.over(mission_id)
    assert (row.state, row.attempt, row.failures) == (MissionState.COMPLETED, 1, 0)


@pytest.mark.parametrize("lease_ttl", [60.0])
async def test_a_cancel_reaches_a_worker_at_once_and_not_with_its_next_heartbeat(crew: Crew) -> None:
    await crew.working("host")
    mission_id = await crew.dispatch(["sleep", "60.513"])
    await up("60.513")
    asked = time.monotonic()
    await crew.plane.missions.cancel(mission_id, CALLER)
    row = await crew.over(mission_id)
    took = time.monotonic() - asked
    assert row.state is MissionState.CANCELLED
    assert took < 7.0, took  # a heartbeat comes every 15 s; the command has 0.3 s to stop
    await gone("60.513")


async def test_told_to_stop_a_worker_hands_back_what_runs_and_another_finishes_it(crew: Crew) -> None:
    first = await crew.working("first-host")
    mission_id = await crew.dispatch(["sh", "-c", once(crew, "60.514")])
    await up("60.514")
    first.signal(signal.SIGTERM)
    assert await first.ended() == 0
    await gone("60.514")
    row = await crew.row(mission_id)
    assert (row.state, row.failures) == (MissionState.QUEUED, 0)
    assert (await crew.session()).lease_owner is None
    await crew.working("second-host")
    assert (await crew.over(mission_id)).state is MissionState.COMPLETED


async def test_told_twice_a_worker_stops_at_once_and_nothing_is_left(crew: Crew) -> None:
    worker = crew.worker("host", "--grace", "60")
    await worker.says("lane.acquired")
    mission_id = await crew.dispatch(["sleep", "60.515"])
    await up("60.515")
    worker.signal(signal.SIGTERM)
    await worker.says("worker.draining")
    worker.signal(signal.SIGTERM)
    assert await worker.ended() == 1
    await gone("60.515")
    assert (await crew.row(mission_id)).state is MissionState.RUNNING  # until the lease is over

    async def lost() -> bool:
        return "degraded" in await crew.session_events()

    await eventually(lost)
