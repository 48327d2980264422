"""GET /api/v1/history: lines second by second, gaps where nothing was known."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.times import rfc3339
from stream.dashboard import history
from stream.dashboard.history import SECONDS, SERIES, Track
from stream.pipeline.take_snapshot import Completeness
from tests.dashboard.feeding import START_MS, Stage, record

START = START_MS // 1000


async def line(stage: Stage, name: str, query: str = "") -> list[Any]:
    answer = (await stage.get(f"history?{query}")).json()
    points: list[Any] = answer["series"][name]
    assert (answer["step_ms"], len(points)) == (1000, SECONDS)
    assert answer["end"] == rfc3339(stage.now_ms // 1000 * 1000)
    return points


async def second(stage: Stage, views: int, active: int = 7, **more: Any) -> None:
    """Publish one second later: page views since the beginning, visitors active now."""
    stage.now_ms += 1000
    await stage.publish(
        record(window="all", page_views=views, **more), record(window="5m", active_visitors=active, **more)
    )


async def test_a_count_that_grows_is_drawn_by_the_second(stage: Stage) -> None:
    for views in (100, 103, 103, 110):
        await second(stage, views)
    assert (await line(stage, "page_views_per_s"))[-4:] == [None, 3, 0, 7]
    assert (await line(stage, "active_visitors"))[-5:] == [None, 7, 7, 7, 7]
    stage.now_ms += 2000
    assert (await line(stage, "page_views_per_s"))[-4:] == [0, 7, None, None]


async def test_what_waited_does_not_look_like_a_rush(stage: Stage) -> None:
    def stands(read: int, waiting: int | None) -> None:
        stage.publisher.positions = {"views": {0: read}}
        stage.publisher.completeness = Completeness("catching_up", 1, 0, None, waiting, 0, 0)

    steps = (
        (100, 0),
        (110, 2_000),
        (2_100, 50),
        (2_110, 1_000),
        (22_110, 1_000),
        (42_110, None),
        (43_000, 0),
    )
    for read, waiting in steps:
        stands(read, waiting)
        await second(stage, read)
    assert (await line(stage, "page_views_per_s"))[-6:] == [10, None, 10, 20_000, 20_000, None]
    assert (await line(stage, "active_visitors"))[-6:] == [7] * 6


async def test_what_was_read_before_and_is_told_of_now_is_no_rush_either(stage: Stage) -> None:
    """The sums of a partition may follow what it has read."""
    for read, views in ((100, 80), (2_100, 90), (2_120, 2_000), (2_130, 2_010)):
        stage.publisher.positions = {"views": {0: read}}
        await second(stage, views)
    assert (await line(stage, "page_views_per_s"))[-3:] == [10, None, 10]


async def test_several_readings_of_one_second_count_once(stage: Stage) -> None:
    await second(stage, 100)
    await second(stage, 110, active=7)
    await stage.publish(record(window="5m", active_visitors=9))
    assert (await line(stage, "page_views_per_s"))[-1] == 10
    assert (await line(stage, "active_visitors"))[-1] == 9
    await second(stage, 112)
    assert (await line(stage, "page_views_per_s"))[-2:] == [10, 2]


async def test_a_short_wait_is_drawn_through_and_a_long_one_is_a_gap(stage: Stage) -> None:
    await second(stage, 100)
    stage.now_ms += 2000
    await second(stage, 109)
    assert (await line(stage, "page_views_per_s"))[-3:] == [3, 3, 3]
    stage.now_ms += 60_000
    await second(stage, 500, active=20)
    await second(stage, 501)
    points = await line(stage, "page_views_per_s")
    assert points[-62:] == [None] * 61 + [1]
    assert points[-65:-62] == [3, 3, 3]
    assert (await line(stage, "active_visitors"))[-62:] == [None] * 60 + [20, 7]


async def test_no_number_is_no_point(stage: Stage) -> None:
    for _ in range(3):
        await second(stage, 1, bounce_rate=None)
    assert (await line(stage, "bounce_rate"))[-1] is None
    assert (await line(stage, "page_views_per_s", "site=nobody")) == [None] * SECONDS


async def test_a_count_that_shrinks_is_another_one(stage: Stage) -> None:
    await second(stage, 100)
    await second(stage, 3)
    await second(stage, 4)
    assert (await line(stage, "page_views_per_s"))[-3:] == [None, None, 1]


async def test_a_segment_is_followed_once_asked_for(stage: Stage) -> None:
    async def publish(sessions: int) -> None:
        stage.now_ms += 1000
        await stage.publish(record("shop-es", "all", "channel", "Email", sessions=sessions))

    await publish(1)
    query = "segment=channel%3DEmail"
    assert (await line(stage, "sessions_per_s", query)) == [None] * SECONDS
    for sessions in (2, 5):
        await publish(sessions)
    assert (await line(stage, "sessions_per_s", query))[-2:] == [None, 3]


async def test_questions_for_nothing_are_not_followed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "TRACKS_KEPT", 3)
    await second(stage, 100)
    for number in range(10):
        await stage.get(f"history?site={number}")
    await second(stage, 101)
    assert (await line(stage, "page_views_per_s"))[-1] == 1
    await stage.publish(*(record(f"s{number}") for number in range(10)))
    for number in range(10):
        await stage.get(f"history?site=s{number}")
    assert len(stage.reader._history._tracks) == 3


def test_no_more_than_the_last_minutes() -> None:
    track = Track()
    for second in range(2 * SECONDS):
        track.add(START + second, {"active_visitors": second})
    lines = track.lines(START + 2 * SECONDS - 1)
    assert lines["active_visitors"] == list(range(SECONDS, 2 * SECONDS))
    assert lines.keys() == {one.name for one in SERIES}
    assert track.lines(START + 3 * SECONDS)["active_visitors"] == [None] * SECONDS
    assert track.lines(START)["active_visitors"] == [None] * SECONDS


def test_time_that_went_back_begins_anew() -> None:
    track = Track()
    for second in (10, 11, 3, 4):
        track.add(START + second, {"active_visitors": second})
    assert track.lines(START + 11)["active_visitors"][-9:] == [3, 4, *[None] * 7]


async def test_what_is_no_filter_is_refused(stage: Stage) -> None:
    answer = await stage.get("history?window=5m")
    assert (answer.status_code, answer.json()["error"]) == (
        400, "there is no filter 'window'; there are site, segment"
    )  # fmt: skip
