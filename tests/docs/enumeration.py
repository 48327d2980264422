"""Exact coverage of an interval: every possible sample, weighed by its probability. No random numbers.

Shares are floats between 0 and 1; a coverage is the probability that the interval of a sample holds
the truth, and a float between 0 and 1 too.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

Interval: TypeAlias = tuple[float, float]
Outcome: TypeAlias = tuple[int, ...]  # how often each answer was given
Sample: TypeAlias = tuple[Outcome, float]  # and how likely that is

# A sample less likely than this is left out. Three kinds of answer have 501 501 samples at n = 1000 (the
# most of any enumeration here): what is left out weighs less than 6e-13 together.
NEGLIGIBLE: Final = 1e-18
# A truth this near to the end of an interval counts as held: rounding must not decide about the samples
# without any spread, whose plain interval is a single point.
ROUNDING: Final = 1e-9


class Worst(NamedTuple):
    """The lowest coverage over every share, and the share it is approached at."""

    held: float
    share: float


def binomial(n: int, p: float, negligible: float = NEGLIGIBLE) -> Iterator[tuple[int, float]]:
    """(k, probability of k successes in n trials), from the most likely k outwards; 0 <= p <= 1."""
    if p <= 0 or p >= 1:
        yield (0 if p <= 0 else n), 1.0
        return
    mode = min(n, int((n + 1) * p))
    odds, top = p / (1 - p), binomial_weight(mode, n, p)
    weight = top
    for k in range(mode, n + 1):
        if weight < negligible:  # falling from here on
            break
        yield k, weight
        weight *= (n - k) / (k + 1) * odds
    weight = top
    for k in range(mode, 0, -1):
        weight *= k / (n - k + 1) / odds
        if weight < negligible:
            break
        yield k - 1, weight


def multinomial(n: int, shares: Sequence[float], negligible: float = NEGLIGIBLE) -> Iterator[Sample]:
    """Every way n answers can fall on the kinds of answer whose shares are given (they add up to 1)."""
    first, *others = shares
    everything = math.fsum(shares)
    share = min(1.0, first / everything) if everything > 0 else 0.0
    if len(others) == 1:
        for k, weight in binomial(n, share, negligible):
            yield (k, n - k), weight
        return
    for k, weight in binomial(n, share, negligible):
        given = (k,)
        for outcome, conditional in multinomial(n - k, others, negligible / weight):
            yield given + outcome, weight * conditional


def coverage(samples: Sequence[Sample], interval: Callable[[Outcome], Interval], truth: float) -> float:
    """The weight of the samples whose interval holds the truth."""
    held = []
    for outcome, weight in samples:
        low, high = interval(outcome)
        if low - ROUNDING <= truth <= high + ROUNDING:
            held.append(weight)
    return math.fsum(held)


def worst_over_every_share(intervals: Sequence[Interval]) -> Worst:
    """The lowest coverage over every share between 0 and 1; `intervals` has one for each k from 0 to n.

    Between two neighbouring ends of intervals the same k hold the share. They are neighbours, so their
    probability rises and falls once, and is lowest at one of the two ends: there are 2n + 2 of them.
    """
    n = len(intervals) - 1
    ends = sorted({0.0, 1.0} | {min(1.0, max(0.0, end)) for interval in intervals for end in interval})
    worst = Worst(1.0, 0.5)
    for left, right in itertools.pairwise(ends):
        if right - left < ROUNDING:  # the same end twice, but for rounding
            continue
        middle = (left + right) / 2
        holding = [k for k, (low, high) in enumerate(intervals) if low <= middle <= high]
        for share in (left, right):
            held = math.fsum(binomial_weight(k, n, share) for k in holding)
            if held < worst.held - ROUNDING:  # of two mirrored shares the smaller one
                worst = Worst(held, share)
    return worst


def binomial_weight(k: int, n: int, p: float) -> float:
    """n! / (k! (n-k)!) p^k (1-p)^(n-k)."""
    if p <= 0 or p >= 1:
        return float(k == (n if p >= 1 else 0))
    log_ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return math.exp(log_ways + k * math.log(p) + (n - k) * math.log1p(-p))
