"""What one counted event changes: its visitor, their session, and the counts of its bucket."""

from __future__ import annotations

from collections.abc import Callable

import xxhash

from stream.core import conversion, ctr, engagement, surveys
from stream.core.ctr import Exposure, Pair
from stream.core.events import Click, Event, FormSubmission, Impression, PagePing, PageView, SurveyAnswer
from stream.core.policy import page_path
from stream.core.sessions import (
    GONE,
    OPEN,
    UNSEEN,
    Customer,
    Session,
    Visitor,
    earlier,
    is_overlong,
    later_customer,
    merge,
    reached,
)
from stream.core.windows import TEN_SECONDS_MS, Counts, SegmentTally
from stream.pipeline.partition_state import (
    PartitionState,
    Site,
    exposure_deadline_ms,
    history_field,
)


def apply_member(state: PartitionState, topic: int, event: Event, t: int) -> None:
    """An event that is not a survey answer. Dispatches by type."""
    site = state.sites.get(event.site_id) or state.site(event.site_id)
    visitor = site.visitors.get(event.visitor_id)
    if visitor is None:
        visitor = site.visitors[event.visitor_id] = Visitor(event.site_id, event.visitor_id)
    state.touched[id(visitor)] = visitor
    _APPLY[event.__class__](state, site, visitor, topic, event, t)


def _presence(
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
    for tally in site.tallies_of(session.origin, cap):
        engagement.add_ended(tally.rows[bucket], session, sign)
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
            _count_pairs(state, site, session.pairs, -1)
        session.phase = GONE
        result = merge(session, result)
    if len(joined) > 1:
        result.change = "merge"
    elif joined and result.change is None:
        result.change = "late_event"
    if result.pairs:
        _count_pairs(state, site, result.pairs, 1)
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


def _view(state: PartitionState, site: Site, visitor: Visitor, topic: int, event: PageView, t: int) -> None:
    session = _presence(state, site, visitor, topic, event, t)
    site.everyone.rows[t // TEN_SECONDS_MS][engagement.PAGE_VIEWS] += 1
    for tally in site.tallies_of(session.origin, state.policy.dimension_values):
        tally.rows[session.last_ms // TEN_SECONDS_MS][engagement.OPEN_PAGES] += 1
    session.page_views += 1
    if session.events == 1:
        session.exit_ms, session.exit_id, session.exit_page = t, event.event_id, session.entry_page
    elif session.exit_ms < t or (session.exit_ms == t and session.exit_id < event.event_id):
        session.exit_ms, session.exit_id, session.exit_page = t, event.event_id, page_path(event.url)
    if state.policy.goals:
        _reach(state, site, visitor, session, state.policy.goal_index.by_page(event.url), t)


def _click(state: PartitionState, site: Site, visitor: Visitor, topic: int, event: Click, t: int) -> None:
    session = _presence(state, site, visitor, topic, event, t)
    session.clicks += 1
    _count_element(state, site, event, t, ctr.CLICKS)
    if event.surface == "page":
        _pair(state, site, session, event.element_id, t, clicked=True)
    else:
        _expose(state, site, visitor, event.surface, event.element_id, t, clicked=True)
    if state.policy.goals:
        _reach(state, site, visitor, session, state.policy.goal_index.by_element(event.element_id), t)


def _submit(
    state: PartitionState, site: Site, visitor: Visitor, topic: int, event: FormSubmission, t: int
) -> None:
    session = _presence(state, site, visitor, topic, event, t)
    session.form_submissions += 1
    site.everyone.rows[t // TEN_SECONDS_MS][engagement.FORM_SUBMISSIONS] += 1
    if state.policy.goals:
        _reach(state, site, visitor, session, state.policy.goal_index.by_form(event.form_id), t)


def _show(state: PartitionState, site: Site, visitor: Visitor, topic: int, event: Impression, t: int) -> None:
    """A page's impression is part of the visit; one in a mail, an ad or a push says nothing of presence."""
    _count_element(state, site, event, t, ctr.IMPRESSIONS)
    if event.surface != "page":
        _expose(state, site, visitor, event.surface, event.element_id, t, clicked=False)
        return
    session = _presence(state, site, visitor, topic, event, t)
    session.impressions += 1
    _pair(state, site, session, event.element_id, t, clicked=False)


def _stay(state: PartitionState, site: Site, visitor: Visitor, topic: int, event: PagePing, t: int) -> None:
    session = _presence(state, site, visitor, topic, event, t)
    session.engaged_ms += event.engaged_ms


def _count_element(state: PartitionState, site: Site, event: Click | Impression, t: int, metric: str) -> None:
    """Gross counts: the site, the element, and everything the event says of where it was shown."""
    bucket, cap = t // TEN_SECONDS_MS, state.policy.dimension_values
    site.everyone.rows[bucket][metric] += 1
    for dimension, value in (
        ("element", event.element_id), ("surface", event.surface),
        ("position", None if event.position is None else str(event.position)),
        ("variant", event.variant), ("channel", event.channel), ("campaign", event.campaign),
    ):  # fmt: skip
        if value is not None:
            site.segment(dimension, value, cap).rows[bucket][metric] += 1


def _pair(
    state: PartitionState, site: Site, session: Session, element: str, t: int, *, clicked: bool
) -> None:
    """An impression or click on a page: the pair of this session and the element."""
    if is_overlong(session, state.policy):
        return
    pairs = session.pairs
    if pairs is None:
        pairs = session.pairs = {}
    pair = pairs.get(element)
    if pair is None:
        pair = pairs[element] = Pair()
    else:
        _count_pair(state, site, element, pair, -1)
    if clicked:
        ctr.click(pair, t)
    else:
        ctr.see(pair, t)
    _count_pair(state, site, element, pair, 1)


def _expose(
    state: PartitionState, site: Site, visitor: Visitor, surface: str, element: str, t: int, *, clicked: bool
) -> None:
    """An impression or click in a mail, an ad or a push: one exposure until the attribution time passes."""
    pair = Pair()
    if clicked:
        ctr.click(pair, t)
    else:
        ctr.see(pair, t)
    result = Exposure(surface, element, t, t, pair)
    near_ms = state.policy.attribution_ms
    kept: list[Exposure] = []
    for exposure in visitor.exposures or []:
        same = exposure.surface == surface and exposure.element_id == element
        if same and exposure.first_ms - near_ms <= t <= exposure.last_ms + near_ms:
            _count_pair(state, site, element, exposure.pair, -1)
            result = ctr.merge_exposure(exposure, result)
        else:
            kept.append(exposure)
    _count_pair(state, site, element, result.pair, 1)
    visitor.exposures = [*kept, result]
    state.closing.file(exposure_deadline_ms(result, state.policy), visitor)


def _count_pairs(state: PartitionState, site: Site, pairs: ctr.Pairs, sign: int) -> None:
    for element, pair in pairs.items():
        _count_pair(state, site, element, pair, sign)


def _count_pair(state: PartitionState, site: Site, element: str, pair: Pair, sign: int) -> None:
    t, counts = ctr.pair_counts(pair)
    bucket = t // TEN_SECONDS_MS
    _add(site.everyone, bucket, counts, sign)
    _add(site.segment("element", element, state.policy.dimension_values), bucket, counts, sign)


def _add(tally: SegmentTally, bucket: int, counts: Counts, sign: int) -> None:
    row = tally.rows[bucket]
    for metric, n in counts.items():
        row[metric] += sign * n


def _reach(
    state: PartitionState, site: Site, visitor: Visitor, session: Session, goals: list[str], t: int
) -> None:
    """The event reached these goals: conversions, converted visitors (by their latest), the session."""
    bucket = t // TEN_SECONDS_MS
    for goal in goals:
        tally = site.segment("goal", goal, state.policy.dimension_values)
        tally.rows[bucket][conversion.CONVERSIONS] += 1
        converted = visitor.converted
        if converted is None:
            converted = visitor.converted = {}
        before = converted.get(goal)
        if before is None or bucket > before:
            if before is not None:
                tally.rows[before][conversion.CONVERTED_VISITORS] -= 1
            tally.rows[bucket][conversion.CONVERTED_VISITORS] += 1
            converted[goal] = bucket
        if goal not in session.goals:
            session.goals = tuple(sorted([*session.goals, goal]))


def respondent_of(event: SurveyAnswer) -> str:
    """Who answered: the respondent, else the customer, else the visitor; '' is one of its own."""
    if event.respondent_id is not None:
        return f"r{event.respondent_id}" if event.respondent_id else f"e{event.visitor_id}|{event.event_id}"
    return f"c{event.customer_id}" if event.customer_id is not None else f"v{event.visitor_id}"


def answers_field(event: SurveyAnswer) -> str:
    """Field of the history that an answer belongs to."""
    return history_field(event.site_id, event.survey_id, event.survey_kind, respondent_of(event))


def event_key(topic: int, event: Event) -> int:
    """64-bit id of (site, visitor, topic, event id), the same in every process."""
    site, visitor = event.site_id, event.visitor_id
    text = f"{len(site)}|{len(visitor)}|{site}{visitor}{event.event_id}"
    return xxhash.xxh3_64_intdigest(text.encode(), topic)


def apply_survey_answer(state: PartitionState, event: SurveyAnswer, t: int) -> None:
    """Count an answer that was not counted before, and retract the one it replaces."""
    site = state.site(event.site_id)
    field, kind = answers_field(event), event.survey_kind
    history = state.histories.get(field)
    if history is None:
        history = state.histories[field] = surveys.History(event.site_id, event.survey_id, kind)
    answer = surveys.Answer(t, event.event_id, event.score, event.scale_min, event.scale_max)
    tallies = (site.everyone, site.segment("survey", event.survey_id, state.policy.dimension_values))
    before = surveys.latest(history)
    surveys.insert(history, answer)
    after = surveys.latest(history)
    for tally in tallies:
        if before is not None:
            _add(tally, before.t_ms // TEN_SECONDS_MS, surveys.score_counts(kind, before), -1)
        if after is not None:
            _add(tally, after.t_ms // TEN_SECONDS_MS, surveys.score_counts(kind, after), 1)
        if answer.score is None:
            _add(tally, t // TEN_SECONDS_MS, surveys.skip_counts(kind), 1)
    state.touched_histories[field] = history
    if state.settled is not None:
        state.settled.answer(history, answer)
    _mark(state, site, event, t)


def _mark(state: PartitionState, site: Site, event: SurveyAnswer, t: int) -> None:
    """The answer attaches to the session that covers its time, whether that is known already or not."""
    visitor = site.visitors.get(event.visitor_id)
    if visitor is None:
        visitor = site.visitors[event.visitor_id] = Visitor(event.site_id, event.visitor_id)
    old = t + state.policy.finality_ms < state.progress.progress_ms
    if old and not any(session.first_ms <= t <= session.last_ms for session in visitor.sessions):
        return  # whatever session covered it is final and forgotten
    if visitor.marks is None:
        visitor.marks = []
    visitor.marks.append(t)
    state.touch(visitor)
    state.closing.file(t + state.policy.finality_ms + 1, visitor)


# mypy cannot see that each function gets the type it is filed under.
_APPLY: dict[type[Event], Callable[..., None]] = {
    PageView: _view,
    Impression: _show,
    PagePing: _stay,
    Click: _click,
    FormSubmission: _submit,
}
