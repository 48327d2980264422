"""What one counted event changes: its visitor, their session, and the counts of its bucket."""

from __future__ import annotations

from collections.abc import Callable

from stream.core import conversion, ctr, engagement
from stream.core.events import Click, Event, FormSubmission, Impression, PagePing, PageView
from stream.core.funnels import Match
from stream.core.policy import page_path
from stream.core.sessions import Session, Visitor, is_overlong
from stream.core.visitors import converted_last
from stream.core.windows import TEN_SECONDS_MS
from stream.pipeline.count_elements import count_element, expose, pair_seen_or_clicked
from stream.pipeline.count_visits import count_conversion
from stream.pipeline.join_session import count_inside, presence
from stream.pipeline.partition_state import PartitionState, Site

_OPEN = engagement.OPEN_LANES.name


def apply_member(state: PartitionState, topic: int, event: Event, t: int) -> None:
    """An event that is not a survey answer. Dispatches by type."""
    site = state.sites.get(event.site_id) or state.site(event.site_id)
    visitor = site.visitors.get(event.visitor_id)
    if visitor is None:
        visitor = site.visitors[event.visitor_id] = Visitor(event.site_id, event.visitor_id)
    state.touched[id(visitor)] = visitor
    _APPLY[event.__class__](state, site, visitor, topic, event, t)


def _view(state: PartitionState, site: Site, visitor: Visitor, topic: int, event: PageView, t: int) -> None:
    session = presence(state, site, visitor, topic, event, t)
    site.everyone.rows[t // TEN_SECONDS_MS][engagement.PAGE_VIEWS] += 1
    pending = site.pending_of(session.origin, state.policy.dimension_values)
    pending.rows[session.last_ms // TEN_SECONDS_MS][_OPEN] += engagement.ONE_OPEN_PAGE
    session.page_views += 1
    if session.events == 1:
        session.exit_ms, session.exit_id, session.exit_page = t, event.event_id, session.entry_page
    elif session.exit_ms < t or (session.exit_ms == t and session.exit_id < event.event_id):
        session.exit_ms, session.exit_id, session.exit_page = t, event.event_id, page_path(event.url)
    if state.policy.goals:
        _reach(state, site, visitor, session, state.policy.goal_index.by_page(event.url), t)
    if state.policy.funnels:
        _step(state, session, topic, event, t, state.policy.step_index.by_page(event.url))


def _click(state: PartitionState, site: Site, visitor: Visitor, topic: int, event: Click, t: int) -> None:
    session = presence(state, site, visitor, topic, event, t)
    session.clicks += 1
    count_element(state, site, event, t, ctr.CLICKS)
    if event.surface == "page":
        pair_seen_or_clicked(state, site, session, event, t)
    else:
        expose(state, site, visitor, event, t)
    if state.policy.goals:
        _reach(state, site, visitor, session, state.policy.goal_index.by_element(event.element_id), t)
    if state.policy.funnels:
        _step(state, session, topic, event, t, state.policy.step_index.by_element(event.element_id))


def _submit(
    state: PartitionState, site: Site, visitor: Visitor, topic: int, event: FormSubmission, t: int
) -> None:
    session = presence(state, site, visitor, topic, event, t)
    session.form_submissions += 1
    site.everyone.rows[t // TEN_SECONDS_MS][engagement.FORM_SUBMISSIONS] += 1
    if state.policy.goals:
        _reach(state, site, visitor, session, state.policy.goal_index.by_form(event.form_id), t)
    if state.policy.funnels:
        _step(state, session, topic, event, t, state.policy.step_index.by_form(event.form_id))


def _show(state: PartitionState, site: Site, visitor: Visitor, topic: int, event: Impression, t: int) -> None:
    """A page's impression is part of the visit; one in a mail, an ad or a push says nothing of presence."""
    count_element(state, site, event, t, ctr.IMPRESSIONS)
    if event.surface != "page":
        expose(state, site, visitor, event, t)
        return
    session = presence(state, site, visitor, topic, event, t)
    session.impressions += 1
    pair_seen_or_clicked(state, site, session, event, t)


def _stay(state: PartitionState, site: Site, visitor: Visitor, topic: int, event: PagePing, t: int) -> None:
    session = presence(state, site, visitor, topic, event, t)
    session.engaged_ms += event.engaged_ms


def _reach(
    state: PartitionState, site: Site, visitor: Visitor, session: Session, goals: list[str], t: int
) -> None:
    """The event reached these goals: conversions, converted visitors (by their latest), the session."""
    bucket = t // TEN_SECONDS_MS
    for goal in goals:
        tally = site.segment("goal", goal, state.policy.dimension_values)
        tally.rows[bucket][conversion.CONVERSIONS] += 1
        count_inside(state, site, visitor, goal, converted_last(visitor, goal), t, tally)
        count_conversion(state, site, visitor, session, goal, bucket)
        if state.feed is not None:
            state.feed.reached(visitor, session, goal, t)
        if goal not in session.goals:
            session.goals = tuple(sorted([*session.goals, goal]))


def _step(
    state: PartitionState, session: Session, topic: int, event: Event, t: int, steps: list[str]
) -> None:
    """The event fits these steps of funnels. What follows from it is counted when the session ends."""
    if steps and not is_overlong(session, state.policy):
        matches = [Match(t, event.event_id, topic, step) for step in steps]
        session.trail = [*(session.trail or ()), *matches]


# mypy cannot see that each function gets the type it is filed under.
_APPLY: dict[type[Event], Callable[..., None]] = {
    PageView: _view,
    Impression: _show,
    PagePing: _stay,
    Click: _click,
    FormSubmission: _submit,
}
