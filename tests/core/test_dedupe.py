"""Which events were counted before: kept as long as needed, stored and restored."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core.dedupe import CHUNK_MS, Dedupe

IDS = st.integers(0, 2**64 - 1)


def test_the_content_counted_first_is_what_is_told() -> None:
    dedupe = Dedupe()
    assert dedupe.content_of(5, 1) is None
    dedupe.remember(5, 1, 77)
    assert dedupe.content_of(6, 1) == 77
    assert dedupe.content_of(5, 2) is None
    assert len(dedupe) == 1


@pytest.mark.parametrize(("horizon_ms", "kept"), [(CHUNK_MS - 1, True), (CHUNK_MS, False)])
def test_a_chunk_is_forgotten_when_all_of_it_is_before_the_horizon(horizon_ms: int, kept: bool) -> None:
    dedupe = Dedupe()
    dedupe.remember(0, 1, 2)
    [field] = dedupe.take_new("c1")
    assert dedupe.forget_before(horizon_ms) == ([] if kept else [field])
    assert (dedupe.content_of(0, 1) is None) is not kept


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
    for t, key, _ in events:
        assert again.content_of(t, key) == dedupe.content_of(t, key)
    assert len(again) == len(dedupe)
    assert sorted(again.forget_before(10 * CHUNK_MS)) == sorted(stored)
