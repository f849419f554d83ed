"""`dragan worker` says what is wrong, and by its exit code who has to act."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from .crew import LANE, OPERATOR, WORKER, Crew

# Real processes: what takes seconds takes a minute where many others run.
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]


async def refused(crew: Crew, *words: str, **extra: str) -> tuple[int, Mapping[str, str]]:
    """Exit code and problem of a worker that does not come to work."""
    worker = crew.start("worker", *words, "--json", **extra)
    exit_code = await worker.ended()
    return exit_code, json.loads(worker.err.read_text().splitlines()[-1])


async def test_an_operators_token_does_not_run_lanes(crew: Crew) -> None:
    exit_code, problem = await refused(crew, "--lane", LANE, "--url", crew.url, "--token", OPERATOR)
    assert (exit_code, problem["code"]) == (1, "scope_missing")


async def test_a_database_that_another_process_owns_is_refused(crew: Crew) -> None:
    database = f"sqlite:///{crew.folder / 'plane' / 'state.db'}"
    exit_code, problem = await refused(crew, "--lane", LANE, "--db", database)
    assert (exit_code, problem["code"]) == (3, "database_owned")


async def test_without_a_plane_that_can_be_found_it_ends(crew: Crew) -> None:
    exit_code, problem = await refused(crew, "--lane", LANE, "--data", "nothing-here")
    assert (exit_code, problem["code"]) == (3, "server_unreachable")


async def test_a_lane_that_is_off_here_or_not_in_the_file_is_not_worked_for(crew: Crew, tmp_path: Path) -> None:
    exit_code, problem = await refused(crew, "--lane", "vp.nobody", "--url", crew.url)
    assert (exit_code, problem["code"]) == (1, "lane_unknown")
    flagged = tmp_path / "flagged.yaml"
    flagged.write_text(f"lanes: [{{vp_id: {LANE}, flag: CODER_VP, executor: {{type: automation, allow: [sh]}}}}]\n")
    exit_code, problem = await refused(
        crew, "--lane", LANE, "--url", crew.url, "--lanes", str(flagged), UA_INTERNAL_API_TOKEN=WORKER
    )
    assert (exit_code, problem["code"]) == (3, "settings_invalid")
    assert "UA_ENABLE_CODER_VP" in problem["detail"]


async def test_one_way_to_the_registry_is_enough(crew: Crew) -> None:
    worker = crew.start("worker", "--lane", LANE, "--url", crew.url, "--db", "sqlite:///x.db")
    assert await worker.ended() == 2
