"""GET /api/v1/explain: one published number in plain words."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from datetime import datetime

from schemas.keys import ALL, snapshot_key
from stream.core.registry import KPIS
from stream.core.windows import SETTLED
from stream.dashboard.feed import Now
from stream.dashboard.selection import BadQuery, check_names, quoted
from stream.pipeline.explain import Explanation, explain, read_record
from stream.pipeline.ports import ResultsBoard
from stream.pipeline.read_results import NotPublished, SettledNumber, settled_record

FILTERS = ("kpi", "window", "segment", "site", "at")


async def explained(
    query: Mapping[str, str], now: Now, board: ResultsBoard, *, exclude_bots: bool
) -> Explanation:
    """Raises BadQuery, NotPublished, StoreUnreachable, StoreMisconfigured."""
    check_names(query, FILTERS)
    kpi, window = query.get("kpi", ""), query.get("window", "5m")
    if kpi not in KPIS:
        near = difflib.get_close_matches(kpi[:100], KPIS, 1)
        hint = f"did you mean {near[0]}?" if near else "/api/v1/registry lists all"
        raise BadQuery(f"there is no KPI {quoted(kpi)}; {hint}")
    if window in SETTLED:
        segment, at = query.get("segment", ALL), _moment(query.get("at"))
        record = await settled_record(board, SettledNumber(kpi, window, segment, query.get("site"), at))
        return explain(record, kpi, record.completeness, exclude_bots=exclude_bots)
    if "at" in query:
        raise BadQuery("at goes with window=hour or window=day: rolling windows end now")
    return _of_now(query, kpi, window, now, exclude_bots=exclude_bots)


def _of_now(query: Mapping[str, str], kpi: str, window: str, now: Now, *, exclude_bots: bool) -> Explanation:
    site = query.get("site") or next(iter(now.records.sites()), "")
    segment = query.get("segment", ALL)
    held = now.records.get(snapshot_key(site, window, segment))
    if held is None or kpi not in held.kpis() or now.header is None:
        raise NotPublished(
            f"{kpi} of {quoted(segment)} is not published for window {quoted(window)} of site {quoted(site)}"
        )
    return explain(read_record(held.raw), kpi, now.header.completeness, exclude_bots=exclude_bots)


def _moment(text: str | None) -> datetime | None:
    """Without a zone where the text names no offset."""
    try:
        return None if text is None else datetime.fromisoformat(text[:40])
    except ValueError:
        raise BadQuery("at must be such as 2026-11-22 or 2026-11-22T10:00:00Z") from None
