"""A visitor over time: which visit is the first, how many there were, how long they stayed away.

A visitor is known for as long as no two visits are further apart than the visitor memory; who stays away
longer is new when they come back. So everything here is a function of the visits alone, and what has become
older than the memory may be forgotten without changing any number.
"""

from __future__ import annotations

from collections.abc import Sequence

from stream.core.event_time import NEVER_MS
from stream.core.policy import DAY_MS, HOUR_MS
from stream.core.sessions import Past, Session, Visitor

# How far back visits of one visitor are counted together: the longest window in which that is asked, and a
# day for clocks that run ahead of its end.
REACH_HOURS = 29 * DAY_MS // HOUR_MS


def is_known(before_ms: int, session: Session, memory_ms: int) -> bool:
    """Whether the visitor, last seen at `before_ms`, is still known when the session begins."""
    return session.first_ms - before_ms <= memory_ms


def remember(past: Past | None, session: Session, memory_ms: int) -> Past:
    """The profile after one more final visit, the latest."""
    if past is None or not is_known(past.last_ms, session, memory_ms):
        return Past(session.first_ms, 1, session.first_ms, session.last_ms, session.converted)
    hours = dict(past.hours or {})
    _add_hour(hours, past.last_ms)
    oldest = session.last_ms // HOUR_MS - REACH_HOURS
    return Past(
        past.first_ms, past.visits + 1, session.first_ms, session.last_ms,
        {**(past.converted or {}), **(session.converted or {})} or None,
        {hour: n for hour, n in sorted(hours.items()) if hour >= oldest} or None,
    )  # fmt: skip


def before(visitor: Visitor, index: int, memory_ms: int) -> tuple[Sequence[Session], Past | None]:
    """The visits of a known visitor before their session number `index`: latest first, and the profile."""
    sessions, found = visitor.sessions, list[Session]()
    later = sessions[index]
    for place in range(index - 1, -1, -1):
        if not is_known(sessions[place].last_ms, later, memory_ms):
            return found, None
        later = sessions[place]
        found.append(later)
    past = visitor.past
    return found, past if past is not None and is_known(past.last_ms, later, memory_ms) else None


def visit_number(visitor: Visitor, session: Session, memory_ms: int) -> int:
    """Which visit of the visitor it is, from 1."""
    earlier, past = before(visitor, visitor.sessions.index(session), memory_ms)
    return 1 + len(earlier) + (past.visits if past is not None else 0)


def hours_before(session: Session, earlier: Sequence[Session], past: Past | None) -> list[tuple[int, int]]:
    """(hour, number of visits that ended in it) within reach of the beginning of the session."""
    oldest = session.first_ms // HOUR_MS - REACH_HOURS
    hours: dict[int, int] = {}
    if past is not None:
        hours.update(past.hours or {})
        _add_hour(hours, past.last_ms)
    for one in earlier:
        _add_hour(hours, one.last_ms)
    return [(hour, n) for hour, n in hours.items() if hour >= oldest]


def _add_hour(hours: dict[int, int], t: int) -> None:
    hour = t // HOUR_MS
    hours[hour] = hours.get(hour, 0) + 1


def latest_conversion(goal: str, earlier: Sequence[Session], past: Past | None) -> int | None:
    """The bucket of the latest conversion in these visits."""
    for one in earlier:
        if one.converted is not None and goal in one.converted:
            return one.converted[goal]
    return None if past is None or past.converted is None else past.converted.get(goal)


def last_seen_ms(visitor: Visitor) -> int:
    """The time of the visitor's last event; NEVER_MS before the first."""
    if visitor.sessions:
        return visitor.sessions[-1].last_ms
    return NEVER_MS if visitor.past is None else visitor.past.last_ms


def converted_last(visitor: Visitor, goal: str) -> int:
    """The bucket of the visitor's latest conversion that is remembered; NEVER_MS before the first."""
    found = (one.converted or {} for one in (*visitor.sessions, visitor.past) if one is not None)
    return max((converted.get(goal, NEVER_MS) for converted in found), default=NEVER_MS)


def is_forgotten(past: Past, progress_ms: int, lateness_ms: int, memory_ms: int) -> bool:
    """Whether no event that may still be accepted finds the visitor known."""
    return progress_ms - lateness_ms - past.last_ms > memory_ms
