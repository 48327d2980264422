"""Rolling windows: their edges, and that sliding sums stay what adding up would give."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core.windows import MINUTES_KEPT_MS, ROLLING, TEN_SECONDS_MS, TENS_KEPT_MS, SegmentTally, add
from tests.snapshot_reading import WINDOWS, check_tally

MINUTE_MS = 60_000
BY_NAME = {window.name: window for window in ROLLING}
NOON_MS = 1_700_006_400_000 // 86_400_000 * 86_400_000


def step(tally: SegmentTally, end_ms: int) -> None:
    """What a commit does with a tally."""
    tens_from, minutes_from = (
        (end_ms - TENS_KEPT_MS) // TEN_SECONDS_MS,
        (end_ms - MINUTES_KEPT_MS) // MINUTE_MS,
    )
    tally.advance(end_ms)
    tally.settle(tens_from, minutes_from)
    tally.expire(tens_from, minutes_from)


def test_the_windows_are_those_promised() -> None:
    assert {w.name: (w.width_ms, w.bucket_ms) for w in ROLLING} == WINDOWS


@pytest.mark.parametrize(
    ("name", "end_s", "first_s"),
    [
        ("1m", 600, 540),  # on the grid: both ends belong to it
        ("1m", 601, 550),
        ("1m", 609, 550),
        ("1m", 610, 550),
        ("5m", 600, 300),
        ("24h", 86_400, 0),
        ("24h", 86_401, 60),
        ("24h", 86_460, 60),
    ],
)
def test_a_window_begins_with_its_first_whole_bucket(name: str, end_s: int, first_s: int) -> None:
    window = BY_NAME[name]
    assert window.first_bucket(end_s * 1000) * window.bucket_ms == first_s * 1000


def test_what_leaves_a_window_enters_the_one_before_and_then_is_gone() -> None:
    tally = SegmentTally()
    tally.rows[NOON_MS // TEN_SECONDS_MS]["clicks"] += 3
    seen = []
    for seconds in (0, 60, 61, 120, 121, 180):
        step(tally, NOON_MS + seconds * 1000)
        now, before = tally.window("1m")
        seen.append((now.get("clicks", 0), before.get("clicks", 0)))
    assert seen == [(3, 0), (3, 0), (0, 3), (0, 3), (0, 0), (0, 0)]
    assert tally.window("all") == ({"clicks": 3}, {})


def test_an_event_ahead_of_the_end_counts_at_once() -> None:
    tally = SegmentTally()
    step(tally, NOON_MS)
    tally.rows[(NOON_MS + 240_000) // TEN_SECONDS_MS]["clicks"] += 1
    step(tally, NOON_MS)
    assert tally.window("1m")[0] == {"clicks": 1}


def test_a_bucket_older_than_every_window_counts_in_the_total_only() -> None:
    tally = SegmentTally()
    step(tally, NOON_MS)
    tally.rows[(NOON_MS - 5 * 86_400_000) // TEN_SECONDS_MS]["clicks"] += 1
    step(tally, NOON_MS)
    assert [tally.window(w.name) for w in ROLLING] == [({}, {})] * len(ROLLING)
    assert (tally.tens, tally.minutes, tally.total) == ({}, {}, {"clicks": 1})


def test_adding_and_retracting_leaves_no_zeros() -> None:
    counts: dict[str, int] = {}
    add(counts, {"a": 2, "b": 1})
    add(counts, {"a": 2, "b": 1}, -1)
    assert counts == {}


CHANGES = st.lists(st.tuples(st.integers(-400, 30), st.sampled_from("ab"), st.integers(1, 3)), max_size=6)
JUMPS_MS = st.sampled_from((0, 1000, 9_000, 10_000, 61_000, 3_600_000, 90_000_000))
# what is added, how much later, whether the newest is taken back, whether there is a restart
STEPS = st.lists(st.tuples(CHANGES, JUMPS_MS, st.booleans(), st.booleans()), max_size=12)


@given(STEPS)
def test_sliding_sums_equal_adding_up_again(
    steps: list[tuple[list[tuple[int, str, int]], int, bool, bool]],
) -> None:
    """Also after retractions, jumps over hours and days, and a restore in between."""
    tally, end_ms = SegmentTally(), NOON_MS
    added: list[tuple[int, str, int]] = []
    for changes, later_ms, retract, restart in steps:
        end_ms += later_ms
        for offset, metric, n in changes:
            added.append((end_ms // TEN_SECONDS_MS + offset, metric, n))
            tally.rows[added[-1][0]][metric] += n
        if added and retract:
            bucket, metric, n = added.pop()
            tally.rows[bucket][metric] -= n
        step(tally, end_ms)
        check_tally(tally, end_ms)
        if restart:
            stored, tally = tally, SegmentTally()
            tally.restore(stored.tens, stored.minutes, stored.total)
            step(tally, end_ms)
            for window in ROLLING:
                assert tally.window(window.name) == stored.window(window.name)
    expected: dict[str, int] = {}
    for _, metric, n in added:
        add(expected, {metric: n})
    assert tally.total == expected
