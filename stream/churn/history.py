"""What customers did, from recorded events: a replay's final sessions, accepted answers, goals reached."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

import msgspec

from schemas.times import to_ms
from stream.core.churn import Key
from stream.core.customers import Activity, Answered, Converted, Customer, VisitEnded, VisitStarted, fold
from stream.core.events import Event, Impression, SurveyAnswer
from stream.core.policy import Policy
from stream.core.profiles_fold import reached
from stream.pipeline.partition_state import Accounting
from stream.replay import replay_sessions


class _Session(msgspec.Struct):
    """What of a session record matters here."""

    site_id: str
    visitor_id: str
    started_at: datetime
    last_event_at: datetime
    engaged_ms: int
    plan: str | None = None


class Recorded(msgspec.Struct, frozen=True):
    """One activity, and when it was known: a visit's end only after the gap that ended it."""

    known_ms: int
    key: Key
    activity: Activity


class History(msgspec.Struct):
    """All of it, in the order in which it became known."""

    recorded: list[Recorded]
    end_ms: int  # highest event time read
    sessions: int
    anonymous: int  # sessions without a customer id, left out
    accounting: Accounting

    def customers(self, occasion_ms: int) -> dict[Key, Customer]:
        """Everybody as they are at the end."""
        found: dict[Key, Customer] = {}
        for one in self.recorded:
            fold(found.setdefault(one.key, Customer()), one.activity, occasion_ms)
        return found


class _Visit(msgspec.Struct):
    """A session, whose it is, and since when that is known."""

    session: _Session
    start_ms: int
    last_ms: int
    owner: str
    known_ms: int


class _Namings:
    """Who was named when: of several namings by one visitor not further apart than the gap only the first."""

    def __init__(self, gap_ms: int) -> None:
        self._gap_ms = gap_ms
        self._of: dict[tuple[str, str], list[tuple[int, str, str]]] = {}

    def note(self, event: Event, t: int) -> None:
        if event.customer_id is None or not _is_presence(event):
            return
        found = self._of.setdefault((event.site_id, event.visitor_id), [])
        if not found or not found[-1][0] < t <= found[-1][0] + self._gap_ms:
            found.append((t, event.event_id, event.customer_id))

    def visit(self, session: _Session, anonymous: bool) -> _Visit | None:
        """Whose the session is: who was named first, else, if wanted, the visitor, once it is over."""
        start_ms, last_ms = to_ms(session.started_at), to_ms(session.last_event_at)
        namings = self._of.get((session.site_id, session.visitor_id), [])
        named = min((one for one in namings if start_ms <= one[0] <= last_ms), default=None)
        if named is not None:
            return _Visit(session, start_ms, last_ms, named[2], named[0])
        if anonymous:
            return _Visit(session, start_ms, last_ms, session.visitor_id, last_ms + self._gap_ms)
        return None


def read_history(files: Sequence[str], *, policy: Policy, anonymous: bool) -> History:
    """Replay `files` ('-' is standard input). anonymous: visitors without a customer id are customers too.

    Raises OSError when a file cannot be read.
    """
    events: list[tuple[Event, int]] = []
    namings = _Namings(policy.gap_ms)

    def witness(_: int, event: Event, t: int) -> None:
        namings.note(event, t)
        if _tells(event) or reached(event, policy.goal_index):
            events.append((event, t))

    replayed = replay_sessions(files, policy=policy, witness=witness)
    decode = msgspec.json.Decoder(_Session).decode
    sessions = [decode(line) for line in replayed.lines]
    visits = [visit for session in sessions if (visit := namings.visit(session, anonymous)) is not None]
    recorded = [one for visit in visits for one in _of_visit(visit, policy.gap_ms)]
    recorded += _of_events(events, visits, policy, anonymous)
    recorded.sort(key=_order)
    return History(recorded, replayed.end_ms, len(sessions), len(sessions) - len(visits), replayed.accounting)


def _of_visit(visit: _Visit, gap_ms: int) -> Iterator[Recorded]:
    key = visit.session.site_id, visit.owner
    yield Recorded(visit.known_ms, key, VisitStarted(visit.start_ms, visit.session.plan))
    yield Recorded(visit.last_ms + gap_ms, key, VisitEnded(visit.last_ms, visit.session.engaged_ms))


def _of_events(
    events: Iterable[tuple[Event, int]], visits: Iterable[_Visit], policy: Policy, anonymous: bool
) -> Iterator[Recorded]:
    """Goals reached in visits; answers of who names themselves, else of whose visit it is."""
    of_visitor: dict[tuple[str, str], list[_Visit]] = {}
    for visit in sorted(visits, key=lambda one: one.start_ms):
        of_visitor.setdefault((visit.session.site_id, visit.session.visitor_id), []).append(visit)
    for event, t in events:
        mine = of_visitor.get((event.site_id, event.visitor_id), [])
        index = bisect_right(mine, t, key=lambda visit: visit.start_ms) - 1
        around = mine[index] if index >= 0 and t <= mine[index].last_ms + policy.gap_ms else None
        owner, known_ms = (None, t) if around is None else (around.owner, max(t, around.known_ms))
        if isinstance(event, SurveyAnswer):
            if event.customer_id is not None:
                owner, known_ms = event.customer_id, t
            elif owner is None and anonymous:
                owner = event.visitor_id
        if owner is not None:
            for activity in _activities(event, t, policy):
                yield Recorded(known_ms, (event.site_id, owner), activity)


def _is_presence(event: Event) -> bool:
    """Whether the event is part of a visit, and may say whose it is."""
    return not isinstance(event, SurveyAnswer) and not (
        isinstance(event, Impression) and event.surface != "page"
    )


def _tells(event: Event) -> bool:
    """An answer with a score. One that is anonymous on purpose (an empty respondent) is nobody's."""
    return isinstance(event, SurveyAnswer) and event.score is not None and event.respondent_id != ""


def _activities(event: Event, t: int, policy: Policy) -> list[Activity]:
    if isinstance(event, SurveyAnswer):
        score = 0 if event.score is None else event.score
        return [Answered(t, event.survey_id, event.survey_kind, score, event.scale_min, event.scale_max)]
    return [Converted(t, goal) for goal in reached(event, policy.goal_index)]


def _order(one: Recorded) -> tuple[object, ...]:
    """By time; at the same instant a visit begins first. The rest makes the order of arrival irrelevant."""
    return one.known_ms, not isinstance(one.activity, VisitStarted), one.key, repr(one.activity)
