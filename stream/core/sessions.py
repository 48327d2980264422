"""Sessions: a visitor's events with no silence longer than the inactivity gap between them.

Everything a session says is a function of the set of its events: sums, and the fields of its earliest
or latest event by (time, event id in UTF-8, topic). So order, merging and batching cannot change it.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

import msgspec

from stream.core.ctr import Exposure, Pairs, merge_pairs
from stream.core.customers import Activity, Answered
from stream.core.event_time import NEVER_MS
from stream.core.funnels import Match
from stream.core.policy import Policy

# Phases of a session. Plain numbers: an enumeration's members cost more to look up than to compare.
OPEN: Final = 0  # counted as open; the sweep looks at it when its gap has passed
ENDED: Final = 1  # counted as ended
GONE: Final = 2  # merged into another session, or final and forgotten


class Origin(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """Where a visit came from, by its earliest event; most events say nothing of it."""

    referrer: str | None = None  # its host
    channel: str | None = None
    campaign: str | None = None
    device: str | None = None
    country: str | None = None
    plan: str | None = None


NOWHERE = Origin()


class Customer(msgspec.Struct, array_like=True, gc=False, frozen=True, order=True):
    """The known person, by the latest event that names one. Ordered by that event."""

    at_ms: int
    event_id: str
    customer_id: str


class Publication(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """How a session stands in the sessions topic."""

    revision: int = 0  # highest published so far, by this session or a predecessor
    ids: tuple[str, ...] = ()  # under which it stands there
    superseded: tuple[str, ...] = ()  # ids it replaced, for good


UNPUBLISHED = Publication()


class Telling(msgspec.Struct, array_like=True, gc=False):
    """What the customer stage was told of a visit."""

    named: Customer | None = None  # by the earliest event that names somebody
    owner: str | None = None  # whose visit it was told to be
    ended_ms: int = NEVER_MS  # end and engaged time as told
    engaged_ms: int = 0
    waiting: tuple[Activity, ...] = ()  # what happened in it before it was told of


class Session(msgspec.Struct, array_like=True, gc=False):
    """One session's state. Times in ms; `*_id`, `*_topic` break ties between events of one instant."""

    first_ms: int
    first_id: str
    first_topic: int
    last_ms: int
    last_id: str
    last_topic: int
    events: int = 0
    page_views: int = 0
    clicks: int = 0
    form_submissions: int = 0
    impressions: int = 0
    engaged_ms: int = 0
    phase: int = OPEN
    entry_page: str | None = None  # of the earliest event
    origin: Origin = NOWHERE
    exit_page: str | None = None  # of the latest page view
    exit_ms: int = NEVER_MS
    exit_id: str = ""
    customer: Customer | None = None
    goals: tuple[str, ...] = ()  # sorted names
    pairs: Pairs | None = None  # element -> seen and clicked inside this session
    publication: Publication = UNPUBLISHED
    change: str | None = None  # why there will be another revision
    converted: dict[str, int] | None = None  # goal -> ten-second bucket of the latest conversion
    trail: list[Match] | None = None  # events that fit a step of a funnel
    telling: Telling | None = None  # where customers are kept


class Past(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """The visitor profile: what stays of visits that are final. Times in ms."""

    first_ms: int  # first event of the first visit
    visits: int
    started_ms: int  # first and last event of the latest visit
    last_ms: int
    converted: dict[str, int] | None = None  # goal -> ten-second bucket of the latest conversion
    # Visits before the latest, by the hour of their last event, for a month.
    hours: dict[int, int] | None = None


class Visitor(msgspec.Struct, array_like=True, gc=False):
    """What is remembered of a visitor while a session of theirs is not final."""

    site_id: str
    visitor_id: str
    past: Past | None = None  # of the visits that are final
    sessions: tuple[Session, ...] = ()  # by time, more than a gap apart
    marks: list[int] | None = None  # times of survey answers
    exposures: list[Exposure] | None = None  # mail, ad and push elements
    # Hours in which the visitor was counted besides that of their last event (under ''), and converted
    # besides that of their latest conversion (under the goal), while an accepted event may still fall into
    # their day.
    inside: dict[str, list[int]] | None = None
    unclaimed: tuple[Answered, ...] = ()  # where customers are kept: answers whose visit may still be read


def earlier(t: int, event_id: str, topic: int, ms: int, other_id: str, other_topic: int) -> bool:
    """Whether (t, event_id, topic) comes before the other event. Ids compare as UTF-8 bytes."""
    if t != ms:
        return t < ms
    if event_id != other_id:
        # code point order equals UTF-8 byte order, so plain comparison serves
        return event_id < other_id
    return topic < other_topic


def reached(sessions: tuple[Session, ...], t: int, gap_ms: int) -> tuple[Session, ...]:
    """The sessions that an event at `t` joins: no more than the gap away (inclusive)."""
    return tuple(s for s in sessions if s.first_ms - gap_ms <= t <= s.last_ms + gap_ms)


def merge(a: Session, b: Session) -> Session:
    """One session from two: sums, and the outer events' fields. Neither input is changed.

    The result is open: the next sweep decides again whether it has ended.
    """
    first = a if earlier(a.first_ms, a.first_id, a.first_topic, b.first_ms, b.first_id, b.first_topic) else b
    last = b if earlier(a.last_ms, a.last_id, a.last_topic, b.last_ms, b.last_id, b.last_topic) else a
    leaving = b if (a.exit_ms, a.exit_id) < (b.exit_ms, b.exit_id) else a
    return Session(
        first_ms=first.first_ms, first_id=first.first_id, first_topic=first.first_topic,
        last_ms=last.last_ms, last_id=last.last_id, last_topic=last.last_topic,
        events=a.events + b.events,
        page_views=a.page_views + b.page_views,
        clicks=a.clicks + b.clicks,
        form_submissions=a.form_submissions + b.form_submissions,
        impressions=a.impressions + b.impressions,
        engaged_ms=a.engaged_ms + b.engaged_ms,
        entry_page=first.entry_page, origin=first.origin,
        exit_ms=leaving.exit_ms, exit_id=leaving.exit_id, exit_page=leaving.exit_page,
        customer=later_customer(a.customer, b.customer),
        goals=tuple(sorted({*a.goals, *b.goals})) if a.goals or b.goals else (),
        pairs=merge_pairs(a.pairs, b.pairs),
        publication=_merge_publications(a.publication, b.publication),
        change="merge" if "merge" in (a.change, b.change) else None,
        converted=_merge_converted(a.converted, b.converted),
        trail=[*(a.trail or ()), *(b.trail or ())] if a.trail or b.trail else None,
        telling=_merge_tellings(a.telling, b.telling),
    )  # fmt: skip


def _merge_converted(a: dict[str, int] | None, b: dict[str, int] | None) -> dict[str, int] | None:
    if not a or not b:
        return a or b
    return {goal: max(a.get(goal, NEVER_MS), b.get(goal, NEVER_MS)) for goal in a.keys() | b.keys()}


def _merge_tellings(a: Telling | None, b: Telling | None) -> Telling | None:
    """Both may have been told of, if the event that joins them came very late."""
    if a is None or b is None:
        return a or b
    named = [one for one in (a.named, b.named) if one is not None]
    return Telling(
        min(named, default=None), a.owner or b.owner, max(a.ended_ms, b.ended_ms),
        a.engaged_ms + b.engaged_ms, (*a.waiting, *b.waiting),
    )  # fmt: skip


def later_customer(a: Customer | None, b: Customer | None) -> Customer | None:
    """The customer named by the later event."""
    return max(a, b) if a is not None and b is not None else a or b


def _merge_publications(a: Publication, b: Publication) -> Publication:
    if a is UNPUBLISHED or b is UNPUBLISHED:
        return b if a is UNPUBLISHED else a
    return Publication(max(a.revision, b.revision), a.ids + b.ids, a.superseded + b.superseded)


def session_id(site_id: str, visitor_id: str, session: Session) -> str:
    """`s-` and 16 hex digits of a digest over site, visitor and the earliest event."""
    text = (
        f"{len(site_id)}:{len(visitor_id)}:{site_id}{visitor_id}"
        f"{session.first_ms}:{session.first_topic}:{session.first_id}"
    )
    return "s-" + blake2b(text.encode(), digest_size=8).hexdigest()


def next_publication(visitor: Visitor, session: Session) -> Publication:
    """The session one revision further, standing in the topic under its present id."""
    before = session.publication
    ids = (session_id(visitor.site_id, visitor.visitor_id, session),)
    return Publication(before.revision + 1, ids, before.superseded)


def is_final(session: Session, progress_ms: int, policy: Policy) -> bool:
    """No accepted event can reach it any more."""
    return session.last_ms + 1 <= progress_ms - policy.finality_ms


def has_mark(visitor: Visitor, session: Session) -> bool:
    """Whether a survey answer of the visitor falls into the time of the session."""
    return visitor.marks is not None and any(session.first_ms <= t <= session.last_ms for t in visitor.marks)


def is_overlong(session: Session, policy: Policy) -> bool:
    """More than a visit is: its counts go on, its details are no longer kept."""
    return session.events > policy.overlong_events or session.last_ms - session.first_ms > policy.overlong_ms


def is_bounce(session: Session) -> bool:
    """One page view and nothing done: no click, no form (the bounce rule of the `latido` profile)."""
    return session.page_views == 1 and session.clicks == 0 and session.form_submissions == 0


def is_engaged(session: Session) -> bool:
    """Two page views, ten seconds, or a goal (the engaged-session rule of Google Analytics 4)."""
    return session.page_views >= 2 or session.last_ms - session.first_ms >= 10_000 or bool(session.goals)
