"""Bounds and percentiles against exact arithmetic."""

from fractions import Fraction
from itertools import pairwise
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as some

from dragancorp.rollout.statistics import at_most, lower_bound, nearest_rank, upper_bound


def exactly_at_most(hits: int, trials: int, rate: Fraction) -> Fraction:
    """The binomial distribution's sum in whole numbers."""
    return sum(
        (comb(trials, count) * rate**count * (1 - rate) ** (trials - count) for count in range(hits + 1)), Fraction(0)
    )


def exact_upper_bound(hits: int, trials: int) -> Fraction:
    """The rate under which `hits` or fewer have a probability of one in twenty, to 2^-30, in whole numbers."""
    low, high = Fraction(0), Fraction(1)
    for _ in range(30):
        middle = (low + high) / 2
        if exactly_at_most(hits, trials, middle) > Fraction(1, 20):
            low = middle
        else:
            high = middle
    return (low + high) / 2


def test_none_of_twenty_leaves_a_rate_of_fourteen_per_cent_possible() -> None:
    assert upper_bound(0, 20) == pytest.approx(0.1391, abs=5e-5)
    assert upper_bound(0, 20) == pytest.approx(1 - 0.05 ** (1 / 20), abs=1e-12)


@pytest.mark.parametrize(("trials", "limit"), [(14, 0.20), (20, 0.15), (29, 0.10)])
def test_the_gates_least_numbers_are_just_enough_without_a_single_fallback(trials: int, limit: float) -> None:
    bound, before = upper_bound(0, trials), upper_bound(0, trials - 1)
    assert bound is not None
    assert before is not None
    assert bound < limit
    if trials != 20:  # 19 without a fallback would give 0.1459: the gate asks for a little more
        assert before >= limit


def test_without_trials_there_is_no_bound() -> None:
    assert upper_bound(0, 0) is None


@pytest.mark.parametrize("trials", [1, 2, 5, 13, 20, 35])
def test_the_bound_is_the_exact_one(trials: int) -> None:
    for hits in range(trials):
        assert upper_bound(hits, trials) == pytest.approx(float(exact_upper_bound(hits, trials)), abs=2e-9)
    assert upper_bound(trials, trials) == 1.0


@pytest.mark.parametrize("trials", [1, 2, 5, 13, 20, 35])
def test_the_lower_bound_is_one_less_the_upper_bound_on_the_others(trials: int) -> None:
    for hits in range(trials + 1):
        other = upper_bound(trials - hits, trials)
        assert other is not None
        assert lower_bound(hits, trials) == pytest.approx(1 - other, abs=1e-9)
    assert lower_bound(5, 20) == pytest.approx(0.1041, abs=5e-5)
    assert lower_bound(0, 0) is None


def test_more_hits_mean_a_higher_bound_and_more_trials_a_lower_one() -> None:
    by_hits = [upper_bound(hits, 30) or 0.0 for hits in range(31)]
    assert all(one < other for one, other in pairwise(by_hits[:-1]))
    by_trials = [upper_bound(3, trials) or 0.0 for trials in range(4, 500, 7)]
    assert all(one > other for one, other in pairwise(by_trials))


def test_the_bound_is_above_the_rate_itself_also_in_the_largest_window() -> None:
    for hits in (0, 1, 250, 499):
        bound = upper_bound(hits, 500)
        assert bound is not None
        assert hits / 500 < bound <= 1.0


@given(some.integers(1, 60), some.data())
def test_the_probability_is_the_exact_one(trials: int, data: some.DataObject) -> None:
    hits = data.draw(some.integers(0, trials))
    rate = data.draw(some.fractions(Fraction(0), Fraction(1), max_denominator=1000))
    assert at_most(hits, trials, float(rate)) == pytest.approx(float(exactly_at_most(hits, trials, rate)), abs=1e-9)


@pytest.mark.parametrize("share", ["0.5", "0.95", "0.99"])
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(share: str) -> None:
    for count in range(1, 501):
        # Of the numbers from 1 to n, m is not exceeded by m of n.
        found = nearest_rank(list(range(count, 0, -1)), float(share))
        assert found is not None
        assert Fraction(int(found), count) >= Fraction(share) > Fraction(int(found) - 1, count), count


def test_a_percentile_of_nothing_is_none() -> None:
    assert nearest_rank([], 0.95) is None


@given(some.lists(some.floats(0, 1e6), min_size=1, max_size=50), some.floats(0.01, 1))
def test_a_percentile_is_a_value_that_really_occurred(values: list[float], share: float) -> None:
    found = nearest_rank(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-6
