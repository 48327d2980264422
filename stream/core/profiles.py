"""Session semantics of six tools as data: what cuts a visitor's events into sessions, and what is counted.

Each rule names where it is written: the vendor's documentation, or the vendor's published source where
the documentation leaves something open. `docs/profiles.md` has the same as a table, with worked cases.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from stream.core.policy import DAY_MS, MINUTE_MS, SECOND_MS
from stream.core.sessions import Session

# What a page ping does, beside adding to the engaged time of the session it falls into.
Pings = Literal[
    "member",  # it is an event like any other
    "keep_open",  # it opens no session and has no part in the duration, but the silence begins anew
    "prolong",  # it opens no session and breaks no silence, but counts into the duration
]


class Engaged(msgspec.Struct, frozen=True, kw_only=True):
    """A session is engaged when anything that is set here holds."""

    page_views: int | None = None  # at least
    duration_ms: int | None = None  # at least, first event to last
    engaged_ms: int | None = None  # at least, by page pings
    goal: bool = False

    def holds(self, session: Session) -> bool:
        return (
            (self.page_views is not None and session.page_views >= self.page_views)
            or (self.duration_ms is not None and session.last_ms - session.first_ms >= self.duration_ms)
            or (self.engaged_ms is not None and session.engaged_ms >= self.engaged_ms)
            or (self.goal and bool(session.goals))
        )


class Bounce(msgspec.Struct, frozen=True, kw_only=True):
    """A session is a bounce when everything that is set here holds."""

    not_engaged: bool = False
    least_page_views: int = 0
    most_page_views: int | None = None
    most_actions: int | None = None  # clicks and form submissions
    most_interactions: int | None = None  # page views, clicks and form submissions
    shorter_than_ms: int | None = None  # first event to last
    # A session with fewer page views is neither a bounce nor none: the rate leaves it out.
    counted_from_page_views: int = 0

    def holds(self, session: Session, engaged: bool) -> bool:
        actions = session.clicks + session.form_submissions
        short = self.shorter_than_ms is None or session.last_ms - session.first_ms < self.shorter_than_ms
        return (
            short
            and not (self.not_engaged and engaged)
            and self.least_page_views <= session.page_views
            and _at_most(session.page_views, self.most_page_views)
            and _at_most(actions, self.most_actions)
            and _at_most(actions + session.page_views, self.most_interactions)
        )


def _at_most(count: int, most: int | None) -> bool:
    return most is None or count <= most


class Duration(msgspec.Struct, frozen=True, kw_only=True):
    """Last event minus first; `added_ms` more when there is more than one event."""

    added_ms: int = 0

    def of(self, session: Session) -> int:
        return session.last_ms - session.first_ms + (self.added_ms if session.events > 1 else 0)


class Heartbeats(msgspec.Struct, frozen=True, kw_only=True):
    """Engaged time from *when* pages pinged: per page, one `every_ms` for each different interval of that
    length after the first, and `first_ms` for the first."""

    every_ms: int
    first_ms: int


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """One tool's rules. All times in milliseconds; a rule that is None does not exist there."""

    name: str
    gap_ms: int
    inclusive: bool  # whether silence of exactly the gap stays in the session
    # Silence is measured in whole units of this, rounded down.
    silence_unit_ms: int = 1
    longest_ms: int | None = None  # an event further from the first one begins another session
    at_midnight: bool = False  # of the given zone
    on_campaign: bool = False  # on an event with another campaign than the session's
    pings: Pings = "member"
    engaged: Engaged | None
    bounce: Bounce
    duration: Duration = Duration()
    heartbeats: Heartbeats | None = None  # None: the sum of what the pings report

    def joins(self, silence_ms: int) -> bool:
        """Whether an event after this silence still belongs to the session."""
        units = silence_ms // self.silence_unit_ms * self.silence_unit_ms
        return units <= self.gap_ms if self.inclusive else units < self.gap_ms

    def is_engaged(self, session: Session) -> bool | None:
        """None where the tool knows no engaged sessions."""
        return None if self.engaged is None else self.engaged.holds(session)

    def is_bounce(self, session: Session) -> bool:
        return self.bounce.holds(session, engaged=bool(self.is_engaged(session)))

    def counts_for_bounces(self, session: Session) -> bool:
        """Whether the session is in the denominator of the bounce rate."""
        return session.page_views >= self.bounce.counted_from_page_views


_GAP_MS = 30 * MINUTE_MS

LATIDO: Final = Profile(
    name="latido",
    gap_ms=_GAP_MS,
    inclusive=True,
    engaged=Engaged(page_views=2, duration_ms=10 * SECOND_MS, goal=True),
    bounce=Bounce(least_page_views=1, most_interactions=1),
)
"""Ours, as the worker computes it while events arrive; docs/semantics.md."""

GA4: Final = Profile(
    name="ga4",
    gap_ms=_GAP_MS,
    inclusive=False,
    engaged=Engaged(page_views=2, duration_ms=10 * SECOND_MS + 1, goal=True),
    bounce=Bounce(not_engaged=True),
)
"""Google Analytics 4.

Times out after 30 minutes of inactivity, no limit to the length: support.google.com/analytics/answer/9191807
("About Analytics sessions"); whether exactly 30 minutes are too many is not said, "times out after" is read
as yes. Engaged: longer than 10 seconds, or a key event (here: a goal), or two page views:
support.google.com/analytics/answer/12798876 ("[GA4] Session"). Bounce: the sessions that were not engaged:
support.google.com/analytics/answer/12195621. Neither midnight nor a campaign cuts, unlike in Universal
Analytics. Google measures the ten seconds in the foreground; here it is last event minus first.
"""

MATOMO: Final = Profile(
    name="matomo",
    gap_ms=_GAP_MS,
    inclusive=False,
    at_midnight=True,
    on_campaign=True,
    pings="prolong",
    engaged=None,
    bounce=Bounce(most_interactions=1),
    duration=Duration(added_ms=SECOND_MS),
)
"""Matomo with its default settings.

30 minutes since the last action, midnight of the site's zone, a new campaign: matomo.org/faq/general/faq_36
and faq/how-to/faq_19616. The FAQ says "more than 30 minutes", the tracker compares with `>`, so exactly 30
are too many: plugins/CoreHome/Tracker/VisitRequestProcessor.php, isLastActionInTheSameVisit. A campaign cuts
when it differs (letters' case aside) from the visit's; a direct visit takes it over instead:
plugins/Referrers/Columns/Campaign.php and Base.php. Bounce: one page and no other tracked interaction:
matomo.org/faq/reports/can-i-change-the-bounce-rate-setting-in-matomo. Duration: one second more than last
minus first, 0 for one action: plugins/CoreHome/Columns/VisitTotalTime.php. A heartbeat (`ping=1`) only
prolongs: VisitLastActionTime.php in the same folder. Matomo has no engaged visits.
"""

POSTHOG: Final = Profile(
    name="posthog",
    gap_ms=_GAP_MS,
    inclusive=True,
    longest_ms=DAY_MS,
    engaged=None,
    bounce=Bounce(
        least_page_views=1, most_interactions=1, shorter_than_ms=10 * SECOND_MS, counted_from_page_views=1
    ),
)
"""PostHog, posthog-js and web analytics.

30 minutes without activity, 24 hours at most: posthog.com/docs/data/sessions; both compare with `>`, so the
exact values stay: posthog-js, src/sessionid.ts, checkAndGetSessionAndWindowId. Bounce: one page view, nothing
autocaptured (here: no click, no form), less than 10 seconds: posthog.com/tutorials/bounce-rate; sessions
without a page view are left out of the rate: PostHog, posthog/hogql/database/schema/sessions_v2.py
(`$is_bounce`), where the duration is last minus first as well. PostHog has no engaged sessions.
"""

SNOWPLOW: Final = Profile(
    name="snowplow",
    gap_ms=_GAP_MS,
    inclusive=False,
    engaged=Engaged(page_views=2, engaged_ms=20 * SECOND_MS, goal=True),
    bounce=Bounce(not_engaged=True),
    heartbeats=Heartbeats(every_ms=10 * SECOND_MS, first_ms=5 * SECOND_MS),
)
"""Snowplow: the web tracker's `domain_sessionid` and the dbt web package's sessions.

Every event sets a cookie that expires 30 minutes later, the next event without it begins a session:
docs.snowplow.io, "Session tracking" and "How the tracker stores state"; a cookie is gone at its expiry, so
exactly 30 minutes are too many (RFC 6265, 5.3). Engaged: two page views, two heartbeats (20 s) of engaged
time, or a conversion; duration: end minus start (`absolute_time_in_s`): dbt-snowplow-web,
models/sessions/sessions.yml. Engaged time: distinct ten-second intervals with pings, less one, times ten,
plus five: the same package, models/page_views/scratch/snowplow_web_pv_engaged_time.sql; its page view is here
the page. The package publishes no bounce: not engaged, as with GA4, is our reading.
"""

PLAUSIBLE: Final = Profile(
    name="plausible",
    gap_ms=_GAP_MS,
    inclusive=True,
    silence_unit_ms=MINUTE_MS,
    pings="keep_open",
    engaged=None,
    bounce=Bounce(most_page_views=1, most_actions=0),
)
"""Plausible Analytics.

30 minutes without action; bounce: neither a second page view nor a custom event (here: a click or a form):
plausible.io/docs/metrics-definitions. Silence is measured in whole minutes and compared with `<= 30`, so
that it takes 31 minutes to end a session; engagement events (here: page pings) open none, keep one open, and
do not count into the duration: plausible/analytics, lib/plausible/session/cache_store.ex. Visitor ids change
each day, but a visit that is going on is carried over. Plausible has no engaged visits.
"""

PROFILES: Final = {one.name: one for one in (LATIDO, GA4, MATOMO, POSTHOG, SNOWPLOW, PLAUSIBLE)}
