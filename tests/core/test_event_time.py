"""Periods of the wall clock, which may be set back at any moment."""

from __future__ import annotations

import pytest

from stream.core.event_time import has_passed


@pytest.mark.parametrize(
    ("wall_ms", "over"),
    [(1_000, False), (1_199, False), (1_200, True), (9_000_000, True), (999, True), (-9_000_000, True)],
)
def test_a_period_of_200_ms_since_1000(wall_ms: int, over: bool) -> None:
    assert has_passed(wall_ms, 1_000, 200) is over


def test_without_a_period_it_is_always_over() -> None:
    assert has_passed(5, 5, 0)
