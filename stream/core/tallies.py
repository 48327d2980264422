"""All counts of one segment: buckets of event time, the rolling windows summed from them, and the total."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import chain, compress
from typing import Generic

import msgspec

from stream.core.calendar import Window
from stream.core.dimensions import is_of_pages
from stream.core.engagement import VISITORS
from stream.core.event_time import FOREVER_MS, NEVER_MS
from stream.core.kpi import WHOLE
from stream.core.loyalty import RETURN_METRICS, VISITORS_OF_DAY
from stream.core.packed import names_kept
from stream.core.policy import HOUR_MS
from stream.core.registry import metrics_of, that_apply
from stream.core.windows import (
    ALL_TIME,
    DAY,
    DAY_KIND,
    MONTH,
    PAGES_KIND,
    RETURNS_KIND,
    SERIES,
    TEN_SECONDS_MS,
    Counts,
    K,
    Series,
    SlidingSum,
    add,
    add_under,
    between,
)

_FEW_BUCKETS = 32
Metrics = frozenset[str] | None  # None: all of them


def _by_hour(series: Series, dimension: str) -> frozenset[str]:
    """The metrics of a series of hours: what the KPIs of its longest window are computed from."""
    metrics = metrics_of(series.windows[-1].name, dimension)
    of_series = metrics & RETURN_METRICS if series.kind == RETURNS_KIND else metrics - RETURN_METRICS
    return names_kept(of_series)


@lru_cache(maxsize=1024)
def series_of(dimension: str) -> tuple[tuple[Series, Metrics], ...]:
    """The series that segments of `dimension` have, each with the metrics it keeps.

    Hours are kept long: only for KPIs that are published for so long, and only what these are computed from.
    """
    found: list[tuple[Series, Metrics]] = []
    for series in SERIES:
        if series.bucket_ms < HOUR_MS:
            if is_of_pages(dimension) != (series.kind == PAGES_KIND):
                continue
            windows = tuple(window for window in series.windows if that_apply(window.name, dimension))
            if windows:
                found.append((Series(series.kind, windows), None))
        elif metrics := _by_hour(series, dimension):
            found.append((series, metrics))
    return tuple(found)


class Settled(msgspec.Struct):
    """What a `settle` changed: buckets by kind of series, and windows by name."""

    touched: dict[str, set[int]] = {}
    forgotten: dict[str, list[int]] = {}
    windows: set[str] = set()


class Rows(dict[K, defaultdict[str, int]], Generic[K]):
    """Counts to add per bucket (or whatever they are dated by); a row that is asked for is there."""

    def __missing__(self, key: K) -> defaultdict[str, int]:
        row = self[key] = defaultdict(int)
        return row


class Pending:
    """Counts to add, not yet in any bucket.

    `rows[event time in ms // 10 000]` is dated by event time. What an ended session counts is in `sessions`
    by (bucket of its last event, first ms of the hour of its first event): rolling windows date it by the
    one, settled windows by the other. `hours` (by the first ms of an hour) is for settled windows alone.
    """

    def __init__(self) -> None:
        self.rows: Rows[int] = Rows()
        self.sessions: Rows[tuple[int, int]] = Rows()
        self.hours: Rows[int] = Rows()

    def take(self, more: Pending) -> None:
        """Add what is pending there, which stays."""
        _take(self.rows, more.rows)
        _take(self.sessions, more.sessions)
        _take(self.hours, more.hours)


def _take(rows: Rows[K], more: Rows[K]) -> None:
    for key, counts in more.items():
        told = [item for item in counts.items() if item[1]]  # much is added and taken back in one batch
        if told:
            row = rows[key]
            for metric, n in told:
                row[metric] += n


class _Buckets:
    """The buckets of one series, and for each of its windows the sums of it and of the one before."""

    def __init__(self, series: Series, metrics: Metrics) -> None:
        self.series = series
        self.counts: dict[int, Counts] = {}
        self._metrics = metrics
        self._edge = NEVER_MS  # the first bucket that begins at the end of the windows or after it
        self._now = {window.name: SlidingSum() for window in series.windows}
        self._before = {window.name: SlidingSum() for window in series.windows}
        for before in self._before.values():
            before.high = NEVER_MS
        self._sums = [*self._now.items(), *self._before.items()]
        self._newest = (True,) * len(self._now) + (False,) * len(self._before)

    def has(self, window: str) -> bool:
        return window in self._now

    def window(self, name: str) -> tuple[Counts, Counts]:
        return self._now[name].counts, self._before[name].counts

    @property
    def still_until_ms(self) -> int:
        """As long as the windows end no later, nothing slides out of or into one."""
        if not self.counts:
            return FOREVER_MS
        edges = [
            first + 2 * window.buckets - back
            for window in self.series.windows
            for back in (0, window.buckets)
            if (first := self._first_from(self._edge - 2 * window.buckets + back)) is not None
        ]
        return min(edges, default=self._edge) * self.series.bucket_ms

    def _first_from(self, low: int) -> int | None:
        """The first bucket from `low` on: the next to leave a sum that begins there."""
        if len(self.counts) <= _FEW_BUCKETS:
            return min((bucket for bucket in self.counts if bucket >= low), default=None)
        # Of many there is one nearby; else look again with the next bucket.
        return next((bucket for bucket in range(low, self._edge) if bucket in self.counts), low)

    def slide(self, end_ms: int, changed: set[str]) -> list[int]:
        """Let every window end at `end_ms`; returns the buckets that no window reaches any more."""
        edge = -(-end_ms // self.series.bucket_ms)
        if edge <= self._edge:
            return []
        for window in self.series.windows:
            low = edge - window.buckets
            now, before = self._now[window.name], self._before[window.name]
            # Before any of its sums leaves: what leaves `now` enters `before`.
            if before.move(self.counts, low - window.buckets, low) | now.move(self.counts, low, None):
                changed.add(window.name)
        old = list(between(self.counts, self._edge - self.series.kept, edge - self.series.kept))
        for bucket in old:
            del self.counts[bucket]
        self._edge = edge
        return old

    def take(self, rows: Mapping[int, Counts], changed: set[str]) -> set[int]:
        """Add rows, by buckets of this width, to buckets and windows; returns the buckets touched.

        Buckets that no window reaches any more are not kept: they count in the total only.
        """
        touched: set[int] = set()
        first = self._edge - self.series.kept
        newest = self._edge - self.series.windows[0].buckets
        together: dict[tuple[bool, ...], Counts] = {}  # rows under the same windows
        for bucket, row in self._wanted(rows):
            if bucket < first:
                continue
            add(self.counts.setdefault(bucket, {}), row)
            touched.add(bucket)
            if bucket >= newest:  # in every window, and in none before it
                coverage = self._newest
            else:
                coverage = tuple([sliding.covers(bucket) for _, sliding in self._sums])
            add_under(together, coverage, row)
        for coverage, counts in together.items():
            for name, sliding in compress(self._sums, coverage):
                add(sliding.counts, counts)
                changed.add(name)
        return touched

    def _wanted(self, rows: Mapping[int, Counts]) -> Iterable[tuple[int, Counts]]:
        """(bucket, counts) of the rows, as far as this series keeps them."""
        if self._metrics is None:
            return rows.items()
        # Looks through the row, not through all metrics there are.
        wanted = ((bucket, row, self._metrics.intersection(row)) for bucket, row in rows.items())
        return [(bucket, {metric: row[metric] for metric in kept}) for bucket, row, kept in wanted if kept]

    def restore(self, counts: dict[int, Counts]) -> None:
        self.counts = counts
        for now in self._now.values():
            for bucket in counts.values():
                add(now.counts, bucket)


def _in_buckets(rows: Iterable[tuple[int, Counts]], factor: int) -> dict[int, Counts]:
    """Rows of buckets that are `factor` times as wide."""
    found: dict[int, Counts] = {}
    for bucket, row in rows:
        add_under(found, bucket // factor, row)
    return found


class SegmentTally(Pending):
    """All counts of one segment of one site.

    `settle` moves what is pending into buckets, windows and total, and says what it touched. `hours` and
    `inside` (by settled window) are for settled windows alone; `core/settled.py` takes them.
    """

    def __init__(self, dimension: str = WHOLE) -> None:
        super().__init__()
        self.inside: Rows[Window] = Rows()
        self.total: Counts = {}
        self.series = {series.kind: _Buckets(series, metrics) for series, metrics in series_of(dimension)}
        self._widths = sorted({series.series.bucket_ms for series in self.series.values()})
        self._settled_ms = NEVER_MS  # where the windows end
        self._still_until_ms: int | None = FOREVER_MS  # None: not known since it changed
        self._today = 0

    def settled_at(self, end_ms: int) -> bool:
        """Nothing is pending, and nothing slides out of or into a window that ends at `end_ms`."""
        if self.rows or self.sessions or self.hours or self.inside:
            return False
        if end_ms <= self._settled_ms:
            return True
        if self._still_until_ms is None:
            self._still_until_ms = min(buckets.still_until_ms for buckets in self.series.values())
        return end_ms <= self._still_until_ms

    def window(self, name: str) -> tuple[Counts, Counts]:
        """(counts of the window, counts of the window before it), as of the last `settle`."""
        if name == ALL_TIME:
            return self.total, {}
        found: list[tuple[Counts, Counts]] = [
            buckets.window(name) for buckets in self.series.values() if buckets.has(name)
        ]
        if name == MONTH and found and (today := self._visitors_of_day()):
            found.append(({VISITORS_OF_DAY: today}, {}))
        if len(found) == 1:
            return found[0]
        now: Counts = {}
        before: Counts = {}
        for sums in found:  # of different metrics
            now |= sums[0]
            before |= sums[1]
        return now, before

    def _visitors_of_day(self) -> int:
        """So the month says which part of it the day is, as of one instant."""
        day = self.series.get(DAY_KIND)  # pages have none: nobody counts their visitors
        return 0 if day is None else day.window(DAY)[0].get(VISITORS, 0)

    def settle(self, end_ms: int) -> Settled:
        """Let the windows end at `end_ms`, and apply what is pending."""
        found = Settled()
        rows = self._take_rows()
        for row in rows[self._widths[-1]].values():
            add(self.total, row)
            found.windows.add(ALL_TIME)
        for kind, buckets in self.series.items():
            found.forgotten[kind] = buckets.slide(end_ms, found.windows)
            found.touched[kind] = buckets.take(rows[buckets.series.bucket_ms], found.windows)
        if DAY in found.windows and self._today != self._visitors_of_day():
            self._today = self._visitors_of_day()
            found.windows.add(MONTH)
        self._settled_ms, self._still_until_ms = end_ms, None
        return found

    def _take_rows(self) -> dict[int, Mapping[int, Counts]]:
        """What is pending, by the widths of buckets, ms, that the series have. Nothing is pending then."""
        pending: Iterable[tuple[int, Counts]] = chain(
            self.rows.items(), ((bucket, row) for (bucket, _), row in self.sessions.items())
        )
        rows: Mapping[int, Counts] = {}
        found: dict[int, Mapping[int, Counts]] = {}
        narrower_ms = TEN_SECONDS_MS
        for width_ms in self._widths:
            found[width_ms] = rows = _in_buckets(pending, width_ms // narrower_ms)
            pending, narrower_ms = rows.items(), width_ms
        self.rows = Rows()
        for taken in (self.sessions, self.hours, self.inside):  # the last two by nobody, if still there
            taken.clear()
        return found

    def restore(self, buckets: Mapping[str, dict[int, Counts]], total: Counts) -> None:
        """Take stored buckets, by kind of series; the windows are summed by the next `settle`."""
        self.total = total
        for kind, series in self.series.items():
            series.restore(buckets.get(kind, {}))
        self._still_until_ms = NEVER_MS  # the sums are to be made
