"""Which events were counted before: kept as long as needed, stored and restored."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core.dedupe import CHUNK_MS, Dedupe

IDS = st.integers(0, 2**64 - 1)


def test_the_content_counted_first_is_what_is_told() -> None:
    dedupe = Dedupe()
    assert dedupe.remember(5, 1, 77) is None
    assert dedupe.remember(6, 1, 88) == 77
    assert dedupe.remember(5, 1, 99) == 77
    assert dedupe.remember(5, 2, 66) is None
    assert len(dedupe) == 2


@pytest.mark.parametrize(("horizon_ms", "kept"), [(CHUNK_MS - 1, True), (CHUNK_MS, False)])
def test_a_chunk_is_forgotten_when_all_of_it_is_before_the_horizon(horizon_ms: int, kept: bool) -> None:
    dedupe = Dedupe()
    dedupe.remember(0, 1, 2)
    [field] = dedupe.take_new("c1")
    assert dedupe.forget_before(horizon_ms) == ([] if kept else [field])
    assert dedupe.remember(0, 1, 3) == (2 if kept else None)


def test_a_chunk_of_several_commits_is_dropped_with_all_its_fields() -> None:
    dedupe = Dedupe()
    fields: list[str] = []
    for n in range(3):
        dedupe.remember(n, n, n)
        fields += dedupe.take_new(f"c{n}")
    dedupe.remember(3, 3, 3)  # not stored yet: nothing to remove, and nothing to store any more
    assert sorted(dedupe.forget_before(10 * CHUNK_MS)) == sorted(fields)
    assert dedupe.take_new("c9") == {}
    assert len(dedupe) == 0


@given(st.lists(st.tuples(st.integers(-3 * CHUNK_MS, 3 * CHUNK_MS), IDS, IDS)), st.integers(1, 4))
def test_what_was_stored_is_known_after_a_restart(events: list[tuple[int, int, int]], commits: int) -> None:
    dedupe, stored = Dedupe(), dict[str, bytes]()
    for n, (t, key, content) in enumerate(events):
        dedupe.remember(t, key, content)
        if n % commits == 0:
            stored |= dedupe.take_new(f"c{n}")
    stored |= dedupe.take_new("last")
    again = Dedupe()
    for field, value in stored.items():
        again.restore(field, value)
    assert len(again) == len(dedupe)
    for t, key, content in events:
        assert again.remember(t, key, content + 1) == dedupe.remember(t, key, content + 1) is not None
    assert sorted(again.forget_before(10 * CHUNK_MS)) == sorted(stored)
