"""The tables of /api/v1 as CSV, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

import msgspec

from schemas.keys import segment_name
from stream.dashboard.health import PartitionHealth
from stream.dashboard.records import Held
from stream.dashboard.selection import Selection
from stream.pipeline.latest_signals import LatestSignal
from stream.pipeline.read_alerts import StandingAlert
from stream.pipeline.scores import LatestScore

FIGURES: Final = ("value", "low", "high", "n", "numerator", "denominator")
COLUMNS: Final = ("site", "window", "segment", "kpi", *FIGURES, "previous", "status", "as_of")
RESULT_COLUMNS: Final = (
    *("site", "kind", "start", "end", "zone", "segment", "state", "revision", "reason", "kpi"), *FIGURES,
)  # fmt: skip
SCORE_COLUMNS: Final = ("site", *LatestScore.__struct_fields__)
SIGNAL_COLUMNS: Final = ("site", *LatestSignal.__struct_fields__)
ALERT_COLUMNS: Final = ("standing", "since", "severity", "site", "segment", "rule", "what")
PARTITION_COLUMNS: Final = tuple(name for name in PartitionHealth.__struct_fields__ if name != "topics")
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""A cell that begins so is computed by spreadsheets; also as full-width characters."""
ROWS_AT_A_TIME: Final = 1000

Row = Sequence[object]  # texts, numbers, None for an empty cell
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class _Times(msgspec.Struct):
    as_of: str | None = None


_decode_times = msgspec.json.Decoder(_Times).decode


def table(columns: Sequence[str], rows: Iterable[Row]) -> Iterator[str]:
    """The lines in pieces, the heading first."""
    yield ",".join(columns) + "\r\n"
    rest = iter(rows)
    while some := list(islice(rest, ROWS_AT_A_TIME)):
        text = io.StringIO()
        # Every text in quotes: where ; is the separator, one inside a text would begin a cell.
        csv.writer(text, quoting=csv.QUOTE_NONNUMERIC).writerows(map(_cell, row) for row in some)
        yield text.getvalue()


def kpi_rows(selection: Selection, held: Iterable[Held], status: str) -> Iterator[Row]:
    """One for each KPI of each record. `status` is that of the board at this moment."""
    for one in held:
        as_of, kpis = _decode_times(one.raw).as_of, one.kpis()
        for name in selection.kpis or kpis:
            if name in kpis:
                kpi = _decode(kpis[name])
                place = (one.group.site, one.group.window, one.segment, name)
                yield *place, *_figures(kpi), kpi.get("previous"), status, as_of


def result_rows(records: Iterable[Mapping[str, Any]]) -> Iterator[Row]:
    """One for each KPI of each settled hour or day."""
    for one in records:
        window, segment = one["window"], segment_name(**one["segment"])
        place = (one["site_id"], window["kind"], window["start"], window["end"], window["zone"], segment)
        for name, kpi in one["kpis"].items():
            yield *place, one["state"], one["revision"], one["reason"], name, *_figures(kpi)


def score_rows(site: str, scores: Iterable[LatestScore]) -> Iterator[Row]:
    for one in scores:
        yield site, *msgspec.structs.astuple(one)


def signal_rows(site: str, signals: Iterable[LatestSignal]) -> Iterator[Row]:
    for one in signals:
        yield site, *msgspec.structs.astuple(one)


def alert_rows(alerts: Iterable[StandingAlert]) -> Iterator[Row]:
    for one in alerts:
        yield one.standing, one.since, one.severity, one.site_id, one.segment_name, one.rule, one.text


def partition_rows(partitions: Iterable[PartitionHealth]) -> Iterator[Row]:
    for one in partitions:
        yield [getattr(one, name) for name in PARTITION_COLUMNS]


def _figures(kpi: Mapping[str, Any]) -> list[object]:
    return [kpi.get(column) for column in FIGURES]


def _cell(one: object) -> object:
    if isinstance(one, bool):
        return str(one).lower()
    if isinstance(one, str):
        return text_cell(one)
    return "" if one is None else one


def text_cell(text: str) -> str:
    """The text, never a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text
