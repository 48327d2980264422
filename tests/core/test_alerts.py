"""Alert rules: worked cases, and what holds for any figures however they are looked at."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core.alerts import (
    FIRING,
    LONGEST_GAP_MS,
    OK,
    PENDING,
    Baseline,
    Change,
    Look,
    Rule,
    Silence,
    Standing,
    baseline,
    end,
    follow,
    muted_by,
)

S = 1_000
START_MS = 1_790_000_000_000
CTR = Rule(name="ctr", kpi="ctr", window="1h", direction="below", limit=0.02, clear=0.03)


def changed(rule: Rule, **values: object) -> Rule:
    return msgspec.structs.replace(rule, **values)


def run(
    rule: Rule,
    looks: list[Look],
    silences: tuple[Silence, ...] = (),
    restarts: frozenset[int] = frozenset(),
) -> tuple[Standing, list[Change]]:
    standing, found, muted = Standing(), list[Change](), muted_by(silences)
    for number, look in enumerate(looks):
        standing, changes = follow(rule, standing, look, muted)
        found += changes
        if number in restarts:
            standing = msgspec.msgpack.decode(msgspec.msgpack.encode(standing), type=Standing)
    return standing, found


def look(second: float, x: float | None, since: float | None = None) -> Look:
    at_ms = START_MS + round(second * S)
    return Look(at_ms, at_ms if since is None else START_MS + round(since * S), x)


def told(changes: list[Change]) -> list[tuple[str, float]]:
    """(what, second)"""
    return [("firing" if one.firing else "resolved", (one.at_ms - START_MS) / S) for one in changes]


def test_it_fires_at_the_instant_when_for_is_over_and_resolves_beyond_the_clear_limit() -> None:
    rule = changed(CTR, for_ms=90 * S)
    looks = [
        look(0, 0.05),
        look(20, 0.01),
        look(60, 0.015),
        look(115, 0.01),
        look(130, 0.025),
        look(150, 0.04),
    ]
    assert told(run(rule, looks)[1]) == [("firing", 110), ("resolved", 150)]


def test_a_figure_that_was_fine_in_between_begins_anew() -> None:
    rule = changed(CTR, for_ms=60 * S)
    looks = [look(0, 0.01), look(50, 0.02), look(51, 0.01), look(100, 0.01), look(112, 0.01)]
    assert told(run(rule, looks)[1]) == [("firing", 111)]


def test_at_the_limit_itself_nothing_fires_and_at_the_clear_limit_it_resolves() -> None:
    assert run(CTR, [look(0, 0.02)])[1] == []
    assert told(run(CTR, [look(0, 0.019), look(5, 0.03)])[1]) == [("firing", 0), ("resolved", 5)]
    above = changed(CTR, direction="above", limit=10.0, clear=8.0)
    assert told(run(above, [look(0, 10.0), look(1, 10.1), look(2, 8.1), look(3, 8.0)])[1]) == [
        ("firing", 1),
        ("resolved", 3),
    ]


def test_what_is_not_known_neither_fires_nor_clears() -> None:
    rule = changed(CTR, for_ms=60 * S)
    looks = [look(0, 0.01), look(30, None), look(59, 0.01), look(200, None), look(500, 0.01), look(520, None)]
    standing, changes = run(rule, looks)
    assert changes == []
    assert (standing.state, standing.held_ms) == (PENDING, 59 * S), "the time nobody saw does not count"
    assert told(run(rule, [*looks, look(522, 0.01)])[1]) == [("firing", 501)]
    firing = [look(0, 0.01), look(30, 0.01), look(60, 0.01), look(61, None), look(9999, None)]
    assert run(rule, firing)[0].state == FIRING


def test_a_figure_that_is_known_to_stand_since_long_counts_from_there() -> None:
    assert told(run(changed(CTR, for_ms=600 * S), [look(900, 0.01, since=100)])[1]) == [("firing", 700)]


def test_within_the_cooldown_it_does_not_fire_and_at_its_end_it_does_if_it_still_must() -> None:
    rule = changed(CTR, cooldown_ms=100 * S)
    looks = [look(0, 0.01), look(10, 0.05), look(20, 0.01), look(70, 0.01), look(120, 0.01)]
    assert told(run(rule, looks)[1]) == [("firing", 0), ("resolved", 10), ("firing", 110)]


def test_a_silence_holds_back_what_fires_and_not_what_resolves() -> None:
    hush = Silence(rule="ct*", segment="all", start_ms=START_MS + 5 * S, end_ms=START_MS + 60 * S)
    assert hush.matches("ctr", "shop", "all")
    assert not hush.matches("nps", "shop", "all")
    assert not hush.matches("ctr", "shop", "channel=Email")
    assert told(run(CTR, [look(10, 0.01), look(50, 0.01), look(61, 0.01)], (hush,))[1]) == [("firing", 60)]
    assert told(run(CTR, [look(4, 0.01), look(50, 0.05), look(55, 0.01)], (hush,))[1]) == [
        ("firing", 4), ("resolved", 50),
    ]  # fmt: skip


def test_silences_that_overlap_are_one() -> None:
    muted = muted_by([Silence(start_ms=0, end_ms=10), Silence(start_ms=5, end_ms=20), Silence(start_ms=30)])
    assert [muted(at_ms) for at_ms in (-1, 0, 7, 19, 20)] == [-1, 20, 20, 20, 20]
    assert muted(30) > START_MS


def test_a_series_that_is_no_more_is_resolved_once() -> None:
    firing, _ = run(CTR, [look(0, 0.01)])
    ended, changes = end(firing, START_MS + 9, "gone")
    assert [(one.firing, one.cause, one.since_ms) for one in changes] == [(False, "gone", START_MS)]
    assert end(ended, START_MS + 10, "gone")[1] == []
    assert end(Standing(state=PENDING), START_MS, "gone") == (Standing(state=OK), [])


def test_the_baseline_is_not_moved_by_one_odd_week() -> None:
    assert baseline([100, 110, 90, 100_000], 0) == Baseline(105, 1.4826 * 10, 4)
    assert baseline([100, 100, 100], 0.05) == Baseline(100, 5, 3)
    assert baseline([], 0.05) is None
    assert baseline([0, 0, 0], 0.05) is None


# What holds for any figures. A history is what the figure was and for how long.
FIGURES = st.sampled_from([0.0, 0.01, 0.02, 0.025, 0.03, 0.05, None])
HISTORIES = st.lists(st.tuples(FIGURES, st.integers(1, 240)), min_size=1, max_size=25)
RULES = st.builds(
    lambda for_s, cooldown_s: changed(CTR, for_ms=for_s * S, cooldown_ms=cooldown_s * S),
    st.sampled_from([0, 1, 30, 90, 300]), st.sampled_from([0, 1, 60, 600]),
)  # fmt: skip
SILENCES = st.lists(
    st.tuples(st.integers(0, 1_000), st.integers(1, 400)).map(
        lambda one: Silence(start_ms=START_MS + one[0] * S, end_ms=START_MS + (one[0] + one[1]) * S)
    ),
    max_size=3,
).map(tuple)


def looks_of(history: list[tuple[float | None, int]], every_s: int) -> list[Look]:
    """At each change of the figure, at the end of what is known of it, and so often in between."""
    looks, second = list[Look](), 0
    for (x, lasts_s), (following, _) in pairwise([*history, (0.02, 0)]):
        looks += [look(at, x, since=second) for at in range(second, second + lasts_s, every_s)]
        if following is None:  # from then on nobody can say any more what it was
            looks.append(look(second + lasts_s, x, since=second))
        second += lasts_s
    return looks


@given(HISTORIES, RULES, SILENCES, st.integers(1, 60), st.frozensets(st.integers(0, 300)))
def test_looking_more_often_or_starting_again_changes_nothing(
    history: list[tuple[float | None, int]], rule: Rule, silences: tuple[Silence, ...],
    every_s: int, restarts: frozenset[int],
) -> None:  # fmt: skip
    last = look(sum(lasts for _, lasts in history), 0.02)  # both have seen all of it
    seldom = [*looks_of(history, LONGEST_GAP_MS // S), last]
    often = [*looks_of(history, every_s), last]
    often = sorted([*often, *often[::3]])  # some twice
    assert run(rule, often, silences, restarts)[1] == run(rule, seldom, silences)[1]


@given(HISTORIES, RULES, SILENCES)
def test_changes_alternate_and_keep_to_for_cooldown_and_silence(
    history: list[tuple[float | None, int]], rule: Rule, silences: tuple[Silence, ...]
) -> None:
    _, changes = run(rule, looks_of(history, 7), silences)
    assert [one.firing for one in changes] == [number % 2 == 0 for number in range(len(changes))]
    for before, after in pairwise(changes):
        assert before.at_ms <= after.at_ms
        assert before.sequence < after.sequence
        if after.firing:
            assert after.at_ms - before.at_ms >= rule.cooldown_ms
    for one in changes:
        if one.firing:
            assert one.at_ms - one.since_ms >= rule.for_ms
            assert muted_by(silences)(one.at_ms) == one.at_ms


@given(st.lists(st.sampled_from([0.02, 0.025, 0.029, None]), max_size=30), st.sampled_from([OK, FIRING]))
def test_between_the_limits_nothing_changes(xs: list[float | None], state: int) -> None:
    standing = Standing(state=state, seen_ms=START_MS)
    for second, x in enumerate(xs, 1):
        standing, changes = follow(CTR, standing, look(second, x))
        assert (standing.state, changes) == (state, [])


@pytest.mark.parametrize("x", [None, 0.0, 0.05])
def test_an_older_look_is_no_news(x: float | None) -> None:
    standing, _ = run(CTR, [look(10, 0.025)])
    assert follow(CTR, standing, look(9, x)) == (standing, [])
