"""`latido top`: the largest values of a dimension, each with its counts and rates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stream.commands.failures import DONE, Failed, WrongUse
from stream.commands.figures import Published, figure, label, windows_in_order
from stream.commands.watching import (
    Choice,
    Reading,
    as_line,
    nothing_yet,
    opened_board,
    other_namespaces,
    read_board,
)
from stream.core.kpi import WHOLE
from stream.pipeline.largest import order_of
from stream.pipeline.partition_state import OTHER
from stream.settings import Settings
from stream.telemetry import escape

COLUMNS: Final = (
    *("sessions", "session_conversion_rate", "session_duration_ms", "bounce_rate"),
    *("impressions", "clicks", "ctr", "conversions", "cvr_sessions", "cvr_visitors"),
    *("funnel_started", "funnel_conversion", "funnel_abandonment"),
    *("funnel_step_sessions", "funnel_step_conversion", "funnel_step_overall", "nps", "csat"),
)
"""What is worth a column, the most telling first; a dimension shows the first four it has."""
MOST_COLUMNS: Final = 4
LONGEST_VALUE: Final = 60


class Wanted(msgspec.Struct, frozen=True):
    """Which values. `site` None: the first one that is published."""

    dimension: str
    window: str
    site: str | None
    count: int


async def print_top(settings: Settings, wanted: Wanted, *, as_json: bool) -> int:
    """Raises Failed when nothing is published, WrongUse when nothing of it is wanted."""
    async with opened_board(settings) as board:
        reading = await read_board(board)
    if reading is None:
        raise Failed(nothing_yet(settings, await other_namespaces(settings)))
    found = largest(reading, wanted)
    if as_json:
        for key, _ in found:
            print(as_line(reading.raw[key]))
        return DONE
    Console(highlight=False).print(as_table([record for _, record in found], wanted))
    return DONE


def largest(reading: Reading, wanted: Wanted) -> list[tuple[str, Published]]:
    """Keys and records of the largest values; `(other)` comes last and is not one of them.

    Raises WrongUse when there are none, with what there is.
    """
    site = wanted.site or min((record.site_id for record in reading.records), default=None)
    mine = reading.chosen(Choice(site, (), "*"))
    of_dimension = [item for item in mine if item[1].segment.dimension == wanted.dimension]
    here = [item for item in of_dimension if item[1].window.name == wanted.window]
    if wanted.dimension == WHOLE or not of_dimension:
        there = sorted({one.segment.dimension for _, one in mine} - {WHOLE})
        some = ", ".join(there) or "no dimension"
        raise WrongUse(f"nothing is published by {escape(wanted.dimension)}; there is {some}")
    if not here:
        windows = windows_in_order({one.window.name for _, one in of_dimension})
        raise WrongUse(
            f"{wanted.dimension} has no --window {escape(wanted.window)} now; {', '.join(windows)}"
        )
    values = sorted(here, key=lambda item: order_of(item[1].segment.value, item[1].kpis))
    return [
        item for place, item in enumerate(values) if place < wanted.count or item[1].segment.value == OTHER
    ]


def as_table(records: Sequence[Published], wanted: Wanted) -> Table:
    """A row per value; nothing out of an event is read as markup."""
    named = {name for record in records for name in record.kpis}
    columns = [name for name in COLUMNS if name in named][:MOST_COLUMNS]
    title = f"{wanted.dimension}, {wanted.window}, site {escape(records[0].site_id)}"
    table = Table(box=box.SIMPLE_HEAD, title=Text(title), title_justify="left", pad_edge=False)
    table.add_column("", justify="right", style="dim")
    table.add_column(wanted.dimension, max_width=LONGEST_VALUE, overflow="ellipsis", no_wrap=True)
    for name in columns:
        table.add_column(label(name), justify="right")
        if name not in _COUNTS:
            table.add_column("95 %", style="dim", no_wrap=True)
    for place, record in enumerate(records, 1):
        other = record.segment.value == OTHER
        cells = [Text("" if other else str(place)), Text(_name(record), style="dim" if other else "")]
        for name in columns:
            shown = figure(name, record.kpis[name]) if name in record.kpis else None
            cells.append(Text(shown.value if shown else ""))
            if name not in _COUNTS:
                cells.append(Text(shown.beside if shown else ""))
        table.add_row(*cells)
    return table


_COUNTS: Final = frozenset({
    "sessions", "impressions", "clicks", "conversions", "funnel_started", "funnel_step_sessions",
})  # fmt: skip


def _name(record: Published) -> str:
    value = escape(record.segment.value or "")
    return value if record.truncated is None else f"{value}: the rest of {record.truncated:,} values"
