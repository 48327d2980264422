"""What customers did, from recorded events: a replay's final sessions, accepted answers, goals reached."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from schemas.times import to_ms
from stream.core.churn import Key
from stream.core.customers import Activity, Answered, Converted, Customer, VisitEnded, VisitStarted, fold
from stream.core.events import Event, SurveyAnswer
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
    customer_id: str | None = None
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


class _Owners:
    """Whose a visitor is at some time: the customer of the session then, else (if wanted) the visitor."""

    def __init__(self, sessions: Iterable[_Session], anonymous: bool) -> None:
        self._anonymous = anonymous
        self._of: dict[tuple[str, str], list[tuple[int, int, str]]] = {}
        for one in sessions:
            key = self.of_session(one)
            if key is not None:
                times = to_ms(one.started_at), to_ms(one.last_event_at), key[1]
                self._of.setdefault((one.site_id, one.visitor_id), []).append(times)
        for spans in self._of.values():
            spans.sort()

    def of_session(self, session: _Session) -> Key | None:
        customer = session.customer_id or (session.visitor_id if self._anonymous else None)
        return None if customer is None else (session.site_id, customer)

    def of_event(self, event: Event, t: int) -> Key | None:
        """The customer it names, else that of the session around it."""
        if event.customer_id is not None:
            return event.site_id, event.customer_id
        spans = self._of.get((event.site_id, event.visitor_id), [])
        index = bisect_right(spans, t, key=lambda span: span[0]) - 1
        if index >= 0 and t <= spans[index][1]:
            return event.site_id, spans[index][2]
        return (event.site_id, event.visitor_id) if self._anonymous else None


def read_history(files: Sequence[str], *, policy: Policy, anonymous: bool) -> History:
    """Replay `files` ('-' is standard input). anonymous: visitors without a customer id are customers too.

    Raises OSError when a file cannot be read.
    """
    events: list[tuple[Event, int]] = []

    def witness(_: int, event: Event, t: int) -> None:
        if _tells(event) or reached(event, policy.goal_index):
            events.append((event, t))

    replayed = replay_sessions(files, policy=policy, witness=witness)
    decode = msgspec.json.Decoder(_Session).decode
    sessions = [decode(line) for line in replayed.lines]
    owners = _Owners(sessions, anonymous)
    recorded: list[Recorded] = []
    left_out = 0
    for session in sessions:
        key = owners.of_session(session)
        if key is None:
            left_out += 1
            continue
        start_ms, last_ms = to_ms(session.started_at), to_ms(session.last_event_at)
        recorded.append(Recorded(start_ms, key, VisitStarted(start_ms, session.plan)))
        recorded.append(Recorded(last_ms + policy.gap_ms, key, VisitEnded(last_ms, session.engaged_ms)))
    for event, t in events:
        key = owners.of_event(event, t)
        if key is not None:
            recorded += [Recorded(t, key, activity) for activity in _activities(event, t, policy)]
    recorded.sort(key=_order)
    return History(recorded, replayed.end_ms, len(sessions), left_out, replayed.accounting)


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
