"""What final hours and days should be: recomputed from the whole log, window by window, the plain way.

A window's events are counted as if there were no others; only its visits and its pairs are those of the whole
log that began in it. Shares no code with what it checks, as stream/demo/truth.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any
from zoneinfo import ZoneInfo

from schemas.keys import result_key, split_key
from schemas.times import rfc3339
from stream.demo.compare import Comparison
from stream.demo.plain_kpis import Kpis, Span
from stream.demo.plain_log import Accepted, Rules
from stream.demo.plain_statistics import Kpi, rate
from stream.demo.plain_visits import Site, sites_of
from stream.demo.truth import by_value, published, segments

KINDS = ("hour", "day")
QUARTER_MS = 15 * 60_000
EVER = Span(-math.inf, math.inf)


def start_of(kind: str, zone: str, t: int) -> int:
    """The first ms of the hour or day that holds `t`, for zones of whole hours, half and quarter hours."""
    return _start_of_quarter(kind, zone, t - t % QUARTER_MS)


@lru_cache(maxsize=65_536)
def _start_of_quarter(kind: str, zone: str, t: int) -> int:
    shown = datetime.fromtimestamp(t // 1000, UTC).astimezone(ZoneInfo(zone))
    start = shown.replace(minute=0, second=0, microsecond=0)
    if kind == "day":
        start = start.replace(hour=0, fold=0)
    return int(start.timestamp()) * 1000


def results(accepted: Sequence[Accepted], rules: Rules, zone: str = "UTC") -> dict[str, Kpis]:
    """The `kpis` of every record of a window that is final, by its key."""
    found: dict[str, Kpis] = {}
    whole = sites_of(accepted, rules)
    for kind in KINDS:
        begin = partial(start_of, kind, zone)
        for (site_id, start), site in _windows(accepted, whole, rules, begin).items():
            for segment, _, kpis in segments(site, site.visits, rules):
                figures = kpis(EVER)
                if segment == "all":
                    figures |= visitors_inside(figures["unique_visitors"], figures["new_visitors"])
                if segment == "all" or not is_nothing(figures):
                    key = result_key(site_id, rfc3339(start), kind, segment)
                    found[key] = _without_open(published(kind, figures))
    return found


def visitors_inside(unique: Kpi, new: Kpi) -> Kpis:
    """Of those who were there in the window: whose first visit of all began in it, and the others."""
    there, first = unique["value"], new["value"]
    return {
        "dau": unique,
        "returning_visitors": {"type": "count", "value": there - first},
        "new_visitor_rate": rate(first, there, "unique visitors"),
    }


def _windows(
    accepted: Sequence[Accepted], whole: Mapping[str, Site], rules: Rules, start: Callable[[int], int]
) -> dict[tuple[str, int], Site]:
    """Each window as a site of its own."""
    inside = by_value(((one.event.site_id, start(one.t)), one) for one in accepted)
    visits = by_value(((name, start(one.first)), one) for name, site in whole.items() for one in site.visits)
    pairs = by_value(((name, start(one.t)), one) for name, site in whole.items() for one in site.pairs)
    return {
        window: replace(
            sites_of(events, rules)[window[0]], visits=visits.get(window, []), pairs=pairs.get(window, [])
        )
        for window, events in inside.items()
    }


def _without_open(kpis: Kpis) -> Kpis:
    """A settled window says of open visits only how many there are."""
    return {name: {k: v for k, v in kpi.items() if k != "with_open"} for name, kpi in kpis.items()}


def is_nothing(kpis: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether nothing was counted: a segment that has become empty may still be there."""
    return not any(kpi.get(name) for kpi in kpis.values() for name in ("value", "numerator", "n", "skipped"))


def add_results(
    comparison: Comparison,
    expected: Mapping[str, Kpis],
    got: Mapping[str, Mapping[str, Mapping[str, object]]],
) -> None:
    """Compare the records of the windows that are final in `got`; key -> kpis on both sides."""
    final = {window_of(key) for key in got}
    for key in sorted({key for key in expected if window_of(key) in final} | got.keys()):
        if key in expected or not is_nothing(got[key]):
            comparison.add(key, expected.get(key), got.get(key))


def window_of(key: str) -> tuple[str, ...]:
    """Site, start and kind."""
    return split_key(key)[:3]
