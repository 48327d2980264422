"""What docs/statistics.md prints: the coverage of each published interval, beside that of the plain one.

The intervals are the product's own (`stream.core.statistics`); the plain ones are written down here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Final, NamedTuple, TypeAlias

from stream.core.statistics import Z_95, bucket_middle, bucket_of, mean, net_promoter_score, wilson
from tests.docs.enumeration import (
    Interval,
    Outcome,
    Sample,
    Worst,
    coverage,
    multinomial,
    worst_over_every_share,
)

SIZES: Final = (5, 10, 30, 100, 1000)
Percents: TypeAlias = tuple[int, ...]

# Rates: per cent of successes. The usual 1-2-5 steps at both ends, tens between.
RATE_GRID: Final = (1, 2, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 98, 99)

# Scores: per cent of promoters and detractors, every pair of tens that leaves more than one kind of answer.
SCORE_GRID: Final = tuple(
    (p, d) for p in range(0, 101, 10) for d in range(0, 101 - p, 10) if max(p, d, 100 - p - d) < 100
)
# Up to this n also every pair of whole per cents: 5148 pairs, more than a few seconds beyond.
FINE_SIZES: Final = (5, 10, 30)


class Pair(NamedTuple):
    """Coverage of the published interval and of the plain one."""

    published: float
    plain: float


class Distribution(NamedTuple):
    """Pages per session: which values, and the per cent of sessions of each."""

    name: str
    values: tuple[int, ...]
    percents: Percents

    @property
    def average(self) -> float:
        return self._moment(1, 0.0)

    @property
    def skewness(self) -> float:
        return self._moment(3, self.average) / math.pow(self._moment(2, self.average), 1.5)

    @property
    def enough(self) -> float:
        """The n above which a plain interval is wrong in at most 6 % of the samples (Cochran 1977, 2.15)."""
        return 25 * self.skewness**2

    def _moment(self, power: int, around: float) -> float:
        parts = zip(self.values, self.percents, strict=True)
        return math.fsum(percent / 100 * (value - around) ** power for value, percent in parts)


DISTRIBUTIONS: Final = (
    Distribution("alike", (1, 2, 3), (30, 40, 30)),
    Distribution("most leave early", (1, 2, 3), (60, 30, 10)),
    Distribution("halving", (1, 2, 3, 4, 5), (50, 25, 13, 7, 5)),
    Distribution("one in ten reads on", (1, 3, 12), (70, 20, 10)),
    Distribution("one in fifty stays", (1, 3, 30), (78, 20, 2)),
)


def plain_rate(k: int, n: int) -> Interval:
    """Wald: p +- z sqrt(p (1 - p) / n)."""
    p = k / n
    half = Z_95 * math.sqrt(p * (1 - p) / n)
    return p - half, p + half


@cache
def rates(n: int) -> dict[int, Pair]:
    """By per cent of successes."""
    published = [wilson(k, n) for k in range(n + 1)]
    plain = [plain_rate(k, n) for k in range(n + 1)]
    found = {}
    for percent in RATE_GRID:
        samples = list(multinomial(n, (percent / 100, (100 - percent) / 100)))
        found[percent] = Pair(
            coverage(samples, lambda outcome: published[outcome[0]], percent / 100),
            coverage(samples, lambda outcome: plain[outcome[0]], percent / 100),
        )
    return found


@cache
def worst_rate(n: int) -> Worst:
    """Of the published interval, over every share."""
    return worst_over_every_share([wilson(k, n) for k in range(n + 1)])


def score_interval(outcome: Outcome) -> Interval:
    """The published one. An outcome is (promoters, passives, detractors)."""
    promoters, passives, detractors = outcome
    score = net_promoter_score(promoters, passives, detractors, skipped=0)
    assert score.low is not None  # only without answers
    assert score.high is not None
    return score.low, score.high


def plain_score(outcome: Outcome) -> Interval:
    """Wald: p - d +- z sqrt((p + d - (p - d)^2) / n), times 100."""
    promoters, _, detractors = outcome
    n = sum(outcome)
    net = (promoters - detractors) / n
    half = Z_95 * math.sqrt(max(0.0, (promoters + detractors) / n - net * net) / n)
    return 100 * (net - half), 100 * (net + half)


@cache
def scores(n: int) -> dict[tuple[int, int], Pair]:
    """By per cent of promoters and detractors. Mirrored pairs have the same coverage: one is enumerated."""
    published, plain = cache(score_interval), cache(plain_score)
    found: dict[tuple[int, int], Pair] = {}
    for p, d in SCORE_GRID:
        if (d, p) in found:
            found[p, d] = found[d, p]
            continue
        samples = _score_samples(n, p, d)
        found[p, d] = Pair(coverage(samples, published, p - d), coverage(samples, plain, p - d))
    return found


@cache
def worst_score(n: int) -> tuple[float, int, int]:
    """(coverage, promoters, detractors) of the published interval, over every pair of whole per cents."""
    published = cache(score_interval)
    return min(
        (coverage(_score_samples(n, p, d), published, p - d), p, d)
        for p in range(1, 100)
        for d in range(min(p, 100 - p) + 1)
    )


def _score_samples(n: int, promoters: int, detractors: int) -> list[Sample]:
    shares = (promoters / 100, (100 - promoters - detractors) / 100, detractors / 100)
    return list(multinomial(n, shares))


def enumerable(distribution: Distribution, n: int) -> bool:
    """Three values have 501 501 samples at n = 1000; five have 4.6 million at n = 100 already."""
    return len(distribution.values) == 3 or n <= 30


@cache
def means(distribution: Distribution, n: int) -> Pair:
    """Coverage of the mean by the t interval and by the one with the normal quantile."""
    samples = list(multinomial(n, [percent / 100 for percent in distribution.percents]))
    published = _mean_interval(distribution.values)
    plain = _plain_mean(distribution.values)
    truth = distribution.average
    return Pair(coverage(samples, published, truth), coverage(samples, plain, truth))


def _mean_interval(values: tuple[int, ...]) -> Callable[[Outcome], Interval]:
    buckets = [bucket_of(value) for value in values]

    def interval(outcome: Outcome) -> Interval:
        total, squares, n = _sums(values, outcome)
        got = mean(total, squares, n, dict(zip(buckets, outcome, strict=True)), of="")
        assert got.low is not None  # only below n = 2
        assert got.high is not None
        return got.low, got.high

    return interval


def _plain_mean(values: tuple[int, ...]) -> Callable[[Outcome], Interval]:
    """average +- z sd / sqrt(n)."""

    def interval(outcome: Outcome) -> Interval:
        total, squares, n = _sums(values, outcome)
        half = Z_95 * math.sqrt((n * squares - total * total) / (n * (n - 1)) / n)
        return total / n - half, total / n + half

    return interval


def _sums(values: tuple[int, ...], outcome: Outcome) -> tuple[int, int, int]:
    total = sum(value * count for value, count in zip(values, outcome, strict=True))
    squares = sum(value * value * count for value, count in zip(values, outcome, strict=True))
    return total, squares, sum(outcome)


class Bucket(NamedTuple):
    """A bucket of the counts behind percentiles: its lowest and highest value and what stands for them."""

    low: int
    high: int
    middle: int

    @property
    def error(self) -> float:
        """The largest relative error of any value in it."""
        return max(abs(self.middle - value) / max(1, value) for value in (self.low, self.high))


def bucket_around(value: int) -> Bucket:
    """The bucket a value falls into, found by searching for its ends."""
    bucket = bucket_of(value)
    low = high = value
    for step in (1 << power for power in range(value.bit_length(), -1, -1)):
        if low >= step and bucket_of(low - step) == bucket:
            low -= step
        if bucket_of(high + step) == bucket:
            high += step
    return Bucket(low, high, bucket_middle(bucket))
