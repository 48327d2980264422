"""Rolling windows: their shapes, and sliding sums of integer counts per bucket of event time.

Counts are mappings from a metric's name to an integer: zero is the empty mapping, add and merge are the
same sum, retract is the sum with a minus. Ratios are never stored. `tallies.py` puts it together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias, TypeVar

import msgspec

from stream.core.event_time import NEVER_MS
from stream.core.policy import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS

Counts: TypeAlias = dict[str, int]

TEN_SECONDS_MS = 10 * SECOND_MS


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
    Window("7d", 7 * DAY_MS, HOUR_MS),
    Window("28d", 28 * DAY_MS, HOUR_MS),
    Window("30d", 30 * DAY_MS, HOUR_MS),
    Window("90d", 90 * DAY_MS, HOUR_MS),
)
WINDOWS = {window.name: window for window in ROLLING}
# The day of landing and exit pages: a site has hundreds of them, and minutes would hold a visit or two each.
PAGES_DAY = Window("24h", DAY_MS, 15 * MINUTE_MS)
ALL_TIME = "all"
SETTLED = ("hour", "day")  # kinds of settled windows: core/settled.py
# Above a day only the counts of some KPIs are kept: see `Definition.windows`.
UP_TO_A_DAY = frozenset({
    *(window.name for window in ROLLING if window.width_ms <= DAY_MS), ALL_TIME, *SETTLED,
})  # fmt: skip
OF_VISITORS = UP_TO_A_DAY | {"7d", "28d"}
OF_ANSWERS = UP_TO_A_DAY | {"7d", "30d", "90d"}
DAY, MONTH = "24h", "28d"  # of daily and monthly active visitors
DAY_KIND = "m"  # of the series that has the day
PAGES_KIND = "p"  # of the one that has it for pages


class Series(msgspec.Struct, frozen=True):
    """Buckets of one width, and the windows that are summed from them. Two windows' time is kept."""

    kind: str  # in the names of stored buckets
    windows: tuple[Window, ...]  # from short to long

    @property
    def bucket_ms(self) -> int:
        return self.windows[-1].bucket_ms

    @property
    def kept(self) -> int:
        """How many buckets: the longest window, and the one before it."""
        return 2 * self.windows[-1].buckets


# Hours are kept thrice. What answers need for half a year is little, what visitors need is kept for a third.
# Of these the hours of returns are apart: they hold a histogram and stay as they are, while every visitor who
# comes back changes the hours of the visits before.
RETURNS_KIND = "r"
SERIES = (
    Series("t", tuple(window for window in ROLLING if window.bucket_ms == TEN_SECONDS_MS)),
    Series(DAY_KIND, (WINDOWS["24h"],)),
    Series(PAGES_KIND, (PAGES_DAY,)),
    Series("v", (WINDOWS["7d"], WINDOWS["28d"])),
    Series(RETURNS_KIND, (WINDOWS["7d"], WINDOWS["28d"])),
    Series("a", (WINDOWS["7d"], WINDOWS["30d"], WINDOWS["90d"])),
)


def add(counts: Counts, more: Mapping[str, int], sign: int = 1) -> None:
    """Add (or with sign -1 retract) `more`, in place. Metrics that reach zero disappear."""
    for metric, n in more.items():
        total = counts.get(metric, 0) + sign * n
        if total:
            counts[metric] = total
        else:
            counts.pop(metric, None)


K = TypeVar("K")


def add_under(sums: dict[K, Counts], key: K, more: Mapping[str, int]) -> None:
    """Add `more` to the counts under a key; it is copied, never kept. What is nothing is not opened."""
    counts = sums.get(key)
    if counts is not None:
        add(counts, more)
    elif opened := {metric: n for metric, n in more.items() if n}:
        sums[key] = opened


class SlidingSum:
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
        for bucket in between(store, self.low, low):
            if self.covers(bucket):
                add(self.counts, store[bucket], -1)
                changed = True
        old_high, self.low = self.high, max(self.low, low)
        if high is not None and old_high is not None:
            for bucket in between(store, max(old_high, self.low), high):
                add(self.counts, store[bucket])
                changed = True
        self.high = high
        return changed


def between(store: Mapping[int, Counts], low: int, high: int) -> Iterable[int]:
    """The buckets of `store` in [low, high), cheap both for small steps and for jumps over years."""
    if high - low <= len(store):
        return [bucket for bucket in range(low, high) if bucket in store]
    return [bucket for bucket in store if low <= bucket < high]
