"""Small exact statistics, without a library: percentiles by nearest rank, and the binomial bound."""

import math
from collections.abc import Sequence
from functools import lru_cache

CONFIDENCE = 0.95
BISECTIONS = 60  # halvings of [0, 1]: below the resolution of a double


def nearest_rank(values: Sequence[float], share: float) -> float | None:
    """The smallest value that at least `share` of all values do not exceed; None without values."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@lru_cache(maxsize=4096)
def upper_bound(hits: int, trials: int, confidence: float = CONFIDENCE) -> float | None:
    """The one-sided exact (Clopper-Pearson) upper bound on a rate: 0 of 20 gives 0.1391; None without trials.

    It is the rate under which seeing `hits` or fewer has the probability 1 - `confidence`.
    """
    if trials == 0:
        return None
    if hits >= trials:
        return 1.0
    return _rate_at(hits, trials, 1 - confidence, hits / trials, 1.0)


@lru_cache(maxsize=4096)
def lower_bound(hits: int, trials: int, confidence: float = CONFIDENCE) -> float | None:
    """The one-sided exact lower bound on a rate: 5 of 20 gives 0.1041; None without trials.

    It is the rate under which seeing `hits` or more has the probability 1 - `confidence`.
    """
    if trials == 0:
        return None
    if hits == 0:
        return 0.0
    return _rate_at(hits - 1, trials, confidence, 0.0, hits / trials)


def _rate_at(hits: int, trials: int, probability: float, low: float, high: float) -> float:
    """The rate between `low` and `high` under which `hits` or fewer have this probability: the higher, the rarer."""
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if at_most(hits, trials, middle) > probability:
            low = middle
        else:
            high = middle
    return high


def at_most(hits: int, trials: int, rate: float) -> float:
    """The probability of `hits` or fewer successes in `trials` at `rate`."""
    if rate >= 1.0:
        return 1.0 if hits >= trials else 0.0
    if rate <= 0.0:
        return 1.0
    # The shorter of the two tails: a window of hundreds of missions is judged again and again.
    if hits > trials // 2:
        return 1.0 - _between(hits + 1, trials, trials, rate)
    return _between(0, hits, trials, rate)


def _between(first: int, last: int, trials: int, rate: float) -> float:
    ways, hit, missed = _log_ways(trials), math.log(rate), math.log1p(-rate)
    return math.fsum(
        math.exp(ways[count] + count * hit + (trials - count) * missed) for count in range(first, last + 1)
    )


@lru_cache(maxsize=1024)
def _log_ways(trials: int) -> tuple[float, ...]:
    """The logarithms of how many ways there are to have 0, 1, 2, ... hits."""
    whole = math.lgamma(trials + 1)
    return tuple(whole - math.lgamma(count + 1) - math.lgamma(trials - count + 1) for count in range(trials + 1))
