"""Survey answers: each respondent's history, its latest answer, and what an answer counts for.

Rolling windows and `all` count each (site, survey, kind, respondent)'s latest answer by (time, event id),
in the bucket of its time; a changed answer retracts the old one exactly. A skip never replaces a score.
"""

from __future__ import annotations

import msgspec

from stream.core import csat, nps
from stream.core.windows import Counts


class Answer(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """One survey answer. `score` is None where the question was skipped."""

    t_ms: int
    event_id: str
    score: int | None
    scale_min: int = 0
    scale_max: int = 10


class History(msgspec.Struct, array_like=True, gc=False):
    """All answers of one respondent to one survey, by (time, event id)."""

    site_id: str
    survey_id: str
    kind: str  # nps or csat
    answers: list[Answer] = []


def insert(history: History, answer: Answer) -> None:
    """Keep `answer` in its place."""
    history.answers.append(answer)
    history.answers.sort(key=_order)


def _order(answer: Answer) -> tuple[int, str, int, int, int]:
    """By time and id; two visitors may answer for one respondent with the same of both, then by content."""
    score = answer.scale_min - 1 if answer.score is None else answer.score
    return answer.t_ms, answer.event_id, score, answer.scale_min, answer.scale_max


def latest(history: History) -> Answer | None:
    """The respondent's newest score; skips are passed over."""
    return next((a for a in reversed(history.answers) if a.score is not None), None)


def score_counts(kind: str, answer: Answer) -> Counts:
    """What the latest answer contributes to the bucket of its time."""
    if answer.score is None:
        return {}
    if kind == "nps":
        return nps.counts(answer.score)
    return csat.counts(answer.score, answer.scale_min, answer.scale_max)


def skip_counts(kind: str) -> Counts:
    """What a skipped question contributes: it is never in a denominator."""
    return {nps.SKIPPED if kind == "nps" else csat.SKIPPED: 1}
