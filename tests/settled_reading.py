"""Settled results held against what the oracle says of the events of each hour and day."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from schemas.results import KpiResult
from schemas.times import parse_time, to_ms
from stream.pipeline.take_results import ResultRecord, encode_result, results_of_one
from tests.builders import Lane
from tests.oracle.facts import (
    Fact,
    add_up,
    answer_facts,
    event_facts,
    pair_facts,
    session_facts,
    visitor_facts,
)
from tests.oracle.judging import FOREVER, Counted, Rules
from tests.oracle.visits import by_visitor, visits
from tests.snapshot_reading import counts_of, published_of

Label = tuple[Any, ...]  # (site, hour or day as the wall clock names it)


def label(site: str, kind: str, t: int, rules: Rules) -> Label:
    """Which hour or day of the site holds `t`. An hour that a clock shows twice is two."""
    zone = ZoneInfo(dict(rules.zones).get(site, "UTC"))
    shown = datetime.fromtimestamp(t // 1000, UTC).astimezone(zone)
    return (site, shown.date(), *((shown.hour, shown.utcoffset()) if kind == "hour" else ()))


def expected(
    counted: Sequence[Counted], rules: Rules, live_ms: int, kind: str
) -> dict[Label, dict[str, Counter[str]]]:
    """Window -> segment -> counts: sessions by their first event, the rest by the events inside alone."""

    def of(site: str, t: int) -> Label:
        return label(site, kind, t, rules)

    found: dict[Label, list[Fact]] = defaultdict(list)
    for visit in visits(counted, rules):
        ended = live_ms - visit.last > rules.gap
        found[of(visit.record()["site_id"], visit.first)] += session_facts(visit, rules, ended=ended)
    for fact in pair_facts(counted, rules):
        found[of(fact.site, fact.t)].append(fact)
    inside: dict[Label, list[Counted]] = defaultdict(list)
    for one in counted:
        inside[of(one.event.site_id, one.t)].append(one)
    for window, events in inside.items():
        for mine in by_visitor(events).values():
            found[window] += visitor_facts(mine, rules)
        for one in events:
            found[window] += event_facts(one)
        found[window] += answer_facts(events, rules)
    return {window: _by_segment(some) for window, some in found.items() if some}


def _by_segment(found: Iterable[Fact]) -> dict[str, Counter[str]]:
    sums = {segment: counts for (_, segment), counts in add_up(found, -FOREVER, FOREVER).items()}
    for counts in sums.values():
        del counts["open_pages"]  # of open visits only their number is published
    return {segment: counts for segment, counts in sums.items() if counts}


def results(lane: Lane) -> list[ResultRecord]:
    """The settled results of a lane, each read by the contract's own model."""
    head = lane.partition.head
    assert head is not None
    records = list(results_of_one(head, lane.store.partition(0).tables, lane.policy.zone_of))
    for record in records:
        model = KpiResult.model_validate_json(encode_result(record))
        assert (model.key, model.revision) == (record.key, 1)
    return records


def read_results(records: Iterable[ResultRecord], kind: str, rules: Rules) -> dict[Label, dict[str, Any]]:
    """Window -> segment -> KPIs, as the contract's own model reads them."""
    found: dict[Label, dict[str, Any]] = defaultdict(dict)
    for record in records:
        if record.window.kind == kind:
            model = KpiResult.model_validate_json(encode_result(record)).model_dump(mode="json")
            window = label(record.site_id, kind, to_ms(parse_time(record.window.start)), rules)
            assert record.segment_name not in found[window]
            found[window][record.segment_name] = model["kpis"]
    return found


def check_results(lane: Lane, counted: Sequence[Counted], rules: Rules) -> None:
    """Every figure of every hour and day is what its events come to."""
    records = results(lane)
    live_ms = lane.partition.state.progress.live_ms
    for kind in ("hour", "day"):
        got, wanted = read_results(records, kind, rules), expected(counted, rules, live_ms, kind)
        for window in got.keys() | wanted.keys():
            for segment in got[window].keys() | wanted.get(window, {}).keys():
                kpis = got[window].get(segment)
                assert kpis is not None, f"{kind} {window} {segment} is missing"
                seen = counts_of(kpis)
                counts = published_of(kpis, wanted.get(window, {}).get(segment, Counter()))
                assert seen == counts, (
                    f"{kind} {window} {segment}: {seen - counts} too many, {counts - seen} missing"
                )
