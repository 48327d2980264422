"""GET /api/v1/results: hours and days that are settled."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from schemas.keys import ALL
from schemas.times import rfc3339, to_ms
from stream.core.policy import DAY_MS, HOUR_MS
from stream.dashboard.selection import BadQuery, check_kpi, check_names
from stream.pipeline.ports import ResultsBoard
from stream.pipeline.publish_results import EVERY_SEGMENT
from stream.pipeline.read_results import Wanted, results_of

FILTERS: Final = ("kind", "since", "kpi", "site", "segment")
SHOWN_BY_DEFAULT_MS: Final = {"hour": 24 * HOUR_MS, "day": 30 * DAY_MS}
MOST_RESULTS: Final = 10_000
_BACK: Final = re.compile(r"([0-9]{1,4})([hd])")
_UNIT_MS: Final = {"h": HOUR_MS, "d": DAY_MS}


async def settled(board: ResultsBoard, query: Sequence[tuple[str, str]], now_ms: int) -> dict[str, Any]:
    """The body. Raises BadQuery, StoreUnreachable, StoreMisconfigured."""
    check_names((name for name, _ in query), FILTERS)
    given = dict(query)
    kpis = [value for name, value in query if name == "kpi"]
    for name in kpis:
        check_kpi(name)
    wanted = _wanted(given, now_ms)
    records: list[dict[str, Any]] = []
    async for one in results_of(board, wanted):
        record = msgspec.to_builtins(one)
        if kpis:
            record["kpis"] = {name: record["kpis"][name] for name in kpis if name in record["kpis"]}
        records.append(record)
        if len(records) > MOST_RESULTS:
            raise BadQuery(f"more than {MOST_RESULTS} results; give a later since, or a site or segment")
    return {"kind": wanted.kind, "since": rfc3339(wanted.since_ms), "records": records}


def _wanted(given: Mapping[str, str], now_ms: int) -> Wanted:
    kind = given.get("kind", "hour")
    if kind not in SHOWN_BY_DEFAULT_MS:
        raise BadQuery("kind must be hour or day")
    since = given.get("since")
    since_ms = now_ms - SHOWN_BY_DEFAULT_MS[kind] if since is None else _since_ms(since, now_ms)
    segment = given.get("segment", ALL)
    return Wanted(kind, since_ms, given.get("site"), EVERY_SEGMENT if segment == "*" else segment)


def _since_ms(text: str, now_ms: int) -> int:
    """A duration back from now, or a time; one without an offset is UTC."""
    if back := _BACK.fullmatch(text):
        return max(0, now_ms - int(back[1]) * _UNIT_MS[back[2]])
    try:
        moment = datetime.fromisoformat(text[:40])
        return max(0, to_ms(moment if moment.tzinfo else moment.replace(tzinfo=UTC)))
    except (ValueError, OverflowError):
        raise BadQuery("since must be such as 24h, 30d, 2026-11-22 or 2026-11-22T10:00:00Z") from None
