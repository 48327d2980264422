"""New and returning visitors through the pipeline: numbers that move when an earlier event arrives."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from stream.core.loyalty import VISIT_PAIRS
from stream.core.policy import DAY_MS, HOUR_MS, MINUTE_MS, Goal, Policy
from stream.pipeline.changes import decode_head, encode_head
from stream.pipeline.ports import Table
from tests.builders import BASE_MS, Lane
from tests.snapshot_reading import read

QUIET_MS = 66 * MINUTE_MS  # after so long a visit is final


def opened(policy: Policy | None = None) -> Lane:
    lane = Lane(policy or Policy())
    lane.wall_ms = BASE_MS + MINUTE_MS
    lane.empty("VCFS")
    return lane


def at(lane: Lane, ms: int) -> None:
    """The wall clock moves on, and every topic answers that there is nothing new."""
    lane.wall_ms = BASE_MS + ms
    lane.empty("VCFS")


def numbers(lane: Lane) -> list[int]:
    """Of all sessions in their last state, by their beginning."""
    final = [record for record in lane.published() if record["state"] == "final"]
    records = [(one["started_at"], one["visit_number"]) for one in final]
    records += [(one.started_at, one.visit_number) for one in lane.unfinished()]
    return [number for _, number in sorted(records)]


def figures(lane: Lane, window: str, segment: str = "all") -> dict[str, Any]:
    lane.tick((lane.wall_ms or 0) + 1000)
    return read(lane.snapshot())[window, "default", segment]


def visit(lane: Lane, ms: int, **fields: Any) -> None:
    lane.wall_ms = max(lane.wall_ms or 0, BASE_MS + ms + 1000)
    lane.feed("V", ms, **fields)
    lane.empty("CFS")


@pytest.mark.parametrize("restart", [False, True])
def test_visits_are_numbered_over_final_ones_and_restarts(restart: bool) -> None:
    lane = opened()
    for day in range(4):
        visit(lane, day * DAY_MS)
        if restart:
            lane.open()
            lane.empty("VCFS")
    at(lane, 3 * DAY_MS + HOUR_MS)
    assert numbers(lane) == [1, 2, 3, 4]
    week = figures(lane, "7d")
    assert (week["new_visitors"]["value"], week["returning_visitors"]["value"]) == (1, 0)
    assert (week["wau"]["value"], week["visits_per_visitor"]["value"]) == (1, 4.0)
    assert week["time_between_visits_ms"]["value"] == DAY_MS
    assert figures(lane, "24h")["returning_visitors"]["value"] == 1
    month = figures(lane, "28d")["stickiness"]
    assert (month["numerator"], month["denominator"]) == (1, 1)


def test_an_earlier_event_takes_over_being_the_first_visit() -> None:
    """And the later visit, published as the first already, gets another revision."""
    lane = opened(Policy(grace_ms=3 * HOUR_MS))
    visit(lane, 2 * HOUR_MS, channel="Email")
    at(lane, 3 * HOUR_MS)
    assert [(one["visit_number"], one["revision"]) for one in lane.published()] == [(1, 1)]
    assert figures(lane, "7d", "channel=Email")["new_visitors"]["value"] == 1
    visit(lane, 0, channel="Direct")
    at(lane, 3 * HOUR_MS + 2 * MINUTE_MS)
    assert numbers(lane) == [1, 2]
    later = [one for one in lane.published() if one["channel"] == "Email"]
    assert [(one["visit_number"], one["revision"], one["change"]) for one in later] == [
        (1, 1, None),
        (2, 2, "visit_number"),
    ]
    assert figures(lane, "7d", "channel=Direct")["new_visitors"]["value"] == 1
    email = figures(lane, "7d", "channel=Email")
    assert email["new_visitors"]["value"] == 0
    assert email["time_between_visits_ms"]["value"] == 2 * HOUR_MS
    whole = figures(lane, "7d")
    assert (whole["new_visitors"]["value"], whole["unique_visitors"]["value"]) == (1, 1)


def test_a_new_number_waits_for_a_restart_as_well() -> None:
    lane = opened(Policy(grace_ms=3 * HOUR_MS))
    visit(lane, 2 * HOUR_MS)
    at(lane, 3 * HOUR_MS)
    lane.wall_ms = None  # nothing is live: nothing is published
    lane.feed("V", 0)
    lane.open()
    at(lane, 3 * HOUR_MS + MINUTE_MS)
    told = [(one["visit_number"], one["revision"]) for one in lane.published() if one["revision"] > 1]
    assert told == [(2, 2)]


def test_an_event_between_two_visits_merges_them_and_later_ones_move_up() -> None:
    lane = opened(Policy(grace_ms=5 * HOUR_MS))
    for minutes in (0, 50, 200):
        visit(lane, minutes * MINUTE_MS)
    at(lane, 240 * MINUTE_MS)
    assert numbers(lane) == [1, 2, 3]
    visit(lane, 25 * MINUTE_MS)
    at(lane, 281 * MINUTE_MS)
    assert numbers(lane) == [1, 2]
    assert figures(lane, "7d")["time_between_visits_ms"]["value"] == 150 * MINUTE_MS


def test_who_stays_away_for_longer_than_the_memory_is_new_again() -> None:
    lane = opened(Policy(visitor_memory_ms=10 * DAY_MS))
    visit(lane, 0)
    visit(lane, 10 * DAY_MS)
    visit(lane, 20 * DAY_MS + 1)
    assert numbers(lane) == [1, 2, 1]
    total = figures(lane, "all")
    assert (total["unique_visitors"]["value"], total["new_visitors"]["value"]) == (2, 2)


@pytest.mark.parametrize("there", [True, False])
def test_a_profile_older_than_the_memory_says_nothing(there: bool) -> None:
    """So removing it, whenever that happens, changes no number."""
    lane = opened(Policy(visitor_memory_ms=10 * DAY_MS))
    visit(lane, 0)
    visit(lane, 2 * HOUR_MS, visitor="another")
    stored = lane.store.partition(0).tables[Table.SEEN]
    stale = dict(stored)
    assert list(stale) == ["7|defaultv"]
    visit(lane, 20 * DAY_MS, visitor="another")
    assert list(stored) == []
    stored.update(stale if there else {})
    visit(lane, 20 * DAY_MS + HOUR_MS)
    assert numbers(lane) == [1, 1, 1, 1]
    assert figures(lane, "all")["unique_visitors"]["value"] == 4


def test_a_profile_older_than_the_memory_is_removed_in_time() -> None:
    lane = opened(Policy(visitor_memory_ms=10 * DAY_MS))
    visit(lane, 0)
    visit(lane, HOUR_MS, visitor="another")
    stored = lane.store.partition(0).tables[Table.SEEN]
    visit(lane, 10 * DAY_MS + 35 * MINUTE_MS, visitor="somebody")
    at(lane, 10 * DAY_MS + 36 * MINUTE_MS)
    assert sorted(stored) == ["7|defaultanother", "7|defaultv"]  # an event a little late may still find them
    visit(lane, 10 * DAY_MS + 35 * MINUTE_MS + 1, visitor="somebody")
    at(lane, 10 * DAY_MS + 37 * MINUTE_MS)
    assert sorted(stored) == ["7|defaultanother"]


def test_who_comes_back_while_the_profile_is_removed_is_remembered_anew() -> None:
    lane = opened(Policy(visitor_memory_ms=10 * DAY_MS))
    visit(lane, 0)
    visit(lane, 12 * DAY_MS)
    stored = lane.store.partition(0).tables[Table.SEEN]
    at(lane, 12 * DAY_MS + 5 * MINUTE_MS)
    assert sorted(stored) == []
    at(lane, 12 * DAY_MS + 6 * HOUR_MS)
    visit(lane, 12 * DAY_MS + 6 * HOUR_MS, visitor="another")
    assert sorted(stored) == ["7|defaultv"]
    visit(lane, 12 * DAY_MS + 7 * HOUR_MS)
    assert numbers(lane) == [1, 1, 1, 2]


def test_tables_of_an_earlier_version_are_refused_before_they_are_read() -> None:
    lane = opened()
    visit(lane, 0)
    stored = lane.store.partition(0)
    assert stored.head is not None
    old = decode_head(stored.head)
    old.policy = "of 0.1.0"
    stored.head = encode_head(old)
    visitors = stored.tables[Table.VISITORS]
    visitors["7|defaultv"] = msgspec.msgpack.encode(["default", "v", 99_999, [], None, None, None])
    with pytest.raises(ValueError, match="by an earlier version: use another namespace"):
        lane.open()


def test_a_visitor_converts_once_where_they_did_so_last() -> None:
    """Also when the conversion of an earlier visit becomes known after that of a later one."""
    lane = opened(Policy(grace_ms=5 * HOUR_MS, goals=(Goal("thanks", page="/thanks"),)))
    visit(lane, 0)
    visit(lane, 2 * HOUR_MS, url="/thanks")
    visit(lane, 10 * MINUTE_MS, url="/thanks")
    total = figures(lane, "all", "goal=thanks")
    assert (total["conversions"]["value"], total["cvr_visitors"]["numerator"]) == (2, 1)
    at(lane, 3 * HOUR_MS + 5 * MINUTE_MS)
    assert figures(lane, "1h", "goal=thanks")["cvr_visitors"]["numerator"] == 0
    assert figures(lane, "24h", "goal=thanks")["cvr_visitors"]["numerator"] == 1


def test_of_a_visit_taken_back_no_pair_stays() -> None:
    lane = opened(Policy(grace_ms=5 * HOUR_MS))
    for minutes in (0, 50, 100):
        visit(lane, minutes * MINUTE_MS)
    assert figures(lane, "7d")["visits_per_visitor"]["value"] == 3
    for minutes in (25, 75):
        visit(lane, minutes * MINUTE_MS)
    found = figures(lane, "7d")["visits_per_visitor"]
    assert (found["value"], found["n"]) == (1, 1)
    assert VISIT_PAIRS not in lane.partition.state.sites["default"].everyone.window("7d")[0]


def test_visits_per_visitor_has_no_figure_of_the_window_before() -> None:
    """Who was there then and came back counts where they were last: fewer visitors than visits allow."""
    lane = Lane(Policy())
    for hour, visitors in ((1, "cdefgh"), (2, "ab"), (20, "cdefgh"), (24 * 8, "cdefgh")):
        for visitor in visitors:
            lane.feed("V", hour * HOUR_MS, visitor=visitor)
    lane.tick()
    kpis = lane.snapshot().records["default|7d|all"].kpis
    assert kpis["visits_per_visitor"].value == 1
    assert kpis["visits_per_visitor"].previous is msgspec.UNSET


def test_ended_visits_have_figures_of_the_window_before() -> None:
    lane = opened(Policy())
    for minutes in (0, 10, 70):
        visit(lane, minutes * MINUTE_MS, visitor=f"v{minutes}")
    at(lane, 2 * HOUR_MS)
    kpis = figures(lane, "1h")
    assert [kpis["sessions"][name] for name in ("value", "previous")] == [1, 2]
    assert [kpis["bounce_rate"][name] for name in ("value", "previous")] == [1, 1]
