"""Which of a respondent's answers is the latest."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core import csat, nps
from stream.core.surveys import (
    LATEST_KEPT,
    Answer,
    History,
    Score,
    insert,
    latest,
    latest_scores,
    take_latest,
)

NOON = 1_790_000_000_000


@pytest.mark.parametrize(
    ("answers", "newest"),
    [
        ([Answer(NOON, "a", 3), Answer(NOON + 1, "a", 9)], 9),
        ([Answer(NOON, "a", 9), Answer(NOON, "b", 3)], 3),
        # The same time and id from two visitors who answer for one respondent.
        ([Answer(NOON, "a", 9), Answer(NOON, "a", 3)], 9),
        ([Answer(NOON, "a", 0), Answer(NOON, "a", None), Answer(NOON + 1, "b", None)], 0),
        ([Answer(NOON, "a", -4, -5, 5), Answer(NOON, "a", 1, 0, 5)], 1),
    ],
)
def test_the_latest_answer_does_not_depend_on_the_order_of_arrival(
    answers: list[Answer], newest: int
) -> None:
    for arrived in permutations(answers):
        history = History("default", "s", "csat", [])
        for answer in arrived:
            insert(history, answer)
        found = latest(history)
        assert found is not None
        assert found.score == newest


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from("ab"), st.integers(0, 3)), max_size=60))
def test_the_latest_scores_are_kept_one_by_one_as_they_would_be_found_among_all(
    said: list[tuple[int, str, int]],
) -> None:
    scores = [Score(survey, "csat", Answer(NOON + t, "", score)) for t, survey, score in said]
    kept: list[Score] = []
    for score in scores:
        kept = take_latest(kept, score)
    assert kept == latest_scores(scores)
    assert len(kept) == min(len(scores), LATEST_KEPT)


@pytest.mark.parametrize("family", [nps, csat])
def test_a_family_names_all_that_an_answer_counts(family: Any) -> None:
    """By these names settled windows know what the latest answer moves."""
    scales = [(0, 10)] if family is nps else [(1, 5), (0, 10), (0, 1)]
    named: set[str] = set()
    for low, high in scales:
        for score in range(low, high + 1):
            named |= family.counts(score).keys() if family is nps else family.counts(score, low, high).keys()
    assert named == family.OF_AN_ANSWER
