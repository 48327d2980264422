"""Intervals and percentiles. Integers in, floats out only at the end, so nothing drifts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from statistics import NormalDist

from msgspec import UNSET

from stream.core.kpi import LEVEL, Mean, Rate, Score

Z_95 = 1.959963984540054  # 97.5 % quantile of the normal distribution

# Log-linear bucket counts: values below LINEAR have a bucket each, above it SUB_BUCKETS per octave, so
# the middle of a bucket is within 1/(2 * 32) = 1.6 % of every value in it.
_NEWTON_STEPS = 50  # some five are needed; one degree of freedom takes the most
_LINEAR = 64
_SUB_BUCKETS = 32
_LINEAR_BITS = 6  # 2 ** 6 = _LINEAR


def wilson(k: int, n: int, z: float = Z_95) -> tuple[float, float]:
    """Wilson score interval of k successes in n > 0 trials (Wilson 1927, JASA 22, 209-212)."""
    centre = (k + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * math.sqrt(k * (n - k) / n + z * z / 4)
    # At the ends the bounds are exact; rounding would leave 0.0 just outside.
    return (0.0 if k == 0 else centre - half), (1.0 if k == n else centre + half)


def rate(numerator: int, denominator: int, *, of: str) -> Rate:
    """A share of `denominator`. Above 1 it is `suspect` and has no interval; at 0/0 it is None."""
    if denominator == 0:
        return Rate(None, numerator, denominator, None, None, of, suspect=True if numerator else UNSET)
    if numerator > denominator:
        return Rate(numerator / denominator, numerator, denominator, None, None, of, suspect=True)
    low, high = wilson(numerator, denominator)
    return Rate(numerator / denominator, numerator, denominator, low, high, of)


def net_promoter_score(promoters: int, passives: int, detractors: int, skipped: int) -> Score:
    """100 (promoters - detractors) / n, adjusted-Wald interval: 3/4 added at both ends, 3 to n.

    After Rocks (2016), "Interval estimation for the net promoter score", The American Statistician 70:
    the plain Wald interval covers far less than its level in small or one-sided samples.
    """
    n = promoters + passives + detractors
    if n == 0:
        return Score(None, None, 0, 0, 0, 0, skipped, None, None, "counted answers")
    value = 100 * (promoters - detractors) / n
    m = n + 3
    p, d = (promoters + 0.75) / m, (detractors + 0.75) / m
    half = Z_95 * math.sqrt((p + d - (p - d) ** 2) / m)
    low, high = max(-100.0, 100 * (p - d - half)), min(100.0, 100 * (p - d + half))
    net = promoters - detractors
    rounded = (200 * abs(net) + n) // (2 * n)  # half away from zero, in integers
    return Score(value, rounded if net >= 0 else -rounded, promoters, passives, detractors, n, skipped,
                 low, high, "counted answers")  # fmt: skip


def mean(total: int, squares: int, n: int, histogram: Mapping[int, int] | None, *, of: str) -> Mean:
    """Mean with standard deviation, t interval and percentiles.

    `squares` is the sum of squares; `histogram` counts the values by `bucket_of` (None: no percentiles).
    """
    if n == 0:
        return Mean(None, None, None, 0, None, None, None, of)
    average = total / n
    p50, p95 = (None if histogram is None else percentile(histogram, n, percent) for percent in (50, 95))
    if n == 1:
        return Mean(average, None, None, 1, None, p50, p95, of)
    # In integers up to the division: no cancellation.
    sd = math.sqrt((n * squares - total * total) / (n * (n - 1)))
    half = student_t(n - 1) * sd / math.sqrt(n)
    return Mean(average, average - half, average + half, n, sd, p50, p95, of)


def bucket_of(value: int) -> int:
    """The log-linear bucket of a whole number >= 0."""
    if value < _LINEAR:
        return value
    octave = value.bit_length() - _LINEAR_BITS  # 1 for 64..127
    return _LINEAR + (octave - 1) * _SUB_BUCKETS + (value >> octave) - _SUB_BUCKETS


def bucket_middle(bucket: int) -> int:
    """The whole number that stands for every value of a bucket."""
    if bucket < _LINEAR:
        return bucket
    octave, sub = divmod(bucket - _LINEAR, _SUB_BUCKETS)
    low = (sub + _SUB_BUCKETS) << (octave + 1)
    return low + (1 << octave)


def percentile(histogram: Mapping[int, int], n: int, percent: int) -> int:
    """Nearest rank: the smallest bucket with at least percent/100 of the n values at or below it."""
    rank = -(-percent * n // 100)
    reached = 0
    for bucket in sorted(histogram):
        reached += histogram[bucket]
        if reached >= rank:
            return bucket_middle(bucket)
    raise ValueError(f"the histogram holds {reached} values, not {n}")


@lru_cache(maxsize=65_536)
def student_t(df: int, level: float = LEVEL) -> float:
    """Two-sided quantile of Student's t with `df` >= 1 degrees of freedom, by Newton's method.

    It begins with the first terms of the expansion in 1/df (Abramowitz and Stegun 26.7.5), too small for few
    degrees; from there on the tail, the regularised incomplete beta function (26.7.1), is convex, so the
    steps lead to the quantile and not past it. Above 100 000 degrees it differs from the normal quantile in
    the fifth digit only, which is then returned.
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    if df > 100_000:
        return z
    t = z + (z**3 + z) / (4 * df) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * df**2)
    scale = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - math.log(df * math.pi) / 2
    for _ in range(_NEWTON_STEPS):
        excess = _incomplete_beta(df / 2, 0.5, df / (df + t * t)) - (1 - level)
        density = math.exp(scale - (df + 1) / 2 * math.log1p(t * t / df))
        step = excess / (2 * density)
        t += step
        if abs(step) < 1e-9 * t:  # then the next would be below what a float shows
            break
    return t


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Regularised incomplete beta function I_x(a, b), 0 < x <= 1, by its continued fraction."""
    if x >= 1:
        return 1.0
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast on the other side
        return 1 - _incomplete_beta(b, a, 1 - x)
    front = math.exp(
        a * math.log(x) + b * math.log1p(-x) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    )
    return front * _beta_fraction(a, b, x) / a


def _beta_fraction(a: float, b: float, x: float) -> float:
    """Continued fraction of the incomplete beta function by the modified Lentz method (DLMF 8.17.22)."""
    tiny = 1e-300
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1) or tiny)
    value = d
    for m in range(1, 500):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / (1 + term * d or tiny)
            c = 1 + term / c or tiny
            value *= d * c
        if abs(d * c - 1) < 1e-15:
            break
    return value
