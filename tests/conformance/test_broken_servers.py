"""The suite is proven: every requirement is failed by a server that breaks it, and by that one requirement."""

from collections.abc import Callable
from typing import Any

import pytest

from dragancorp_conformance.requirements import requirements

from .broken import Defect, defects
from .conftest import DRAWN, PATIENT
from .serving import served

# Cheap requirements from every corner: a defect elsewhere must not fail them.
BYSTANDERS = (
    "API-1", "AUT-4", "CAN-1", "ERR-3", "ERR-4", "ERR-6", "HLT-1", "IDM-1", "IDM-2", "LED-1", "LED-3", "LED-6", "MIS-1",
    "MIS-2", "OPS-1", "PAG-2", "RAW-2", "RAW-3",
)  # fmt: skip


# What is drawn by chance costs seconds, so it is drawn for the operation that is broken alone.
OPERATIONS = {"GEN-1": ["list_missions"], "GEN-2": ["list_missions"], "GEN-3": ["dispatch_mission", "get_mission"]}


def bystanders(defect: Defect) -> list[str]:
    """Three requirements that have nothing to do with the defect; over all defects they take turns."""
    if "*" in defect.also:
        return []
    own = {defect.requirement, *defect.also}
    turn = defects().index(defect)
    turned = [BYSTANDERS[(3 * turn + number) % len(BYSTANDERS)] for number in range(len(BYSTANDERS))]
    return [name for name in turned if name not in own][:3]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("defect", defects(), ids=lambda defect: defect.name)
def test_a_broken_server_is_failed_by_the_right_requirement_and_no_other(
    defect: Defect, asked: Callable[..., tuple[int, dict[str, Any]]]
) -> None:
    operations = OPERATIONS.get(defect.requirement, ())
    others = bystanders(defect)
    with served(defect.server()) as url:
        exit_code, report = asked(url, defect.requirement, operations=operations)
        elsewhere = asked(url, *others, pace=PATIENT)[1]["results"] if others else []
    assert [one["outcome"] for one in report["results"]] == ["failed"]
    assert [one["requirement_id"] for one in elsewhere if one["outcome"] != "passed"] == []
    assert len(elsewhere) == len(others)
    assert exit_code == 1
    assert not report["conformant"]


def test_every_requirement_has_a_server_that_breaks_it() -> None:
    broken = {defect.requirement for defect in defects()}
    expected = {one.id for one in requirements() if one.level == "core" and not one.id.startswith("OPS")}
    assert expected - broken == set()
    assert len(defects()) >= 20
    assert broken >= set(DRAWN)
