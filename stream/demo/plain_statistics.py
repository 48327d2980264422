"""Rates, scores and means from plain counts and lists, for the demo's recomputation. Standard library only.

The formulas of docs/statistics.md, computed another way than the product does where there is another way:
exact fractions, sorted values, an integral instead of a continued fraction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from statistics import NormalDist
from typing import Any

Kpi = dict[str, Any]

LEVEL = 0.95
Z = NormalDist().inv_cdf(0.975)
LAST_BUCKET_OF_ONE = 64  # values below it have a bucket each, above it there are 32 buckets per octave
SIMPSON_STEPS = 2000
NEWTON_STOPS = 1e-12  # of an angle


def rate(numerator: int, denominator: int, of: str, **more: Any) -> Kpi:
    """A share with its Wilson interval (Wilson 1927); above 1 it is suspect and has none."""
    value = numerator / denominator if denominator else None
    low = high = None
    if numerator > denominator:
        more["suspect"] = True
    elif denominator:
        centre = (numerator + Z**2 / 2) / (denominator + Z**2)
        spread = math.sqrt(numerator * (denominator - numerator) / denominator + Z**2 / 4)
        half = Z / (denominator + Z**2) * spread
        low, high = max(0.0, centre - half), min(1.0, centre + half)
    counts = {"value": value, "numerator": numerator, "denominator": denominator, "low": low, "high": high}
    return {"type": "rate", **counts, "method": "wilson", "level": LEVEL, "of": of, **more}


def score(answers: Sequence[int], skipped: int) -> Kpi:
    """The net promoter score with its adjusted-Wald interval: 3/4 added at both ends, 3 in all."""
    promoters = sum(answer >= 9 for answer in answers)
    detractors = sum(answer <= 6 for answer in answers)
    n = len(answers)
    value = rounded = low = high = None
    if n:
        exact = Fraction(100 * (promoters - detractors), n)
        value = float(exact)
        rounded = math.floor(abs(exact) + Fraction(1, 2)) * (1 if exact >= 0 else -1)
        p, d = (promoters + 0.75) / (n + 3), (detractors + 0.75) / (n + 3)
        half = Z * math.sqrt((p + d - (p - d) ** 2) / (n + 3))
        low, high = max(-100.0, 100 * (p - d - half)), min(100.0, 100 * (p - d + half))
    passives = n - promoters - detractors
    counts = {
        "promoters": promoters,
        "passives": passives,
        "detractors": detractors,
        "n": n,
        "skipped": skipped,
    }
    figures = {"value": value, "rounded": rounded, **counts, "low": low, "high": high}
    of = "counted answers"
    more = {"method": "adjusted_wald", "level": LEVEL, "of": of, "respondents": "per_visitor"}
    return {"type": "score", **figures, **more}


def mean(values: Sequence[int], of: str, **more: Any) -> Kpi:
    """The mean with its t interval and percentiles."""
    n = len(values)
    value = low = high = sd = p50 = p95 = None
    if n:
        value = sum(values) / n
        p50, p95 = percentile(values, 50), percentile(values, 95)
    if n > 1 and value is not None:
        sd = math.sqrt(Fraction(n * sum(one**2 for one in values) - sum(values) ** 2, n * (n - 1)))
        half = student_t(n - 1) * sd / math.sqrt(n)
        low, high = value - half, value + half
    figures = {"value": value, "low": low, "high": high, "n": n, "sd": sd, "p50": p50, "p95": p95}
    return {"type": "mean", **figures, "level": LEVEL, "of": of, **more}


def percentile(values: Sequence[int], percent: int) -> int:
    """Nearest rank, told as the middle of the log-linear bucket the value falls into."""
    value = sorted(values)[math.ceil(Fraction(percent * len(values), 100)) - 1]
    if value < LAST_BUCKET_OF_ONE:
        return value
    width = 1 << math.floor(math.log2(value)) - 5
    return value - value % width + width // 2


@lru_cache(maxsize=1024)
def student_t(degrees: int) -> float:
    """The 97.5 % quantile of Student's t: where its density's integral from 0 reaches 0.475.

    By Newton's method from the normal quantile, which is smaller. The density falls, so every step ends
    short of the quantile or on it.
    """
    angle = math.atan(Z / math.sqrt(degrees))
    while True:
        missing = LEVEL / 2 - _t_integral(angle, degrees)
        step = missing / (_t_constant(degrees) * math.cos(angle) ** (degrees - 1))
        angle += step
        if abs(step) < NEWTON_STOPS:
            return math.sqrt(degrees) * math.tan(angle)


def _t_integral(angle: float, degrees: int) -> float:
    """The integral of the density from 0 to sqrt(degrees) tan(angle), by Simpson's rule.

    With t = sqrt(degrees) tan(a) the density becomes cos(a) ** (degrees - 1) times a constant.
    """
    step = angle / SIMPSON_STEPS
    inner = sum((4 if i % 2 else 2) * math.cos(i * step) ** (degrees - 1) for i in range(1, SIMPSON_STEPS))
    area = step / 3 * (1 + inner + math.cos(angle) ** (degrees - 1))
    return area * _t_constant(degrees)


def _t_constant(degrees: int) -> float:
    return math.exp(math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2)) / math.sqrt(math.pi)
