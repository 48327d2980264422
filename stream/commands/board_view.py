"""The published snapshot as a screen: one row per KPI, one group of columns per window.

Everything that came out of an event is escaped before it is shown; markup is never interpreted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from schemas import times
from schemas.keys import ALL
from stream.commands.figures import (
    NONE,
    Figure,
    Published,
    duration,
    figure,
    in_order,
    label,
    windows_in_order,
)
from stream.core.events import sites_in_order
from stream.pipeline.take_snapshot import Header
from stream.telemetry import escape

STALE_AFTER_MS: Final = 5_000
"""The publisher announces itself at least once a second; silent for longer, nobody counts."""
STATUS_STYLE: Final = {
    "complete": "green",
    "catching_up": "yellow",
    "partial": "red",
    "stale": "bright_black",
}
STATUS_TEXT: Final = {
    "complete": "complete",
    "catching_up": "catching up",
    "partial": "partial: not everything is counted",
    "stale": "stale: no worker publishes",
}
LABEL_WIDTH: Final = 19
WINDOW_WIDTH: Final = 34
"""Value, interval and n of one window with the space around them."""
FIRST_CHOICE: Final = ("5m", "all", "1h", "1m", "24h", "30m", "7d", "28d", "30d", "90d")
"""Windows to keep when the terminal is too narrow for all."""
LOOKED_AT_EVERY_MS: Final = {"1m": 0, "5m": 0, "30m": 1_000, "1h": 1_000, "all": 0}
LONG_LOOKED_AT_EVERY_MS: Final = 10_000
"""How often the publisher looks at a window, the long ones last: older figures have not changed since."""
NOT_OLD_MS: Final = 1_000
AGE_WIDTH: Final = 5
"""What `24h, 10s ago` needs beyond the width of a window."""
LONGEST_NAME: Final = 40
OTHER_LINES: Final = 9
"""What stands around the rows of both tables: status, headings, rules, blank lines, footer."""
FRAME_LINES: Final = 6
"""What stands around the rows when only the first table is shown."""


class View(msgspec.Struct, frozen=True):
    """What one screen shows."""

    header: Header
    records: Sequence[Published]
    site: str | None = None
    windows: tuple[str, ...] = ()
    segment: str = ALL

    @property
    def sites(self) -> list[str]:
        return sites_in_order(record.site_id for record in self.records)

    def shown_site(self) -> str | None:
        """The site asked for, else the first one."""
        return self.site or next(iter(self.sites), None)


def screen(view: View, now_ms: int, width: int, height: int | None = None) -> RenderableType:
    """Everything, fitted to the width and as far as possible to the height (None: as long as it becomes)."""
    status, age_ms = state_of(view.header, now_ms)
    mine = [record for record in view.records if record.site_id == view.shown_site()]
    by_window = {record.window.name: record for record in mine if record.segment_name == view.segment}
    windows = fitting_windows(list(by_window), view.windows, width)
    parts: list[RenderableType] = [_status_line(view, status, age_ms), Text("")]
    if windows:
        titles = _titles(windows, view, width)
        fitting = None if height is None else max(1, height - FRAME_LINES)
        table, rows = _kpi_table(windows, by_window, titles, faded=status == "stale", room=fitting)
        parts += [table, Text("")]
        room = None if height is None else height - rows - OTHER_LINES
        if view.segment == ALL and (room is None or room > 0):
            segments = _segments(mine, windows[-1], faded=status == "stale", room=room)
            parts += [segments, Text("")] if segments is not None else []
    else:
        what = "of this choice" if view.records else "but the state of the partitions: no event was counted"
        parts += [Text(f"nothing {what} is published yet", style="yellow"), Text("")]
    return Group(*parts, _footer(view.header))


def state_of(header: Header, now_ms: int) -> tuple[str, int]:
    """(completeness status as of now, age of the snapshot in ms)."""
    age_ms = max(0, now_ms - to_ms(header.published_at))
    return ("stale" if age_ms > STALE_AFTER_MS else header.completeness.status), age_ms


def age_of(window: str, view: View) -> int:
    """How much older than the header's `as_of` the figures of a window may be, in ms.

    A record that stays the same is not published again. So while all input is counted, a window is no older
    than the publisher's last look at it, however old the record; before that its own time is all there is.
    """
    times_of = [one.as_of for one in view.records if one.window.name == window and one.as_of is not None]
    if view.header.as_of is None or not times_of:
        return 0
    age_ms = max(0, to_ms(view.header.as_of) - max(map(to_ms, times_of)))
    if not view.header.current:
        return age_ms
    return min(age_ms, LOOKED_AT_EVERY_MS.get(window, LONG_LOOKED_AT_EVERY_MS))


def to_ms(time: str) -> int:
    """RFC 3339 as latido writes it, in ms since the epoch."""
    return times.to_ms(times.parse_time(time))


def fitting_windows(published: Sequence[str], wanted: Sequence[str], width: int) -> list[str]:
    """The windows to show, short to long: those asked for, else the most telling that fit."""
    there = [name for name in wanted if name in published] if wanted else list(dict.fromkeys(published))
    room = max(1, (width - LABEL_WIDTH) // WINDOW_WIDTH)
    choice = [name for name in FIRST_CHOICE if name in there] + [n for n in there if n not in FIRST_CHOICE]
    return windows_in_order((there if wanted else choice)[:room])


def _status_line(view: View, status: str, age_ms: int) -> Text:
    style = STATUS_STYLE.get(status, "red")
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append("● ", style=style)
    line.append(STATUS_TEXT.get(status, escape(status, LONGEST_NAME)), style=f"bold {style}")
    line.append(f"  published {duration(age_ms)} ago", style="red" if status == "stale" else "dim")
    site = view.shown_site()
    if site is not None:
        line.append("   site ", style="dim")
        line.append(escape(site, LONGEST_NAME), style="bold")
        if len(view.sites) > 1:
            place = view.sites.index(site) + 1 if site in view.sites else "-"
            line.append(f" ({place} of {len(view.sites)})", style="dim")
    if view.header.as_of is not None:
        line.append("   as of ", style="dim")
        line.append(escape(view.header.as_of, LONGEST_NAME))
    return line


def _kpi_table(
    windows: Sequence[str],
    by_window: Mapping[str, Published],
    titles: Mapping[str, str],
    *,
    faded: bool,
    room: int | None,
) -> tuple[Table, int]:
    table = _table()
    table.add_column("", min_width=LABEL_WIDTH - 2, no_wrap=True)
    for name in windows:
        table.add_column(titles[name], justify="right", min_width=7, no_wrap=True, header_style="bold cyan")
        table.add_column("95 % interval", min_width=15, no_wrap=True, header_style="dim")
        table.add_column("n", justify="right", min_width=5, no_wrap=True, header_style="dim")
    names = in_order({kpi for window in windows for kpi in by_window[window].kpis})
    all_fit = room is None or len(names) <= room
    shown = names if all_fit else names[: max(1, (room or 0) - 1)]
    for kpi in shown:
        cells: list[Text] = [Text(escape(label(kpi), LONGEST_NAME))]
        for window in windows:
            value = by_window[window].kpis.get(kpi)
            cells += _cells(figure(kpi, value) if value is not None else Figure(""))
        table.add_row(*cells, style="bright_black" if faded else None)
    if all_fit:
        return table, len(names)
    table.add_row(Text(f"... {len(names) - len(shown)} more", style="dim"))
    return table, len(shown) + 1


def _titles(windows: Sequence[str], view: View, width: int) -> dict[str, str]:
    """`last 24h`; where that is older than the rest of the screen `24h, 8s ago`, or `24h -8s` if tight."""
    titles = {name: _window_title(name) for name in windows}
    old = {name: age_ms for name in windows if (age_ms := age_of(name, view)) > NOT_OLD_MS}
    roomy = width >= LABEL_WIDTH + WINDOW_WIDTH * len(windows) + AGE_WIDTH * len(old)
    for name, age_ms in old.items():
        age = f"{age_ms // 1000}s" if age_ms < 60_000 else duration(age_ms)
        what = titles[name].removeprefix("last ")
        titles[name] = f"{what}, {age} ago" if roomy else f"{what} -{age}"
    return titles


def _window_title(name: str) -> str:
    return "all time" if name == "all" else f"last {escape(name, 8)}"


def _cells(one: Figure) -> list[Text]:
    value = Text(one.value, style="bold" if one.value not in ("", "-") else "dim")
    if one.doubtful and one.value != NONE:
        value.append(" ?", style="bold yellow")
    return [value, Text(one.beside, style="dim"), Text(one.n, style="dim")]


def _segments(records: Sequence[Published], window: str, *, faded: bool, room: int | None) -> Table | None:
    """The parts of the site in one window, those with most data first; None when there are none."""
    parts = [record for record in records if record.window.name == window and record.segment_name != ALL]
    rows = [(record, name) for record in parts for name in _rates(record)]
    if not rows:
        return None
    rows.sort(key=lambda row: (-_weight(row[0].kpis[row[1]]), row[0].segment_name, row[1]))
    table = _table()
    table.add_column(f"Parts, {_window_title(window)}", no_wrap=True, header_style="bold cyan")
    table.add_column("", no_wrap=True)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("95 % interval", no_wrap=True, header_style="dim")
    table.add_column("n", justify="right", no_wrap=True, header_style="dim")
    for record, name in rows[:room]:
        part = Text(escape(record.segment_name, LONGEST_NAME))
        cells = _cells(figure(name, record.kpis[name]))
        style = "bright_black" if faded else None
        table.add_row(part, Text(label(name), style="dim"), *cells, style=style)
    return table


def _table() -> Table:
    return Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
        collapse_padding=True,
        show_edge=False,
        border_style="bright_black",
    )


def _rates(record: Published) -> list[str]:
    """The KPIs of a segment that say how good, not how many; those without any data are left out."""
    wanted = ("ctr", "cvr_visitors", "nps", "csat")
    return [name for name in wanted if name in record.kpis and _weight(record.kpis[name])]


def _weight(kpi: Mapping[str, object]) -> int:
    n = kpi.get("denominator", kpi.get("n"))
    return n if isinstance(n, int) else 0


def _footer(header: Header) -> Text:
    found = header.completeness
    line = Text(no_wrap=True, overflow="ellipsis", style="dim")
    line.append(f"partitions {found.partitions_current} of {found.partitions}")
    line.append(f"   behind {found.lag_records:,} records", style="yellow" if found.lag_records else "")
    line.append(f"   late {found.late_records:,}   refused {found.refused_records:,}")
    if found.lost_records:
        line.append(f"   lost {found.lost_records:,}", style="red")
    if found.held_by is not None:
        line.append(f"   time held by {escape(found.held_by, LONGEST_NAME)}", style="yellow")
    return line
