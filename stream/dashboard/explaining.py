"""GET /api/v1/explain: one published number in plain words."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from schemas.keys import ALL, snapshot_key
from stream.core.registry import KPIS
from stream.dashboard.feed import Now
from stream.dashboard.selection import BadQuery, check_names, quoted
from stream.pipeline.explain import Explanation, explain, read_record

FILTERS = ("kpi", "window", "segment", "site")


class NotPublished(Exception):
    """There is no such number now; the message says where there is one."""


def explained(query: Mapping[str, str], now: Now, *, exclude_bots: bool) -> Explanation:
    """Raises BadQuery, NotPublished."""
    check_names(query, FILTERS)
    kpi = query.get("kpi", "")
    if kpi not in KPIS:
        near = difflib.get_close_matches(kpi[:100], KPIS, 1)
        hint = f"did you mean {near[0]}?" if near else "/api/v1/registry lists all"
        raise BadQuery(f"there is no KPI {quoted(kpi)}; {hint}")
    sites = now.records.sites()
    site = query.get("site") or next(iter(sites), "")
    window, segment = query.get("window", "5m"), query.get("segment", ALL)
    held = now.records.get(snapshot_key(site, window, segment))
    if held is None or kpi not in held.kpis() or now.header is None:
        raise NotPublished(
            f"{kpi} of {quoted(segment)} is not published for window {quoted(window)} of site {quoted(site)}"
        )
    record = read_record(held.raw)
    return explain(record, kpi, now.header.completeness, exclude_bots=exclude_bots)
