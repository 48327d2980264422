"""The worked traps of the semantics: histories in which a plausible rule gives a wrong answer.

Gap 10, grace 0 unless said; V, C, F, S are the four input topics; times are ms.
"""

from __future__ import annotations

from itertools import permutations

import msgspec
import pytest

from schemas.topics import PAGE_VIEWS
from stream.core.policy import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, Policy
from tests.builders import BASE_MS, TOPIC, Lane, event

SMALL = Policy(gap_ms=10, grace_ms=0, survey_tolerance_ms=1000, grid_ms=1)


def lane(**rules: int) -> Lane:
    return Lane(msgspec.structs.replace(SMALL, **rules))


def caught_up(**rules: int) -> Lane:
    """All topics but page views are known to be empty."""
    one = lane(**rules)
    one.empty("CFS")
    return one


def interleavings(first: str, second: str) -> list[str]:
    return sorted({"".join(order) for order in permutations(first + second)})


@pytest.mark.parametrize(
    ("times", "spans"),
    [
        ((0, 10), [(0, 10)]),
        ((0, 11), [(0, 0), (11, 11)]),
        ((0, 20, 10), [(0, 20)]),
    ],
)
def test_silence_of_exactly_the_gap_joins(times: tuple[int, ...], spans: list[tuple[int, int]]) -> None:
    one = caught_up()
    one.feed("V", *times)
    assert one.spans() == spans
    assert one.late() == {}


def test_an_event_at_the_edge_of_lateness_bridges_two_sessions() -> None:
    one = caught_up(gap_ms=50)
    one.feed("V", 1000, 1051, 1001)
    assert one.spans() == [(1000, 1051)]
    assert one.late() == {}


@pytest.mark.parametrize(("last", "final"), [(26_000, []), (26_001, [1000])])
def test_a_session_is_final_one_gap_after_lateness(last: int, final: list[int]) -> None:
    one = caught_up(gap_ms=10_000, grace_ms=1000)
    one.feed("V", 1000, 5000, last)
    records = [r for r in one.published() if r["state"] == "final"]
    assert [r["duration_ms"] for r in records] == [4000 for _ in final]


@pytest.mark.parametrize("order", ["VC", "CV"])
def test_at_the_start_no_topic_is_judged_by_another(order: str) -> None:
    one = lane()
    one.append(event("V", 100, "a"), event("C", 50, "b"))
    one.empty("FS")
    for letter in order:
        one.fetch(letter)
    assert one.spans() == [(50, 50), (100, 100)]
    assert one.late() == {}


def test_after_a_restart_a_backlog_is_not_judged_by_the_topic_that_answers_first() -> None:
    one = lane()
    one.empty("FS")
    one.feed("V", 100)
    one.feed("C", 100)
    one.open()
    one.empty("FS")
    one.feed("V", 200)
    one.feed("C", 120)
    assert (120, 120) in one.spans()
    assert one.late() == {}


@pytest.mark.parametrize("order", interleavings("VVV", "CC"))
def test_what_is_late_in_its_own_topic_is_late_in_every_interleaving(order: str) -> None:
    one = lane()
    one.append(*(event("V", t, f"v{t}") for t in (0, 100, 50)), event("C", 20, "c1"), event("C", 120, "c2"))
    one.know_ends()
    for letter in order:
        one.fetch(letter, 1)
    assert one.late() == {(PAGE_VIEWS, 2): "own_topic"}


def test_a_restart_opens_no_second_session_beside_a_final_one() -> None:
    one = lane()
    one.empty("FS")
    one.feed("C", 40)
    one.feed("V", 60)
    one.feed("V", 100)  # 40 and 60 are final now
    one.open()
    one.feed("C", 65)
    one.empty("VFS")
    one.tick()
    assert one.spans() == [(40, 40), (60, 60), (100, 100)]
    assert list(one.late().values()) == ["other_topic"]


@pytest.mark.parametrize("sizes", [(3,), (1, 1, 1), (2, 1), (1, 2)])
def test_a_fetch_border_decides_nothing(sizes: tuple[int, ...]) -> None:
    one = lane()
    one.append(*(event("V", t, f"v{t}") for t in (0, 100, 1)))
    one.know_ends()
    for size in sizes:
        one.fetch("V", size)
    assert one.spans() == [(0, 0), (100, 100)]
    assert one.late() == {(PAGE_VIEWS, 2): "own_topic"}


def test_the_same_id_in_two_topics_is_two_events() -> None:
    one = lane()
    one.append(event("V", 0, "x"), event("C", 5, "x"))
    one.know_ends()
    one.fetch("C")
    one.fetch("V")
    assert one.partition.state.accounting.duplicates == 0
    [record] = one.unfinished()
    assert (record.page_views, record.clicks, record.duration_ms) == (1, 1, 5)


def test_an_earlier_event_renames_an_ended_session_and_buries_its_old_id() -> None:
    one = lane()
    one.wall_ms = BASE_MS + 5
    one.empty("CFS")
    one.feed("V", 5)
    one.tick(BASE_MS + 16)
    [ended] = one.published()
    assert ended["state"] == "ended"
    one.feed("V", 0)
    assert one.tombstones() == [ended["session_id"]]
    one.tick(BASE_MS + 30)
    again = one.published()[-1]
    assert again["session_id"] != ended["session_id"]
    assert (again["supersedes"], again["revision"]) == ([ended["session_id"]], 2)
    assert again["started_at"] < ended["started_at"]
    assert one.spans() == [(0, 5)]


def test_always_caught_up_the_live_clock_stays_with_the_wall() -> None:
    one = caught_up(gap_ms=30 * MINUTE_MS, grace_ms=5 * MINUTE_MS)
    for t in range(0, 10 * MINUTE_MS, 10 * SECOND_MS):
        one.wall_ms = BASE_MS + t
        one.feed("V", t)
        one.empty("CFS")
        assert one.partition.state.progress.live_ms == one.wall_ms
        one.tick(BASE_MS + t + 9 * SECOND_MS)
        assert one.partition.state.progress.live_ms == one.wall_ms


def test_a_quiet_night_ends_the_last_sessions_and_drops_nothing() -> None:
    one = caught_up(gap_ms=30 * MINUTE_MS, grace_ms=5 * MINUTE_MS)
    one.wall_ms = BASE_MS
    one.feed("V", 0)
    for t in range(0, 8 * HOUR_MS, 5 * SECOND_MS):
        for topic in TOPIC.values():
            one.partition.replied(topic, len(one.logs[topic]), BASE_MS + t)
        one.tick(BASE_MS + t)
    [ended] = one.published()
    assert (ended["state"], ended["ended_because"]) == ("ended", "inactivity")
    one.feed("V", 10 * MINUTE_MS)  # held up for a night somewhere, and still of that session
    one.tick(BASE_MS + 8 * HOUR_MS)
    assert one.late() == {}
    last = one.published()[-1]
    assert (last["session_id"], last["revision"], last["page_views"]) == (ended["session_id"], 2, 2)


def test_an_event_from_2099_closes_nothing() -> None:
    one = caught_up(gap_ms=30 * MINUTE_MS, grace_ms=5 * MINUTE_MS)
    one.append(event("V", 0, "a"), event("V", 98 * 365 * DAY_MS, "z"), event("V", 1000, "b"))
    log = one.logs[PAGE_VIEWS]
    log[1] = log[1]._replace(timestamp=BASE_MS + 500)
    one.fetch("V")
    assert [code for _, _, code, _ in one.refused()] == ["future_timestamp"]
    assert one.spans() == [(0, 1000)]
    assert [r.state for r in one.unfinished()] == ["open"]


@pytest.mark.parametrize(("first", "then"), [(3, 9), (9, 3)])
def test_a_changed_answer_moves_nps_by_exactly_that(first: int, then: int) -> None:
    one = lane()
    one.append(event("S", 0, "other", "w", score=8))
    one.append(event("S", 1, "a", score=first), event("S", 2, "b", score=then))
    one.know_ends()
    values = []
    for _ in range(3):
        one.fetch("S", 1)
        one.tick()
        nps = one.snapshot().records["default|all|all"].kpis["nps"]
        values.append((nps.value, nps.n))  # type: ignore[union-attr]
    score = {3: -50, 9: 50}
    assert values == [(0, 1), (score[first], 2), (score[then], 2)]
