"""Sessions, pages per session, duration, bounce and visitors, as counts per window.

A session counts in the bucket of its last event: open ones by number and pages, ended ones with all.
"""

from __future__ import annotations

from functools import lru_cache

from stream.core.kpi import Count, Kpi
from stream.core.sessions import Session, is_bounce
from stream.core.statistics import bucket_of, mean, rate
from stream.core.windows import Counts

PAGE_VIEWS = "page_views"
FORM_SUBMISSIONS = "form_submissions"
VISITORS = "visitors"  # in the bucket in which each was last seen
OPEN = "open"
OPEN_PAGES = "open_pages"
ENDED = "ended"
ENDED_PAGES = "ended_pages"
ENDED_PAGES_SQUARED = "ended_pages_sq"
ENDED_MS = "ended_ms"
# The sum of squared durations, in two parts: one 64-bit integer would overflow after a thousand long days.
ENDED_MS_SQUARED_HIGH = "ended_ms_sq_high"
ENDED_MS_SQUARED_LOW = "ended_ms_sq_low"
BOUNCES = "bounces"
PAGES_HISTOGRAM = "pages:"
DURATION_HISTOGRAM = "ms:"

_LOW_BITS = 32
_LOW_MASK = (1 << _LOW_BITS) - 1


def add_ended(row: dict[str, int], session: Session, sign: int) -> None:
    """Add (sign 1) or retract (-1) what an ended session contributes to the bucket of its last event.

    `row` gives 0 for metrics it does not hold, as a defaultdict does.
    """
    pages, duration_ms = session.page_views, session.last_ms - session.first_ms
    row[ENDED] += sign
    row[ENDED_PAGES] += sign * pages
    row[ENDED_PAGES_SQUARED] += sign * pages * pages
    row[_pages_metric(pages)] += sign
    row[_duration_metric(duration_ms)] += sign
    if duration_ms:  # many a session is one event
        row[ENDED_MS] += sign * duration_ms
        squared = duration_ms * duration_ms
        row[ENDED_MS_SQUARED_HIGH] += sign * (squared >> _LOW_BITS)
        row[ENDED_MS_SQUARED_LOW] += sign * (squared & _LOW_MASK)
    if is_bounce(session):
        row[BOUNCES] += sign


@lru_cache(maxsize=4096)
def _pages_metric(pages: int) -> str:
    return f"{PAGES_HISTOGRAM}{bucket_of(pages)}"


@lru_cache(maxsize=4096)
def _duration_metric(duration_ms: int) -> str:
    return f"{DURATION_HISTOGRAM}{bucket_of(duration_ms)}"


def _histogram(counts: Counts, prefix: str) -> dict[int, int]:
    start = len(prefix)
    return {int(metric[start:]): n for metric, n in counts.items() if metric.startswith(prefix)}


def results(counts: Counts) -> dict[str, Kpi]:
    """The session KPIs of one window; `of` names the population each is over."""
    opened, ended = counts.get(OPEN, 0), counts.get(ENDED, 0)
    pages = mean(
        counts.get(ENDED_PAGES, 0), counts.get(ENDED_PAGES_SQUARED, 0), ended,
        _histogram(counts, PAGES_HISTOGRAM), of="ended sessions",
    )  # fmt: skip
    sessions = opened + ended
    all_pages = counts.get(ENDED_PAGES, 0) + counts.get(OPEN_PAGES, 0)
    pages.with_open = all_pages / sessions if sessions else None
    squares = (counts.get(ENDED_MS_SQUARED_HIGH, 0) << _LOW_BITS) + counts.get(ENDED_MS_SQUARED_LOW, 0)
    duration = mean(
        counts.get(ENDED_MS, 0), squares, ended,
        _histogram(counts, DURATION_HISTOGRAM), of="ended sessions",
    )  # fmt: skip
    return {
        "page_views": Count(counts.get(PAGE_VIEWS, 0)),
        "form_submissions": Count(counts.get(FORM_SUBMISSIONS, 0)),
        "unique_visitors": Count(counts.get(VISITORS, 0)),
        "sessions": Count(sessions, open=opened, ended=ended),
        "pages_per_session": pages,
        "session_duration_ms": duration,
        "bounce_rate": rate(counts.get(BOUNCES, 0), ended, of="ended sessions"),
    }
