"""A worker that shares the plane's database instead of asking it over HTTP."""

import signal
from pathlib import Path

import pytest

from dragancorp.control_plane import ControlPlane
from dragancorp_contracts.lifecycle import MissionState

from .crew import LANE, LANES, Crew, crew_on

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]


async def test_a_worker_on_postgresql_holds_the_lease_runs_and_lets_go(
    postgres_url: str, tmp_path: Path, lease_ttl: float
) -> None:
    (tmp_path / "lanes.yaml").write_text(LANES % lease_ttl)
    async with await ControlPlane.open(
        postgres_url, lanes=tmp_path / "lanes.yaml", data=tmp_path / "plane", serve_lanes=False
    ) as plane:
        async with crew_on(Crew(tmp_path, plane, "")) as crew:
            worker = crew.start("worker", "--lane", LANE, "--db", postgres_url, "--data", "plane", "--grace", "0")
            await worker.says("lane.acquired")
            row = await crew.over(await crew.dispatch(["true"]))
            assert (row.state, row.attempt) == (MissionState.COMPLETED, 1)
            assert (await crew.session()).lease_embedded is False
            worker.signal(signal.SIGTERM)
            assert await worker.ended() == 0
            assert (await crew.session()).lease_owner is None
