"""When hours and days become final, and what changes them afterwards, and why."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.times import rfc3339
from stream.core.policy import DAY_MS, HOUR_MS, MINUTE_MS, Policy
from stream.pipeline.partition import Partition
from stream.pipeline.ports import StoreUnreachable, Table
from stream.pipeline.scores import latest_scores_of, scores_of
from stream.pipeline.settle import read_closed
from stream.replay import run
from stream.tables.memory import MemoryBoard, MemoryTables
from tests.builders import BASE_MS, Lane, event, now
from tests.settled_reading import results

HOUR: Any = ("hour", BASE_MS)
DAY: Any = ("day", BASE_MS)


def live(**rules: Any) -> Lane:
    """A lane whose four topics have answered that there is nothing yet, an hour before the first event."""
    lane = Lane(Policy(**rules))
    lane.wall_ms = BASE_MS
    lane.empty("VCFS")
    return lane


def at(lane: Lane, minutes: float) -> None:
    """The wall clock moves on, and every topic answers that there is nothing new."""
    lane.wall_ms = BASE_MS + int(minutes * MINUTE_MS)
    lane.empty("VCFS")


def happen(lane: Lane, letter: str, minutes: float, **fields: Any) -> None:
    """An event at `minutes`; it arrives at once."""
    lane.feed(letter, int(minutes * MINUTE_MS), **fields)


def closed(lane: Lane) -> dict[Any, str | None]:
    """Window -> why it changed last, None where it only became final."""
    table = read_closed(lane.store.partition(0).tables[Table.CLOSED])
    return {window: one.reason for (_, window), one in table.items()}


def kpis(lane: Lane, kind: str, minutes: float = 0, segment: str = "all") -> dict[str, Any]:
    """The KPIs of the window that begins at `minutes`."""
    start = rfc3339(BASE_MS + int(minutes * MINUTE_MS))
    [record] = [
        one for one in results(lane)
        if (one.window.kind, one.window.start, one.segment_name) == (kind, start, segment)
    ]  # fmt: skip
    return record.kpis


def state_of(lane: Lane, kind: str, minutes: float = 0) -> set[str]:
    return {one.state for one in results(lane) if one.window.kind == kind}


# ---------------------------------------------------------------- finality


def test_an_hour_is_final_when_progress_has_passed_it_by_gap_and_grace() -> None:
    lane = Lane(Policy())
    lane.know_ends()
    lane.feed("V", 10 * MINUTE_MS)
    lane.know_ends()
    lane.feed("V", 95 * MINUTE_MS - 1, visitor="w")
    lane.tick()
    assert closed(lane) == {}
    lane.feed("V", 95 * MINUTE_MS, visitor="w")
    lane.tick()
    assert closed(lane) == {HOUR: None}


def test_an_hour_waits_for_a_session_that_is_not_final() -> None:
    lane = Lane(Policy())
    lane.know_ends()
    lane.feed("V", 59 * MINUTE_MS)
    lane.feed("V", 124 * MINUTE_MS, visitor="w")  # the session ends, and is final a millisecond later
    lane.tick()
    assert closed(lane) == {}
    lane.feed("V", 124 * MINUTE_MS + 1000, visitor="w")
    lane.tick()
    assert closed(lane) == {HOUR: None}


@pytest.mark.parametrize("lasting", ["long", "much"])
def test_no_hour_waits_for_an_overlong_session(lasting: str) -> None:
    lane = Lane(Policy(overlong_ms=90 * MINUTE_MS) if lasting == "long" else Policy(overlong_events=5))
    lane.know_ends()
    lane.feed("V", *(minutes * MINUTE_MS for minutes in range(30, 101, 10)))
    lane.tick()
    assert (lasting, closed(lane)) in (("long", {}), ("much", {HOUR: None}))
    lane.feed("V", *(minutes * MINUTE_MS for minutes in range(110, 131, 10)))
    lane.tick()
    assert closed(lane) == {HOUR: None}


def test_silence_makes_the_day_final_by_itself_35_to_66_minutes_after_it() -> None:
    for last_minute, expected in ((23 * 60 + 20, 35), (24 * 60 - 1, 64)):
        lane = live()
        at(lane, last_minute)
        happen(lane, "V", last_minute)
        minute = last_minute
        while DAY not in closed(lane):
            minute += 1
            at(lane, minute)
            assert minute < 27 * 60, "three hours of silence, and the day is not final"
        assert 35 <= minute - 24 * 60 <= 66
        assert minute - 24 * 60 == pytest.approx(expected, abs=1)
        assert closed(lane)[DAY] is None
        lane.open()
        at(lane, minute + 1)
        assert closed(lane)[DAY] is None


def test_a_topic_that_is_behind_makes_nothing_final_by_silence() -> None:
    lane = live()
    happen(lane, "V", 10)
    lane.wall_ms = BASE_MS + 10 * HOUR_MS
    lane.append(event("C", 20 * MINUTE_MS, "c1"))
    lane.know_ends()
    lane.tick()
    assert closed(lane) == {}


# ---------------------------------------------------------------- corrections


def test_an_event_after_silence_is_a_late_event_and_one_correction_of_each_window() -> None:
    lane = live()
    happen(lane, "V", 10)
    at(lane, 26 * 60)
    assert closed(lane) == {HOUR: None, DAY: None}
    version = lane.partition.state.settled_version
    happen(lane, "V", 12, visitor="w")  # nothing came since: it is not late
    assert closed(lane) == {HOUR: "late_event", DAY: "late_event"}
    assert kpis(lane, "hour")["page_views"].value == 2
    assert kpis(lane, "day")["unique_visitors"].value == 2
    assert lane.partition.state.settled_version == version + 1
    at(lane, 26 * 60 + 1)
    assert state_of(lane, "hour") == {"final"}


def test_visits_that_become_one_are_a_merge() -> None:
    lane = live()
    happen(lane, "V", 10)
    happen(lane, "V", 45)
    at(lane, 26 * 60)
    assert kpis(lane, "hour")["sessions"].value == 2
    happen(lane, "V", 30)
    assert closed(lane) == {HOUR: "merge", DAY: "merge"}
    at(lane, 27 * 60)
    assert kpis(lane, "hour")["sessions"].value == 1
    assert kpis(lane, "hour")["page_views"].value == 3


def test_an_answer_of_the_day_before_is_answer_changed() -> None:
    lane = live()
    happen(lane, "S", 10, score=3, respondent_id="r")
    at(lane, 26 * 60)
    happen(lane, "S", 12, score=9, respondent_id="r")
    assert closed(lane) == {HOUR: "answer_changed", DAY: "answer_changed"}
    assert (kpis(lane, "hour")["nps"].value, kpis(lane, "hour")["nps"].n) == (100, 1)
    happen(lane, "S", 11, score=0, respondent_id="r")  # older than the one that counts: nothing changes
    assert kpis(lane, "day")["nps"].promoters == 1


def test_an_hour_counts_its_own_latest_answer_and_the_day_its_own() -> None:
    lane = live()
    happen(lane, "S", 130, score=5, respondent_id="r")
    happen(lane, "S", 20, score=9, respondent_id="r")
    happen(lane, "S", 10, score=3, respondent_id="r")
    at(lane, 26 * 60)
    assert kpis(lane, "hour")["nps"].promoters == kpis(lane, "hour", 120)["nps"].detractors == 1
    assert (kpis(lane, "day")["nps"].n, kpis(lane, "day")["nps"].detractors) == (1, 1)


def test_a_mail_clicked_two_days_later_is_attribution() -> None:
    lane = live()
    mail: dict[str, Any] = {"surface": "mail", "url": None}
    lane.append(event("impression", 10 * MINUTE_MS, "i1", **mail))
    lane.fetch("V")
    at(lane, 26 * 60)
    assert kpis(lane, "hour")["unique_ctr"].value == 0
    at(lane, 48 * 60)
    happen(lane, "C", 48 * 60, **mail)
    assert closed(lane) == {HOUR: "attribution", DAY: "attribution"}
    assert kpis(lane, "hour")["unique_ctr"].value == 1
    assert kpis(lane, "hour")["clicks"].value == 0  # the click itself is of its own hour


def test_a_visit_that_does_not_end_is_a_long_session() -> None:
    lane = live(overlong_events=5)
    for minute in range(50, 200, 10):
        at(lane, minute)
        happen(lane, "V", minute)
    assert closed(lane)[HOUR] is None
    assert kpis(lane, "hour")["sessions"].open == 1
    at(lane, 6 * 60)
    assert closed(lane)[HOUR] == "long_session"
    assert kpis(lane, "hour")["sessions"].ended == 1
    assert kpis(lane, "hour")["pages_per_session"].value == 15


def test_a_correction_that_cannot_be_read_back_is_not_lost() -> None:
    lane = live()
    happen(lane, "V", 10)
    at(lane, 26 * 60)
    lane.append(event("V", 12 * MINUTE_MS, "late", "w"))
    read, lane.tables.read = lane.tables.read, _unreachable  # type: ignore[method-assign]
    with pytest.raises(StoreUnreachable):
        lane.fetch("V")
    with pytest.raises(StoreUnreachable):
        lane.tick()
    lane.tables.read = read  # type: ignore[method-assign]
    lane.tick()
    assert kpis(lane, "hour")["page_views"].value == kpis(lane, "hour")["unique_visitors"].value == 2
    assert closed(lane) == {HOUR: "late_event", DAY: "late_event"}


async def _unreachable(partition: int, table: Table, fields: Any) -> list[bytes | None]:
    if table is Table.SETTLED:
        raise StoreUnreachable("it does not answer")
    return [None] * len(fields)


def test_a_window_is_forgotten_when_no_answer_can_reach_it_any_more() -> None:
    lane = live()
    happen(lane, "V", 10)
    for days in range(1, 34):
        at(lane, days * 24 * 60)
        happen(lane, "V", days * 24 * 60)
    starts = sorted(window[1] for window in closed(lane) if window[0] == "day")
    assert starts[0] == BASE_MS + DAY_MS
    assert len(starts) == 31
    assert (
        lane.store.partition(0).tables[Table.SETTLED].keys()
        == lane.store.partition(0).tables[Table.CLOSED].keys()
    )


# ---------------------------------------------------------------- zones


def test_a_day_is_a_day_of_the_site() -> None:
    lane = live(zone="Asia/Kathmandu", zones=(("utc", "UTC"),))
    happen(lane, "V", 10)
    happen(lane, "V", 10, site_id="utc")
    days = {(r.site_id, r.window.start, r.window.zone) for r in results(lane) if r.window.kind == "day"}
    assert days == {
        ("utc", "2001-09-09T00:00:00.000Z", "UTC"), ("default", "2001-09-08T18:15:00.000Z", "Asia/Kathmandu"),
    }  # fmt: skip


def test_stored_days_of_another_zone_are_refused() -> None:
    lane = live()
    happen(lane, "V", 10)
    tables = MemoryTables(lane.store)
    with pytest.raises(ValueError, match="'default' are those of another time zone"):
        now(Partition.open(tables, now(tables.claim(0, "x", 1, 0)), Policy(zone="Europe/Madrid")))
    other = Policy(zones=(("else", "Europe/Madrid"),))  # says nothing about the site there is
    now(Partition.open(tables, now(tables.claim(0, "x", 2, 0)), other))


# ---------------------------------------------------------------- replay


def printed(bodies: list[dict[str, Any]]) -> dict[tuple[str, ...], Any]:
    """Key -> record without what says when and how it was computed."""
    lines = b"\n".join(json.dumps(body).encode() for body in bodies)
    policy = Policy(survey_tolerance_ms=None)
    found = asyncio.run(run([io.BytesIO(lines)], what="results", policy=policy, until_final=True))
    records = [json.loads(line) for line in found]
    assert {record["state"] for record in records} <= {"final"}
    return {
        (one["site_id"], one["window"]["start"], one["window"]["kind"], one["segment"]["value"]): one["kpis"]
        for one in records
    }


SOME = st.lists(
    st.tuples(st.sampled_from("VCFS"), st.integers(0, 3000), st.integers(0, 2), st.integers(0, 10)),
    min_size=1, max_size=20,
)  # fmt: skip


@given(some=SOME, shuffled=st.randoms(use_true_random=False))
def test_shuffled_within_tolerance_and_doubled_it_is_the_same(
    some: list[tuple[str, int, int, int]], shuffled: Any
) -> None:
    bodies = [
        event(
            letter,
            minute * MINUTE_MS,
            f"e{number}",
            f"v{visitor}",
            **({"score": score} if letter == "S" else {}),
        )
        for number, (letter, minute, visitor, score) in enumerate(some)
    ]
    in_order = sorted(bodies, key=lambda body: body["occurred_at"])
    # Each event arrives up to 34 minutes late: less than gap and grace.
    delays = {body["event_id"]: shuffled.randrange(35) for body in bodies}
    moved = sorted(
        [*bodies, *shuffled.sample(bodies, len(bodies) // 2)],
        key=lambda body: (_minute(body, some) + delays[body["event_id"]], body["event_id"]),
    )
    assert printed(moved) == printed(in_order)


def _minute(body: dict[str, Any], some: list[tuple[str, int, int, int]]) -> int:
    return some[int(body["event_id"][1:])][1]


def test_days_are_kept_for_thirty_days_at_least() -> None:
    assert Policy(survey_tolerance_ms=DAY_MS).results_kept_ms == 30 * DAY_MS
    assert Policy(survey_tolerance_ms=60 * DAY_MS).results_kept_ms == 60 * DAY_MS
    assert Policy(survey_tolerance_ms=None).results_kept_ms is None


def test_a_store_that_is_gone_while_a_final_hour_is_read_back_loses_no_answer() -> None:
    lane = live()
    happen(lane, "S", 10, score=3, respondent_id="r")
    at(lane, 27 * 60)
    read, gone = lane.tables.read, True

    async def fail_once(partition: int, table: Table, fields: Sequence[str]) -> list[bytes | None]:
        nonlocal gone
        if table is Table.SETTLED and gone:
            gone = False
            raise StoreUnreachable("gone")
        return await read(partition, table, fields)

    lane.tables.read = fail_once  # type: ignore[method-assign]
    with pytest.raises(StoreUnreachable):
        happen(lane, "S", 12, score=7, respondent_id="r")
    now(lane.partition.resume())
    happen(lane, "S", 14, score=9, respondent_id="r")
    lane.tick()
    nps = kpis(lane, "hour")["nps"]
    assert (nps.promoters, nps.passives, nps.detractors) == (1, 0, 0)
    assert [one.score for one in now(scores_of(lane.tables, 1, "r"))] == [3, 7, 9]
    assert [one.score for one in now(latest_scores_of(MemoryBoard(lane.store), 1, "default"))] == [9, 7, 3]
