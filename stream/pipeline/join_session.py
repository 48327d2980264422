"""A visitor's event in its session: extended, opened, or merged from several, and counted where it ends."""

from __future__ import annotations

from stream.core import conversion, engagement
from stream.core.events import Event
from stream.core.policy import page_path
from stream.core.sessions import (
    GONE,
    OPEN,
    UNSEEN,
    Customer,
    Session,
    Visitor,
    earlier,
    later_customer,
    merge,
    reached,
)
from stream.core.tallies import SegmentTally
from stream.core.windows import TEN_SECONDS_MS
from stream.pipeline.count_elements import count_pairs
from stream.pipeline.partition_state import PartitionState, Site


def presence(
    state: PartitionState, site: Site, visitor: Visitor, topic: int, event: Event, t: int
) -> Session:
    """The visitor is there at `t`: seen, and in a session that covers it."""
    bucket = t // TEN_SECONDS_MS
    if bucket > visitor.seen:
        rows = site.everyone.rows
        if visitor.seen != UNSEEN:
            rows[visitor.seen][engagement.VISITORS] -= 1
        rows[bucket][engagement.VISITORS] += 1
        visitor.seen = bucket
    if state.settled is None:
        return _join(state, site, visitor, topic, event, t)
    state.settled.sessions(visitor.sessions, -1)
    session = _join(state, site, visitor, topic, event, t)
    state.settled.sessions(visitor.sessions, 1)
    state.settled.event(event.site_id, event.visitor_id, t)
    return session


def count_session(state: PartitionState, site: Site, session: Session, sign: int) -> None:
    """Add (or with sign -1 retract) what a session contributes, open or ended, to the bucket it ends in."""
    bucket, cap = session.last_ms // TEN_SECONDS_MS, state.policy.dimension_values
    if session.phase == OPEN:
        count_open(site.tallies_of(session.origin, cap), bucket, session.page_views, sign)
        return
    counts = engagement.ended_counts(session)
    for tally in site.tallies_of_ended(session, cap):
        row = tally.rows[bucket]
        for metric, n in counts:
            row[metric] += sign * n
    for goal in session.goals:
        site.segment("goal", goal, cap).rows[bucket][conversion.CONVERTED_SESSIONS] += sign


def count_open(tallies: tuple[SegmentTally, ...], bucket: int, pages: int, sign: int) -> None:
    """Add (or with sign -1 retract) an open session."""
    for tally in tallies:
        row = tally.rows[bucket]
        row[engagement.OPEN] += sign
        row[engagement.OPEN_PAGES] += sign * pages


def _join(state: PartitionState, site: Site, visitor: Visitor, topic: int, event: Event, t: int) -> Session:
    """The session of the event, extended (or merged, or opened) so that it covers the event's time."""
    sessions, gap_ms = visitor.sessions, state.policy.gap_ms
    if not sessions or t > sessions[-1].last_ms + gap_ms:
        session = _session_of(state, topic, event, t)
        tallies = site.tallies_of(session.origin, state.policy.dimension_values)
        count_open(tallies, t // TEN_SECONDS_MS, 0, 1)
        visitor.sessions = (*sessions, session)
        state.ending.file(t + gap_ms + 1, (visitor, session))
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
    session.events += 1
    if t > session.last_ms:
        old, new = session.last_ms // TEN_SECONDS_MS, t // TEN_SECONDS_MS
        if old != new:
            tallies = site.tallies_of(session.origin, state.policy.dimension_values)
            count_open(tallies, old, session.page_views, -1)
            count_open(tallies, new, session.page_views, 1)
        session.last_ms, session.last_id, session.last_topic = t, event.event_id, topic
    elif earlier(session.last_ms, session.last_id, session.last_topic, t, event.event_id, topic):
        session.last_id, session.last_topic = event.event_id, topic
    if event.customer_id is not None:
        named = Customer(t, event.event_id, event.customer_id)
        session.customer = later_customer(session.customer, named)


def _join_any(
    state: PartitionState, site: Site, visitor: Visitor, topic: int, event: Event, t: int
) -> Session:
    """The general case: retract every session the event reaches, merge them with it, count the result."""
    joined = reached(visitor.sessions, t, state.policy.gap_ms)
    result = _session_of(state, topic, event, t)
    for session in joined:
        count_session(state, site, session, -1)
        if session.pairs:
            count_pairs(state, site, session.pairs, -1)
        session.phase = GONE
        result = merge(session, result)
    if len(joined) > 1:
        result.change = "merge"
    elif joined and result.change is None:
        result.change = "late_event"
    if result.pairs:
        count_pairs(state, site, result.pairs, 1)
    count_session(state, site, result, 1)
    kept = [s for s in visitor.sessions if s.phase != GONE]
    visitor.sessions = tuple(sorted([*kept, result], key=lambda s: s.first_ms))
    if result.publication.ids:
        state.renamed.append((visitor, result))
    state.ending.file(result.last_ms + state.policy.gap_ms + 1, (visitor, result))
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
