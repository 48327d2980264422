"""Counts packed into one integer are the counts: whatever is added, taken back, stored and read again."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core import engagement, loyalty
from stream.core.lanes import Lanes
from stream.core.packed import (
    decode_counts,
    decode_segments,
    decode_sums,
    encode_counts,
    encode_segments,
    encode_sums,
    names_kept,
    spelled_out,
)
from stream.core.sessions import Session
from stream.core.windows import Counts, add

SOME = Lanes("#some", ("a", "b", "c", "d"))
COUNTS = st.dictionaries(st.sampled_from(SOME.metrics), st.integers(-(2**40), 2**40))


def packed(counts: Counts) -> int:
    return sum(n * SOME.one(metric) for metric, n in counts.items())


@given(COUNTS)
def test_each_lane_is_read_as_it_was_written(counts: Counts) -> None:
    assert dict(SOME.spell_out(packed(counts))) == {metric: n for metric, n in counts.items() if n}


@given(st.lists(COUNTS))
def test_the_sum_of_packed_counts_is_that_of_their_lanes(rows: list[Counts]) -> None:
    total: Counts = {}
    for row in rows:
        add(total, row)
    assert dict(SOME.spell_out(sum(map(packed, rows)))) == total
    assert (sum(map(packed, rows)) == 0) == (not total)


@pytest.mark.parametrize("n", [2**63 - 1, -(2**63)])
def test_a_lane_holds_what_64_bits_hold(n: int) -> None:
    assert SOME.spell_out(packed({"b": n, "d": 1})) == [("b", n), ("d", 1)]


def test_what_has_more_lanes_is_refused() -> None:
    with pytest.raises(OverflowError):
        SOME.spell_out(1 << 300)


SESSIONS = st.builds(
    lambda duration, pages, clicks, forms, engaged, goals: Session(
        0, "a", 0, duration, "b", 0, 1, page_views=pages, clicks=clicks, form_submissions=forms,
        engaged_ms=engaged, goals=goals,
    ),
    st.integers(0, 10**9), st.integers(0, 400), st.integers(0, 2), st.integers(0, 2), st.integers(0, 10**8),
    st.sampled_from([(), ("goal",)]),
)  # fmt: skip


def plainly(session: Session) -> Counts:
    """What an ended session adds, metric by metric, as docs/kpis.md defines it."""
    pages, ms, engaged = session.page_views, session.last_ms, session.engaged_ms
    acted = session.clicks + session.form_submissions
    low = (1 << 32) - 1
    found = {
        "ended": 1, "ended_pages": pages, "ended_pages_sq": pages**2, "ended_ms": ms,
        "ended_ms_sq_high": ms**2 >> 32, "ended_ms_sq_low": ms**2 & low,
        "bounces": int(pages == 1 and not acted), "converted": len(session.goals), "active": int(acted > 0),
        "engaged": int(pages >= 2 or ms >= 10_000 or bool(session.goals)),
        "pinged": int(engaged > 0), "engaged_ms": engaged,
        "engaged_ms_sq_high": engaged**2 >> 32, "engaged_ms_sq_low": engaged**2 & low,
    }  # fmt: skip
    return {metric: n for metric, n in found.items() if n}


@given(st.lists(SESSIONS, max_size=6))
def test_ended_sessions_count_in_every_metric(sessions: list[Session]) -> None:
    row: defaultdict[str, int] = defaultdict(int)
    expected: Counts = {}
    for session in sessions:
        engagement.add_ended(row, session, 1)
        add(expected, plainly(session))
    found = spelled_out(dict(row))
    histograms = Counter(name.partition(":")[0] for name, n in found.items() if ":" in name for _ in range(n))
    assert {metric: n for metric, n in found.items() if ":" not in metric} == expected
    assert histograms == Counter({
        "pages": len(sessions), "ms": len(sessions), "engaged_ms": sum(one.engaged_ms > 0 for one in sessions)
    })  # fmt: skip
    for session in sessions:
        engagement.add_ended(row, session, -1)
    assert not any(row.values())


@given(st.lists(SESSIONS, max_size=3), st.integers(1, 10**12))
def test_counts_are_stored_as_they_are(sessions: list[Session], away_ms: int) -> None:
    row: defaultdict[str, int] = defaultdict(int, page_views=7)
    for session in sessions:
        engagement.add_ended(row, session, 1)
    loyalty.add_return(row, away_ms, -1)  # what is still to be taken out of a window that is stored elsewhere
    counts = dict(row)
    assert decode_counts(encode_counts(counts)) == counts
    assert decode_sums(encode_sums(counts, {})) == (counts, {})
    assert decode_segments(encode_segments({"all": counts})) == {"all": counts}


def test_metrics_stored_one_by_one_count_beside_packed_ones() -> None:
    assert spelled_out({"ended": 5, "#ended": 2 * engagement.ENDED_LANES.one("ended")}) == {"ended": 7}


def test_a_packed_metric_is_kept_with_those_it_is_packed_with() -> None:
    assert names_kept({"ended", "open", "visitors"}) == {"#ended", "#open", "visitors"}
