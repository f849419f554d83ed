"""A short campaign on each house: nothing that was promised is broken. `CHAOS_SEED=n` replays one."""

import os
from pathlib import Path

import pytest

from .campaign import Campaign, run
from .figures import figures
from .houses import HOUSES
from .oracle import judge

pytestmark = pytest.mark.anyio
SEED = int(os.environ.get("CHAOS_SEED") or 20261126)
MISSIONS = 30
FAULTS = 7


@pytest.mark.timeout(300)
@pytest.mark.parametrize("house", sorted(HOUSES))
async def test_a_house_under_faults_keeps_its_promises(house: str, tmp_path: Path) -> None:
    print(f"replay with make chaos-short SEED={SEED}")
    campaign = Campaign(seed=SEED, missions=MISSIONS, faults_every=0.7, faults=FAULTS, waiting=MISSIONS // 2)
    with HOUSES[house](tmp_path) as built:
        course = await run(campaign, built)
    findings = judge(course.evidence)
    print(figures(campaign, house, course, findings))
    assert [*map(str, findings), *course.wrong] == []
    assert set(course.faults) == set(built.faults), "each kind of fault was to come once at least"
    assert len(course.evidence.missions) == MISSIONS
