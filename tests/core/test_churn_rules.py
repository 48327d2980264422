"""Every churn rule worked by hand, and its inverse against direct evaluation to the millisecond."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.times import rfc3339
from stream.core.churn_rules import (
    AT_RISK,
    LOST,
    NOT_JUDGED,
    NOTHING,
    RULES,
    WATCH,
    alive,
    alive_crossings,
    alive_level,
    crossings,
    declining,
    declining_crossings,
    detractor,
    dissatisfied,
    high_value,
    levels,
    next_crossing,
    overdue,
    overdue_crossings,
    promoter,
    score_falling,
    trend,
    visit_ratio,
)
from stream.core.churn_settings import Limits, Weights
from stream.core.customers import LAST_MS, Activity, Converted, VisitEnded, VisitStarted
from stream.core.policy import DAY_MS, HOUR_MS, MINUTE_MS
from tests.core.churn_cases import LIMITS, LIVES, START_MS, WITH_MODEL, after, csat, ms, nps, visited


def test_overdue_worked() -> None:
    """Gaps of 1, 2, 4 days: typically 2, one sigma is a factor of 2 (logarithms of 0, 1, 2 times ln 2)."""
    customer = visited(0, 1, 3, 7)
    assert math.exp(customer.rhythm.mean) == pytest.approx(2 * DAY_MS)
    assert customer.rhythm.sigma == pytest.approx(math.log(2))
    assert overdue_crossings(customer, LIMITS) == pytest.approx(
        [ms(7 + 2 * 2**z) for z in (1.5, 2, 3)], abs=1
    )
    at_days = {7.0: NOTHING, 12.6: NOTHING, 12.7: WATCH, 15.1: AT_RISK, 22.9: AT_RISK, 23.1: LOST}
    assert {day: overdue(customer, LIMITS, ms(day)) for day in at_days} == at_days


def test_overdue_needs_three_gaps() -> None:
    customer = visited(0, 1, 3)
    assert overdue(customer, LIMITS, ms(1000)) == NOT_JUDGED
    assert overdue_crossings(customer, LIMITS) == ()


def test_three_gaps_alike_by_chance_are_no_perfect_rhythm() -> None:
    customer = visited(0, 7, 14, 21)
    assert customer.rhythm.sigma == pytest.approx(0, abs=1e-6)
    assert overdue_crossings(customer, LIMITS)[1] == pytest.approx(ms(21 + 7 * math.exp(2 * 0.35)), abs=1)


def test_who_comes_every_hour_is_not_missed_after_a_lunch_break() -> None:
    customer = visited(*(hour / 24 for hour in range(5)))
    assert overdue_crossings(customer, LIMITS)[0] == customer.last_ms + LIMITS.shortest_silence_ms


def test_declining_worked() -> None:
    """A visit a day for 40 days: the ratio is that of two geometric series."""
    customer = visited(*range(41))
    short, long = (sum(math.exp(-day / tau) for day in range(41)) for tau in (7, 28))
    ratio = (short / 7) / (long / 28)
    assert visit_ratio(customer, ms(40)) == pytest.approx(ratio)
    days = [math.log(ratio / limit) / (1 / 7 - 1 / 28) for limit in (0.5, 0.25)]
    assert declining_crossings(customer, LIMITS) == pytest.approx([ms(40 + day) for day in days], abs=1)
    assert declining(customer, LIMITS, ms(40 + days[0] + 0.01)) == WATCH
    assert declining(customer, LIMITS, ms(40 + days[1] + 0.01)) == AT_RISK


def test_who_comes_once_a_month_does_not_decline_every_month() -> None:
    assert declining(visited(*range(0, 400, 30)), LIMITS, ms(10_000)) == NOT_JUDGED


def test_alive_probability_worked() -> None:
    """CDNOW's parameters in days (alpha: 31): two returns, the latest on day 213, asked on day 272."""
    customer = visited(0, 100, 213, limits=WITH_MODEL)
    expected = 1 / (1 + 0.793 / 3.426 * ((31 + 272) / (31 + 213)) ** 2.243)
    assert alive(customer, WITH_MODEL, ms(272)) == pytest.approx(expected)
    days = [(31 + 213) * ((1 / p - 1) * 3.426 / 0.793) ** (1 / 2.243) - 31 for p in (0.7, 0.4, 0.1)]
    assert alive_crossings(customer, WITH_MODEL) == pytest.approx([ms(day) for day in days], abs=1)
    hasty = Limits(bgnbd=WITH_MODEL.bgnbd, alive=(0.9,))
    assert alive_crossings(customer, hasty) == (ms(213),), "below 0.9 as soon as the latest visit was over"


def test_alive_probability_is_not_judged_without_the_model_and_never_falls_for_who_came_once() -> None:
    assert alive_level(visited(0, 1), LIMITS, ms(900)) == NOT_JUDGED
    assert alive_level(visited(0), WITH_MODEL, ms(9000)) == NOTHING
    assert alive_crossings(visited(0), WITH_MODEL) == ()


@pytest.mark.parametrize(
    ("score", "is_detractor", "is_promoter"),
    [(0, AT_RISK, NOTHING), (6, AT_RISK, NOTHING), (7, NOTHING, NOTHING), (8, NOTHING, NOTHING),
     (9, NOTHING, WATCH), (10, NOTHING, WATCH)],
)  # fmt: skip
def test_detractors_and_promoters(score: int, is_detractor: int, is_promoter: int) -> None:
    customer = after(nps(0, 8), nps(1, score))
    assert (detractor(customer, LIMITS, ms(1)), promoter(customer, LIMITS, ms(1))) == (
        is_detractor,
        is_promoter,
    )


@pytest.mark.parametrize(
    ("score", "low", "high", "level"),
    [(3, 1, 5, AT_RISK), (4, 1, 5, NOTHING), (6, 1, 7, NOTHING), (8, 0, 10, 2)],
)
def test_dissatisfied_by_the_answers_own_scale(score: int, low: int, high: int, level: int) -> None:
    assert dissatisfied(after(csat(0, score, low, high)), LIMITS, ms(0)) == level


def test_the_latest_answer_counts_whatever_arrives_last() -> None:
    assert detractor(after(nps(5, 9), nps(1, 2)), LIMITS, ms(6)) == NOTHING


def test_an_old_answer_says_nothing() -> None:
    customer = after(nps(0, 2))
    expiry = ms(180)
    assert [detractor(customer, LIMITS, at_ms) for at_ms in (expiry - 1, expiry)] == [AT_RISK, NOT_JUDGED]
    assert crossings(customer, LIMITS, START_MS) == [expiry]


def test_falling_scores_worked() -> None:
    """9, 8, 6: least squares over 90, 80, 60 fall by 15 an answer."""
    answers = after(nps(0, 9), nps(1, 8), nps(2, 6)).nps
    assert trend(answers) == pytest.approx(-15)
    assert trend(answers[:2]) is None
    assert score_falling(after(nps(0, 9), nps(1, 8), nps(2, 6)), LIMITS, ms(2)) == AT_RISK
    assert score_falling(after(nps(0, 9), nps(1, 8), nps(2, 8)), LIMITS, ms(2)) == NOTHING
    assert score_falling(after(nps(0, 9), nps(1, 3)), LIMITS, ms(2)) == NOT_JUDGED


def test_falling_scores_are_not_made_of_two_kinds_of_question() -> None:
    assert score_falling(after(nps(0, 10), csat(1, 3), csat(2, 1)), LIMITS, ms(2)) == NOT_JUDGED


def test_high_value_by_goals_or_time() -> None:
    buyer = after(*(Converted(ms(day), "order") for day in range(3)))
    reader = after(VisitStarted(ms(0)), VisitEnded(ms(1), 10 * HOUR_MS))
    assert [high_value(one, LIMITS, 0) for one in (buyer, reader, visited(0))] == [WATCH, WATCH, NOTHING]


def test_two_devices_at_once_are_one_occasion() -> None:
    """A telephone half an hour after the laptop's visit ended: a visit, no return."""
    customer = after(
        VisitStarted(ms(0)),
        VisitEnded(ms(0) + HOUR_MS, 60_000),
        VisitStarted(ms(0) + HOUR_MS + 30 * MINUTE_MS),
    )
    assert (customer.visits, customer.rhythm.gaps, customer.short) == (2, 0, 1.0)
    assert visited(0, 0.03).rhythm.gaps == 1


def test_what_arrives_late_is_no_return() -> None:
    customer = visited(0, 10, 5)
    assert (customer.visits, customer.rhythm.gaps, customer.last_ms) == (3, 1, ms(10))


@pytest.mark.parametrize("limits", [LIMITS, WITH_MODEL], ids=["plain", "with model"])
@given(life=LIVES, parts=st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_levels_change_at_the_crossings_and_nowhere_else(
    limits: Limits, life: list[Activity], parts: list[float]
) -> None:
    """At each crossing direct evaluation differs from one ms before; between two it does not."""
    customer, now_ms = after(*life, limits=limits), life[-1].at_ms
    instants = crossings(customer, limits, now_ms)
    for at_ms in instants:
        assert levels(customer, limits, at_ms) != levels(customer, limits, at_ms - 1)
    ends = [*instants, max(instants, default=now_ms) + 1000 * DAY_MS]
    begin = now_ms
    for end in ends:
        for part in (*parts, 1.0):
            between = begin + math.floor(part * (end - 1 - begin))
            assert levels(customer, limits, between) == levels(customer, limits, begin)
        following = next_crossing(customer, limits, begin, levels(customer, limits, begin))
        assert following == (end if end in instants else None)
        begin = end


@given(life=LIVES)
def test_a_limit_set_to_what_direct_evaluation_says_is_reached_then(life: list[Activity]) -> None:
    """Substitution the other way: P(alive) on some day as the limit gives that day back."""
    customer = after(*life, limits=WITH_MODEL)
    if customer.rhythm.gaps == 0:
        return
    asked_ms = life[-1].at_ms + 20 * DAY_MS
    probability = alive(customer, WITH_MODEL, asked_ms)
    if probability is None or not 0.01 <= probability <= 0.99:
        return
    limits = Limits(bgnbd=WITH_MODEL.bgnbd, alive=(probability,))
    assert alive_crossings(customer, limits)[0] == pytest.approx(asked_ms, abs=2)


def test_every_risk_has_a_weight_and_nothing_else_has() -> None:
    assert {rule.name for rule in RULES if rule.is_risk} == set(Weights.__struct_fields__)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"overdue": (2.0, 1.0)}, "overdue takes one to three rising limits"),
        ({"alive": (0.5, 0.0)}, "alive takes one to three falling limits from 0.01 to 0.99"),
        ({"declining": ()}, "declining takes one to three"),
        ({"overdue": (math.nan,)}, "overdue takes"),
        ({"least_sigma": math.inf}, "least_sigma must lie between"),
        ({"least_gaps": 1}, "least_gaps must be at least 2"),
        ({"shortest_silence_ms": 0}, "shortest_silence must be at least 1ms"),
        ({"watch_below": 40}, "at_risk_below and watch_below"),
        ({"band": 21}, "band lies between"),
    ],
)
def test_limits_that_make_no_sense_are_refused(wrong: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Limits(**wrong)  # type: ignore[arg-type]


def test_weights_that_make_no_sense_are_refused() -> None:
    for wrong in (
        dict.fromkeys(Weights.__struct_fields__, 0.0),
        {"overdue": -1.0},
        {"overdue": math.nan},
        {"overdue": 1e308},
    ):
        with pytest.raises(ValueError, match="weights are numbers from 0"):
            Weights(**wrong)


def test_no_instant_lies_beyond_the_calendar() -> None:
    """Who comes in the last year of it has no crossings that no record could tell."""
    customer = after(*(VisitStarted(LAST_MS - 1000 * DAY_MS + day * DAY_MS) for day in range(0, 990, 9)))
    found = crossings(customer, WITH_MODEL, customer.last_ms)
    assert len(found) < len(overdue_crossings(customer, WITH_MODEL) + alive_crossings(customer, WITH_MODEL))
    assert all(at_ms <= LAST_MS for at_ms in found)
    assert rfc3339(LAST_MS).startswith("9999-12-31T23:59:59")


def test_the_version_changes_with_every_limit() -> None:
    assert Limits().version == Limits().version
    assert Limits().version.startswith("sha256:")
    assert Limits(band=4).version != Limits().version != WITH_MODEL.version
