"""Small histories behind faults that random ones found, each with what must happen instead."""

from __future__ import annotations

import pytest

from schemas.topics import PAGE_VIEWS, SURVEY_ANSWERS
from stream.core.policy import DAY_MS, Policy
from tests.builders import BASE_MS, Lane, event

SMALL = Policy(gap_ms=10, grace_ms=0, survey_tolerance_ms=1000, grid_ms=1)


def accounts(lane: Lane) -> dict[str, int]:
    state = lane.partition.state.accounting
    return {"counted": state.counted, "duplicates": state.duplicates, "conflicts": state.conflicts}


@pytest.mark.parametrize("tolerance_ms", [1000, 30 * DAY_MS, None])
def test_surveys_that_are_behind_do_not_push_time_ahead_of_every_clock(tolerance_ms: int | None) -> None:
    lane = Lane(Policy(gap_ms=10, grace_ms=0, survey_tolerance_ms=tolerance_ms, grid_ms=1))
    lane.empty("CF")
    lane.append(event("V", 0, "a"), event("S", 0, "s"), event("S", 1, "s2"))
    lane.partition.replied(SURVEY_ANSWERS, 2, 0)
    lane.fetch("V")
    lane.fetch("S", 1)
    lane.tick()
    assert lane.partition.state.progress.progress_ms == BASE_MS
    lane.feed("V", 100)
    assert lane.late() == {}


def test_after_a_restart_surveys_that_answer_last_do_not_push_time() -> None:
    lane = Lane(Policy(grid_ms=1))
    lane.empty("CF")
    lane.append(event("V", 0, "a"), event("S", 0, "s"))
    lane.know_ends()
    lane.fetch("V")
    lane.fetch("S")
    lane.open()
    lane.empty("CF")
    lane.feed("V", 1000, 2000)
    lane.feed("V", 3000)
    assert lane.late() == {}
    assert lane.partition.state.progress.progress_ms == BASE_MS + 3000


def test_window_sums_that_were_not_written_yet_are_written_after_a_restart() -> None:
    lane = Lane(Policy())
    lane.wall_ms = BASE_MS + 1000
    lane.empty("CFS")
    lane.feed("V", 0)
    lane.tick(BASE_MS + 1300)
    lane.wall_ms = BASE_MS + 1350  # too soon for writing window sums again
    lane.feed("V", 10)
    lane.open()
    lane.wall_ms = BASE_MS + 3350
    lane.empty("VCFS")
    snapshot = lane.snapshot()
    assert snapshot.current
    counts = {
        key: record.kpis["page_views"].value
        for key, record in snapshot.records.items()
        if key.endswith("|all") and "page_views" in record.kpis
    }
    assert counts == dict.fromkeys(counts, 2)
    assert len(counts) == 6


@pytest.mark.parametrize(
    ("kind", "fields"),
    [("impression", {"surface": "mail"}), ("click", {"surface": "push"}), ("survey_answer", {})],
)
@pytest.mark.parametrize("restart", [False, True])
def test_nobody_is_remembered_longer_than_needed(kind: str, fields: dict[str, str], restart: bool) -> None:
    lane = Lane(Policy(gap_ms=10, grace_ms=0, attribution_ms=5000, grid_ms=1))
    lane.know_ends()
    lane.append(event(kind, 0, "a", "gone", **fields))
    for letter in "VCS":
        lane.fetch(letter)
    if restart:
        lane.open()
    lane.feed("V", 2000, 9000, 20_000, visitor="here")
    lane.know_ends()
    lane.tick()
    lane.feed("V", 40_000, visitor="here")
    assert list(lane.partition.state.sites["default"].visitors) == ["here"]
    assert list(lane.store.partition(0).tables["visitors"]) == ["7|defaulthere"]  # type: ignore[index]


def test_an_old_answer_that_marks_no_session_leaves_nobody_in_memory() -> None:
    lane = Lane(SMALL)
    lane.empty("CF")
    lane.append(event("V", 400, "now", "here"), event("S", 0, "s", "gone"))
    lane.know_ends()
    lane.fetch("V")
    lane.append(event("S", 400, "s0", "other"))
    lane.feed("V", 401, visitor="here")
    lane.tick()
    lane.fetch("S")
    lane.append(event("S", 300, "s1", "old"))
    lane.fetch("S")
    assert accounts(lane)["counted"] == 5
    lane.feed("V", 2000, visitor="here")
    lane.tick()
    assert list(lane.partition.state.sites["default"].visitors) == ["here"]


def test_a_retry_through_a_collector_is_a_duplicate_not_a_conflict() -> None:
    """When it was received and how it was written are no part of what an event says."""
    lane = Lane(SMALL)
    first = event("V", 0, "a", channel="email")
    received = first | {"received_at": first["occurred_at"]}
    reordered = dict(reversed(first.items()))
    elsewhere = first | {"occurred_at": first["occurred_at"].replace("Z", "+00:00")}
    lane.append(first, received, reordered, elsewhere, first | {"unknown": 1}, first | {"channel": "ads"})
    lane.know_ends()
    lane.fetch("V")
    assert accounts(lane) == {"counted": 1, "duplicates": 4, "conflicts": 1}


def test_one_answer_id_under_two_names_counts_the_same_in_every_interleaving() -> None:
    seen = []
    for order in ("VS", "SV"):
        lane = Lane(SMALL)
        lane.append(event("S", 0, "first", "w"), event("V", 1000, "a", "w"))
        lane.append(event("S", 0, "x", respondent_id="r1"), event("S", 0, "x", respondent_id="r2"))
        lane.know_ends()
        for letter in order:
            lane.fetch(letter)
        seen.append(accounts(lane))
    assert seen[0] == seen[1]


def test_an_answer_marks_a_long_session_that_still_covers_it() -> None:
    lane = Lane(SMALL)
    lane.append(event("S", 0, "first", "w"), event("S", 50, "inside"))
    lane.append(*(event("V", t, f"v{t}") for t in range(0, 101, 10)))
    lane.know_ends()
    lane.fetch("V")
    lane.fetch("S")
    [record] = lane.unfinished()
    assert (record.duration_ms, record.is_active) == (100, True)


def test_an_answer_after_the_final_record_counts_and_changes_no_session() -> None:
    lane = Lane(SMALL)
    lane.append(event("V", 0, "v"), event("V", 1000, "later", "w"))
    lane.know_ends()
    lane.fetch("V")
    lane.tick()
    [final] = [record for record in lane.published() if record["state"] == "final"]
    assert final["is_active"] is False
    published = len(lane.published())
    lane.append(event("S", 0, "answer"))
    lane.fetch("S")
    lane.tick()
    assert lane.partition.state.accounting.counted == 3
    assert len(lane.published()) == published


def test_before_1970_everything_counts_as_after() -> None:
    figures = []
    for start_ms in (-BASE_MS - 40 * 365 * DAY_MS, 0):
        lane = Lane(Policy())
        lane.append(
            event("V", start_ms, "a", url="/in", customer_id="c"),
            event("impression", start_ms + 1, "b"),
            event("V", start_ms + 2, "d", url="/out"),
            event("C", start_ms + 3, "c"),
        )
        lane.know_ends()
        lane.fetch("V")
        lane.fetch("C")
        lane.tick()
        kpis = lane.snapshot().records["default|all|all"].kpis
        [record] = lane.unfinished()
        figures.append((kpis, record.entry_page, record.exit_page, record.customer_id))
    assert figures[0] == figures[1]


@pytest.mark.parametrize("letters", ["VC", "CV"])
def test_more_than_the_limits_is_overlong_whatever_the_events_are(letters: str) -> None:
    lane = Lane(Policy(gap_ms=10, grace_ms=10, overlong_events=3, grid_ms=1))
    lane.append(*(event("V", t, f"v{t}") for t in range(5)), event("C", 1, "c"))
    lane.know_ends()
    for letter in letters:
        lane.fetch(letter)
    [record] = lane.unfinished()
    assert (record.page_views, record.clicks, record.overlong) == (5, 1, True)


def test_a_site_has_a_record_for_every_window() -> None:
    lane = Lane(Policy())
    lane.append(event("V", 0, "a"), event("V", 3 * DAY_MS, "b", site_id="other"))
    lane.know_ends()
    lane.fetch("V")
    lane.tick()
    windows = {r.window.name for r in lane.snapshot().records.values() if r.site_id == "default"}
    assert windows == {"1m", "5m", "30m", "1h", "24h", "7d", "28d", "30d", "90d", "all"}


@pytest.mark.parametrize("restart", [False, True])
def test_what_changed_while_history_was_read_is_published_in_the_end(restart: bool) -> None:
    """An ended session that was extended by a backlog must not stand in the topic as it was before."""
    lane = Lane(SMALL)
    lane.wall_ms = BASE_MS
    lane.empty("CFS")
    lane.feed("V", 0)
    lane.tick(BASE_MS + 11)
    assert [r["state"] for r in lane.published()] == ["ended"]
    lane.tick(BASE_MS + 5000)
    lane.feed("V", 5, log_end=len(lane.logs[PAGE_VIEWS]) + 2)  # held up for five seconds, more to come
    if restart:
        lane.open()
    lane.wall_ms = BASE_MS + 5001
    lane.empty("VCFS")
    lane.tick(BASE_MS + 5002)
    assert [(r["revision"], r["page_views"]) for r in lane.published()] == [(1, 1), (2, 2)]
