"""Intervals, rounding and percentiles against published values and against plain sorted lists."""

from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from stream.core.statistics import (
    bucket_middle,
    bucket_of,
    mean,
    net_promoter_score,
    percentile,
    rate,
    student_t,
    wilson,
)

VALUES = st.lists(st.integers(0, 10**10), min_size=1, max_size=60)


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [
        (1, 20, 0.9, 23.6),
        (5, 100, 2.2, 11.2),
        (100, 1000, 8.3, 12.0),
        (12, 38, 19.1, 47.5),
        (0, 10, 0.0, 27.8),
        (10, 10, 72.2, 100.0),
    ],
)
def test_wilson_gives_the_published_percentages(k: int, n: int, low: float, high: float) -> None:
    assert [round(100 * edge, 1) for edge in wilson(k, n)] == [low, high]


@given(st.integers(1, 10**7), st.integers(0, 10**7))
def test_a_wilson_interval_holds_the_share_and_mirrors(n: int, k: int) -> None:
    k %= n + 1
    low, high = wilson(k, n)
    assert 0 <= low <= k / n + 1e-12
    assert k / n - 1e-12 <= high <= 1
    mirrored = wilson(n - k, n)
    assert (1 - mirrored[1], 1 - mirrored[0]) == pytest.approx((low, high), abs=1e-9)


def test_a_rate_of_nothing_is_null_and_has_no_interval() -> None:
    nothing = rate(0, 0, of="impressions")
    assert (nothing.value, nothing.low, nothing.high, nothing.suspect) == (None, None, None, UNSET)


@pytest.mark.parametrize(("clicks", "impressions", "value"), [(3, 2, 1.5), (1, 0, None)])
def test_a_rate_above_one_is_suspect(clicks: int, impressions: int, value: float | None) -> None:
    above = rate(clicks, impressions, of="impressions")
    assert (above.value, above.low, above.high, above.suspect) == (value, None, None, True)


# Quantiles of Student's t, two-sided 95 %, as printed in any table.
@pytest.mark.parametrize(
    ("df", "quantile"),
    [
        (1, 12.706205),
        (2, 4.302653),
        (3, 3.182446),
        (5, 2.570582),
        (10, 2.228139),
        (30, 2.042272),
        (120, 1.979930),
        (1000, 1.962339),
        (100_000, 1.959988),
        (100_001, 1.959964),
    ],
)
def test_known_quantiles_of_students_t(df: int, quantile: float) -> None:
    assert student_t(df) == pytest.approx(quantile, abs=1e-6)


@pytest.mark.parametrize(("level", "quantile"), [(0.90, 1.812461), (0.99, 3.169273)])
def test_quantiles_of_other_levels(level: float, quantile: float) -> None:
    assert student_t(10, level) == pytest.approx(quantile, abs=1e-6)


def test_nps_of_the_worked_example() -> None:
    nps = net_promoter_score(300, 100, 100, 12)
    assert (nps.value, nps.rounded, nps.n, nps.skipped) == (40.0, 40, 500, 12)
    assert nps.low is not None
    assert nps.high is not None
    assert (round(nps.low, 1), round(nps.high, 1)) == (32.8, 46.8)


def test_nps_without_answers_is_null_and_keeps_the_skips() -> None:
    nps = net_promoter_score(0, 0, 0, 5)
    assert (nps.value, nps.rounded, nps.low, nps.high, nps.n, nps.skipped) == (None, None, None, None, 0, 5)


@pytest.mark.parametrize(
    ("promoters", "passives", "detractors", "rounded"),
    [
        (1, 199, 0, 1),  # 0.5: half away from zero
        (0, 199, 1, -1),
        (3, 197, 0, 2),  # 1.5
        (5, 195, 0, 3),  # 2.5: not to the even one
        (0, 195, 5, -3),
        (1, 200, 0, 0),  # 0.4975
        (0, 0, 1, -100),
        (1, 0, 0, 100),
        (1, 0, 1, 0),
    ],
)
def test_nps_rounds_half_away_from_zero(promoters: int, passives: int, detractors: int, rounded: int) -> None:
    assert net_promoter_score(promoters, passives, detractors, 0).rounded == rounded


@given(st.integers(0, 5000), st.integers(0, 5000), st.integers(0, 5000))
def test_the_nps_interval_stays_on_the_scale(p: int, q: int, d: int) -> None:
    nps, mirrored = net_promoter_score(p, q, d, 0), net_promoter_score(d, q, p, 0)
    if p + q + d:
        assert nps.low is not None
        assert nps.high is not None
        assert nps.value is not None
        assert -100 <= nps.low < nps.high <= 100
        assert mirrored.value == -nps.value
        assert mirrored.low == pytest.approx(-nps.high)


def _histogram(values: list[int]) -> dict[int, int]:
    counts: dict[int, int] = {}
    for value in values:
        counts[bucket_of(value)] = counts.get(bucket_of(value), 0) + 1
    return counts


@given(VALUES, st.integers(1, 100))
def test_percentiles_are_within_two_percent_of_nearest_rank(values: list[int], percent: int) -> None:
    exact = sorted(values)[math.ceil(percent * len(values) / 100) - 1]
    got = percentile(_histogram(values), len(values), percent)
    assert got == exact if exact < 64 else abs(got - exact) <= 0.02 * exact


@given(st.integers(0, 10**15))
def test_a_bucket_holds_its_own_middle_and_buckets_are_in_order(value: int) -> None:
    bucket = bucket_of(value)
    assert bucket_of(bucket_middle(bucket)) == bucket
    assert bucket_of(value + 1) in (bucket, bucket + 1)


@given(st.lists(st.integers(0, 63), min_size=1, max_size=19))
def test_p95_of_fewer_than_twenty_values_is_the_largest(values: list[int]) -> None:
    assert percentile(_histogram(values), len(values), 95) == max(values)


def test_a_histogram_that_does_not_hold_its_values_is_an_error() -> None:
    with pytest.raises(ValueError, match="holds 1 values, not 2"):
        percentile({3: 1}, 2, 95)


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=50))
def test_a_mean_has_the_deviation_of_the_values(values: list[int]) -> None:
    squares = sum(value * value for value in values)
    got = mean(sum(values), squares, len(values), _histogram(values), of="values")
    assert got.value == pytest.approx(statistics.fmean(values))
    assert got.sd == pytest.approx(statistics.stdev(values), abs=1e-9)
    half = student_t(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    assert got.high == pytest.approx(statistics.fmean(values) + half)
    assert got.low == pytest.approx(statistics.fmean(values) - half)


def test_a_mean_of_one_value_has_no_interval_and_of_none_no_value() -> None:
    one = mean(7, 49, 1, {7: 1}, of="values")
    assert (one.value, one.low, one.high, one.sd, one.p50, one.p95) == (7, None, None, None, 7, 7)
    none = mean(0, 0, 0, {}, of="values")
    assert (none.value, none.n, none.p50) == (None, 0, None)
