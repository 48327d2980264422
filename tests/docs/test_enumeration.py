"""The enumeration against counting by hand: exact fractions, and every sequence of answers one by one."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import pytest

from stream.core.statistics import wilson
from tests.docs.enumeration import binomial, coverage, multinomial, worst_over_every_share

TENTHS = (5, 3, 2)


@pytest.mark.parametrize("percent", [1, 10, 37, 50, 99])
@pytest.mark.parametrize("n", [1, 5, 30])
def test_binomial_weights_are_those_of_exact_fractions(n: int, percent: int) -> None:
    p = Fraction(percent, 100)
    found = dict(binomial(n, percent / 100))
    for k in range(n + 1):
        exact = float(math.comb(n, k) * p**k * (1 - p) ** (n - k))
        assert found.get(k, 0.0) == pytest.approx(exact, rel=1e-11, abs=1e-18)


def test_multinomial_weights_are_those_of_every_sequence_of_answers() -> None:
    n = 6
    counted: dict[tuple[int, ...], int] = {}
    for answers in itertools.product(range(len(TENTHS)), repeat=n):
        outcome = tuple(answers.count(kind) for kind in range(len(TENTHS)))
        counted[outcome] = counted.get(outcome, 0) + math.prod(TENTHS[kind] for kind in answers)
    found = dict(multinomial(n, [tenths / 10 for tenths in TENTHS]))
    assert found == pytest.approx({outcome: ways / 10**n for outcome, ways in counted.items()}, rel=1e-11)


@pytest.mark.parametrize("shares", [(0.3, 0.3, 0.4), (0.9, 0.1, 0.0), (0.0, 0.5, 0.5)])
def test_what_is_left_out_at_a_thousand_is_invisible(shares: tuple[float, ...]) -> None:
    assert math.fsum(weight for _, weight in multinomial(1000, shares)) == pytest.approx(1, abs=2e-11)


def test_coverage_is_the_weight_of_the_samples_that_hold_the_truth() -> None:
    """Of two answers: the intervals hold 0.5 unless both are alike."""
    intervals = [(0.0, 0.4), (0.3, 0.7), (0.6, 1.0)]
    samples = list(multinomial(2, (0.5, 0.5)))
    assert coverage(samples, lambda outcome: intervals[outcome[0]], 0.5) == pytest.approx(0.5)


@pytest.mark.parametrize("n", [1, 5, 10, 30])
def test_no_share_of_a_fine_grid_is_covered_less_than_the_worst(n: int) -> None:
    intervals = [wilson(k, n) for k in range(n + 1)]
    worst = worst_over_every_share(intervals)
    grid = [
        coverage(
            list(multinomial(n, (share / 2000, 1 - share / 2000))),
            lambda outcome: intervals[outcome[0]],
            share / 2000,
        )
        for share in range(1, 2000)
    ]
    assert worst.held <= min(grid) + 1e-12
    assert min(grid) - worst.held < 0.02  # and it is near: a bound far below would be no finding
