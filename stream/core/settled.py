"""Settled windows: hours (or any width) that become final. Sessions count by start, events by time.

They follow the accepted events exactly: a session whose start moves leaves one window and enters
another, an answer counts in the window of its time if it is its respondent's latest *inside* it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from stream.core.policy import Policy
from stream.core.sessions import Session, is_overlong
from stream.core.surveys import Answer, History

SESSIONS = "sessions"
SESSION_EVENTS = "session_events"
SESSION_MS = "session_ms"
EVENTS = "events"
VISITORS = "visitors"
ANSWERS = "answers"
SCORE = "score"


class Settled:
    """Counts per window index (event time in ms // width)."""

    def __init__(self, width_ms: int) -> None:
        self.width_ms = width_ms
        self.windows: dict[int, defaultdict[str, int]] = {}
        self._seen: set[tuple[str, str, int]] = set()

    def counts(self, window: int) -> defaultdict[str, int]:
        return self.windows.setdefault(window, defaultdict(int))

    def sessions(self, sessions: Iterable[Session], sign: int) -> None:
        """Add or retract sessions, each in the window of its first event."""
        for session in sessions:
            counts = self.counts(session.first_ms // self.width_ms)
            counts[SESSIONS] += sign
            counts[SESSION_EVENTS] += sign * session.events
            counts[SESSION_MS] += sign * (session.last_ms - session.first_ms)

    def event(self, site_id: str, visitor_id: str, t: int) -> None:
        """A session's event, in the window of its own time; a visitor counts once in each window."""
        window = t // self.width_ms
        counts = self.counts(window)
        counts[EVENTS] += 1
        if (site_id, visitor_id, window) not in self._seen:
            self._seen.add((site_id, visitor_id, window))
            counts[VISITORS] += 1

    def answer(self, history: History, new: Answer) -> None:
        """`new` was inserted into `history`: the latest answer inside its window may be another now."""
        window = new.t_ms // self.width_ms
        inside = [a for a in history.answers if a.t_ms // self.width_ms == window and a.score is not None]
        counts = self.counts(window)
        before = [a for a in inside if a is not new]
        for answers, sign in ((before, -1), (inside, 1)):
            if answers:
                counts[ANSWERS] += sign
                counts[SCORE] += sign * (answers[-1].score or 0)

    def final(self, progress_ms: int, policy: Policy, unfinished: Iterable[Session]) -> list[int]:
        """Windows that no accepted event can change: T has passed their end by gap and grace, and no
        session that is not final starts before their end (overlong ones are not waited for)."""
        first_ms = min((s.first_ms for s in unfinished if not is_overlong(s, policy)), default=progress_ms)
        edge_ms = min(progress_ms - policy.lateness_ms, first_ms)
        return sorted(window for window in self.windows if (window + 1) * self.width_ms <= edge_ms)
