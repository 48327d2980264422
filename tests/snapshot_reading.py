"""A published snapshot turned back into counts, and held against what the oracle says."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from statistics import stdev
from typing import Any

import pytest

from schemas.snapshots import KpiSnapshot
from stream.core.tallies import SegmentTally
from stream.core.windows import ROLLING
from stream.pipeline.take_snapshot import Snapshot, encode_record
from tests.oracle.facts import Fact, add_up
from tests.oracle.judging import FOREVER
from tests.oracle.visits import Visit

# name, width, width of the bucket to which the beginning is rounded up: by the semantics, in ms
WINDOWS = {
    "1m": (60_000, 10_000),
    "5m": (300_000, 10_000),
    "30m": (1_800_000, 10_000),
    "1h": (3_600_000, 10_000),
    "24h": (86_400_000, 60_000),
    "7d": (7 * 86_400_000, 3_600_000),
    "28d": (28 * 86_400_000, 3_600_000),
    "30d": (30 * 86_400_000, 3_600_000),
    "90d": (90 * 86_400_000, 3_600_000),
}
DAY_OF_PAGES = (86_400_000, 900_000)
# What is published in windows longer than a day.
OF_VISITORS = frozenset({"visitors", "new", "returns", "away_ms"})
OF_ANSWERS = frozenset(
    {"promoters", "passives", "detractors", "nps_skipped", "csat_satisfied", "csat_answers", "csat_points"}
)
OF_PAGES = ("24h", "all")
SHORTER_THAN_A_DAY = ("1m", "5m", "30m", "1h")
LONG = {"7d": OF_VISITORS | OF_ANSWERS, "28d": OF_VISITORS, "30d": OF_ANSWERS, "90d": OF_ANSWERS}
COUNTS = {
    "page_views": "page_views",
    "form_submissions": "form_submissions",
    "unique_visitors": "visitors",
    "new_visitors": "new",
    "impressions": "impressions",
    "clicks": "clicks",
    "conversions": "conversions",
    "mails_delivered": "mails",
}
MAILS = ("mails", "mails_opened")
SHARES = {
    "engaged_session_rate": "engaged",
    "active_session_rate": "active",
    "session_conversion_rate": "converted",
}


def check_snapshot(snapshot: Snapshot, facts: list[Fact]) -> None:
    """Every figure of every record is what the facts add up to, in the window and the one before."""
    if snapshot.as_of_ms is None:
        assert not facts
        return
    published = read(snapshot)
    for name in ("all", *WINDOWS):
        now: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        before: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        for of_pages in (False, True):
            low, before_low = limits(name, snapshot.as_of_ms, of_pages=of_pages)
            told = [fact for fact in facts if is_told(fact, name) and is_of_pages(fact.segment) == of_pages]
            now |= add_up(told, low, FOREVER)
            before |= add_up(told, before_low, low)
        for site, segment in {*now, *(k[1:] for k in published if k[0] == name)}:
            kpis = published.get((name, site, segment))
            assert kpis is not None, f"{name} {site} {segment} is missing: {now[site, segment]}"
            got, expected = counts_of(kpis), published_of(kpis, now[site, segment])
            assert got == expected, (
                f"{name} {site} {segment}: {got - expected} too many, {expected - got} missing"
            )
            if name != "all":
                check_previous(kpis, before[site, segment])
            if segment.startswith("goal="):
                everyone = now[site, "all"]
                assert kpis["cvr_visitors"]["denominator"] == everyone["visitors"]
                assert kpis["cvr_sessions"]["denominator"] == everyone["ended"]


def published_of(kpis: dict[str, Any], counts: Counter[str]) -> Counter[str]:
    """What of the counts of a segment its record can tell."""
    if "open_rate" not in kpis:  # no position of a mail, and one surface only
        return Counter({name: n for name, n in counts.items() if n > 0 and name not in MAILS})
    return +counts


def is_told(fact: Fact, window: str) -> bool:
    """Whether it has a part in the figures of a window."""
    if window in LONG and fact.metric not in LONG[window]:
        return False
    if window in SHORTER_THAN_A_DAY and fact.metric in ("returns", "away_ms"):
        return False
    return window in OF_PAGES or not is_of_pages(fact.segment)


def is_of_pages(segment: str) -> bool:
    return "_page" in segment.partition("=")[0]


def limits(name: str, end_ms: int, *, of_pages: bool = False) -> tuple[int, int]:
    """(first ms of the window, first ms of the one before it)."""
    if name == "all":
        return -FOREVER, -FOREVER
    width, bucket = DAY_OF_PAGES if of_pages and name == "24h" else WINDOWS[name]
    low = -((width - end_ms) // bucket) * bucket
    return low, low - width


def read(snapshot: Snapshot) -> dict[tuple[str, str, str], dict[str, Any]]:
    """(window, site, segment) -> KPIs as JSON, after the contract's own model has read the record."""
    found = {}
    for key, record in snapshot.records.items():
        data = encode_record(record, 7, snapshot.as_of_ms or 0)
        model = KpiSnapshot.model_validate_json(data)
        assert model.key == key
        kpis = model.model_dump(mode="json")["kpis"]
        found[model.window.name, model.site_id, model.segment.name] = kpis
    return found


def counts_of(kpis: dict[str, Any]) -> Counter[str]:
    """The counts behind one record's KPIs, by the oracle's names."""
    found: Counter[str] = Counter()
    for name, metric in COUNTS.items():
        if name in kpis:
            found[metric] = kpis[name]["value"]
    _read_loyalty(kpis, found)
    if "pages_per_session" in kpis:
        sessions, pages = kpis["sessions"], kpis["pages_per_session"]
        found["open"], found["ended"] = sessions["open"], sessions["ended"]
        assert sessions["value"] == sessions["open"] + sessions["ended"]
        assert pages["n"] == kpis["session_duration_ms"]["n"] == kpis["bounce_rate"]["denominator"]
        assert pages["n"] == sessions["ended"]
        found["ended_pages"] = round((pages["value"] or 0) * pages["n"])
        found["open_pages"] = round((pages["with_open"] or 0) * sessions["value"]) - found["ended_pages"]
        found["ended_ms"] = round((kpis["session_duration_ms"]["value"] or 0) * pages["n"])
        found["bounces"] = kpis["bounce_rate"]["numerator"]
        for name, metric in SHARES.items():
            assert kpis[name]["denominator"] == sessions["ended"]
            found[metric] = kpis[name]["numerator"]
        engaged = kpis["engaged_time_ms"]
        found["pinged"], found["engaged_ms"] = engaged["n"], round((engaged["value"] or 0) * engaged["n"])
    _read_rates(kpis, found)
    return +found


def _read_loyalty(kpis: dict[str, Any], found: Counter[str]) -> None:
    """Who is new and who returns; one number under several names is the same number."""
    if "time_between_visits_ms" in kpis:
        away = kpis["time_between_visits_ms"]
        found["returns"], found["away_ms"] = away["n"], round((away["value"] or 0) * away["n"])
    if "unique_visitors" in kpis:
        n = found["visitors"]
        assert kpis["returning_visitors"]["value"] == n - found["new"]
        assert (kpis["new_visitor_rate"]["numerator"], kpis["new_visitor_rate"]["denominator"]) == (
            found["new"], n,
        )  # fmt: skip
        for name in {"active_visitors", "dau", "wau", "mau"} & kpis.keys():
            assert kpis[name]["value"] == n
    if "new_session_rate" in kpis:
        assert kpis["new_session_rate"]["numerator"] == found["new"]
        if "sessions" in kpis:
            assert kpis["new_session_rate"]["denominator"] == kpis["sessions"]["value"]


def check_visits(snapshot: Snapshot, visitors: Mapping[str, list[list[Visit]]]) -> None:
    """How often visitors came, and which part of a month's are there today."""
    published = read(snapshot)
    for site, some in visitors.items():
        today = sum(v[-1].last >= limits("24h", snapshot.as_of_ms or 0)[0] for v in some)
        for name in ("7d", "28d"):
            kpis, low = published[name, site, "all"], limits(name, snapshot.as_of_ms or 0)[0]
            often = [n for n in (sum(visit.last >= low for visit in visits) for visits in some) if n]
            got = kpis["visits_per_visitor"]
            assert got["n"] == len(often) == kpis["unique_visitors"]["value"]
            assert got["value"] == (sum(often) / len(often) if often else None)
            assert kpis["new_session_rate"]["denominator"] == sum(often)
            if len(often) > 1:
                assert got["sd"] == pytest.approx(stdev(often))
            if name == "28d":
                sticky = kpis["stickiness"]
                assert (sticky["numerator"], sticky["denominator"]) == (today, len(often))


def _read_rates(kpis: dict[str, Any], found: Counter[str]) -> None:
    if "ctr" in kpis:
        assert (kpis["ctr"]["numerator"], kpis["ctr"]["denominator"]) == (
            found["clicks"],
            found["impressions"],
        )
        found["unmatched_clicks"] = kpis["ctr"]["unmatched_clicks"]
    if "unique_ctr" in kpis:
        found["pairs_clicked"] = kpis["unique_ctr"]["numerator"]
        found["pairs_seen"] = kpis["unique_ctr"]["denominator"]
    if "open_rate" in kpis:
        found["mails_opened"] = kpis["open_rate"]["numerator"]
        found["mails"] = kpis["open_rate"]["denominator"]
    if "nps" in kpis:
        for metric in ("promoters", "passives", "detractors"):
            found[metric] = kpis["nps"][metric]
        found["nps_skipped"] = kpis["nps"]["skipped"]
    if "csat" in kpis:
        found["csat_satisfied"] = kpis["csat"]["numerator"]
        found["csat_answers"] = kpis["csat"]["denominator"]
        found["csat_points"] = round(100 * kpis["csat_score"]["n"] * (kpis["csat_score"]["value"] or 0))
    if "funnel_started" in kpis:
        found["started"], conversion = kpis["funnel_started"]["value"], kpis["funnel_conversion"]
        assert conversion["denominator"] == kpis["funnel_abandonment"]["denominator"] == found["started"]
        found["finished"] = conversion["numerator"]
        assert kpis["funnel_abandonment"]["numerator"] == found["started"] - found["finished"]
    if "funnel_step_sessions" in kpis:
        found["reached"] = kpis["funnel_step_sessions"]["value"]
        found["before"] = kpis["funnel_step_conversion"]["denominator"]
        found["started"] = kpis["funnel_step_overall"]["denominator"]
        for name in ("funnel_step_conversion", "funnel_step_overall"):
            assert kpis[name]["numerator"] == found["reached"]
    if "cvr_visitors" in kpis:
        found["converted_visitors"] = kpis["cvr_visitors"]["numerator"]
        found["converted_sessions"] = kpis["cvr_sessions"]["numerator"]


def check_previous(kpis: dict[str, Any], before: Counter[str]) -> None:
    """What stands beside each figure is that of the window before."""
    sessions = before["open"] + before["ended"]
    points = _share(before["csat_points"], before["csat_answers"])
    expected: dict[str, Any] = {name: before[metric] for name, metric in COUNTS.items()}
    expected |= {
        "unique_visitors": None,
        "sessions": sessions,
        "pages_per_session": _share(before["ended_pages"], before["ended"]),
        "session_duration_ms": _share(before["ended_ms"], before["ended"]),
        "bounce_rate": _share(before["bounces"], before["ended"]),
        "engaged_time_ms": _share(before["engaged_ms"], before["pinged"]),
        **{name: _share(before[metric], before["ended"]) for name, metric in SHARES.items()},
        "time_between_visits_ms": _share(before["away_ms"], before["returns"]),
        "ctr": _share(before["clicks"], before["impressions"]),
        "funnel_started": before["started"],
        "funnel_conversion": _share(before["finished"], before["started"]),
        "funnel_abandonment": _share(before["started"] - before["finished"], before["started"]),
        "funnel_step_sessions": before["reached"],
        "funnel_step_conversion": _share(before["reached"], before["before"]),
        "funnel_step_overall": _share(before["reached"], before["started"]),
        "unique_ctr": _share(before["pairs_clicked"], before["pairs_seen"]),
        "open_rate": _share(before["mails_opened"], before["mails"]),
        "csat": _share(before["csat_satisfied"], before["csat_answers"]),
        "csat_score": points if points is None else points / 100,
        "nps": _share(
            100 * (before["promoters"] - before["detractors"]),
            before["promoters"] + before["passives"] + before["detractors"],
        ),
    }
    for name, value in expected.items():
        if name in kpis:
            assert kpis[name]["previous"] == value, name


def _share(numerator: int, denominator: int) -> float | None:
    return numerator / denominator if denominator else None


def check_tally(tally: SegmentTally, end_ms: int) -> None:
    """The sliding sums equal the buckets added up again, and nothing is kept at zero or below."""
    stores = [tally.total]
    for kind, series in tally.series.items():
        assert series.series.kind == kind
        for window in series.series.windows:
            width, bucket_ms = DAY_OF_PAGES if kind == "p" else WINDOWS[window.name]
            low, before_low = (ms // bucket_ms for ms in limits(window.name, end_ms, of_pages=kind == "p"))
            now, before = series.window(window.name)
            assert now == _sum(series.counts, low, FOREVER), window.name
            assert before == _sum(series.counts, before_low, low), f"before {window.name}"
            assert width // bucket_ms == low - before_low
            stores += [now, before, *series.counts.values()]
    today = tally.window("24h")[0].get("visitors", 0)
    for window in ROLLING:
        told = [series.window(window.name)[0] for series in tally.series.values() if series.has(window.name)]
        if window.name == "28d" and today:
            told.append({"visitors_24h": today})
        assert tally.window(window.name)[0] == {name: n for counts in told for name, n in counts.items()}
    assert all(n > 0 for counts in stores for n in counts.values())


def _sum(store: dict[int, dict[str, int]], low: int, high: int) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for bucket, counts in store.items():
        if low <= bucket < high:
            sums.update(counts)
    return dict(sums)
