"""What one counted survey answer changes: its respondent's history, the scores, and the visit it came in."""

from __future__ import annotations

from stream.core import surveys
from stream.core.events import SurveyAnswer
from stream.core.sessions import Visitor
from stream.core.windows import TEN_SECONDS_MS
from stream.pipeline.count_elements import add_counts
from stream.pipeline.partition_state import PartitionState, Site, history_field


def respondent_of(event: SurveyAnswer) -> str:
    """Who answered: the respondent, else the customer, else the visitor; '' is one of its own."""
    if event.respondent_id is not None:
        return f"r{event.respondent_id}" if event.respondent_id else f"e{event.visitor_id}|{event.event_id}"
    return f"c{event.customer_id}" if event.customer_id is not None else f"v{event.visitor_id}"


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
    answer = surveys.Answer(t, event.event_id, event.score, event.scale_min, event.scale_max)
    tallies = (site.everyone, site.segment("survey", event.survey_id, state.policy.dimension_values))
    before = surveys.latest(history)
    surveys.insert(history, answer)
    after = surveys.latest(history)
    for tally in tallies:
        if before is not None:
            add_counts(tally, before.t_ms // TEN_SECONDS_MS, surveys.score_counts(kind, before), -1)
        if after is not None:
            add_counts(tally, after.t_ms // TEN_SECONDS_MS, surveys.score_counts(kind, after), 1)
        if answer.score is None:
            add_counts(tally, t // TEN_SECONDS_MS, surveys.skip_counts(kind), 1)
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
