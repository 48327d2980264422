"""Two recorded access logs: sessions and what is said of them, against a plain computation."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from schemas.times import parse_time
from stream.core.policy import Policy
from stream.demo import plain_statistics
from stream.replay import What, run
from tests.end_to_end.real_data import (
    View,
    has_figures,
    lines,
    nasa_views,
    plain_sessions,
    semicomplete_views,
)

LOGS = pytest.mark.parametrize(
    ("read", "views", "sessions"), [(nasa_views, 3440, 939), (semicomplete_views, 4126, 2279)],
    ids=["nasa", "semicomplete"],
)  # fmt: skip


async def printed(views: list[View], what: What) -> list[dict[str, Any]]:
    found = await run([lines(view.event() for view in views)], what=what, policy=Policy(), until_final=True)
    return [json.loads(line) for line in found]


@LOGS
async def test_sessions_are_those_of_a_plain_computation(
    read: Callable[[], list[View]], views: int, sessions: int
) -> None:
    rows = read()
    expected = plain_sessions(rows)
    assert (len(rows), len(expected)) == (views, sessions)
    got = []
    for record in await printed(rows, "sessions"):
        first, last = (int(parse_time(record[name]).timestamp()) for name in ("started_at", "last_event_at"))
        got.append((record["visitor_id"], first, last, record["page_views"]))
        assert record["is_bounce"] is (record["page_views"] == 1)
        assert record["duration_ms"] == 1000 * (last - first)
    assert sorted(got) == expected


@LOGS
async def test_figures_are_those_of_a_plain_computation(
    read: Callable[[], list[View]], views: int, sessions: int
) -> None:
    rows = read()
    expected = plain_sessions(rows)
    [kpis] = [
        record["kpis"]
        for record in await printed(rows, "snapshot")
        if (record["window"]["name"], record["segment"]["value"]) == ("all", None)
    ]
    assert kpis["page_views"]["value"] == views
    assert kpis["sessions"] == {"type": "count", "value": sessions, "open": 0, "ended": sessions}
    assert kpis["unique_visitors"]["value"] == len({view.visitor for view in rows})
    pages = [pages for *_, pages in expected]
    durations = [1000 * (last - first) for _, first, last, _ in expected]
    assert has_figures(kpis["pages_per_session"], plain_statistics.mean(pages, "ended sessions"))
    assert has_figures(kpis["session_duration_ms"], plain_statistics.mean(durations, "ended sessions"))
    assert has_figures(kpis["bounce_rate"], plain_statistics.rate(pages.count(1), sessions, "ended sessions"))


@LOGS
async def test_settled_hours_and_days_are_those_of_a_plain_computation(
    read: Callable[[], list[View]], views: int, sessions: int
) -> None:
    """Sessions by when they began, views and visitors by their own time."""
    rows = read()
    seen, visitors = Counter[tuple[str, str]](), defaultdict[tuple[str, str], set[str]](set)
    began = defaultdict[tuple[str, str], list[int]](list)
    for view in rows:
        for window in windows_at(view.at_s):
            seen[window] += 1
            visitors[window].add(view.visitor)
    for _, first, _, pages in plain_sessions(rows):
        for window in windows_at(first):
            began[window].append(pages)
    found = {
        (record["window"]["kind"], record["window"]["start"]): record
        for record in await printed(rows, "results")
        if record["segment"]["value"] is None
    }
    assert found.keys() == seen.keys()
    assert {record["state"] for record in found.values()} == {"final"}
    for window, record in found.items():
        kpis, begun = record["kpis"], began[window]
        assert kpis["page_views"]["value"] == seen[window]
        assert kpis["unique_visitors"]["value"] == len(visitors[window])
        assert kpis["sessions"]["value"] == len(begun)
        assert has_figures(kpis["pages_per_session"], plain_statistics.mean(begun, "ended sessions"))
        assert has_figures(
            kpis["bounce_rate"], plain_statistics.rate(begun.count(1), len(begun), "ended sessions")
        )


def windows_at(at_s: int) -> list[tuple[str, str]]:
    at = datetime.fromtimestamp(at_s, UTC)
    return [("hour", f"{at:%Y-%m-%dT%H}:00:00.000Z"), ("day", f"{at:%Y-%m-%d}T00:00:00.000Z")]
