"""What a seed says will happen: to missions, and to the house. The same seed, the same plan."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# How a mission's command behaves, and how often; see `side_effect`. What kills its worker costs all others a lease's
# time, so it is rare; but every campaign has each of them, early.
BEHAVIOURS = {
    "work": 880,
    "grandchild": 40,
    "fail": 20,
    "crash": 20,
    "hang": 15,
    "kill-worker": 15,
    "kill-both": 10,
}
EARLY = 12  # missions that share one of each behaviour
DIES_AFTER_RECEIPT = 0.01
CANCELLED = 0.06
REPEATED = 0.3
CALLED_BACK = 0.4
TWO_STEPS = 0.2


@dataclass(frozen=True, kw_only=True)
class MissionPlan:
    """One mission: how its commands behave, how often it is asked for, and when (seconds after) it is cancelled."""

    number: int
    lane: str
    behaviours: tuple[str, ...]
    seconds: float
    copies: int
    cancel_after: float | None
    callback: bool
    dies_after_receipt: bool


@dataclass(frozen=True, kw_only=True)
class FaultPlan:
    """One thing that is done to the house, `after` the one before, for `seconds`. `pick` chooses whom, in [0, 1)."""

    kind: str
    after: float
    seconds: float
    pick: float


def mission_plans(seed: int, count: int, lanes: Sequence[str]) -> list[MissionPlan]:
    """The missions of a campaign."""
    choose = random.Random(f"missions {seed}")
    early = [*BEHAVIOURS, *["work"] * (EARLY - len(BEHAVIOURS))]
    choose.shuffle(early)
    later = choose.choices(list(BEHAVIOURS), weights=list(BEHAVIOURS.values()), k=max(0, count - EARLY))
    mortal = choose.randrange(EARLY)
    return [
        _mission(choose, number, lanes, behaviour, mortal=number == mortal)
        for number, behaviour in enumerate([*early, *later][:count])
    ]


def _mission(choose: random.Random, number: int, lanes: Sequence[str], behaviour: str, *, mortal: bool) -> MissionPlan:
    second = ("work",) if choose.random() < TWO_STEPS else ()
    cancelled = choose.random() < CANCELLED
    return MissionPlan(
        number=number,
        lane=choose.choice(lanes),
        behaviours=(behaviour, *second),
        seconds=round(choose.choice([0.0, 0.0, 0.0, choose.uniform(0.05, 0.5)]), 3),
        copies=choose.choice([2, 3, 5]) if choose.random() < REPEATED else 1,
        # What hangs is ended by somebody: by a cancel, or by the time limit of its step.
        cancel_after=round(choose.uniform(0.0, 1.5), 3) if cancelled else None,
        callback=choose.random() < CALLED_BACK,
        dies_after_receipt=mortal or choose.random() < DIES_AFTER_RECEIPT,
    )


@dataclass(frozen=True, kw_only=True)
class FaultKind:
    """How often a kind of fault comes, and how many seconds it lasts, from and to."""

    weight: int
    lasts: tuple[float, float] = (0.0, 0.0)


def fault_plans(seed: int, kinds: Mapping[str, FaultKind], *, every: float) -> "FaultPlans":
    """An endless plan of faults, about one in `every` seconds; the first round has each kind once."""
    return FaultPlans(seed, kinds, every)


class FaultPlans:
    """Iterates over faults without an end; the campaign says when it has had enough."""

    def __init__(self, seed: int, kinds: Mapping[str, FaultKind], every: float) -> None:
        self._choose = random.Random(f"faults {seed}")
        self._kinds = kinds
        self._every = every
        self._first = list(kinds)
        self._choose.shuffle(self._first)

    def __iter__(self) -> "FaultPlans":
        return self

    def __next__(self) -> FaultPlan:
        choose, kinds = self._choose, self._kinds
        if self._first:
            kind = self._first.pop()
        else:
            (kind,) = choose.choices(list(kinds), weights=[one.weight for one in kinds.values()])
        return FaultPlan(
            kind=kind,
            after=round(self._every * choose.uniform(0.5, 1.5), 3),
            seconds=round(choose.uniform(*kinds[kind].lasts), 3),
            pick=choose.random(),
        )
