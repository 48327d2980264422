"""What one counted survey answer changes: its respondent's history, the scores, and the visit it came in."""

from __future__ import annotations

from stream.core import surveys
from stream.core.events import SurveyAnswer
from stream.core.sessions import ENDED, Session, Visitor, has_mark
from stream.core.settled import changed_inside
from stream.core.tallies import SegmentTally
from stream.core.windows import TEN_SECONDS_MS, Counts
from stream.pipeline.count_elements import add_counts
from stream.pipeline.partition_state import ANSWER_CHANGED, PartitionState, Site, history_field
from stream.pipeline.user_agents import agent_of

HISTORIES_OF_A_PERSON = 1000
"""More surveys than anybody answers: whoever sends one name with all answers must not cost more and more."""


def respondent_of(event: SurveyAnswer) -> str:
    """Who answered: the respondent, else the customer, else the visitor; '' is one of its own."""
    if event.respondent_id is not None:
        return f"r{event.respondent_id}" if event.respondent_id else f"e{event.visitor_id}|{event.event_id}"
    return f"c{event.customer_id}" if event.customer_id is not None else f"v{event.visitor_id}"


def person_of(event: SurveyAnswer) -> str | None:
    """Under whose name the answer can be found: the customer, else the respondent, else the visitor.

    One without any identity on purpose (an empty respondent) belongs to nobody.
    """
    if event.respondent_id == "":
        return None
    return event.customer_id or event.respondent_id or event.visitor_id


def answers_field(event: SurveyAnswer) -> str:
    """Field of the history that an answer belongs to."""
    return history_field(event.site_id, event.survey_id, event.survey_kind, respondent_of(event))


def apply_survey_answer(state: PartitionState, event: SurveyAnswer, t: int) -> None:
    """Count an answer that was not counted before, and retract the one it replaces."""
    site = state.site(event.site_id)
    field, kind = answers_field(event), event.survey_kind
    history = state.histories.get(field)
    if history is None:
        history = state.histories[field] = surveys.History(event.site_id, event.survey_id, kind)
    answer = _answer_of(event, t)
    places = _Places(state, site, history)
    for one, sign in surveys.insert(history, answer, every=state.policy.answers == "every"):
        _count_answer(places, one, sign)
    if answer.score is None:
        _count_answer(places, answer, 1)
    else:
        _keep_latest(state, event.site_id, surveys.score_of(event.survey_id, kind, answer))
    state.touched_histories[field] = history
    if answer.person is not None:
        _index(state, answer.person, field)
    _count_inside(state, site, places, history, answer)
    _mark(state, site, event, t)
    if state.feed is not None:
        state.feed.answered(site.visitors[event.visitor_id], event, t)


def _keep_latest(state: PartitionState, site_id: str, score: surveys.Score) -> None:
    kept = state.latest.get(site_id, [])
    latest = surveys.take_latest(kept, score)
    if latest is not kept:
        state.latest[site_id] = state.touched_latest[site_id] = latest


def _answer_of(event: SurveyAnswer, t: int) -> surveys.Answer:
    """The answer with what its own event says; the device may follow from the user agent."""
    device = event.device
    if device is None and event.user_agent is not None:
        device = agent_of(event.user_agent).device
    return surveys.Answer(
        t, event.event_id, event.score, event.scale_min, event.scale_max,
        event.channel, event.campaign, device, event.country, event.plan, person_of(event),
    )  # fmt: skip


def _index(state: PartitionState, person: str, field: str) -> None:
    """Remember in which histories the person's answers stand."""
    fields = state.people.get(person, ())
    if field not in fields and len(fields) < HISTORIES_OF_A_PERSON:
        state.people[person] = state.touched_people[person] = (*fields, field)


class _Places:
    """What answers of one history contribute, and where: to the whole site, the survey, and all they say of
    themselves. Rolling and settled windows ask for the same ones."""

    def __init__(self, state: PartitionState, site: Site, history: surveys.History) -> None:
        self._site, self._history, self._cap = site, history, state.policy.dimension_values
        self._known: list[tuple[surveys.Answer, Counts, list[SegmentTally]]] = []

    def of(self, answer: surveys.Answer) -> tuple[Counts, list[SegmentTally]]:
        for known, counts, tallies in self._known:
            if known is answer:
                return counts, tallies
        counts = (
            surveys.skip_counts(self._history.kind)
            if answer.score is None
            else surveys.score_counts(self._history.kind, answer)
        )
        said = (("survey", self._history.survey_id), *surveys.dimensions_of(answer))
        segments = [self._site.segment(dimension, value, self._cap) for dimension, value in said]
        tallies = [self._site.everyone, *segments]
        self._known.append((answer, counts, tallies))
        return counts, tallies


def _count_answer(places: _Places, answer: surveys.Answer, sign: int) -> None:
    """Add (or with sign -1 retract) an answer to rolling windows."""
    counts, tallies = places.of(answer)
    for tally in tallies:
        add_counts(tally, answer.t_ms // TEN_SECONDS_MS, counts, sign)


def _count_inside(
    state: PartitionState, site: Site, places: _Places, history: surveys.History, answer: surveys.Answer
) -> None:
    """Count what a new answer changes inside its own hour and day."""
    calendar, every = site.settled.calendar, state.policy.answers == "every"
    for window in calendar.windows(answer.t_ms):
        for one, sign in changed_inside(history, answer, window[1], calendar.end(window), every=every):
            counts, tallies = places.of(one)
            for tally in tallies:
                row = tally.inside[window]
                for metric, n in counts.items():
                    row[metric] += sign * n
    state.because(site, answer.t_ms, ANSWER_CHANGED)


def _mark(state: PartitionState, site: Site, event: SurveyAnswer, t: int) -> None:
    """The answer attaches to the session that covers its time, whether that is known already or not."""
    visitor = site.visitors.get(event.visitor_id)
    if visitor is None:
        visitor = site.visitors[event.visitor_id] = Visitor(event.site_id, event.visitor_id)
    old = t + state.policy.finality_ms < state.progress.progress_ms
    if old and not any(session.first_ms <= t <= session.last_ms for session in visitor.sessions):
        return  # whatever session covered it is final and forgotten
    for session in visitor.sessions:
        if session.first_ms <= t <= session.last_ms and _says_inactive(visitor, session):
            session.change = session.change or "late_event"
            state.unpublished[id(session)] = (visitor, session)
    if visitor.marks is None:
        visitor.marks = []
    visitor.marks.append(t)
    state.touch(visitor)
    state.closing.file(t + state.policy.finality_ms + 1, visitor)


def _says_inactive(visitor: Visitor, session: Session) -> bool:
    """Whether the session stands in the topic as one in which nobody did anything."""
    acted = session.clicks or session.form_submissions or has_mark(visitor, session)
    return session.phase == ENDED and bool(session.publication.ids) and not acted
