"""The last minutes of some figures, second by second, for lines that do not begin at zero when a page opens.

A point belongs to the second of event time it is about (`as_of`). Where nothing was known there is none.
"""

from __future__ import annotations

import math
from array import array
from collections import OrderedDict
from typing import Any, Final, NamedTuple

import msgspec

from schemas.keys import ALL, snapshot_key
from schemas.times import parse_time, rfc3339, to_ms
from stream.dashboard.records import Records
from stream.pipeline.take_snapshot import Header

SECONDS: Final = 900
STEP_MS: Final = 1000
LONGEST_STEP: Final = 5
"""Seconds by which `as_of` may move between two readings and be drawn through; above it is a gap."""
FEW_RECORDS: Final = 100
"""A backlog of no more is the ordinary way of a worker between two fetches."""
TRACKS_KEPT: Final = 64
"""Sites and segments; the one asked for longest ago makes room."""


class Series(NamedTuple):
    """One line: a KPI of a window. `per_s`: how fast this count grows, instead of the value."""

    name: str
    kpi: str
    window: str
    per_s: bool = False


SERIES: Final = (
    Series("page_views_per_s", "page_views", "all", per_s=True),
    Series("sessions_per_s", "sessions", "all", per_s=True),
    Series("active_visitors", "active_visitors", "5m"),
    Series("sessions", "sessions", "5m"),
    Series("pages_per_session", "pages_per_session", "5m"),
    Series("session_duration_ms", "session_duration_ms", "5m"),
    Series("bounce_rate", "bounce_rate", "5m"),
    Series("ctr", "ctr", "5m"),
    Series("nps", "nps", "24h"),
    Series("csat", "csat", "24h"),
)
_WINDOWS: Final = tuple(dict.fromkeys(one.window for one in SERIES))
Figures = dict[str, float | None]  # series -> value, of a count that grows the count


class _Value(msgspec.Struct):
    value: float | None = None


_decode_value = msgspec.json.Decoder(_Value).decode


class Track:
    """The lines of one site and segment: rings, the second modulo SECONDS."""

    def __init__(self) -> None:
        self._lines = {one.name: array("d", [math.nan]) * SECONDS for one in SERIES}
        self._second = 0  # the newest
        self._totals: Figures = {}  # of the counts that grow, at that second
        self._read = 0  # records read by then

    def add(self, second: int, figures: Figures, read: int = 0, *, growth_known: bool = True) -> None:
        """The figures as of a second; those of the newest one may come again. read: records, 0 unknown."""
        step = second - self._second
        if step < 0:  # event time went back: another store, or one restored
            self.__init__()  # type: ignore[misc]
            step = second
        drawn = range(self._second + 1, second) if step <= LONGEST_STEP else ()
        for one in SERIES:
            line = self._lines[one.name]
            value = self._value(one, figures, step, read) if growth_known or not one.per_s else math.nan
            for missed in range(max(self._second + 1, second - SECONDS + 1), second):
                line[missed % SECONDS] = value if missed in drawn else math.nan
            if step or not one.per_s:
                line[second % SECONDS] = value
        if step:
            self._second, self._read = second, read
            self._totals = {one.name: figures.get(one.name) for one in SERIES if one.per_s}

    def _value(self, one: Series, figures: Figures, step: int, read: int) -> float:
        value = figures.get(one.name)
        if value is None or not one.per_s:
            return math.nan if value is None else value
        before = self._totals.get(one.name)
        if before is None or not 0 < step <= LONGEST_STEP or value < before:
            return math.nan
        if read and value - before > read - self._read:  # it was read before, and is only told of now
            return math.nan
        return (value - before) / step

    def lines(self, end: int) -> dict[str, list[float | None]]:
        """SECONDS points of each line, the last of them at `end`."""
        seconds = range(end - SECONDS + 1, end + 1)
        oldest = self._second - SECONDS
        return {
            name: [
                None if not oldest < second <= self._second or math.isnan(line[second % SECONDS])
                else line[second % SECONDS]
                for second in seconds
            ]
            for name, line in self._lines.items()
        }  # fmt: skip


class History:
    """The tracks of the whole sites, and of the segments somebody asked for since."""

    def __init__(self) -> None:
        self._position = 0  # records counted
        self._waiting = math.inf  # records that can be read and are not: nobody knows how many
        self._tracks: OrderedDict[tuple[str, str], Track] = OrderedDict()

    def take(self, header: Header, records: Records) -> None:
        """Add what is held now to every track."""
        if header.as_of is None:
            return
        second = to_ms(parse_time(header.as_of)) // STEP_MS
        backlog = self._was_backlog(header)
        for site in records.sites()[:TRACKS_KEPT]:
            if len(self._tracks) < TRACKS_KEPT:
                self._tracks.setdefault((site, ALL), Track())
        for (site, segment), track in self._tracks.items():
            track.add(second, _figures(records, site, segment), self._position, growth_known=not backlog)

    def _was_backlog(self, header: Header) -> bool:
        """Whether much of what was counted since the last time had waited: it did not happen just now."""
        position = sum(sum(topic.values()) for topic in header.positions.values())
        counted, waited = position - self._position, self._waiting
        lag = header.completeness.lag_records
        self._position, self._waiting = position, math.inf if lag is None else lag
        return waited > max(FEW_RECORDS, counted // 2)

    def answer(self, site: str, segment: str, records: Records, now_ms: int) -> dict[str, Any]:
        """The body of GET /api/v1/history. What there is and was not followed is from now on."""
        track = self._tracks.get((site, segment)) or Track()
        if any(records.get(snapshot_key(site, window, segment)) for window in _WINDOWS):
            self._tracks[site, segment] = track
            self._tracks.move_to_end((site, segment))
        while len(self._tracks) > TRACKS_KEPT:
            self._tracks.popitem(last=False)
        end = now_ms // STEP_MS
        return {
            "site": site,
            "segment": segment,
            "step_ms": STEP_MS,
            "end": rfc3339(end * STEP_MS),
            "windows": {one.name: one.window for one in SERIES if not one.per_s},
            "series": track.lines(end),
        }


def _figures(records: Records, site: str, segment: str) -> Figures:
    held = {window: records.get(snapshot_key(site, window, segment)) for window in _WINDOWS}
    kpis = {window: record.kpis() for window, record in held.items() if record is not None}
    return {
        one.name: _decode_value(kpis[one.window][one.kpi]).value
        for one in SERIES if one.kpi in kpis.get(one.window, ())
    }  # fmt: skip
