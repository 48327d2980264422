"""Settled results from the store: as JSON lines, or as a table with the figures people ask for first."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from schemas.times import parse_time
from stream.commands.failures import Failed
from stream.commands.figures import NONE, figure, in_order, label
from stream.commands.watching import opened_board
from stream.core.calendar import calendar_of
from stream.pipeline.read_results import Wanted, newest_window_ms, results_of
from stream.pipeline.take_results import ResultRecord, encode_result
from stream.settings import Settings
from stream.telemetry import escape

# What a table has room for; --json has all.
_FIRST = ("sessions", "unique_visitors", "page_views", "pages_per_session", "bounce_rate", "ctr", "nps")
_MOST = 7


async def print_results(
    settings: Settings, kind: str, since_ms: int, site: str | None, segment: str, *, as_json: bool
) -> int:
    """Print what is asked for. Raises Failed when there is none of it, StoreUnreachable."""
    async with opened_board(settings) as board:
        records = [one async for one in results_of(board, Wanted(kind, since_ms, site, segment))]
        newest_ms = None if records else await newest_window_ms(board, kind, site)
    if not records:
        raise Failed(_nothing(kind, since_ms, newest_ms, segment))
    if as_json:
        sys.stdout.writelines(encode_result(record).decode() + "\n" for record in records)
    else:
        for name in dict.fromkeys(record.site_id for record in records):
            Console(highlight=False).print(_table([one for one in records if one.site_id == name]))
    return 0


def _nothing(kind: str, since_ms: int, newest_ms: int | None, segment: str) -> str:
    if newest_ms is None:
        return f"no {kind} is published yet: start latido worker, or look with --site and --namespace"
    newest = datetime.fromtimestamp(newest_ms / 1000, ZoneInfo("UTC")).isoformat(timespec="minutes")
    which = "" if segment == "all" else f" of segment {escape(segment)}"
    return f"no {kind}{which} since then; the newest began at {newest}: give an earlier --since"


def _table(records: Sequence[ResultRecord]) -> Table:
    """One site's windows, oldest first."""
    first = records[0]
    table = Table(
        title=Text(f"{escape(first.site_id)}, {escape(first.segment_name)}, {first.window.zone}"),
        title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False,
    )  # fmt: skip
    found = in_order({name for record in records for name in record.kpis})
    rest = [name for name in found if name not in _FIRST]
    names = [*(name for name in _FIRST if name in found), *rest][:_MOST]
    table.add_column(first.window.kind, no_wrap=True)
    table.add_column("state", no_wrap=True)
    for name in names:
        table.add_column(label(name), justify="right")
    for record in records:
        kpis: dict[str, dict[str, Any]] = msgspec.to_builtins(record.kpis)
        values = [figure(name, kpis[name]).value if name in kpis else NONE for name in names]
        table.add_row(_begins(record), _state(record), *values)
    return table


def _begins(record: ResultRecord) -> str:
    """When it began, as the site's clocks showed it."""
    shown = parse_time(record.window.start).astimezone(calendar_of(record.window.zone).zone)
    return f"{shown:%Y-%m-%d %H:%M %z}" if record.window.kind == "hour" else f"{shown:%Y-%m-%d}"


def _state(record: ResultRecord) -> str:
    return record.state if record.reason is None else f"{record.state}: {record.reason}"
