"""The worked examples of the KPIs of visitors over time, from counts to published values."""

from __future__ import annotations

from collections import defaultdict

import pytest

from stream.core import loyalty, registry
from stream.core.kpi import WHOLE, Count, Kpi, Mean, Rate
from stream.core.packed import spelled_out
from stream.core.policy import DAY_MS, HOUR_MS
from stream.core.sessions import Past, Session, Visitor
from stream.core.visitors import REACH_HOURS, hours_before, is_forgotten, remember, visit_number
from stream.core.windows import Counts


def kpis(window: str, dimension: str = WHOLE, **counts: int) -> dict[str, Kpi]:
    return registry.results(window, dimension, counts, counts)


def between_visits(*away_ms: int) -> Mean:
    counts = returns(*away_ms)
    found = registry.results("7d", WHOLE, counts, counts)["time_between_visits_ms"]
    assert isinstance(found, Mean)
    return found


def returns(*away_ms: int) -> Counts:
    row: defaultdict[str, int] = defaultdict(int)
    for one in away_ms:
        loyalty.add_return(row, one, 1)
    return spelled_out(dict(row))


def test_dau_wau_and_mau_are_the_unique_visitors_of_a_day_a_week_and_a_month() -> None:
    assert kpis("24h", visitors=120)["dau"] == Count(120)
    assert kpis("7d", visitors=400)["wau"] == Count(400)
    assert kpis("28d", visitors=600)["mau"] == Count(600)
    assert {"dau", "wau", "mau"} & kpis("1h", visitors=9).keys() == set()


def test_stickiness_of_120_daily_and_600_monthly_visitors_is_a_fifth() -> None:
    found = kpis("28d", visitors=600, visitors_24h=120)["stickiness"]
    assert isinstance(found, Rate)
    assert (found.value, found.numerator, found.denominator) == (0.2, 120, 600)
    assert (found.low, found.high) == pytest.approx((0.1699, 0.2339), abs=5e-5)


def test_of_400_visitors_100_are_new_and_300_return() -> None:
    found = kpis("7d", visitors=400, new=100, open=5, ended=495, visit_pairs=100)
    share, visits = found["new_visitor_rate"], found["new_session_rate"]
    assert isinstance(share, Rate)
    assert isinstance(visits, Rate)
    assert (found["new_visitors"], found["returning_visitors"]) == (Count(100), Count(300))
    assert (share.value, share.of) == (0.25, "unique visitors")
    assert (visits.value, visits.denominator) == (0.2, 500)


def test_new_visitors_are_told_by_what_brought_them() -> None:
    found = kpis("28d", "channel", new=30, open=0, ended=120)
    assert found["new_visitors"] == Count(30)
    assert found["new_session_rate"].value == 0.25
    assert "returning_visitors" not in found  # of a channel the visitors are not known


def test_visit_frequency_of_three_visitors_with_one_two_and_three_visits_is_two() -> None:
    pairs = 0 + 1 + 3
    found = kpis("28d", visitors=3, ended=6, visit_pairs=pairs)["visits_per_visitor"]
    assert isinstance(found, Mean)
    assert (found.value, found.n, found.sd) == (2.0, 3, 1.0)
    assert (found.low, found.high) == pytest.approx((2 - 2.4841, 2 + 2.4841), abs=5e-4)
    assert (found.p50, found.p95) == (None, None)


def test_days_between_visits_of_one_two_and_six_days_are_three() -> None:
    found = between_visits(DAY_MS, 2 * DAY_MS, 6 * DAY_MS)
    assert (found.value, found.n) == (3 * DAY_MS, 3)
    assert found.p50 == 2 * DAY_MS
    assert found.p95 == pytest.approx(6 * DAY_MS, rel=0.02)
    assert found.sd == pytest.approx(2.6458 * DAY_MS, rel=1e-4)


def test_the_median_between_visits_is_told_by_the_hour() -> None:
    found = between_visits(29 * 60_000, 31 * 60_000, 95 * 60_000)
    assert (found.p50, found.p95) == (HOUR_MS, 2 * HOUR_MS)


@pytest.mark.parametrize("years", [1, 9])
def test_ten_years_between_visits_overflow_nothing(years: int) -> None:
    counts = returns(*[years * 365 * DAY_MS] * 100_000)
    assert all(n < 1 << 63 for n in counts.values())
    assert set(counts) <= registry.KPIS["time_between_visits_ms"].metrics


# ---------------------------------------------------------------- the profile


def visit(first_ms: int, last_ms: int, **more: object) -> Session:
    return Session(first_ms, "a", 0, last_ms, "b", 0, 2, **more)  # type: ignore[arg-type]


def test_a_visit_is_numbered_after_those_that_are_final_and_those_that_are_not() -> None:
    past = Past(0, 4, 900, 1000)
    first, second = visit(2000, 2500), visit(4000, 4100)
    visitor = Visitor("s", "v", past=past, sessions=(first, second))
    assert [visit_number(visitor, one, 5000) for one in (first, second)] == [5, 6]
    assert [visit_number(visitor, one, 1000) for one in (first, second)] == [5, 1]
    assert [visit_number(visitor, one, 1499) for one in (first, second)] == [5, 1]
    assert [visit_number(visitor, one, 999) for one in (first, second)] == [1, 1]


def test_a_profile_begins_anew_after_a_silence_longer_than_the_memory() -> None:
    past = remember(None, visit(0, 10, converted={"g": 1}), 100)
    assert past == Past(0, 1, 0, 10, {"g": 1})
    past = remember(past, visit(110, 120, converted={"h": 2}), 100)
    assert past == Past(0, 2, 110, 120, {"g": 1, "h": 2}, {0: 1})
    assert remember(past, visit(221, 230), 100) == Past(221, 1, 221, 230)


def test_a_profile_keeps_the_hours_of_a_month() -> None:
    past = None
    for day in range(40):
        past = remember(past, visit(day * DAY_MS, day * DAY_MS + 1), 400 * DAY_MS)
    assert past is not None
    assert past.visits == 40
    assert past.hours == {day * 24: 1 for day in range(39 - REACH_HOURS // 24, 39)}
    after = visit(40 * DAY_MS, 40 * DAY_MS)
    assert sum(n for _, n in hours_before(after, (), past)) == 29


def test_nobody_is_forgotten_whom_an_accepted_event_may_still_find() -> None:
    past = Past(0, 1, 0, 1000)
    assert not is_forgotten(past, 1000 + 500 + 35, lateness_ms=35, memory_ms=500)
    assert is_forgotten(past, 1000 + 500 + 36, lateness_ms=35, memory_ms=500)
