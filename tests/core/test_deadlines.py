"""Deadlines: nothing is visited before its second, and nothing is forgotten."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream.core.deadlines import Deadlines


def test_everything_of_a_second_that_has_begun_is_due() -> None:
    deadlines: Deadlines[str] = Deadlines()
    deadlines.file(5999, "later in the same second")
    deadlines.file(5000, "on the second")
    deadlines.file(6000, "the next second")
    assert list(deadlines.due(4999)) == []
    assert list(deadlines.due(5000)) == ["later in the same second", "on the second"]
    assert list(deadlines.due(5999)) == []
    assert list(deadlines.due(10**15)) == ["the next second"]


def test_filing_again_while_visiting_waits_for_the_next_call() -> None:
    deadlines: Deadlines[str] = Deadlines()
    deadlines.file(100, "a")
    for _ in range(3):
        visited = []
        for item in deadlines.due(900):
            visited.append(item)
            deadlines.file(950, item)
        assert visited == ["a"]


@given(st.lists(st.integers(-5000, 20_000)), st.lists(st.integers(-6000, 25_000)))
def test_each_item_comes_once_when_its_second_begins(filed: list[int], nows: list[int]) -> None:
    deadlines: Deadlines[int] = Deadlines()
    for ms in filed:
        deadlines.file(ms, ms)
    waiting = sorted(filed)
    for now_ms in sorted(nows):
        got = list(deadlines.due(now_ms))
        assert sorted(got) == [ms for ms in waiting if ms // 1000 <= now_ms // 1000]
        assert [ms // 1000 for ms in got] == sorted(ms // 1000 for ms in got)
        waiting = [ms for ms in waiting if ms // 1000 > now_ms // 1000]
