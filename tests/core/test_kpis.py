"""The worked examples of the KPI catalogue, from counts to published values."""

from __future__ import annotations

import statistics
from collections import defaultdict
from typing import Any

import pytest

from stream.core import conversion, csat, ctr, engagement, nps, registry
from stream.core.kpi import WHOLE, Count, Kpi, Mean, Rate, Score
from stream.core.sessions import Session
from stream.core.windows import Counts, add


def session(pages: int, duration_ms: int, **more: Any) -> Session:
    return Session(0, "a", 0, duration_ms, "b", 0, events=pages, page_views=pages, **more)


def ended(*sessions: Session) -> dict[str, int]:
    row: defaultdict[str, int] = defaultdict(int)
    for one in sessions:
        engagement.add_ended(row, one, 1)
    return dict(row)


def site_kpis(counts: Counts) -> dict[str, Kpi]:
    return registry.results("24h", WHOLE, counts, counts)


def test_mails_delivered() -> None:
    kpi = site_kpis({ctr.MAILS: 1000, ctr.MAILS_OPENED: 210})["mails_delivered"]
    assert isinstance(kpi, Count)
    assert kpi.value == 1000


def test_ctr_of_a_mailing() -> None:
    kpis = site_kpis({ctr.CLICKS: 100, ctr.IMPRESSIONS: 1000, ctr.PAIRS_SEEN: 900, ctr.PAIRS_CLICKED: 90})
    gross, unique = kpis["ctr"], kpis["unique_ctr"]
    assert isinstance(gross, Rate)
    assert isinstance(unique, Rate)
    assert (gross.value, gross.numerator, gross.denominator, gross.unmatched_clicks) == (0.1, 100, 1000, 0)
    assert (gross.low, gross.high) == pytest.approx((0.0829, 0.1202), abs=5e-5)
    assert (unique.value, unique.denominator) == (0.1, 900)


def test_open_rate_of_a_mailing() -> None:
    opened = site_kpis({ctr.MAILS: 1000, ctr.MAILS_OPENED: 250})["open_rate"]
    assert isinstance(opened, Rate)
    assert (opened.value, opened.numerator, opened.denominator) == (0.25, 250, 1000)
    assert (opened.low, opened.high) == pytest.approx((0.2242, 0.2778), abs=5e-5)
    assert opened.of == "mails delivered"


def test_cvr_of_a_goal() -> None:
    counts = {
        conversion.CONVERSIONS: 25,
        conversion.CONVERTED_VISITORS: 20,
        conversion.CONVERTED_SESSIONS: 21,
    }
    kpis = registry.results("all", "goal", counts, {engagement.VISITORS: 400, engagement.ENDED: 420})
    assert kpis["conversions"] == Count(25)
    by_visitor, by_session = kpis["cvr_visitors"], kpis["cvr_sessions"]
    assert isinstance(by_visitor, Rate)
    assert isinstance(by_session, Rate)
    assert (by_visitor.value, by_visitor.of) == (0.05, "unique visitors")
    assert (by_session.value, by_session.of) == (0.05, "ended sessions")


def test_average_session_duration_of_five_minutes() -> None:
    duration = site_kpis(ended(session(1, 240_000), session(2, 360_000)))["session_duration_ms"]
    assert isinstance(duration, Mean)
    assert (duration.value, duration.n) == (300_000, 2)
    assert duration.sd == pytest.approx(84_852.8, abs=0.1)


def test_pages_and_bounces_are_over_ended_sessions_with_the_open_ones_beside() -> None:
    counts = ended(session(1, 0), session(3, 5000)) | {engagement.OPEN: 2, engagement.OPEN_PAGES: 2}
    kpis = site_kpis(counts)
    pages, bounce = kpis["pages_per_session"], kpis["bounce_rate"]
    assert isinstance(pages, Mean)
    assert isinstance(bounce, Rate)
    assert kpis["sessions"] == Count(4, open=2, ended=2)
    assert (pages.value, pages.n, pages.with_open, pages.p50, pages.p95) == (2, 2, 1.5, 1, 3)
    assert (bounce.numerator, bounce.denominator) == (1, 2)


def test_retracting_a_session_leaves_nothing() -> None:
    row: defaultdict[str, int] = defaultdict(int)
    one = session(3, 123_456)
    engagement.add_ended(row, one, 1)
    engagement.add_ended(row, one, -1)
    total: dict[str, int] = {}
    add(total, row)
    assert total == {}


@pytest.mark.parametrize(
    "durations",
    [
        (0, 142),
        (299_900, 300_100),
        (1_000_099, 1_001_099),
        (3_599_999, 3_599_999, 3_599_999),
        (0, 1_234_567, 86_399_999),
    ],
)
def test_the_deviation_of_durations_is_exact(durations: tuple[int, ...]) -> None:
    kpi = site_kpis(ended(*(session(1, ms) for ms in durations)))["session_duration_ms"]
    assert isinstance(kpi, Mean)
    assert kpi.value == pytest.approx(statistics.fmean(durations))
    assert kpi.sd == pytest.approx(statistics.stdev(durations), abs=0.001)


@pytest.mark.parametrize(
    ("score", "metric"),
    [
        (0, "detractors"),
        (6, "detractors"),
        (7, "passives"),
        (8, "passives"),
        (9, "promoters"),
        (10, "promoters"),
    ],
)
def test_nps_classes(score: int, metric: str) -> None:
    assert nps.counts(score) == {metric: 1}


def test_nps_of_five_hundred() -> None:
    kpi = site_kpis({nps.PROMOTERS: 300, nps.PASSIVES: 100, nps.DETRACTORS: 100, nps.SKIPPED: 12})["nps"]
    assert isinstance(kpi, Score)
    assert (kpi.value, kpi.rounded, kpi.n, kpi.skipped) == (40.0, 40, 500, 12)


@pytest.mark.parametrize(
    ("low", "high", "satisfied_from"),
    [
        (1, 5, 4), (0, 5, 4), (1, 7, 6), (1, 10, 9), (0, 10, 9), (1, 4, 3), (1, 3, 3), (1, 2, 2), (0, 1, 1),
        (0, 100, 75),  # not in the table: the upper quarter of the scale
        (-10, 10, 5),
        (1, 6, 5),
    ],
)  # fmt: skip
def test_satisfied_is_the_top_of_each_scale(low: int, high: int, satisfied_from: int) -> None:
    assert csat.satisfied_from(low, high) == satisfied_from
    satisfied = [csat.counts(score, low, high).get(csat.SATISFIED, 0) for score in range(low, high + 1)]
    assert satisfied == [int(score >= satisfied_from) for score in range(low, high + 1)]


def test_the_mean_score_of_5_4_4_3_is_4() -> None:
    tally: Counts = {}
    for score in (5, 4, 4, 3):
        add(tally, csat.counts(score, 1, 5))
    kpi = site_kpis(tally)["csat_score"]
    assert isinstance(kpi, Mean)
    assert (kpi.value, kpi.n, kpi.p50) == (4.0, 4, None)
    assert kpi.sd == pytest.approx(0.8165, abs=1e-4)
    assert kpi.low == pytest.approx(2.7008, abs=1e-4)
    assert kpi.high == 5  # 5.2992 is beyond the scale


@pytest.mark.parametrize(
    ("score", "low", "high", "points"),
    [(1, 1, 5, 100), (4, 1, 5, 400), (0, 0, 10, 100), (10, 0, 10, 500), (3, 0, 5, 340), (4, 1, 7, 300),
     (2, 1, 4, 233), (3, 1, 4, 367)],
)  # fmt: skip
def test_scores_of_other_scales_are_moved_to_1_to_5(score: int, low: int, high: int, points: int) -> None:
    assert csat.points(score, low, high) == points


def test_csat_is_the_satisfied_share() -> None:
    kpi = site_kpis({csat.SATISFIED: 3, csat.ANSWERS: 4})["csat"]
    assert isinstance(kpi, Rate)
    assert (kpi.value, kpi.numerator, kpi.denominator) == (0.75, 3, 4)
