"""Pairs of a visitor and an element: a function of what was seen and clicked, in any order."""

from __future__ import annotations

import copy
from itertools import permutations

from stream.core.ctr import (
    PAIRS_CLICKED,
    PAIRS_SEEN,
    UNMATCHED_CLICKS,
    Exposure,
    Pair,
    click,
    merge_exposure,
    merge_pair,
    merge_pairs,
    pair_counts,
    see,
)


def pair(*steps: tuple[str, int]) -> Pair:
    made = Pair()
    for what, t in steps:
        (see if what == "see" else click)(made, t)
    return made


def test_a_pair_is_dated_by_its_first_impression_in_any_order() -> None:
    steps = (("see", 30), ("click", 10), ("see", 20), ("click", 40))
    for order in permutations(steps):
        assert pair_counts(pair(*order)) == (20, {PAIRS_SEEN: 1, PAIRS_CLICKED: 1})


def test_clicks_on_what_was_never_seen_are_unmatched() -> None:
    assert pair_counts(pair(("click", 7), ("click", 5))) == (5, {UNMATCHED_CLICKS: 2})


def test_something_only_seen_is_no_click() -> None:
    assert pair_counts(pair(("see", 0))) == (0, {PAIRS_SEEN: 1})


def test_merging_equals_having_been_one_all_along() -> None:
    a, b = pair(("see", 30), ("click", 35)), pair(("click", 5), ("see", 50))
    together = pair(("see", 30), ("click", 35), ("click", 5), ("see", 50))
    assert merge_pair(a, b) == merge_pair(b, a) == together


def test_merging_the_pairs_of_two_sessions_changes_neither() -> None:
    a, b = {"x": pair(("see", 1)), "y": pair(("see", 2))}, {"x": pair(("click", 3))}
    before = copy.deepcopy((a, b))
    merged = merge_pairs(a, b)
    assert merged == {"x": pair(("see", 1), ("click", 3)), "y": pair(("see", 2))}
    assert (a, b) == before
    assert merge_pairs(a, None) == a
    assert merge_pairs(None, None) is None


def test_an_exposure_spans_both() -> None:
    a = Exposure("mail", "e", 10, 20, pair(("see", 10)))
    b = Exposure("mail", "e", 15, 40, pair(("click", 40)))
    assert merge_exposure(a, b) == Exposure("mail", "e", 10, 40, pair(("see", 10), ("click", 40)))
