"""The sessions of one visitor by a profile: a left fold over their events, sorted by (time, id, topic).

Rules that look back to the session's beginning (its length, its day, its campaign) have no meaning for
events in the order of arrival, so this runs when all events are there; the worker runs `latido` alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta, tzinfo
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from stream.core.events import EPOCH, Click, Event, FormSubmission, Impression, PagePing, PageView
from stream.core.policy import Goals, page_path
from stream.core.profiles import Profile
from stream.core.sessions import Customer, Origin, Session, merge

# Why a session begins: it is the visitor's first one, or what cut it from the one before.
Cut = Literal["first", "silence", "midnight", "campaign", "length"]
CUTS: tuple[Cut, ...] = ("silence", "midnight", "campaign", "length")


class Step(msgspec.Struct, gc=False):
    """One event that has a part in sessions, as the session that it would be alone."""

    alone: Session
    is_ping: bool
    is_direct: bool  # no referrer, or one of the same site

    @property
    def place(self) -> tuple[int, str, int]:
        """Where it stands among the visitor's events. Ids compare as UTF-8 bytes, as code points do."""
        return self.alone.first_ms, self.alone.first_id, self.alone.first_topic


class Visit(msgspec.Struct):
    """A session by some profile."""

    session: Session
    start: tuple[int, str, int]  # place of its first event
    begins: Cut
    silence_ms: int  # before it; 0 before the visitor's first
    by_ping: bool  # a page ping began it
    heard_ms: int  # the next silence is measured from here
    campaign: str | None
    is_direct: bool
    ends: Cut | None = None  # what cut the next one off; None for the last
    beats: dict[str, set[int]] = {}  # page -> intervals with a ping


def step_of(topic: int, event: Event, t: int, origin: Origin, goals: Goals) -> Step | None:
    """The event as a step; None for what belongs to no session (answers, impressions outside pages).

    `origin` is that of a visit which begins with the event.
    """
    kind = event.__class__
    if not (kind in _MEMBERS or (isinstance(event, Impression) and event.surface == "page")):
        return None
    url: str | None = getattr(event, "url", None)
    page = None if url is None else page_path(url)
    referrer = event.referrer if isinstance(event, PageView) else None
    alone = Session(
        t, event.event_id, topic, t, event.event_id, topic, 1,
        page_views=int(kind is PageView),
        clicks=int(kind is Click),
        form_submissions=int(kind is FormSubmission),
        impressions=int(kind is Impression),
        engaged_ms=event.engaged_ms if isinstance(event, PagePing) else 0,
        entry_page=page,
        origin=origin,
        customer=None if event.customer_id is None else Customer(t, event.event_id, event.customer_id),
        goals=reached(event, goals),
    )  # fmt: skip
    if kind is PageView:
        alone.exit_page, alone.exit_ms, alone.exit_id = page, t, event.event_id
    return Step(alone, kind is PagePing, _is_direct(referrer, url))


_MEMBERS = frozenset({PageView, PagePing, Click, FormSubmission})


def reached(event: Event, goals: Goals) -> tuple[str, ...]:
    """Names of the goals that the event reaches, sorted."""
    found: list[str] = []
    if isinstance(event, PageView):
        found = goals.by_page(event.url)
    elif isinstance(event, Click):
        found = goals.by_element(event.element_id)
    elif isinstance(event, FormSubmission):
        found = goals.by_form(event.form_id)
    return tuple(sorted(set(found)))


def _is_direct(referrer: str | None, url: str | None) -> bool:
    if not referrer:
        return True
    try:
        host = urlsplit(referrer).hostname
        return host is None or (url is not None and urlsplit(url).hostname == host)
    except ValueError:
        return True


def visits_of(steps: Iterable[Step], profile: Profile, zone: tzinfo) -> tuple[list[Visit], int]:
    """The visits of one visitor in time order, and how many pings were outside any of them.

    `zone` says when midnight is, for the profiles that care.
    """
    visits: list[Visit] = []
    outside = 0
    for step in sorted(steps, key=lambda step: step.place):
        latest = visits[-1] if visits else None
        cut = "first" if latest is None else _cut(latest, step, profile, zone)
        if latest is not None and cut is None:
            _join(latest, step, profile)
        elif step.is_ping and profile.pings != "member":
            outside += 1
        else:
            silence_ms = 0 if latest is None else step.alone.first_ms - latest.heard_ms
            visits.append(_begin(step, cut or "first", silence_ms))
            if latest is not None:
                latest.ends = cut
    if profile.heartbeats is not None:
        for visit in visits:
            visit.session.engaged_ms = _engaged_ms(visit, profile)
    return visits, outside


def _cut(visit: Visit, step: Step, profile: Profile, zone: tzinfo) -> Cut | None:
    """Why the event begins another session; None when it joins."""
    t = step.alone.first_ms
    if not profile.joins(t - visit.heard_ms):
        return "silence"
    if profile.at_midnight and _day(visit.heard_ms, zone) != _day(t, zone):
        return "midnight"
    if profile.on_campaign and _is_other_campaign(visit, step):
        return "campaign"
    if profile.longest_ms is not None and t - visit.session.first_ms > profile.longest_ms:
        return "length"
    return None


def _day(t: int, zone: tzinfo) -> date:
    return (EPOCH + timedelta(milliseconds=t)).astimezone(zone).date()


def _is_other_campaign(visit: Visit, step: Step) -> bool:
    campaign = step.alone.origin.campaign
    if not campaign or (visit.campaign is None and visit.is_direct):
        return False
    return visit.campaign is None or visit.campaign.casefold() != campaign.casefold()


def _begin(step: Step, cut: Cut, silence_ms: int) -> Visit:
    visit = Visit(
        # A copy: the same steps are folded by several profiles.
        session=msgspec.structs.replace(step.alone),
        start=step.place,
        begins=cut,
        silence_ms=silence_ms,
        by_ping=step.is_ping,
        heard_ms=step.alone.first_ms,
        campaign=step.alone.origin.campaign or None,
        is_direct=step.is_direct,
    )
    _beat(visit, step)
    return visit


def _join(visit: Visit, step: Step, profile: Profile) -> None:
    if step.is_ping and profile.pings == "keep_open":
        visit.session.engaged_ms += step.alone.engaged_ms
    else:
        visit.session = merge(visit.session, step.alone)
    if not step.is_ping or profile.pings != "prolong":
        visit.heard_ms = step.alone.first_ms
    if profile.on_campaign and visit.campaign is None and step.alone.origin.campaign:
        visit.campaign = step.alone.origin.campaign
        origin = msgspec.structs.replace(visit.session.origin, campaign=visit.campaign)
        visit.session.origin = origin
    _beat(visit, step)


def _beat(visit: Visit, step: Step) -> None:
    if step.is_ping:
        visit.beats.setdefault(step.alone.entry_page or "", set()).add(step.alone.first_ms)


def _engaged_ms(visit: Visit, profile: Profile) -> int:
    rule = profile.heartbeats
    if rule is None:
        return visit.session.engaged_ms
    intervals = [len({t // rule.every_ms for t in times}) for times in visit.beats.values()]
    return sum(rule.every_ms * (n - 1) + rule.first_ms for n in intervals)


def is_settled(visit: Visit, profile: Profile, progress_ms: int, lateness_ms: int) -> bool:
    """Whether no event that would still be accepted can reach the visit.

    An accepted event is no older than `progress_ms - lateness_ms`, and reaches back by the gap.
    """
    reach_ms = profile.gap_ms + profile.silence_unit_ms - 1
    return max(visit.heard_ms, visit.session.last_ms) + 1 <= progress_ms - lateness_ms - reach_ms


def is_over(visit: Visit, profile: Profile, live_ms: int) -> bool:
    """Whether the visit has ended by the live clock: cut off, or silent for too long."""
    return visit.ends is not None or not profile.joins(max(0, live_ms - visit.heard_ms))
