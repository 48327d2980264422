"""GET /api/v1/kpis.csv: a row for each KPI of each record, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from stream.dashboard.records import Held
from stream.dashboard.selection import Selection

COLUMNS: Final = (
    *("site", "window", "segment", "kpi", "value", "low", "high", "n", "numerator", "denominator"),
    *("previous", "status", "as_of"),
)
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""A cell that begins so is computed by spreadsheets; also as full-width characters."""
RECORDS_AT_A_TIME: Final = 100

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class _Times(msgspec.Struct):
    as_of: str | None = None


_decode_times = msgspec.json.Decoder(_Times).decode


def table(selection: Selection, held: Sequence[Held], status: str) -> Iterator[str]:
    """The lines in pieces, the heading first. `status` is that of the board at this moment."""
    yield ",".join(COLUMNS) + "\r\n"
    for first in range(0, len(held), RECORDS_AT_A_TIME):
        text = io.StringIO()
        # Every text in quotes: where ; is the separator, one inside a text would begin a cell.
        writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC)
        for one in held[first : first + RECORDS_AT_A_TIME]:
            writer.writerows(_rows(selection, one, status))
        yield text.getvalue()


def _rows(selection: Selection, one: Held, status: str) -> Iterator[list[object]]:
    as_of, kpis = _decode_times(one.raw).as_of, one.kpis()
    for name in selection.kpis or kpis:
        if name in kpis:
            kpi = _decode(kpis[name])
            figures = [kpi.get(column) for column in COLUMNS[4:11]]
            texts = [text_cell(text) for text in (one.group.site, one.group.window, one.segment, name)]
            yield [*texts, *("" if one is None else one for one in figures), status, as_of]


def text_cell(text: str) -> str:
    """The text, never a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text
