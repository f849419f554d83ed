"""What was really done, by the record outside of the workspaces."""

from collections import defaultdict

from dragancorp_contracts.lifecycle import MissionState

from ..effect_log import Effect
from ..evidence import Evidence
from . import Found, Invariant


def _no_overlap(evidence: Evidence) -> Found:
    open_runs: dict[str, Effect] = {}
    for effect in evidence.effects:
        before = open_runs.get(effect.workspace)
        match effect.what:
            case "overlap":
                yield effect.workspace, f"{_run(effect)} began while another run held the workspace"
            case "start":
                open_runs[effect.workspace] = effect
            case "effect" | "end" if before is not None and before.pid != effect.pid:
                yield effect.workspace, f"{_run(effect)} went on after {_run(before)} had begun"


def _run(effect: Effect) -> str:
    return f"{effect.mission} attempt {effect.attempt} step {effect.step} (process {effect.pid})"


def _receipt_honoured(evidence: Evidence) -> Found:
    for effect in evidence.effects:
        if effect.what == "start" and effect.receipt:
            yield effect.mission, f"{_run(effect)} began though the mission's receipt was there"


def _completed_means_done(evidence: Evidence) -> Found:
    ended: defaultdict[str, set[int]] = defaultdict(set)
    for effect in evidence.effects:
        if effect.what == "end":
            ended[effect.mission].add(effect.step)
    for mission_id, record in evidence.missions.items():
        wanted = set(range(1, record.steps + 1))
        by_lane = record.row["completed_via"] == "lane"
        if record.row["state"] is MissionState.COMPLETED and by_lane and not wanted <= ended[mission_id]:
            yield mission_id, f"is completed, and of its steps {sorted(wanted)} only {sorted(ended[mission_id])} ended"


def _nothing_left(evidence: Evidence) -> Found:
    for process in evidence.left:
        yield process, "lives after everything was stopped"


INVARIANTS = (
    Invariant(
        name="no-overlap",
        sentence="Two runs are never in one workspace at a time, nor is anything that a run has started.",
        check=_no_overlap,
    ),
    Invariant(
        name="receipt-honoured",
        sentence="Nothing is run again once the receipt stands.",
        check=_receipt_honoured,
    ),
    Invariant(
        name="completed-means-done",
        sentence="A mission that a lane completed was really done to its end.",
        check=_completed_means_done,
    ),
    Invariant(
        name="nothing-left",
        sentence="No process is left behind.",
        check=_nothing_left,
    ),
)
