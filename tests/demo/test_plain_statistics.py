"""The formulas, at values printed in textbooks and in the design of the product."""

from __future__ import annotations

import pytest

from stream.core import statistics as product
from stream.demo.plain_statistics import mean, percentile, rate, score, student_t


@pytest.mark.parametrize(
    ("k", "n", "low", "high"), [(1, 20, 0.009, 0.236), (5, 100, 0.022, 0.112), (100, 1000, 0.0829, 0.1202)]
)
def test_the_wilson_interval(k: int, n: int, low: float, high: float) -> None:
    found = rate(k, n, "things")
    assert (found["low"], found["high"]) == pytest.approx((low, high), abs=0.0006)


def test_a_rate_of_nothing_is_null() -> None:
    assert rate(0, 0, "things")["value"] is None
    assert "suspect" not in rate(0, 0, "things")
    assert rate(2, 1, "things")["suspect"] is True


def test_the_net_promoter_score() -> None:
    found = score([9] * 300 + [7] * 100 + [6] * 100, skipped=12)
    assert (found["value"], found["rounded"], found["n"], found["skipped"]) == (40, 40, 500, 12)
    assert (found["low"], found["high"]) == pytest.approx((32.8, 46.8), abs=0.1)
    assert score([9, 9, 9, 0, 0, 0, 0, 7], 0)["rounded"] == -13  # -12.5: half away from zero


@pytest.mark.parametrize(
    ("degrees", "quantile"), [(1, 12.706205), (2, 4.302653), (10, 2.228139), (120, 1.979930)]
)
def test_students_quantile(degrees: int, quantile: float) -> None:
    assert student_t(degrees) == pytest.approx(quantile, abs=1e-6)


def test_two_ways_to_students_quantile_agree() -> None:
    for degrees in (*range(1, 30), 300, 3000):
        assert student_t(degrees) == pytest.approx(product.student_t(degrees), rel=1e-10)


@pytest.mark.parametrize("value", [0, 1, 63, 64, 65, 127, 128, 1000, 4095, 4096, 86_400_000])
def test_a_percentile_is_the_middle_of_its_bucket_within_two_percent(value: int) -> None:
    found = percentile([value], 50)
    assert found == product.bucket_middle(product.bucket_of(value))
    assert abs(found - value) <= 0.02 * value


def test_percentiles_are_nearest_rank() -> None:
    values = [5, 1, 4, 2, 3]
    assert (percentile(values, 50), percentile(values, 95), percentile([1, 2], 50)) == (3, 5, 1)


def test_the_mean_of_one_value_has_no_interval() -> None:
    found = mean([7], "things")
    assert (found["value"], found["n"], found["sd"], found["low"]) == (7, 1, None, None)
