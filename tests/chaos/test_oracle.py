"""The oracle is proven: every invariant is broken by a runtime that is broken on purpose, and named for it."""

from pathlib import Path

import pytest

from .broken import Defect, Scenario, defects
from .oracle import invariants, judge

pytestmark = pytest.mark.anyio
SECOND_OPINION = frozenset({"ledger-replays"})  # the replay may see the same defect, by its own way
SCENARIOS = sorted({defect.scenario for defect in defects()}, key=lambda scenario: scenario.__name__)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
async def test_a_history_without_a_defect_breaks_nothing(scenario: Scenario, tmp_path: Path) -> None:
    assert [str(finding) for finding in judge(await scenario(tmp_path))] == []


@pytest.mark.parametrize("defect", defects(), ids=lambda defect: defect.name)
async def test_a_broken_runtime_is_caught_by_the_invariant_it_breaks_and_no_other(
    defect: Defect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    defect.install(monkeypatch)
    findings = judge(await defect.scenario(tmp_path))
    named = {finding.invariant for finding in findings}
    assert defect.invariant in named
    assert named - {defect.invariant, *defect.also, *SECOND_OPINION} == set(), [str(one) for one in findings]


def test_the_page_about_chaos_has_every_invariant_with_its_sentence() -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "chaos.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| ")][1:]
    assert rows == [f"| {one.name} | {one.sentence} |" for one in invariants()]


def test_every_invariant_is_broken_by_a_runtime() -> None:
    assert {defect.invariant for defect in defects()} >= {one.name for one in invariants()} - SECOND_OPINION
