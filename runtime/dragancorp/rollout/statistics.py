"""Small exact statistics, without a library: percentiles by nearest rank, and the binomial bound."""

import math
from collections.abc import Sequence

CONFIDENCE = 0.95
BISECTIONS = 60  # halvings of [0, 1]: below the resolution of a double


def nearest_rank(values: Sequence[float], share: float) -> float | None:
    """The smallest value that at least `share` of all values do not exceed; None without values."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def upper_bound(hits: int, trials: int, confidence: float = CONFIDENCE) -> float | None:
    """The one-sided exact (Clopper-Pearson) upper bound on a rate: 0 of 20 gives 0.1391; None without trials.

    It is the rate under which seeing `hits` or fewer has the probability 1 - `confidence`.
    """
    if trials == 0:
        return None
    if hits >= trials:
        return 1.0
    low, high = hits / trials, 1.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if at_most(hits, trials, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def lower_bound(hits: int, trials: int, confidence: float = CONFIDENCE) -> float | None:
    """The one-sided exact lower bound on a rate: 5 of 20 gives 0.1041; None without trials.

    It is one less the upper bound on the rate of the others.
    """
    other = upper_bound(trials - hits, trials, confidence)
    return None if other is None else 1.0 - other


def at_most(hits: int, trials: int, rate: float) -> float:
    """The probability of `hits` or fewer successes in `trials` at `rate`."""
    if rate >= 1.0:
        return 1.0 if hits >= trials else 0.0
    if rate <= 0.0:
        return 1.0
    return math.fsum(
        math.exp(
            math.lgamma(trials + 1)
            - math.lgamma(count + 1)
            - math.lgamma(trials - count + 1)
            + count * math.log(rate)
            + (trials - count) * math.log1p(-rate)
        )
        for count in range(hits + 1)
    )
