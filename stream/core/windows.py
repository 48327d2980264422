"""Rolling windows as sliding sums of integer counts per bucket of event time.

Counts are mappings from a metric's name to an integer: zero is the empty mapping, add and merge are the
same sum, retract is the sum with a minus. Ratios are never stored.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import compress
from typing import TypeAlias

import msgspec

from stream.core.event_time import NEVER_MS
from stream.core.policy import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS

Counts: TypeAlias = dict[str, int]

TEN_SECONDS_MS = 10 * SECOND_MS
_TENS_PER_MINUTE = MINUTE_MS // TEN_SECONDS_MS


class Window(msgspec.Struct, frozen=True):
    """A rolling window: its name on the wire, its width and the width of its buckets."""

    name: str
    width_ms: int
    bucket_ms: int

    def first_bucket(self, end_ms: int) -> int:
        """The first whole bucket of the window ending at `end_ms` (inclusive at both ends)."""
        return -((self.width_ms - end_ms) // self.bucket_ms)

    @property
    def buckets(self) -> int:
        return self.width_ms // self.bucket_ms


ROLLING = (
    Window("1m", MINUTE_MS, TEN_SECONDS_MS),
    Window("5m", 5 * MINUTE_MS, TEN_SECONDS_MS),
    Window("30m", 30 * MINUTE_MS, TEN_SECONDS_MS),
    Window("1h", HOUR_MS, TEN_SECONDS_MS),
    Window("24h", DAY_MS, MINUTE_MS),
)
ALL_TIME = "all"
# The longest window of a resolution and the one before it, and a bucket for the partial ends.
TENS_KEPT_MS = 2 * HOUR_MS + TEN_SECONDS_MS
MINUTES_KEPT_MS = 2 * DAY_MS + MINUTE_MS


def add(counts: Counts, more: Mapping[str, int], sign: int = 1) -> None:
    """Add (or with sign -1 retract) `more`, in place. Metrics that reach zero disappear."""
    for metric, n in more.items():
        total = counts.get(metric, 0) + sign * n
        if total:
            counts[metric] = total
        else:
            counts.pop(metric, None)


class _SlidingSum:
    """The sum over buckets [low, high); high None is open-ended (a clock may run ahead)."""

    def __init__(self) -> None:
        self.counts: Counts = {}
        self.low = NEVER_MS
        self.high: int | None = None

    def covers(self, bucket: int) -> bool:
        return self.low <= bucket and (self.high is None or bucket < self.high)

    def move(self, store: Mapping[int, Counts], low: int, high: int | None) -> bool:
        """Slide to new limits; both only grow. Returns whether the sum changed."""
        changed = False
        for bucket in _between(store, self.low, low):
            if self.covers(bucket):
                add(self.counts, store[bucket], -1)
                changed = True
        old_high, self.low = self.high, max(self.low, low)
        if high is not None and old_high is not None:
            for bucket in _between(store, max(old_high, self.low), high):
                add(self.counts, store[bucket])
                changed = True
        self.high = high
        return changed


def _between(store: Mapping[int, Counts], low: int, high: int) -> Iterable[int]:
    """The buckets of `store` in [low, high), cheap both for small steps and for jumps over years."""
    if high - low <= len(store):
        return [bucket for bucket in range(low, high) if bucket in store]
    return [bucket for bucket in store if low <= bucket < high]


class _Rows(dict[int, defaultdict[str, int]]):
    """Counts to add per bucket; a row that is asked for is there."""

    def __missing__(self, bucket: int) -> defaultdict[str, int]:
        row = self[bucket] = defaultdict(int)
        return row


class SegmentTally:
    """All counts of one segment of one site: buckets, rolling windows and the total.

    `rows[event time in ms // 10 000]` holds the pending counts of a ten-second bucket, to add to;
    `settle` moves them into buckets, windows and total, and says what it touched.
    """

    def __init__(self) -> None:
        self.rows = _Rows()
        self.tens: dict[int, Counts] = {}
        self.minutes: dict[int, Counts] = {}
        self.total: Counts = {}
        self._now = {window.name: _SlidingSum() for window in ROLLING}
        self._before = {window.name: _SlidingSum() for window in ROLLING}
        for before in self._before.values():
            before.high = NEVER_MS
        self._sums = [(window, sums[window.name]) for sums in (self._now, self._before) for window in ROLLING]
        self._end_ms = NEVER_MS

    def settled_at(self, end_ms: int) -> bool:
        """Nothing is pending, and nothing can slide out of or into a window that ends at `end_ms`."""
        return not self.rows and (end_ms == self._end_ms or not (self.tens or self.minutes))

    def window(self, name: str) -> tuple[Counts, Counts]:
        """(counts of the window, counts of the window before it), as of the last `advance`."""
        if name == ALL_TIME:
            return self.total, {}
        return self._now[name].counts, self._before[name].counts

    def settle(self, tens_from: int, minutes_from: int) -> tuple[set[int], set[int], set[str]]:
        """Apply what is pending. Buckets before the limits are forgotten: they count in the total only.

        Returns the touched ten-second buckets, minutes, and names of windows whose sum changed.
        """
        tens: set[int] = set()
        minutes: set[int] = set()
        together: dict[tuple[bool, ...], Counts] = {}  # rows under the same windows, added up
        for bucket, row in self.rows.items():
            minute = bucket // _TENS_PER_MINUTE
            if bucket >= tens_from:
                add(self.tens.setdefault(bucket, {}), row)
                tens.add(bucket)
            if minute >= minutes_from:
                add(self.minutes.setdefault(minute, {}), row)
                minutes.add(minute)
            add(together.setdefault(self._coverage(bucket, minute), {}), row)
        windows = {ALL_TIME} if together else set()
        for coverage, counts in together.items():
            add(self.total, counts)
            for window, sliding in compress(self._sums, coverage):
                add(sliding.counts, counts)
                windows.add(window.name)
        self.rows = _Rows()
        return tens, minutes, windows

    def _coverage(self, bucket: int, minute: int) -> tuple[bool, ...]:
        """Which of `_sums` hold a ten-second bucket."""
        return tuple([
            sliding.covers(bucket if window.bucket_ms == TEN_SECONDS_MS else minute)
            for window, sliding in self._sums
        ])  # fmt: skip

    def advance(self, end_ms: int) -> set[str]:
        """Slide every window to end at `end_ms`; returns the names of those whose sums changed."""
        changed: set[str] = set()
        self._end_ms = end_ms
        for window in ROLLING:
            store = self._store(window)
            low = window.first_bucket(end_ms)
            now, before = self._now[window.name], self._before[window.name]
            if low <= now.low:
                continue
            # Before any of its sums leaves: what leaves `now` enters `before`.
            if before.move(store, low - window.buckets, low) | now.move(store, low, None):
                changed.add(window.name)
        return changed

    def expire(self, tens_from: int, minutes_from: int) -> tuple[list[int], list[int]]:
        """Forget buckets no window reaches any more; returns what was forgotten."""
        old_tens = [bucket for bucket in self.tens if bucket < tens_from]
        old_minutes = [bucket for bucket in self.minutes if bucket < minutes_from]
        for bucket in old_tens:
            del self.tens[bucket]
        for bucket in old_minutes:
            del self.minutes[bucket]
        return old_tens, old_minutes

    def restore(self, tens: dict[int, Counts], minutes: dict[int, Counts], total: Counts) -> None:
        """Take stored buckets; the windows are summed by the next `advance`."""
        self.tens, self.minutes, self.total = tens, minutes, total
        for window in ROLLING:
            counts: Counts = {}
            for bucket in self._store(window).values():
                add(counts, bucket)
            self._now[window.name].counts = counts

    def _store(self, window: Window) -> dict[int, Counts]:
        return self.tens if window.bucket_ms == TEN_SECONDS_MS else self.minutes
