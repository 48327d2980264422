"""Customers for the tests of the churn rules: days in, customers and activities out."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import strategies as st

from stream.core.bgnbd import Parameters
from stream.core.churn_settings import Limits
from stream.core.customers import Activity, Answered, Converted, Customer, VisitEnded, VisitStarted, fold
from stream.core.policy import DAY_MS, MINUTE_MS

START_MS = 1_700_000_000_000
LIMITS = Limits()
WITH_MODEL = Limits(bgnbd=Parameters(r=0.243, alpha_days=31.0, a=0.793, b=2.426))


def ms(days: float) -> int:
    """The instant so many days after the start."""
    return START_MS + round(days * DAY_MS)


def visited(*days: float, limits: Limits = LIMITS) -> Customer:
    """Somebody who looked in for a moment on each of these days."""
    return after(*(VisitStarted(ms(day)) for day in days), limits=limits)


def after(*activities: Activity, limits: Limits = LIMITS) -> Customer:
    customer = Customer()
    for activity in activities:
        fold(customer, activity, limits.occasion_ms)
    return customer


def nps(day: float, score: int) -> Answered:
    return Answered(ms(day), "post-buy", "nps", score)


def csat(day: float, score: int, low: int = 1, high: int = 5) -> Answered:
    return Answered(ms(day), "care", "csat", score, low, high)


Doing = list[tuple[int, Activity]]
"""(ms after the one before, what), the times of the activities themselves still open."""


def _visit(gap_ms: int, length_ms: int) -> Doing:
    return [(gap_ms, VisitStarted(0)), (length_ms, VisitEnded(0, length_ms))]


_GAPS = st.integers(1, 40 * DAY_MS) | st.sampled_from([7 * DAY_MS, DAY_MS, 2 * MINUTE_MS, 200 * DAY_MS])


def _one(activity: Activity) -> Doing:
    return [(1000, activity)]


_STEPS: st.SearchStrategy[Doing] = st.one_of(
    st.builds(_visit, _GAPS, st.integers(0, 3 * 60 * MINUTE_MS)),
    st.integers(0, 10).map(lambda score: _one(nps(0, score))),
    st.integers(1, 5).map(lambda score: _one(csat(0, score))),
    st.just(_one(Converted(0, "order"))),
)


def _timed(steps: Iterable[Doing]) -> list[Activity]:
    """One after the other, each at its own time."""
    now_ms, found = START_MS, list[Activity]()
    for after_ms, activity in (one for step in steps for one in step):
        now_ms += after_ms
        found.append(_at(activity, now_ms))
    return found


def _at(activity: Activity, at_ms: int) -> Activity:
    match activity:
        case VisitStarted():
            return VisitStarted(at_ms, activity.plan)
        case VisitEnded():
            return VisitEnded(at_ms, activity.engaged_ms)
        case Converted():
            return Converted(at_ms, activity.goal)
        case Answered():
            return Answered(
                at_ms,
                activity.survey_id,
                activity.kind,
                activity.score,
                activity.scale_min,
                activity.scale_max,
            )


LIVES = st.lists(_STEPS, min_size=1, max_size=12).map(_timed)
"""All that one customer did, in order of time."""
