"""Routing against prompts that people labelled: how many of the turns it sends were meant, and how many meant it sends.

The numbers may rise, and the floor with them; they may not fall. A prompt that is routed wrongly stays in the
set: it is what precision and recall are about.
"""

from pathlib import Path

import pytest

from dragancorp.gateway.routing import Route, Router
from dragancorp.gateway.turns import Turn
from dragancorp.lanes_file import read_lanes
from dragancorp.settings import LaneFlags

HERE = Path(__file__).parent / "labelled"
LANES = {"coder": "vp.coder.primary", "research": "vp.research", "nobody": None}
# Lane: (precision, recall) in thousandths, as measured when the set was last changed.
FLOOR = {"coder": (962, 939), "research": (1000, 933)}


def routed() -> list[tuple[str, str, str]]:
    """(label, where it went, text) of every prompt."""
    on = LaneFlags(enabled=True)
    router = Router([Route(lane["vp_id"], lane, on) for lane in read_lanes(HERE / "lanes.yaml")])
    names = {vp_id: name for name, vp_id in LANES.items()}
    found = []
    for line in (HERE / "prompts.tsv").read_text(encoding="utf-8").splitlines():
        label, text = line.split("\t")
        decision = router.decide(Turn(text=text, session_id="s1"))
        went = decision.route.vp_id if decision.delegate and decision.route is not None else None
        found.append((label, names[went], text))
    return found


def test_there_are_two_hundred_different_prompts_and_every_label_is_known() -> None:
    found = routed()
    assert len({text for _, _, text in found}) == len(found) >= 200
    assert {label for label, _, _ in found} == set(LANES)


@pytest.mark.parametrize("lane", FLOOR)
def test_precision_and_recall_do_not_fall(lane: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = routed()
    right = sum(label == went == lane for label, went, _ in found)
    precision = right * 1000 // sum(went == lane for _, went, _ in found)
    recall = right * 1000 // sum(label == lane for label, _, _ in found)
    wrong = [f"  {label} went to {went}: {text}" for label, went, text in found if label != went]
    with capsys.disabled():
        print(f"\n{lane}: precision {precision / 1000:.3f}, recall {recall / 1000:.3f} of {len(found)} prompts")
    assert precision >= FLOOR[lane][0], "\n".join(wrong)
    assert recall >= FLOOR[lane][1], "\n".join(wrong)


def test_the_same_prompt_goes_the_same_way_every_time() -> None:
    assert routed() == routed()
