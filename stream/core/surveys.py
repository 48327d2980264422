"""Survey answers: each respondent's history, its latest answer, and what an answer counts for.

Rolling windows and `all` count each (site, survey, kind, respondent)'s latest answer by (time, event id),
in the bucket of its time and under what that answer says of channel, plan and so on; a changed answer
retracts the old one exactly, from where it was counted. A skip never replaces a score. With `every` each
scored answer counts, and none is retracted.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable
from typing import Final

import msgspec

from stream.core import csat, nps
from stream.core.kpi import ANSWER_DIMENSIONS
from stream.core.windows import Counts


class Answer(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """One survey answer. `score` is None where the question was skipped.

    Its dimensions are kept with it, because that is where it has to be taken back from.
    """

    t_ms: int
    event_id: str
    score: int | None
    scale_min: int = 0
    scale_max: int = 10
    channel: str | None = None
    campaign: str | None = None
    device: str | None = None
    country: str | None = None
    plan: str | None = None
    person: str | None = None  # who answered, as far as it says; None where it says nobody


class History(msgspec.Struct, array_like=True, gc=False):
    """All answers of one respondent to one survey, by (time, event id)."""

    site_id: str
    survey_id: str
    kind: str  # nps or csat
    answers: list[Answer] = []


LATEST_KEPT: Final = 20
"""Scores of a site that can be shown: as many as anybody reads, in each partition."""


class Score(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """An answer with a score as it may be shown to anybody: it says nothing of who gave it."""

    survey_id: str
    kind: str
    answer: Answer


def score_of(survey_id: str, kind: str, answer: Answer) -> Score:
    return Score(survey_id, kind, msgspec.structs.replace(answer, event_id="", person=None))


def latest_scores(scores: Iterable[Score]) -> list[Score]:
    """The latest ones by the time of the answer, the newest first, in whatever order they come.

    What was answered, not what counts: who answers anew is there twice.
    """
    return sorted(scores, key=_newness, reverse=True)[:LATEST_KEPT]


def take_latest(kept: list[Score], score: Score) -> list[Score]:
    """The latest of those kept, the newest first, and one more. The same list if that is older than all."""
    if len(kept) >= LATEST_KEPT and score.answer.t_ms < kept[-1].answer.t_ms:
        return kept
    oldest_first = kept[::-1]
    insort(oldest_first, score, key=_newness)
    return oldest_first[: -LATEST_KEPT - 1 : -1]


def _newness(score: Score) -> tuple[object, ...]:
    return *_order(score.answer), score.survey_id, score.kind


def insert(history: History, answer: Answer, *, every: bool = False) -> list[tuple[Answer, int]]:
    """Keep `answer` in its place. Returns what counts from now on (sign 1) and what no longer does (-1)."""
    before = latest(history)
    history.answers.append(answer)
    if len(history.answers) > 1:
        history.answers.sort(key=_order)
    if every or before is None:
        return [] if answer.score is None else [(answer, 1)]
    after = latest(history)
    return [] if after is None or after is before else [(before, -1), (after, 1)]


def _order(answer: Answer) -> tuple[object, ...]:
    """By time and id; two visitors may answer for one respondent with the same of both, then by content."""
    score = answer.scale_min - 1 if answer.score is None else answer.score
    said = _said(answer)
    told = _NOTHING_TOLD if said == _NOTHING else tuple((value is not None, value or "") for value in said)
    return answer.t_ms, answer.event_id, score, answer.scale_min, answer.scale_max, told


_NOTHING = (None,) * len(ANSWER_DIMENSIONS)
_NOTHING_TOLD = ((False, ""),) * len(ANSWER_DIMENSIONS)


def _said(answer: Answer) -> tuple[str | None, ...]:
    """The values of `ANSWER_DIMENSIONS`."""
    return answer.channel, answer.campaign, answer.device, answer.country, answer.plan


def dimensions_of(answer: Answer) -> tuple[tuple[str, str], ...]:
    """(dimension, value) of everything the answer says about itself."""
    said = _said(answer)
    if said == _NOTHING:
        return ()
    named = zip(ANSWER_DIMENSIONS, said, strict=True)
    return tuple((dimension, value) for dimension, value in named if value is not None)


def latest(history: History) -> Answer | None:
    """The respondent's newest score; skips are passed over."""
    return next((a for a in reversed(history.answers) if a.score is not None), None)


def score_counts(kind: str, answer: Answer) -> Counts:
    """What an answer that counts contributes to the bucket of its time."""
    if answer.score is None:
        return {}
    if kind == "nps":
        return nps.counts(answer.score)
    return csat.counts(answer.score, answer.scale_min, answer.scale_max)


def skip_counts(kind: str) -> Counts:
    """What a skipped question contributes: it is never in a denominator."""
    return {nps.SKIPPED if kind == "nps" else csat.SKIPPED: 1}
