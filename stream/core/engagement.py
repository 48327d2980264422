"""Sessions, pages per session, duration, bounce and visitors, as counts per window.

A session counts in the bucket of its last event: open ones by number and pages, ended ones with all.
"""

from __future__ import annotations

from functools import lru_cache

from stream.core.dimensions import SESSION_DIMENSIONS
from stream.core.kpi import GA4, OURS, PAIR, WAA, WHOLE, Count, Definition, Mean, Rate
from stream.core.lanes import Lanes
from stream.core.sessions import Session, is_bounce, is_engaged
from stream.core.statistics import bucket_of, mean, rate
from stream.core.windows import OF_VISITORS, Counts

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
CONVERTED = "converted"  # ended sessions that reached a goal, whichever
ENGAGED = "engaged"  # ended sessions that are engaged
ACTIVE = "active"  # ended sessions with a click or a form
PINGED = "pinged"  # ended sessions that say how long the page was in front
ENGAGED_MS = "engaged_ms"
ENGAGED_MS_SQUARED_HIGH = "engaged_ms_sq_high"
ENGAGED_MS_SQUARED_LOW = "engaged_ms_sq_low"
PAGES_HISTOGRAM = "pages:"
DURATION_HISTOGRAM = "ms:"
ENGAGED_HISTOGRAM = "engaged_ms:"

_LOW_BITS = 32
_LOW_MASK = (1 << _LOW_BITS) - 1


# An ended session adds to most of these: together in one number, small because the commonest come first.
ENDED_LANES = Lanes("#ended", (
    ENDED, ENDED_PAGES, ENDED_PAGES_SQUARED, f"{PAGES_HISTOGRAM}1", f"{DURATION_HISTOGRAM}0", BOUNCES,
    ENGAGED, f"{PAGES_HISTOGRAM}2", ENDED_MS, ENDED_MS_SQUARED_LOW, ENDED_MS_SQUARED_HIGH, CONVERTED, ACTIVE,
    f"{PAGES_HISTOGRAM}3", f"{PAGES_HISTOGRAM}0",
    PINGED, ENGAGED_MS, ENGAGED_MS_SQUARED_LOW, ENGAGED_MS_SQUARED_HIGH,
))  # fmt: skip
OPEN_LANES = Lanes("#open", (OPEN, OPEN_PAGES))
_ONE = {metric: ENDED_LANES.one(metric) for metric in ENDED_LANES.metrics}
ONE_OPEN, ONE_OPEN_PAGE = OPEN_LANES.one(OPEN), OPEN_LANES.one(OPEN_PAGES)


def ended_counts(session: Session) -> tuple[tuple[str, int], ...]:
    """(metric, count) of everything an ended session contributes: the same in each of its segments."""
    pages, duration_ms = session.page_views, session.last_ms - session.first_ms
    packed, named = _of_size(pages, duration_ms) if duration_ms else _of_one_instant(pages)
    if is_bounce(session):
        packed += _ONE[BOUNCES]
    if is_engaged(session):
        packed += _ONE[ENGAGED]
    if session.goals:
        packed += _ONE[CONVERTED]
    if session.clicks or session.form_submissions:
        packed += _ONE[ACTIVE]
    if session.engaged_ms:
        of_pings, bucket = _of_pings(session.engaged_ms)
        return (ENDED_LANES.name, packed + of_pings), *named, bucket
    return (ENDED_LANES.name, packed), *named


def add_ended(row: dict[str, int], session: Session, sign: int) -> None:
    """Add (sign 1) or retract (-1) what an ended session contributes to the bucket of its last event.

    `row` gives 0 for metrics it does not hold, as a defaultdict does.
    """
    for metric, n in ended_counts(session):
        row[metric] += sign * n


def _of_size(pages: int, duration_ms: int) -> tuple[int, tuple[tuple[str, int], ...]]:
    """What pages and duration come to, packed, and by name the buckets of histograms that have no lane."""
    squared = duration_ms * duration_ms
    packed = _ONE[ENDED] + pages * _ONE[ENDED_PAGES] + pages * pages * _ONE[ENDED_PAGES_SQUARED]
    packed += duration_ms * _ONE[ENDED_MS]
    packed += (squared & _LOW_MASK) * _ONE[ENDED_MS_SQUARED_LOW]
    packed += (squared >> _LOW_BITS) * _ONE[ENDED_MS_SQUARED_HIGH]
    named = []
    for metric in (_pages_metric(pages), _duration_metric(duration_ms)):
        if metric in _ONE:
            packed += _ONE[metric]
        else:
            named.append((metric, 1))
    return packed, tuple(named)


@lru_cache(maxsize=256)
def _of_one_instant(pages: int) -> tuple[int, tuple[tuple[str, int], ...]]:
    """Many a session is one event."""
    return _of_size(pages, 0)


def _of_pings(engaged_ms: int) -> tuple[int, tuple[str, int]]:
    """The same for the time a page was in front."""
    squared = engaged_ms * engaged_ms
    packed = _ONE[PINGED] + engaged_ms * _ONE[ENGAGED_MS]
    packed += (squared & _LOW_MASK) * _ONE[ENGAGED_MS_SQUARED_LOW]
    packed += (squared >> _LOW_BITS) * _ONE[ENGAGED_MS_SQUARED_HIGH]
    return packed, (f"{ENGAGED_HISTOGRAM}{bucket_of(engaged_ms)}", 1)


@lru_cache(maxsize=4096)
def _pages_metric(pages: int) -> str:
    return f"{PAGES_HISTOGRAM}{bucket_of(pages)}"


@lru_cache(maxsize=4096)
def _duration_metric(duration_ms: int) -> str:
    return f"{DURATION_HISTOGRAM}{bucket_of(duration_ms)}"


def _histogram(counts: Counts, prefix: str) -> dict[int, int]:
    start = len(prefix)
    return {int(metric[start:]): n for metric, n in counts.items() if metric.startswith(prefix)}


def sessions(counts: Counts, _: Counts) -> Count:
    opened, ended = counts.get(OPEN, 0), counts.get(ENDED, 0)
    return Count(opened + ended, open=opened, ended=ended)


def pages_per_session(counts: Counts, _: Counts) -> Mean:
    pages, ended = counts.get(ENDED_PAGES, 0), counts.get(ENDED, 0)
    found = mean(
        pages, counts.get(ENDED_PAGES_SQUARED, 0), ended,
        _histogram(counts, PAGES_HISTOGRAM), of="ended sessions",
    )  # fmt: skip
    all_sessions = counts.get(OPEN, 0) + ended
    found.with_open = (pages + counts.get(OPEN_PAGES, 0)) / all_sessions if all_sessions else None
    return found


def duration(counts: Counts, _: Counts) -> Mean:
    squares = (counts.get(ENDED_MS_SQUARED_HIGH, 0) << _LOW_BITS) + counts.get(ENDED_MS_SQUARED_LOW, 0)
    return mean(
        counts.get(ENDED_MS, 0), squares, counts.get(ENDED, 0),
        _histogram(counts, DURATION_HISTOGRAM), of="ended sessions",
    )  # fmt: skip


def engaged_time(counts: Counts, _: Counts) -> Mean:
    squares = (counts.get(ENGAGED_MS_SQUARED_HIGH, 0) << _LOW_BITS) + counts.get(ENGAGED_MS_SQUARED_LOW, 0)
    return mean(
        counts.get(ENGAGED_MS, 0), squares, counts.get(PINGED, 0),
        _histogram(counts, ENGAGED_HISTOGRAM), of="ended sessions with page pings",
    )  # fmt: skip


def engaged_share(counts: Counts, _: Counts) -> Rate:
    return rate(counts.get(ENGAGED, 0), counts.get(ENDED, 0), of="ended sessions")


def converted_share(counts: Counts, _: Counts) -> Rate:
    return rate(counts.get(CONVERTED, 0), counts.get(ENDED, 0), of="ended sessions")


def active_share(counts: Counts, _: Counts) -> Rate:
    return rate(counts.get(ACTIVE, 0), counts.get(ENDED, 0), of="ended sessions")


def bounce_rate(counts: Counts, _: Counts) -> Rate:
    return rate(counts.get(BOUNCES, 0), counts.get(ENDED, 0), of="ended sessions")


def _visitors(counts: Counts, _: Counts) -> Count:
    return Count(counts.get(VISITORS, 0))


_SESSIONS = frozenset({WHOLE, PAIR, *SESSION_DIMENSIONS})

# Visitors count where each was *last* seen: of an earlier window only those are known who did not come
# back since, so the window before has no exact value.
KPIS = (
    Definition(
        id="active_visitors", label="Active visitors", unit="visitors", better="up",
        meaning="How many visitors are there now: who did something in the last five minutes.",
        source="Plausible documentation, Stats API: current visitors, of the last 5 minutes",
        formula="visitors with a session event in the last 5 minutes",
        windows=frozenset({"5m"}), has_previous=False, compute=_visitors,
    ),
    Definition(
        id="unique_visitors", label="Unique visitors", unit="visitors", better="up",
        meaning="How many different visitors did something in the window; exact, never added up.",
        source=WAA,
        formula="visitors with a session event in the window",
        windows=OF_VISITORS, metrics=frozenset({VISITORS}), has_previous=False, compute=_visitors,
    ),
    Definition(
        id="sessions", label="Sessions", unit="sessions", better="up",
        meaning="How many visits there were: events of a visitor with no silence longer than the gap.",
        source=WAA,
        formula="sessions whose last event lies in the window, open and ended",
        compute=sessions, dimensions=_SESSIONS,
    ),
    Definition(
        id="page_views", label="Page views", unit="events", better="up",
        meaning="How many pages were opened.",
        source=WAA,
        formula="page view events", compute=lambda counts, _: Count(counts.get(PAGE_VIEWS, 0)),
    ),
    Definition(
        id="pages_per_session", label="Pages per session", unit="page views", better="up",
        meaning="How many pages a visit has on average.",
        source=WAA,
        formula="page views of ended sessions / ended sessions",
        compute=pages_per_session, dimensions=_SESSIONS,
    ),
    Definition(
        id="session_duration_ms", label="Session duration", unit="milliseconds", better="up",
        meaning="How long a visit takes on average, from its first event to its last.",
        source=WAA,
        formula="sum over ended sessions of (last event - first event) / ended sessions",
        compute=duration, dimensions=_SESSIONS,
    ),
    Definition(
        id="bounce_rate", label="Bounce rate", unit="share from 0 to 1", better="down",
        meaning="The share of the visits that saw one page and did nothing else.",
        source=WAA,
        formula="ended sessions with one page view, no click and no form / ended sessions",
        compute=bounce_rate, dimensions=_SESSIONS,
    ),
    Definition(
        id="engaged_time_ms", label="Engaged time", unit="milliseconds", better="up",
        meaning="How long the page was in front of somebody who did something, per visit.",
        source="Snowplow documentation, Activity tracking: page pings",
        formula="sum of engaged_ms of page pings / ended sessions that sent any",
        compute=engaged_time, dimensions=_SESSIONS,
    ),
    Definition(
        id="engaged_session_rate", label="Engaged sessions", unit="share from 0 to 1", better="up",
        meaning="The share of the visits with two page views, ten seconds or a goal.",
        source=f"{GA4}Engagement rate and bounce rate (answer 12195621)",
        formula="engaged ended sessions / ended sessions",
        compute=engaged_share, dimensions=_SESSIONS,
    ),
    # The session record also calls a session active in which a survey was answered. An answer may come a
    # month later; a share that waited for it would never stand still.
    Definition(
        id="active_session_rate", label="Active sessions", unit="share from 0 to 1", better="up",
        meaning="The share of the visits in which something was clicked or sent; the others only looked.",
        source=f"{OURS}Sessions",
        formula="ended sessions with a click or a form submission / ended sessions",
        compute=active_share, dimensions=_SESSIONS,
    ),
    Definition(
        id="session_conversion_rate", label="Converted sessions", unit="share from 0 to 1", better="up",
        meaning="The share of the visits that reached a goal, whichever: settings name the goals.",
        source=WAA,
        formula="ended sessions that reached a goal / ended sessions",
        compute=converted_share, dimensions=_SESSIONS,
    ),
    Definition(
        id="form_submissions", label="Form submissions", unit="events", better="up",
        meaning="How many forms were sent.",
        source=f"{GA4}Enhanced measurement events: form_submit (answer 9216061)",
        formula="form submission events", compute=lambda counts, _: Count(counts.get(FORM_SUBMISSIONS, 0)),
    ),
)  # fmt: skip
