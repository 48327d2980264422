"""Settled windows: the hours and days of a site's zone, which become final.

They follow the accepted events exactly: a session counts in the window of its *first* event, everything
else in that of its own time; a visitor once in each window; an answer if it is its respondent's latest
*inside* the window. So hours do not add up to days for visitors and answers.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from stream.core import conversion, csat, engagement, loyalty, nps
from stream.core.calendar import Calendar, Window
from stream.core.event_time import NEVER_MS
from stream.core.policy import MINUTE_MS, SECOND_MS, Policy
from stream.core.sessions import ENDED, GONE, Session, is_overlong
from stream.core.surveys import Answer, History
from stream.core.tallies import Rows, SegmentTally
from stream.core.windows import TEN_SECONDS_MS, Counts, add, add_under

# Dated in rolling windows by what may still move: the last event, the latest conversion or answer. Settled
# windows count the same things by other rules (`SegmentTally.sessions`, `hours` and `inside`).
ROLLING_ONLY = frozenset({
    engagement.VISITORS, engagement.OPEN_LANES.name, conversion.CONVERTED_VISITORS,
    loyalty.VISIT_PAIRS, *nps.OF_AN_ANSWER, *csat.OF_AN_ANSWER,
})  # fmt: skip

VISIT = ""  # the name under which a visitor's presence is noted; no goal has it


def take_settled(tally: SegmentTally, calendar: Calendar) -> dict[Window, Counts]:
    """What the pending counts of a segment add to settled windows; to be taken before they are settled."""
    hours: dict[int, Counts] = {}
    for bucket, row in tally.rows.items():
        dated = {metric: n for metric, n in row.items() if metric not in ROLLING_ONLY}
        if dated:
            add_under(hours, calendar.hour(bucket * TEN_SECONDS_MS), dated)
    for (_, hour), row in tally.sessions.items():
        add_under(hours, hour, row)
    for hour, row in tally.hours.items():
        add_under(hours, hour, row)
    found: dict[Window, Counts] = {("hour", hour): counts for hour, counts in hours.items()}
    for hour, counts in hours.items():
        add_under(found, ("day", calendar.day(hour)), counts)
    for window, row in tally.inside.items():
        add_under(found, window, row)
    tally.hours, tally.inside = Rows(), Rows()
    return {window: counts for window, counts in found.items() if counts}


class SettledCounts:
    """The settled windows of one site in one partition: those that are not final, and what is new."""

    def __init__(self, calendar: Calendar) -> None:
        self.calendar = calendar
        self.windows: dict[Window, dict[str, Counts]] = {}  # -> segment -> counts
        self.touched: dict[Window, set[str]] = {}  # segments of `windows` that changed
        # What is to be added to windows that are no longer here.
        self.corrections: dict[Window, dict[str, Counts]] = {}

    def apply(self, segment: str, window: Window, counts: Counts, *, closed: bool) -> None:
        """Add counts of one segment: here, or to what is stored of a window that is closed."""
        if closed:
            add(self.corrections.setdefault(window, {}).setdefault(segment, {}), counts)
        else:
            add(self.windows.setdefault(window, {}).setdefault(segment, {}), counts)
            self.touched.setdefault(window, set()).add(segment)

    def final(self, final_through_ms: int) -> list[Window]:
        """The windows here that have become final."""
        return [window for window in self.windows if self.calendar.end(window) <= final_through_ms]


class Waiting:
    """The sessions that windows wait for: begun, not final by the live clock, not overlong.

    They are counted by the minute of their first event, because windows begin on whole minutes. A session
    that has ended leaves by itself with the second of its last event.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._starts: dict[int, int] = {}  # minute -> sessions
        self._leaving: dict[int, dict[int, int]] = {}  # second of the last event -> minute -> sessions
        self._seconds: list[int] = []  # of `_leaving`, a heap
        self._passed = NEVER_MS  # seconds before this one have left

    def count(self, session: Session, sign: int) -> None:
        """Add (sign 1) or take away (-1) a session as it stands."""
        if session.phase == GONE or is_overlong(session, self._policy):
            return
        minute = session.first_ms // MINUTE_MS
        if session.phase == ENDED:
            second = session.last_ms // SECOND_MS
            if second < self._passed:
                return
            leaving = self._leaving_in(second)
            leaving[minute] = leaving.get(minute, 0) + sign
        self._add(minute, sign)

    def end(self, session: Session) -> None:
        """An open session ends: it leaves with the second of its last event."""
        if is_overlong(session, self._policy):
            return
        minute, second = session.first_ms // MINUTE_MS, session.last_ms // SECOND_MS
        if second < self._passed:
            self._add(minute, -1)
            return
        leaving = self._leaving_in(second)
        leaving[minute] = leaving.get(minute, 0) + 1

    def begin(self, first_ms: int) -> None:
        """A new session, open."""
        minute = first_ms // MINUTE_MS
        self._starts[minute] = self._starts.get(minute, 0) + 1

    def rest(self, live_ms: int) -> None:
        """Sessions leave that are final by the live clock."""
        limit = (live_ms - self._policy.finality_ms) // SECOND_MS  # seconds before it have passed
        while self._seconds and self._seconds[0] < limit:
            for minute, n in self._leaving.pop(heapq.heappop(self._seconds)).items():
                self._add(minute, -n)
        self._passed = max(self._passed, limit)

    def earliest_ms(self) -> int | None:
        """A time at or before which none of them begins: the first minute that holds one."""
        return min(self._starts) * MINUTE_MS if self._starts else None

    def _leaving_in(self, second: int) -> dict[int, int]:
        leaving = self._leaving.get(second)
        if leaving is None:
            leaving = self._leaving[second] = {}
            heapq.heappush(self._seconds, second)
        return leaving

    def _add(self, minute: int, n: int) -> None:
        total = self._starts.get(minute, 0) + n
        if total:
            self._starts[minute] = total
        else:
            self._starts.pop(minute, None)


def final_through_ms(live_ms: int, waiting: Waiting, policy: Policy) -> int:
    """Windows that end by this instant are final: the live clock has passed them by gap and grace, and no
    session that is not final begins before their end (overlong ones are not waited for)."""
    edge_ms = live_ms - policy.lateness_ms
    earliest_ms = waiting.earliest_ms()
    return edge_ms if earliest_ms is None else min(edge_ms, earliest_ms)


def changed_inside(
    history: History, answer: Answer, start_ms: int, end_ms: int, *, every: bool
) -> list[tuple[Answer, int]]:
    """What counts (sign 1) and no longer counts (-1) in a window, now that `history` holds `answer` too: the
    respondent's newest score inside it, or with `every` each of them."""
    if answer.score is None:
        return []
    if every:
        return [(answer, 1)]
    inside = [a for a in history.answers if a.score is not None and start_ms <= a.t_ms < end_ms]
    if inside[-1] is not answer:
        return []
    return [(answer, 1)] if len(inside) == 1 else [(inside[-2], -1), (answer, 1)]


def hours_not_past(hours: Iterable[int], calendar: Calendar, oldest_ms: int) -> list[int]:
    """Those of a visitor's hours whose day an accepted event may still fall into."""
    return [hour for hour in hours if calendar.end(("day", calendar.day(hour))) > oldest_ms]
