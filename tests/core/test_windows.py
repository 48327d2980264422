"""Rolling windows: their edges, and that sliding sums stay what adding up would give."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core.registry import KPIS, metrics_of, that_apply
from stream.core.tallies import SegmentTally
from stream.core.windows import ROLLING, SERIES, TEN_SECONDS_MS, UP_TO_A_DAY, add
from tests.snapshot_reading import WINDOWS, check_tally

HOUR_MS = 3_600_000
BY_NAME = {window.name: window for window in ROLLING}
NOON_MS = 1_700_006_400_000 // 86_400_000 * 86_400_000


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
        tally.settle(NOON_MS + seconds * 1000)
        now, before = tally.window("1m")
        seen.append((now.get("clicks", 0), before.get("clicks", 0)))
    assert seen == [(3, 0), (3, 0), (0, 3), (0, 3), (0, 0), (0, 0)]
    assert tally.window("all") == ({"clicks": 3}, {})


def test_hours_keep_only_what_their_kpis_need() -> None:
    tally, element = SegmentTally(), SegmentTally("element")
    for one in (tally, element):
        one.rows[NOON_MS // TEN_SECONDS_MS].update(clicks=3, visitors=2, promoters=1)
        one.settle(NOON_MS)
    assert [tally.window(name)[0] for name in ("24h", "7d", "28d", "90d")] == [
        {"clicks": 3, "visitors": 2, "promoters": 1},
        {"visitors": 2, "promoters": 1},
        {"visitors": 2, "visitors_24h": 2},  # the month says how many of them are of the day
        {"promoters": 1},
    ]
    assert [element.window(name)[0] for name in ("7d", "28d", "90d")] == [{}, {}, {}]
    assert list(element.series) == ["t", "m"]


def test_a_long_window_slides_by_the_hour() -> None:
    tally = SegmentTally()
    tally.rows[NOON_MS // TEN_SECONDS_MS]["promoters"] += 1
    seen = []
    for hours in (0, 7 * 24, 7 * 24 + 0.001, 14 * 24 + 1, 180 * 24, 181 * 24):
        tally.settle(int(NOON_MS + hours * HOUR_MS))
        seen.append([tally.window(name)[0].get("promoters", 0) for name in ("7d", "30d", "90d")])
    assert seen == [[1, 1, 1], [1, 1, 1], [0, 1, 1], [0, 1, 1], [0, 0, 0], [0, 0, 0]]
    assert tally.series["a"].counts == {}
    assert tally.window("all") == ({"promoters": 1}, {})


@pytest.mark.parametrize("name", [w.name for w in ROLLING if w.name not in UP_TO_A_DAY])
def test_a_long_window_has_all_that_its_kpis_are_computed_from(name: str) -> None:
    for dimension in {dimension for one in KPIS.values() for dimension in one.dimensions}:
        kept = [series.windows[-1].name for series in SERIES if name in [w.name for w in series.windows]]
        assert metrics_of(name, dimension) <= frozenset().union(*(metrics_of(k, dimension) for k in kept))
        assert all(one.metrics for one in that_apply(name, dimension))


def test_the_month_follows_the_day_down_to_nobody() -> None:
    tally = SegmentTally()
    tally.rows[NOON_MS // TEN_SECONDS_MS]["visitors"] += 1
    seen = []
    for hours in (0, 24, 24.5, 28 * 24 + 1):
        changed = tally.settle(int(NOON_MS + hours * HOUR_MS)).windows
        seen.append((tally.window("28d")[0], "28d" in changed))
    assert seen == [
        ({"visitors": 1, "visitors_24h": 1}, True),
        ({"visitors": 1, "visitors_24h": 1}, False),
        ({"visitors": 1}, True),
        ({}, True),
    ]


def test_an_event_ahead_of_the_end_counts_at_once() -> None:
    tally = SegmentTally()
    tally.settle(NOON_MS)
    tally.rows[(NOON_MS + 240_000) // TEN_SECONDS_MS]["clicks"] += 1
    tally.settle(NOON_MS)
    assert tally.window("1m")[0] == {"clicks": 1}


def test_a_bucket_older_than_every_window_counts_in_the_total_only() -> None:
    tally = SegmentTally()
    tally.settle(NOON_MS)
    tally.rows[(NOON_MS - 5 * 86_400_000) // TEN_SECONDS_MS]["clicks"] += 1
    tally.settle(NOON_MS)
    assert [tally.window(w.name) for w in ROLLING] == [({}, {})] * len(ROLLING)
    assert [series.counts for series in tally.series.values()] == [{}] * len(tally.series)
    assert tally.total == {"clicks": 1}


def test_adding_and_retracting_leaves_no_zeros() -> None:
    counts: dict[str, int] = {}
    add(counts, {"a": 2, "b": 1})
    add(counts, {"a": 2, "b": 1}, -1)
    assert counts == {}


METRICS = st.sampled_from(("clicks", "visitors", "promoters"))
CHANGES = st.lists(st.tuples(st.integers(-400, 30), METRICS, st.integers(1, 3)), max_size=6)
JUMPS_MS = st.sampled_from((0, 1000, 9_000, 10_000, 61_000, 3_600_000, 90_000_000, 3_000_000_000))
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
        tally.settle(end_ms)
        check_tally(tally, end_ms)
        if restart:
            stored, tally = tally, SegmentTally()
            tally.restore({kind: series.counts for kind, series in stored.series.items()}, stored.total)
            tally.settle(end_ms)
            for window in ROLLING:
                assert tally.window(window.name) == stored.window(window.name)
    expected: dict[str, int] = {}
    for _, metric, n in added:
        add(expected, {metric: n})
    assert tally.total == expected
