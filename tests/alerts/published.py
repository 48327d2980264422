"""Snapshots for alert rules, made by hand."""

from __future__ import annotations

from schemas.times import rfc3339
from stream.core.alerts import Rule
from stream.core.kpi import Count, Kpi
from stream.core.statistics import rate
from stream.pipeline.alerts import Published
from stream.pipeline.take_snapshot import Completeness, SegmentName, SnapshotRecord, WindowLimits

START_MS = 1_790_000_000_000
S = 1_000
CTR = Rule(
    name="ctr-low", kpi="ctr", window="1h", direction="below", limit=0.05, clear=0.06, measure="high",
    least_n=30, for_ms=60 * S,
)  # fmt: skip
LOW = rate(10, 1000, of="impressions")
"""1 %, at most 1.8 %: the whole interval is below the limit."""
FINE = rate(100, 1000, of="impressions")
UNSURE = rate(1, 40, of="impressions")
"""2.5 %, at most 13 %: the value is below the limit, the interval is not."""


def complete(status: str = "complete", current: int = 1, lost: int = 0) -> Completeness:
    return Completeness(status, 1, current, None, 0, 0, 0, lost)


def record(
    kpis: dict[str, Kpi], second: float = 0, site: str = "shop", segment: str = "all", window: str = "1h"
) -> SnapshotRecord:
    as_of = rfc3339(START_MS + round(second * S))
    dimension, _, value = segment.partition("=")
    return SnapshotRecord(
        site, WindowLimits(window, "rolling", as_of, as_of), SegmentName(dimension, value or None),
        as_of, as_of, 0, complete(), "latido", kpis,
    )  # fmt: skip


def published(
    second: float, *records: SnapshotRecord, of: Completeness | None = None, age_s: float = 0
) -> Published:
    """As of that second, looked at so many seconds later."""
    as_of_ms = START_MS + round(second * S)
    return Published(
        as_of_ms, as_of_ms + round(age_s * S), of or complete(), {one.key: one for one in records}
    )


def ctr(second: float, kpi: Kpi, segment: str = "all", site: str = "shop") -> SnapshotRecord:
    return record({"ctr": kpi}, second, site, segment)


def views(second: float, number: int, site: str = "shop") -> SnapshotRecord:
    return record({"page_views": Count(number)}, second, site)
