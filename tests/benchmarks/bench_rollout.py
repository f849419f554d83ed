"""How often the standard policy promotes and rolls back wrongly: lanes of known fallback rates, 1,000 rollouts each.

Every mission is one draw; after each the policy decides, an operator promotes as soon as that is offered, and a forced
fallback ends the run. A lane that reaches `default_on` is watched for 500 more. The rollout's own code decides;
only the missions are drawn. Prints its seed: `python bench_rollout.py SEED` draws the same again.
"""

import random
import statistics
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from itertools import repeat
from typing import Any

from dragancorp.lifecycle.rollout import RolloutRow
from dragancorp.rollout.findings import Situation, decide, findings
from dragancorp.rollout.numbers import NOTHING_READ
from dragancorp.rollout.policy import standard_policy
from dragancorp.rollout.statistics import lower_bound, upper_bound
from dragancorp.settings import LaneFlags
from dragancorp_contracts.models.rollout_policy_v1 import Stage

RATES = (0.01, 0.03, 0.05, 0.08, 0.20)
RUNS = 1_000
WATCHED = 500  # missions on default_on
GIVEN_UP = 1_000  # missions in one stage without a decision


@dataclass(frozen=True)
class Run:
    """How one rollout ended: where it stood, and after how many missions in all."""

    ending: str
    missions: int


@cache
def numbers(trials: int, missed: int, run: int) -> dict[str, Any]:
    """What a capture would say of so many missions, of which the lane did not finish `missed`, the last `run` among
    them.
    """
    return {
        **NOTHING_READ,
        "missions_considered": trials,
        "missions_with_fallback": missed,
        "fallback_rate": missed / trials if trials else None,
        "upper_bound": upper_bound(missed, trials),
        "lower_bound": lower_bound(missed, trials),
        "p95_seconds": 1.0 if trials else None,
        "consecutive_lane_failures": run,
        "continuity_breaks": 0,
    }


def rollout(rate: float, chance: random.Random) -> Run:
    """One lane's way from shadow on."""
    policy, total = standard_policy(), 0
    row = RolloutRow(vp_id="vp.coder.primary", stage=Stage.shadow)
    missed, run = [0], 0  # how many were missed among the first n of the stage; how many of the last, in a row
    sustained, alarm = policy.document["sustained"]["mission_limit"], policy.document["alarm"]["window_missions"]

    def newest(window: int) -> dict[str, Any]:
        trials = min(window, len(missed) - 1)
        return numbers(trials, missed[-1] - missed[-1 - trials], min(run, trials))

    while True:
        lost = chance.random() < rate
        missed.append(missed[-1] + lost)
        run = run + 1 if lost else 0
        total += 1
        situation = Situation(
            policy=policy,
            row=row,
            flags=LaneFlags(enabled=True),
            numbers=newest(500),
            sustained_numbers=newest(sustained),
            alarm_numbers=newest(alarm),
        )
        _, action = decide(policy, row.stage, findings(situation))
        if action == "force_fallback":
            return Run(f"rolled back from {row.stage.value}", total)
        if action == "advance" and row.next_stage is not None:
            row, missed, run = replace(row, stage=row.next_stage), [0], 0
        elif row.stage is Stage.default_on and len(missed) > WATCHED:
            return Run("stays on", total)
        elif len(missed) > GIVEN_UP:
            return Run(f"held in {row.stage.value}", total)


def rollouts(rate: float, seed: int) -> list[Run]:
    """All rollouts of lanes with one rate."""
    chance = random.Random(f"{seed}-{rate}")
    return [rollout(rate, chance) for _ in range(RUNS)]


def main() -> int:
    """Print a line a rate."""
    seed = int(sys.argv[1]) if sys.argv[1:] else random.SystemRandom().randrange(2**32)
    print(f"rollout policy {standard_policy().digest[:12]}, {RUNS} rollouts a rate, seed {seed}")
    print(f"{'true rate':>9}  {'stays on':>8}  {'rolled back':>11}  {'held':>5}  {'missions until rolled back':>26}")
    with ProcessPoolExecutor() as processes:
        drawn = list(processes.map(rollouts, RATES, repeat(seed)))
    for rate, runs in zip(RATES, drawn, strict=True):
        kinds = Counter(run.ending.split(" ")[0] for run in runs)
        caught = [run.missions for run in runs if run.ending.startswith("rolled")]
        spread = "–"
        if len(caught) >= 2:
            ordered = sorted(caught)
            spread = f"median {statistics.median(ordered):.0f}, 95 % within {ordered[int(0.95 * (len(ordered) - 1))]}"
        shares = [kinds[kind] / RUNS for kind in ("stays", "rolled", "held")]
        print(f"{rate:>9.0%}  {shares[0]:>8.1%}  {shares[1]:>11.1%}  {shares[2]:>5.1%}  {spread:>26}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
