"""Snowplow's own hard cases and a day of NASA's server under the six profiles."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import UTC
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from schemas.sessions import Session
from schemas.times import parse_time
from stream.core.policy import Policy
from stream.core.profiles import PROFILES
from stream.replay import Semantics, run, run_compare
from tests.end_to_end.real_data import Event, lines, nasa_views, plain_sessions
from tests.end_to_end.snowplow_data import Row, snowplow_rows

# Labels of rows whose tracker session is wrong on purpose, or that have none.
BROKEN = (
    "Multiple first sessions per user",  # two session ids at once
    "Multiple last sessions per user",
    "Unexpired session",  # one id over eight months
    "NULL domain_sessionid",
    "long session",  # one id over ten days
    "No edge cases",  # of its pings, one comes seven hours later and one two days after that
)


async def sessions(events: list[Event], name: str, zone: str = "UTC") -> list[dict[str, Any]]:
    found = await run(
        [lines(events)], what="sessions", policy=Policy(), until_final=True,
        semantics=Semantics(PROFILES[name], ZoneInfo(zone)),
    )  # fmt: skip
    return [json.loads(line) for line in found]


def of(records: list[dict[str, Any]], visitor: str) -> list[dict[str, Any]]:
    return [record for record in records if record["visitor_id"].startswith(visitor)]


def spans(records: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """(begins, ends) without fractions of a second."""
    return [(record["started_at"][:19], record["last_event_at"][:19]) for record in records]


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return snowplow_rows()


async def test_what_is_accepted_does_not_depend_on_the_profile(rows: list[Row]) -> None:
    """69 rows: one names no visitor, one arrives four days late, two repeat an id with another time."""
    assert len(rows) == 69
    for profile in PROFILES.values():
        [line] = await run(
            [lines(row.event() for row in rows)], what="accounting", policy=Policy(), until_final=True,
            semantics=Semantics(profile),
        )  # fmt: skip
        counts = {name: n for name, n in json.loads(line).items() if n}
        assert counts == {"read": 69, "counted": 65, "conflicts": 2, "late": 1, "refused": 1}
    assert [row.label for row in rows if not row.visitor] == ["NULL domain_userid"]


async def test_snowplow_cuts_as_its_tracker_did(rows: list[Row]) -> None:
    """Where the tracker's session id is sound, the profile puts the same views together."""
    sound = [row for row in rows if row.visitor and not row.label.startswith(BROKEN)]
    tracked: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in sound:
        tracked[row.visitor, row.session].add(row.at)
    records = await sessions([row.event() for row in sound], "snowplow")
    got = sorted((r["visitor_id"], r["started_at"][:23]) for r in records)
    late = {row.visitor for row in sound if row.label.startswith("late arriving")}
    wanted = sorted((visitor, min(times)) for (visitor, _), times in tracked.items() if visitor not in late)
    assert [(visitor, at[:23]) for visitor, at in wanted] == got
    assert len(got) > 10


async def test_a_visit_over_midnight(rows: list[Row]) -> None:
    """One visit from 23:57 to 0:47; for Matomo two, where midnight is there."""
    events = [row.event() for row in rows]
    night = ("2021-03-02T23:57:04", "2021-03-03T00:47:49")
    for name in PROFILES:
        got = spans(of(await sessions(events, name), "434dff58"))[1:]
        if name == "matomo":
            assert got == [(night[0], "2021-03-02T23:57:07"), ("2021-03-03T00:17:16", night[1])]
        else:
            assert got == [night]
    assert spans(of(await sessions(events, "matomo", "America/New_York"), "434dff58"))[1:] == [night]


async def test_a_second_campaign_in_a_visit(rows: list[Row]) -> None:
    events = [row.event() for row in rows]
    for name in PROFILES:
        got = of(await sessions(events, name), "bc0da66e")
        campaigns = [record["campaign"] for record in got]
        if name == "matomo":
            assert campaigns == ["product-analytics-new-ebook", "data-utilization"]
            assert [record["ended_because"] for record in got] == ["campaign", "inactivity"]
        else:
            assert campaigns == ["product-analytics-new-ebook"]


async def test_stray_page_pings(rows: list[Row]) -> None:
    """Two days after a visit its page pings: a session of its own, or none."""
    events = [row.event() for row in rows]
    for name, profile in PROFILES.items():
        got = [record["page_views"] for record in of(await sessions(events, name), "b3c88384")]
        assert got == ([1, 0] if profile.pings == "member" else [1])


async def test_engaged_time_by_heartbeats(rows: list[Row]) -> None:
    """Five pings in five different intervals of ten seconds: 10 (5 - 1) + 5 seconds."""
    events = [row.event() for row in rows]
    first = {name: of(await sessions(events, name), "0691aaf0")[0] for name in ("snowplow", "latido")}
    assert first["snowplow"]["engaged_ms"] == 45_000
    assert first["latido"]["engaged_ms"] == 50_000


async def test_printed_sessions_keep_the_contract(rows: list[Row]) -> None:
    for name in PROFILES:
        records = await sessions([row.event() for row in rows], name)
        assert records
        for record in records:
            assert record["profile"] == name
            Session.model_validate_json(json.dumps(record))


async def test_compare_says_what_snowplows_rows_differ_in(rows: list[Row]) -> None:
    compared = await run_compare([lines(row.event() for row in rows)], policy=Policy(), zone=UTC)
    by_name = {one.profile: one for one in compared.profiles}
    assert {name: one.sessions for name, one in by_name.items()} == {
        "latido": 26, "ga4": 26, "matomo": 25, "posthog": 26, "snowplow": 26, "plausible": 23,
    }  # fmt: skip
    matomo = by_name["matomo"].against_latido
    assert {why: n for why, n in matomo.more.items() if n} == {"midnight": 1, "campaign": 1}
    assert {why: n for why, n in matomo.fewer.items() if n} == {"pings": 3}
    # Eight of 26: seven without any view, and one view with a click within ten seconds.
    assert by_name["ga4"].against_latido.bounce.only_here == 8
    assert by_name["posthog"].figures.bounce_rate.denominator == 26 - 7
    assert {one.page_views for one in compared.profiles} == {47}


async def test_nasa_under_all_profiles() -> None:
    """Page views only, whole seconds: 1800 s never occurs, two silences lie between 30 and 31 minutes."""
    views = nasa_views()
    plain = plain_sessions(views)
    compared = await run_compare([lines(view.event() for view in views)], policy=Policy(), zone=UTC)
    between = 0
    times: dict[str, list[int]] = defaultdict(list)
    for view in views:
        times[view.visitor].append(view.at_s)
    for seconds in times.values():
        between += sum(1800 < b - a < 1860 for a, b in pairwise(sorted(seconds)))
    assert between == 2
    got = {one.profile: one.sessions for one in compared.profiles}
    assert got == {name: len(plain) - (between if name == "plausible" else 0) for name in PROFILES}


async def test_a_snapshot_says_whose_rules_it_follows() -> None:
    views = nasa_views()
    lines_ = await run(
        [lines(view.event() for view in views)], what="snapshot", policy=Policy(), until_final=True,
        semantics=Semantics(PROFILES["plausible"]),
    )  # fmt: skip
    records = [json.loads(line) for line in lines_]
    assert {record["profile"] for record in records} == {"plausible"}
    [everything] = [r for r in records if r["window"]["name"] == "all" and r["segment"]["value"] is None]
    assert everything["kpis"]["sessions"] == {"type": "count", "value": 937, "open": 0, "ended": 937}
    assert everything["kpis"]["page_views"]["value"] == 3440
    assert everything["kpis"]["bounce_rate"]["denominator"] == 937
    assert "engaged_session_rate" not in everything["kpis"]  # Plausible has none
    hour = next(r for r in records if r["window"]["name"] == "1h" and r["segment"]["value"] is None)
    start = parse_time(hour["window"]["start"]).timestamp()
    got = await sessions([view.event() for view in views], "plausible")
    inside = sum(parse_time(record["last_event_at"]).timestamp() >= start for record in got)
    assert hour["kpis"]["sessions"]["value"] == inside
