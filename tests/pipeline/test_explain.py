"""What an explanation says, on the contract's own examples."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stream.core.kpi import Mean
from stream.core.registry import KPIS
from stream.pipeline.explain import Explanation, explain, read_record, write_number
from stream.pipeline.take_results import decode_result

ALL_EXAMPLES = Path(__file__).resolve().parents[2] / "schemas/examples"
EXAMPLES = ALL_EXAMPLES / "engagement.kpi-snapshots.v1/valid"
RESULTS = ALL_EXAMPLES / "engagement.kpi-results.v1/valid"


def explained(example: str, kpi: str) -> Explanation:
    record = read_record((EXAMPLES / f"{example}.json").read_bytes())
    return explain(record, kpi, record.completeness)


def explained_result(example: str, kpi: str) -> Explanation:
    record = decode_result((RESULTS / f"{example}.json").read_bytes())
    return explain(record, kpi, record.completeness)


@pytest.mark.parametrize(
    ("kpi", "value", "counts"),
    [
        ("active_visitors", "412 visitors", "412 visitors"),
        ("sessions", "447 sessions", "409 open + 38 ended = 447"),
        ("pages_per_session", "4.18", "159 / 38 ended sessions = 4.18"),
        ("bounce_rate", "31.58 %", "12 / 38 ended sessions = 31.58 %"),
        ("ctr", "10.00 %", "100 / 1,000 impressions = 10.00 %"),
        (
            "nps",
            "+40.0",
            "100 x (300 promoters - 100 detractors) / 500 counted answers = +40.0",
        ),
        ("csat", "none: there is nothing to divide by yet", "0 / 0 counted answers"),
    ],
)
def test_the_formula_with_its_counts(kpi: str, value: str, counts: str) -> None:
    found = explained("five-minutes", kpi)
    assert (found.value, found.counts) == (value, counts)
    assert (found.formula, found.meaning) == (KPIS[kpi].formula, KPIS[kpi].meaning)
    assert found.window == "5m: from 2026-11-22T10:14:58.000Z to 2026-11-22T10:19:58.000Z"
    assert (found.site, found.segment) == ("shop-es", "all: the whole site")


@pytest.mark.parametrize(
    ("kpi", "value", "counts"),
    [
        ("stickiness", "1.45 %", "1 / 69 monthly active visitors = 1.45 %"),
        ("visits_per_visitor", "3.07", "212 / 69 unique visitors = 3.07"),
        ("time_between_visits_ms", "3.18 days", "550.24 days / 173 returning visits = 3.18 days"),
        ("new_visitor_rate", "56.52 %", "39 / 69 unique visitors = 56.52 %"),
    ],
)
def test_visitors_over_a_month(kpi: str, value: str, counts: str) -> None:
    found = explained("twenty-eight-days", kpi)
    assert (found.value, found.counts) == (value, counts)


def test_only_what_may_be_negative_has_a_sign() -> None:
    assert write_number(KPIS["nps"], 40) == "+40.0"
    assert not write_number(KPIS["csat_score"], 4.0).startswith("+")


def test_the_interval_in_one_sentence() -> None:
    assert explained("five-minutes", "ctr").interval == (
        "From 8.29 % to 12.02 %: an interval made this way (wilson) holds the true value behind such traffic "
        "in 95 of 100 cases."
    )
    assert "exact" in explained("five-minutes", "sessions").interval
    assert "no interval" in explained("five-minutes", "csat").interval


def test_what_holds_the_number_back() -> None:
    found = explained("all-catching-up", "sessions")
    assert found.completeness.startswith("Catching up")
    assert "2 of 4 partitions are current" in found.completeness
    assert found.held_by == "engagement.clicks.v1"
    assert found.window == "all: everything up to 2026-11-22T10:19:58.000Z"


def test_a_mean_of_few_large_values_says_so() -> None:
    record = read_record((EXAMPLES / "five-minutes.json").read_bytes())
    pages = record.kpis["pages_per_session"]
    assert isinstance(pages, Mean)
    assert explain(record, "pages_per_session", record.completeness).caveats == ()
    pages.sd = 9.0
    [caveat] = explain(record, "pages_per_session", record.completeness).caveats
    assert caveat.startswith("A few large values")


def test_a_doubtful_rate_says_why() -> None:
    [caveat, *_] = explained("one-element-suspect-ctr", "ctr").caveats
    assert "more hits than trials" in caveat


# One example leaves out what a worker always writes: only the contract's reader takes it.
WHOLE = sorted({path.stem for path in EXAMPLES.glob("*.json")} - {"empty-scores-and-means"})


@pytest.mark.parametrize("example", WHOLE)
def test_every_number_of_every_example_can_be_explained(example: str) -> None:
    kpis = json.loads((EXAMPLES / f"{example}.json").read_bytes())["kpis"]
    for kpi in kpis:
        found = explained(example, kpi)
        assert found.value
        assert found.interval.endswith(".")
        assert found.completeness.endswith(".")


@pytest.mark.parametrize(
    ("example", "kpi", "counts", "window", "state", "before"),
    [
        (
            "day-of-23-hours-running", "sessions", "0 open + 38 ended = 38",
            "day of Europe/Madrid: from 2026-03-28T23:00:00.000Z to before 2026-03-29T22:00:00.000Z",
            "running: it may still move", "",
        ),
        (
            "hour-final", "pages_per_session", "159 / 38 ended sessions = 4.18",
            "hour of Europe/Madrid: from 2026-11-22T09:00:00.000Z to before 2026-11-22T10:00:00.000Z",
            "final: nothing more is expected", "",
        ),
        (
            "hour-final", "bounce_rate", "12 / 38 ended sessions = 31.58 %",
            "hour of Europe/Madrid: from 2026-11-22T09:00:00.000Z to before 2026-11-22T10:00:00.000Z",
            "final: nothing more is expected", "",
        ),
        (
            "survey-corrected", "nps", "100 x (300 promoters - 100 detractors) / 500 = +40.0",
            "hour of Europe/Madrid: from 2026-11-22T09:00:00.000Z to before 2026-11-22T10:00:00.000Z",
            "corrected after it was final: a survey was answered, or answered anew (revision 3)",
            "+39.8, until it was corrected",
        ),
    ],
)  # fmt: skip
def test_hours_and_days(
    example: str, kpi: str, counts: str, window: str, state: str, before: str
) -> None:  # fmt: skip
    found = explained_result(example, kpi)
    assert (found.counts, found.window, found.state, found.before) == (counts, window, state, before)
    assert found.completeness.startswith("Complete")


def test_what_had_to_be_true_to_count() -> None:
    record = decode_result((RESULTS / "survey-corrected.json").read_bytes())
    site, segment, profile, bots, consent = explain(record, "nps", record.completeness).filters
    assert (site, segment) == ("site shop-es", "segment survey=post-buy")
    assert (profile, bots) == ("sessions cut by the profile latido", "bots left out")
    assert consent == "consent not denied"
    with_bots = explain(record, "nps", record.completeness, exclude_bots=False).filters
    assert with_bots == (site, segment, profile, "bots counted too", consent)
    assert explained("five-minutes", "ctr").filters[1] == "no segment"
