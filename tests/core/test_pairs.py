"""Pairs of a visitor and an element: a function of what was seen and clicked, in any order."""

from __future__ import annotations

import copy
from functools import reduce
from itertools import permutations

from stream.core.ctr import (
    MAILS,
    MAILS_OPENED,
    PAIRS_CLICKED,
    PAIRS_SEEN,
    UNMATCHED_CLICKS,
    Exposure,
    Pair,
    Place,
    clicked,
    counts_the_same,
    merge_exposure,
    merge_pair,
    merge_pairs,
    pair_counts,
    seen,
)

PAGE, MAIL_A, MAIL_B = Place("page"), Place("mail", campaign="a"), Place("mail", campaign="b")


def one(what: str, t: int, place: Place = PAGE, event_id: str = "e") -> Pair:
    """The pair of one event: seen, opened or clicked."""
    if what == "click":
        return clicked(t, event_id, place)
    return seen(t, event_id, place, opened=what == "open")


def pair(*steps: tuple[str, int]) -> Pair:
    return reduce(merge_pair, [one(*step) for step in steps])


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


def test_a_pair_is_where_it_was_first_seen_in_any_order_and_grouping() -> None:
    events = [
        one("see", 30, MAIL_B, "a"), one("see", 20, MAIL_A, "b"), one("see", 20, MAIL_B, "c"),
        one("click", 10, MAIL_B, "d"), one("open", 40, MAIL_B, "e"),
    ]  # fmt: skip
    for order in permutations(events):
        left = reduce(merge_pair, order)
        right = merge_pair(reduce(merge_pair, order[:2]), reduce(merge_pair, order[2:]))
        assert left == right
        assert (left.place, left.opened) == (MAIL_A, True)
        assert pair_counts(left) == (20, {PAIRS_SEEN: 1, PAIRS_CLICKED: 1, MAILS: 1, MAILS_OPENED: 1})


def test_a_pair_that_was_never_seen_is_where_it_was_first_clicked() -> None:
    events = [one("click", 5, MAIL_B, "b"), one("click", 5, MAIL_A, "a"), one("click", 9, PAGE, "c")]
    for order in permutations(events):
        assert reduce(merge_pair, order).place == MAIL_A


def test_what_is_opened_on_a_page_is_no_mail() -> None:
    assert pair_counts(one("open", 0)) == (0, {PAIRS_SEEN: 1})


def test_seeing_it_again_later_changes_nothing() -> None:
    first = one("see", 0)
    assert counts_the_same(first, merge_pair(first, one("see", 5, MAIL_A)))
    assert not counts_the_same(first, merge_pair(first, one("click", 5)))
    assert not counts_the_same(one("see", 7), merge_pair(one("see", 7), first))
    assert not counts_the_same(
        one("see", 0, MAIL_A, "b"), merge_pair(one("see", 0, MAIL_A, "b"), one("see", 0, MAIL_B, "a"))
    )
