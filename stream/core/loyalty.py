"""New and returning visitors, how often they come, how long they stay away, and how many there are a day.

A visit is counted as the first or as a return when it begins, in the bucket of its first event, under what
brought it; a visitor in the bucket in which they were last seen.
"""

from __future__ import annotations

from functools import lru_cache

from stream.core.dimensions import ARRIVAL_DIMENSIONS
from stream.core.engagement import ENDED, OPEN, VISITORS
from stream.core.kpi import GA4, OURS, WAA, WHOLE, Count, Definition, Mean, Rate
from stream.core.lanes import Lanes
from stream.core.policy import DAY_MS, HOUR_MS
from stream.core.statistics import bucket_of, mean, rate
from stream.core.windows import ALL_TIME, DAY, MONTH, OF_VISITORS, SETTLED, Counts

NEW = "new"  # first visits, in the bucket of their first event
RETURNS = "returns"  # further visits, in the same
AWAY_MS = "away_ms"  # from the last event of the visit before to the first of this one
# The sum of squares in two parts, as of durations: one 64-bit integer would overflow.
AWAY_MS_SQUARED_HIGH = "away_ms_sq_high"
AWAY_MS_SQUARED_LOW = "away_ms_sq_low"
AWAY_HISTOGRAM = "away_h:"  # in hours: by milliseconds there would be hundreds of values in every bucket
# Per visit and later visit of the same visitor one, in the hour in which the earlier one ended.
VISIT_PAIRS = "visit_pairs"
VISITORS_OF_DAY = "visitors_24h"  # in the month alone, as of the same instant

LONGEST_MEMORY_MS = 3650 * DAY_MS
_LOW_BITS = 32
_LOW_MASK = (1 << _LOW_BITS) - 1
RETURN_METRICS = frozenset(
    f"{AWAY_HISTOGRAM}{bucket}" for bucket in range(bucket_of(LONGEST_MEMORY_MS // HOUR_MS + 1) + 1)
) | {RETURNS, AWAY_MS, AWAY_MS_SQUARED_HIGH, AWAY_MS_SQUARED_LOW}

RETURN_LANES = Lanes("#returns", (RETURNS, AWAY_MS, AWAY_MS_SQUARED_LOW, AWAY_MS_SQUARED_HIGH))
_ONE_RETURN, _ONE_MS, _ONE_SQUARED_LOW, _ONE_SQUARED_HIGH = map(RETURN_LANES.one, RETURN_LANES.metrics)


def add_return(row: dict[str, int], away_ms: int, sign: int) -> None:
    """Add (sign 1) or retract (-1) a visit that began `away_ms` after the one before."""
    squared = away_ms * away_ms
    packed = _ONE_RETURN + away_ms * _ONE_MS
    packed += (squared >> _LOW_BITS) * _ONE_SQUARED_HIGH + (squared & _LOW_MASK) * _ONE_SQUARED_LOW
    row[RETURN_LANES.name] += sign * packed
    row[_away_metric((away_ms + HOUR_MS // 2) // HOUR_MS)] += sign


@lru_cache(maxsize=4096)
def _away_metric(hours: int) -> str:
    return f"{AWAY_HISTOGRAM}{bucket_of(hours)}"


def _visitors(counts: Counts, _: Counts) -> Count:
    return Count(counts.get(VISITORS, 0))


def new_visitors(counts: Counts, _: Counts) -> Count:
    return Count(counts.get(NEW, 0))


def returning_visitors(counts: Counts, _: Counts) -> Count:
    return Count(counts.get(VISITORS, 0) - counts.get(NEW, 0))


def new_visitor_rate(counts: Counts, _: Counts) -> Rate:
    return rate(counts.get(NEW, 0), counts.get(VISITORS, 0), of="unique visitors")


def new_session_rate(counts: Counts, _: Counts) -> Rate:
    return rate(counts.get(NEW, 0), counts.get(OPEN, 0) + counts.get(ENDED, 0), of="sessions, open and ended")


def visits_per_visitor(counts: Counts, _: Counts) -> Mean:
    """The sum of squares over visitors of their numbers of visits is visits + 2 x pairs of visits."""
    visits = counts.get(OPEN, 0) + counts.get(ENDED, 0)
    squares = visits + 2 * counts.get(VISIT_PAIRS, 0)
    return mean(visits, squares, counts.get(VISITORS, 0), None, of="unique visitors")


def between_visits(counts: Counts, _: Counts) -> Mean:
    squares = (counts.get(AWAY_MS_SQUARED_HIGH, 0) << _LOW_BITS) + counts.get(AWAY_MS_SQUARED_LOW, 0)
    start = len(AWAY_HISTOGRAM)
    hours = {int(metric[start:]): n for metric, n in counts.items() if metric.startswith(AWAY_HISTOGRAM)}
    found = mean(counts.get(AWAY_MS, 0), squares, counts.get(RETURNS, 0), hours, of="returning visits")
    if found.p50 is not None and found.p95 is not None:
        found.p50, found.p95 = found.p50 * HOUR_MS, found.p95 * HOUR_MS
    return found


def stickiness(counts: Counts, _: Counts) -> Rate:
    return rate(counts.get(VISITORS_OF_DAY, 0), counts.get(VISITORS, 0), of="monthly active visitors")


_SESSIONS = frozenset({WHOLE, *ARRIVAL_DIMENSIONS})
_SEEN = frozenset({VISITORS})

_STICKINESS = f"{GA4}User stickiness (answer 12993725)"

KPIS = (
    Definition(
        id="dau", label="Daily active", unit="visitors", better="up",
        meaning="How many different visitors did something in the last 24 hours, or on a settled day.",
        source=_STICKINESS,
        formula="visitors with a session event in the last 24 hours, or on the day",
        windows=frozenset({DAY, "day"}), has_previous=False, compute=_visitors,
    ),
    Definition(
        id="wau", label="Weekly active", unit="visitors", better="up",
        meaning="How many different visitors did something in the last 7 days; exact, never added up.",
        source=_STICKINESS,
        formula="visitors with a session event in the last 7 days",
        windows=frozenset({"7d"}), metrics=_SEEN, has_previous=False, compute=_visitors,
    ),
    Definition(
        id="mau", label="Monthly active", unit="visitors", better="up",
        meaning="How many different visitors did something in the last 28 days; exact, never added up.",
        source=f"{_STICKINESS}, where a month has 30 days",
        formula="visitors with a session event in the last 28 days",
        windows=frozenset({MONTH}), metrics=_SEEN, has_previous=False, compute=_visitors,
    ),
    Definition(
        id="stickiness", label="Stickiness", unit="share from 0 to 1", better="up",
        meaning="Which part of the month's visitors was there in the last 24 hours: DAU / MAU.",
        source=f"{_STICKINESS}, where a month has 30 days",
        formula="visitors of the last 24 hours / visitors of the last 28 days, as of the same instant",
        windows=frozenset({MONTH}), metrics=_SEEN | {VISITORS_OF_DAY}, has_previous=False,
        compute=stickiness,
    ),
    Definition(
        id="new_visitors", label="New visitors", unit="visitors", better="up",
        meaning="How many visitors came for the first time.",
        source=WAA,
        formula="visitors whose first visit began in the window, under what brought that visit",
        windows=OF_VISITORS, metrics=frozenset({NEW}), dimensions=_SESSIONS, compute=new_visitors,
    ),
    Definition(
        id="returning_visitors", label="Returning visitors", unit="visitors", better="up",
        meaning="How many visitors had been there before the window.",
        source=WAA,
        formula="unique visitors - new visitors",
        windows=OF_VISITORS, metrics=frozenset({NEW, VISITORS}), has_previous=False,
        compute=returning_visitors,
    ),
    Definition(
        id="new_visitor_rate", label="New among visitors", unit="share from 0 to 1",
        meaning="The share of the visitors that came for the first time; the others return.",
        source=WAA,
        formula="new visitors / unique visitors",
        windows=OF_VISITORS, metrics=frozenset({NEW, VISITORS}), has_previous=False,
        compute=new_visitor_rate,
    ),
    # A first visit may begin in the window before and last into this one: there it would be one too many.
    Definition(
        id="new_session_rate", label="First visits", unit="share from 0 to 1",
        meaning="The share of the visits that are their visitor's first, begun in the window.",
        source=f"{OURS}Visitors over time",
        formula="first visits begun in the window / sessions, open and ended",
        windows=OF_VISITORS, metrics=frozenset({NEW, OPEN, ENDED}), dimensions=_SESSIONS,
        has_previous=False, compute=new_session_rate,
    ),
    Definition(
        id="visits_per_visitor", label="Visits per visitor", unit="visits", better="up",
        meaning="How often a visitor came in the window, on average.",
        source=WAA,
        formula="sessions whose last event lies in the window / unique visitors",
        windows=frozenset({"7d", MONTH}), metrics=frozenset({OPEN, ENDED, VISITORS, VISIT_PAIRS}),
        has_previous=False, compute=visits_per_visitor,
    ),
    Definition(
        id="time_between_visits_ms", label="Between visits", unit="milliseconds", better="down",
        meaning="How long a returning visitor had stayed away, on average.",
        source=f"{OURS}Visitors over time",
        formula="sum over returning visits begun in the window of (first event - last event of the visit "
                "before) / their number",
        windows=frozenset({DAY, "7d", MONTH, ALL_TIME, *SETTLED}), dimensions=_SESSIONS,
        metrics=RETURN_METRICS,
        compute=between_visits,
    ),
)  # fmt: skip
