"""A visitor's event in its session: extended, opened, or merged from several, and counted where it ends."""

from __future__ import annotations

from stream.core import conversion, engagement, funnels
from stream.core.event_time import NEVER_MS
from stream.core.events import Event
from stream.core.policy import Policy, page_path
from stream.core.sessions import (
    ENDED,
    GONE,
    OPEN,
    Customer,
    Session,
    Visitor,
    earlier,
    is_overlong,
    later_customer,
    merge,
    reached,
)
from stream.core.settled import VISIT, hours_not_past
from stream.core.tallies import Pending, SegmentTally
from stream.core.visitors import last_seen_ms
from stream.core.windows import PAGES_DAY, TEN_SECONDS_MS
from stream.pipeline.count_elements import count_pairs
from stream.pipeline.count_visits import count_visit, count_visits, publish_renumbered, published_numbers
from stream.pipeline.partition_state import LONG_SESSION, MERGE, PartitionState, Site

_OPEN = engagement.OPEN_LANES.name
_TENS_OF_PAGES = PAGES_DAY.bucket_ms // TEN_SECONDS_MS


def presence(
    state: PartitionState, site: Site, visitor: Visitor, topic: int, event: Event, t: int
) -> Session:
    """The session that covers `t`: the visitor is there."""
    sessions, hour_ms, next_hour_ms = visitor.sessions, site.hour_ms, site.next_hour_ms
    seen_ms = sessions[-1].last_ms if sessions else last_seen_ms(visitor)
    if not (hour_ms <= t < next_hour_ms and hour_ms <= seen_ms < next_hour_ms):
        latest = seen_ms if seen_ms == NEVER_MS else seen_ms // TEN_SECONDS_MS
        count_inside(state, site, visitor, VISIT, latest, t, site.everyone)
    return _join(state, site, visitor, topic, event, t)


def count_inside(
    state: PartitionState, site: Site, visitor: Visitor, name: str, latest: int, t: int, tally: SegmentTally
) -> None:
    """The visitor is there (or converts, `name` is the goal) at `t`, and was in the bucket `latest` at last:
    count them in the hour and the day of `t`, unless they are counted there already."""
    calendar = site.settled.calendar
    site.hour_ms, site.next_hour_ms = calendar.hour_limits(t)
    hour, before = site.hour_ms, None
    if latest == NEVER_MS and visitor.inside is None:  # never seen: nothing is counted, and nothing to note
        for window in (("hour", hour), ("day", calendar.day(hour))):
            tally.inside[window][conversion.CONVERTED_VISITORS if name else engagement.VISITORS] += 1
        return
    if latest != NEVER_MS:
        before = calendar.hour(latest * TEN_SECONDS_MS)
    others = [] if visitor.inside is None else visitor.inside.get(name, [])
    if hour == before or hour in others:
        return
    counted = [*others] if before is None else [*others, before]
    metric = conversion.CONVERTED_VISITORS if name else engagement.VISITORS
    tally.inside["hour", hour][metric] += 1
    day = calendar.day(hour)
    if all(calendar.day(one) != day for one in counted):
        tally.inside["day", day][metric] += 1
    # Of the hours one is known by `latest`, which `t` may become.
    others = sorted({*counted, hour} - {hour if before is None else max(hour, before)})
    oldest_ms = state.progress.progress_ms - state.policy.lateness_ms
    if kept := hours_not_past(others, calendar, oldest_ms):
        visitor.inside = {**(visitor.inside or {}), name: kept}


def count_session(state: PartitionState, site: Site, session: Session, sign: int) -> None:
    """Add (or with sign -1 retract) what a session contributes, open or ended, to the bucket it ends in."""
    bucket, hour = session.last_ms // TEN_SECONDS_MS, site.settled.calendar.hour(session.first_ms)
    state.waiting.count(session, sign)
    pending = site.pending_of(session.origin, state.policy.dimension_values)
    if session.phase == OPEN:
        count_open(pending, bucket, session.page_views, sign)
        pending.hours[hour][engagement.OPEN] += sign
    else:
        _count_ended(state, site, session, pending, bucket, hour, sign)


def count_open_as_ended(state: PartitionState, site: Site, session: Session) -> None:
    """The silence after the session has lasted: from now on it counts as ended, no longer as open."""
    bucket, hour = session.last_ms // TEN_SECONDS_MS, site.settled.calendar.hour(session.first_ms)
    pending = site.pending_of(session.origin, state.policy.dimension_values)
    count_open(pending, bucket, session.page_views, -1)
    pending.hours[hour][engagement.OPEN] -= 1
    state.waiting.end(session)
    session.phase = ENDED
    _count_ended(state, site, session, pending, bucket, hour, 1)


def _count_ended(
    state: PartitionState, site: Site, session: Session, pending: Pending, bucket: int, hour: int, sign: int
) -> None:
    """Add or retract an ended session begun in `hour`: under its origin, its pages, goals and funnels."""
    cap = state.policy.dimension_values
    counts = engagement.ended_counts(session)
    row = pending.sessions[bucket, hour]
    for metric, n in counts:
        row[metric] += sign * n
    quarter = bucket - bucket % _TENS_OF_PAGES  # narrower buckets are not kept of pages
    for tally in site.tallies_of_pages(session, cap):
        row = tally.sessions[quarter, hour]
        for metric, n in counts:
            row[metric] += sign * n
    for goal in session.goals:
        site.segment("goal", goal, cap).sessions[bucket, hour][conversion.CONVERTED_SESSIONS] += sign
    if session.trail is not None:
        count_funnels(site, session, state.policy, sign)
    if is_overlong(session, state.policy):
        state.because(site, hour, LONG_SESSION)


def count_funnels(site: Site, session: Session, policy: Policy, sign: int) -> None:
    """Add (or with sign -1 retract) what an ended session reached of the funnels of a policy."""
    bucket, hour = session.last_ms // TEN_SECONDS_MS, site.settled.calendar.hour(session.first_ms)
    for funnel in policy.funnels:
        for dimension, value, counts in funnels.contributions(funnel, session.trail or ()):
            row = site.segment(dimension, value, policy.dimension_values).sessions[bucket, hour]
            for metric, n in counts.items():
                row[metric] += sign * n


def count_open(pending: Pending, bucket: int, pages: int, sign: int) -> None:
    """Add (or with sign -1 retract) an open session."""
    pending.rows[bucket][_OPEN] += sign * (engagement.ONE_OPEN + pages * engagement.ONE_OPEN_PAGE)


def _join(state: PartitionState, site: Site, visitor: Visitor, topic: int, event: Event, t: int) -> Session:
    """The session of the event, extended (or merged, or opened) so that it covers the event's time."""
    sessions, gap_ms = visitor.sessions, state.policy.gap_ms
    if not sessions or t > sessions[-1].last_ms + gap_ms:
        session = _session_of(state, topic, event, t)
        pending = site.pending_of(session.origin, state.policy.dimension_values)
        count_open(pending, t // TEN_SECONDS_MS, 0, 1)
        pending.hours[site.settled.calendar.hour(t)][engagement.OPEN] += 1
        state.waiting.begin(t)
        visitor.sessions = (*sessions, session)
        count_visit(state, site, visitor, len(sessions), 1)
        state.ending.file(t + gap_ms + 1, (visitor, session))
        if state.feed is not None:
            state.feed.saw(visitor, session, event, t)
        return session
    session = sessions[-1]
    # After the first event of the last session there is nothing before it that could be reached.
    if session.phase == OPEN and session.first_ms < t:
        _extend_open(state, site, session, topic, event, t)
        if session.publication.ids:
            state.renamed.append((visitor, session))
        return session
    return _join_any(state, site, visitor, topic, event, t)


def _extend_open(
    state: PartitionState, site: Site, session: Session, topic: int, event: Event, t: int
) -> None:
    """An event after the first one of an open session: at most its last event and its sums change."""
    policy = state.policy
    if session.events >= policy.overlong_events or t - session.first_ms > policy.overlong_ms:
        state.waiting.count(session, -1)  # no window waits for it any more
    session.events += 1
    if t > session.last_ms:
        old, new = session.last_ms // TEN_SECONDS_MS, t // TEN_SECONDS_MS
        if old != new:
            pending = site.pending_of(session.origin, policy.dimension_values)
            count_open(pending, old, session.page_views, -1)
            count_open(pending, new, session.page_views, 1)
            everyone = site.everyone.rows
            everyone[old][engagement.VISITORS] -= 1
            everyone[new][engagement.VISITORS] += 1
        session.last_ms, session.last_id, session.last_topic = t, event.event_id, topic
    elif earlier(session.last_ms, session.last_id, session.last_topic, t, event.event_id, topic):
        session.last_id, session.last_topic = event.event_id, topic
    if event.customer_id is not None:
        named = Customer(t, event.event_id, event.customer_id)
        session.customer = later_customer(session.customer, named)
        if state.feed is not None:
            state.feed.named(site.visitors[event.visitor_id], session, event, t)


def _join_any(
    state: PartitionState, site: Site, visitor: Visitor, topic: int, event: Event, t: int
) -> Session:
    """The general case: retract every session the event reaches, merge them with it, count the result.

    Later visits of the visitor count again, too: one before them changed.
    """
    joined = reached(visitor.sessions, t, state.policy.gap_ms)
    result = _session_of(state, topic, event, t)
    start = sum(session.last_ms + state.policy.gap_ms < t for session in visitor.sessions)
    numbers = published_numbers(state, visitor, start)
    count_visits(state, site, visitor, start, -1)
    for session in joined:
        count_session(state, site, session, -1)
        if session.pairs:
            count_pairs(state, site, session.pairs, -1)
        session.phase = GONE
        result = merge(session, result)
    if len(joined) > 1:
        result.change = "merge"
        for session in (*joined, result):
            state.because(site, session.first_ms, MERGE)
    elif joined and result.change is None:
        result.change = "late_event"
    if result.pairs:
        count_pairs(state, site, result.pairs, 1)
    count_session(state, site, result, 1)
    kept = [s for s in visitor.sessions if s.phase != GONE]
    visitor.sessions = tuple(sorted([*kept, result], key=lambda s: s.first_ms))
    count_visits(state, site, visitor, start, 1)
    publish_renumbered(state, visitor, numbers)
    if result.publication.ids:
        state.renamed.append((visitor, result))
    state.ending.file(result.last_ms + state.policy.gap_ms + 1, (visitor, result))
    if state.feed is not None:
        state.feed.saw(visitor, result, event, t)
    return result


def _session_of(state: PartitionState, topic: int, event: Event, t: int) -> Session:
    """A session of one event, not yet counted by type."""
    url: str | None = getattr(event, "url", None)
    customer = event.customer_id
    # In the order of the fields: first event, last event, number of events; keywords cost half of it.
    return Session(
        t, event.event_id, topic, t, event.event_id, topic, 1,
        entry_page=None if url is None else page_path(url),
        origin=state.origins.of(event),
        customer=None if customer is None else Customer(t, event.event_id, customer),
    )  # fmt: skip
