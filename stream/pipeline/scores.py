"""Scores as the tables hold them: a person's NPS and CSAT answers in time order, and the latest of a site."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from schemas.times import rfc3339
from stream.core.csat import satisfied_from
from stream.core.nps import counts as nps_counts
from stream.core.surveys import Answer, History, Score, latest_scores
from stream.pipeline.changes import decode_fields, decode_history, decode_scores
from stream.pipeline.partition_state import latest_field, person_field
from stream.pipeline.ports import PartitionTables, SnapshotBoard, Table

_CLASSES = {"promoters": "promoter", "passives": "passive", "detractors": "detractor"}


class GivenScore(msgspec.Struct, frozen=True):
    """One answer of a person. `score` is None, and `says` is skipped, where the question was skipped."""

    site_id: str
    person: str
    answered_at: str
    survey_id: str
    survey_kind: str
    score: int | None
    scale_min: int
    scale_max: int
    says: str  # promoter, passive, detractor; satisfied, not satisfied; skipped
    channel: str | None
    event_id: str


async def scores_of(tables: PartitionTables, partitions: int, person: str) -> list[GivenScore]:
    """All answers of a person in every partition, the oldest first. Raises StoreUnreachable."""
    found: list[tuple[History, Answer]] = []
    for number in range(partitions):
        [index] = await tables.read(number, Table.ANSWERS, [person_field(person)])
        if index is None:
            continue
        histories = await tables.read(number, Table.ANSWERS, decode_fields(index))
        found += [
            (history, answer)
            for history in map(decode_history, filter(None, histories))
            for answer in history.answers
            if answer.person == person
        ]
    return _in_order(found)


def all_scores(answers: Mapping[str, bytes]) -> list[GivenScore]:
    """Every answer in a partition's table that somebody's name stands under, person by person."""
    histories = (decode_history(value) for field, value in answers.items() if field[0] not in "#@!")
    return _in_order((history, one) for history in histories for one in history.answers)


def _in_order(found: Iterable[tuple[History, Answer]]) -> list[GivenScore]:
    named = [(history, answer) for history, answer in found if answer.person is not None]
    named.sort(
        key=lambda one: (one[1].person, one[1].t_ms, one[0].site_id, one[0].survey_id, one[1].event_id)
    )
    return [_given(*one) for one in named]


def _given(history: History, answer: Answer) -> GivenScore:
    low, high = _scale(history.kind, answer)
    return GivenScore(
        history.site_id, answer.person or "", rfc3339(answer.t_ms), history.survey_id, history.kind,
        answer.score, low, high, _says(history.kind, answer), answer.channel, answer.event_id,
    )  # fmt: skip


class LatestScore(msgspec.Struct, frozen=True):
    """One of the latest scores of a site: what was answered, by nobody in particular."""

    answered_at: str
    survey_id: str
    survey_kind: str
    score: int
    scale_min: int
    scale_max: int
    says: str  # promoter, passive, detractor; satisfied, not satisfied
    channel: str | None
    campaign: str | None
    device: str | None
    country: str | None
    plan: str | None


async def latest_scores_of(board: SnapshotBoard, partitions: int, site_id: str) -> list[LatestScore]:
    """The latest scores of all partitions, the newest first. Raises StoreUnreachable."""
    values = await board.read_answers(partitions, latest_field(site_id))
    stored = (score for value in values if value is not None for score in decode_scores(value))
    return [_shown(score) for score in latest_scores(stored)]


def _shown(score: Score) -> LatestScore:
    answer = score.answer
    low, high = _scale(score.kind, answer)
    assert answer.score is not None  # only those are kept
    return LatestScore(
        rfc3339(answer.t_ms), score.survey_id, score.kind, answer.score, low, high, _says(score.kind, answer),
        answer.channel, answer.campaign, answer.device, answer.country, answer.plan,
    )  # fmt: skip


def _scale(kind: str, answer: Answer) -> tuple[int, int]:
    return (0, 10) if kind == "nps" else (answer.scale_min, answer.scale_max)


def _says(kind: str, answer: Answer) -> str:
    if answer.score is None:
        return "skipped"
    if kind == "nps":
        [metric] = nps_counts(answer.score)
        return _CLASSES[metric]
    return (
        "satisfied" if answer.score >= satisfied_from(answer.scale_min, answer.scale_max) else "not satisfied"
    )
