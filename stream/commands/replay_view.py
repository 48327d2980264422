"""What `latido replay` prints of its lines: as they are, some of them, or as the table of `latido kpi`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TextIO

import msgspec
from rich.console import Console

from stream.commands.board_view import LABEL_WIDTH, WINDOW_WIDTH, View, screen, to_ms
from stream.commands.failures import WrongUse
from stream.commands.figures import Published, windows_in_order
from stream.commands.watching import Choice
from stream.pipeline.explain import read_record
from stream.pipeline.take_snapshot import Header
from stream.telemetry import escape

_decode = msgspec.json.Decoder(Published).decode
_NARROWEST, _WIDEST = 100, 260


class Wanted(msgspec.Struct, frozen=True):
    """Which snapshot records. `segment` None: every one as JSON, that of the whole site as a table."""

    windows: tuple[str, ...]
    segment: str | None
    as_table: bool = False


def show(lines: Sequence[str], wanted: Wanted, out: TextIO) -> None:
    """Print them. Raises WrongUse when the choice leaves nothing of something."""
    if not wanted.as_table and not wanted.windows and wanted.segment is None:
        out.writelines(line + "\n" for line in lines)
        return
    if wanted.as_table and wanted.segment == "*":
        raise WrongUse("--segment '*' needs --print snapshot; in the table choose one, such as channel=Email")
    segment = wanted.segment or ("all" if wanted.as_table else "*")
    choice = Choice(None, wanted.windows, segment)
    records = [(line, _decode(line)) for line in lines]
    chosen = [(line, one) for line, one in records if choice.wants(one)]
    if records and not chosen:
        raise WrongUse(_nothing(choice, [one for _, one in records]))
    if not wanted.as_table:
        out.writelines(line + "\n" for line, _ in chosen)
        return
    if not chosen:
        out.write("no event was counted\n")
    for site in sorted({one.site_id for _, one in chosen}):
        mine = [(line, one) for line, one in chosen if one.site_id == site]
        out.write(_table(site, mine, choice) + "\n")


def _table(site: str, chosen: Sequence[tuple[str, Published]], choice: Choice) -> str:
    """The screen of `latido kpi`, looked at in the moment in which the log ends."""
    newest = read_record(chosen[0][0].encode())
    header = Header(0, newest.as_of, newest.as_of, True, newest.completeness, {})
    records = [one for _, one in chosen]
    windows = choice.windows or tuple(windows_in_order({one.window.name for one in records}))
    view = View(header, records, site, windows, choice.segment)
    width = min(max(LABEL_WIDTH + WINDOW_WIDTH * len(windows), _NARROWEST), _WIDEST)
    console = Console(width=width, highlight=False)
    with console.capture() as shown:
        console.print(screen(view, to_ms(newest.as_of), console.width))
    return "\n".join(line.rstrip() for line in shown.get().splitlines())


def _nothing(choice: Choice, records: Iterable[Published]) -> str:
    windows = windows_in_order({one.window.name for one in records})
    segments = sorted({one.segment_name for one in records})
    some = ", ".join(escape(name) for name in segments[:8]) + (", ..." if len(segments) > 8 else "")
    return f"nothing was counted for this choice; windows: {', '.join(windows)}; segments: {some}"
