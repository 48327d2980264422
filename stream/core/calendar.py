"""Hours and days of a time zone. Instants are ms since the epoch.

A window begins where the wall clock shows a full hour or midnight, and where the clock is set: so a day of
a change has 23 or 25 hours, and hours follow one another without hole or overlap.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final, Literal, TypeAlias
from zoneinfo import ZoneInfo

from stream.core.policy import HOUR_MS

Kind: TypeAlias = Literal["hour", "day"]
Window: TypeAlias = tuple[Kind, int]  # a settled window: its kind, and its first ms

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
# Where the hour of an instant is looked up. No zone of today changes inside one of these; if one does, the
# lookup sees it and computes.
_STEP_MS: Final = 15 * 60 * 1000
_REMEMBERED: Final = 65_536


class Calendar:
    """The hours and days of one zone."""

    def __init__(self, zone: tzinfo) -> None:
        self.zone = zone
        self._hours: dict[int, tuple[int, int]] = {}
        self._days: dict[int, tuple[int, int]] = {}

    def hour(self, t: int) -> int:
        """The first ms of the hour that holds `t`."""
        return self.hour_limits(t)[0]

    def hour_limits(self, t: int) -> tuple[int, int]:
        """The first ms of the hour that holds `t`, and of the next one."""
        found = self._hours.get(t // _STEP_MS)
        if found is not None and found[0] <= t < found[1]:
            return found
        if len(self._hours) > _REMEMBERED:
            self._hours.clear()
        found = self._hours[t // _STEP_MS] = self._find_hour(t)
        return found

    def day(self, t: int) -> int:
        """The first ms of the day that holds `t`."""
        return self._day_limits(t)[0]

    def end(self, window: Window) -> int:
        """The first ms after a window."""
        kind, start = window
        return (self.hour_limits(start) if kind == "hour" else self._day_limits(start))[1]

    def windows(self, t: int) -> tuple[Window, Window]:
        """The hour and the day that hold `t`."""
        return ("hour", self.hour(t)), ("day", self.day(t))

    def _day_limits(self, t: int) -> tuple[int, int]:
        hour = self.hour(t)
        found = self._days.get(hour)
        if found is None:
            if len(self._days) > _REMEMBERED:
                self._days.clear()
            found = self._days[hour] = self._find_day(t)
        return found

    def _offset(self, t: int) -> int:
        """What the clock is ahead of UTC, in ms. Beyond the years a clock knows it shows UTC."""
        try:
            offset = (_EPOCH + t * _MS).astimezone(self.zone).utcoffset()
        except OverflowError:
            return 0
        return 0 if offset is None else offset // _MS

    def _find_hour(self, t: int) -> tuple[int, int]:
        offset = self._offset(t)
        start = t - (t + offset) % HOUR_MS
        end = start + HOUR_MS
        if self._offset(start) != offset:
            start = self._change(start, t)
        if self._offset(end - 1) != offset:
            end = self._change(t, end - 1)
        return start, end

    def _change(self, before: int, after: int) -> int:
        """The first ms of the offset at `after`, which is another one than at `before`."""
        offset = self._offset(after)
        while after - before > 1:
            middle = (before + after) // 2
            if self._offset(middle) == offset:
                after = middle
            else:
                before = middle
        return after

    def _find_day(self, t: int) -> tuple[int, int]:
        try:
            date = (_EPOCH + t * _MS).astimezone(self.zone).date()
            start = self._midnight(date.toordinal())
            # A clock set back over midnight shows the day before once more: that belongs to the new day.
            following = date.toordinal() + 1
            end = self._midnight(following)
            while end <= max(start, t):  # also a date that a zone left out
                if end > start:
                    start = end
                following += 1
                end = self._midnight(following)
        except (OverflowError, ValueError):
            start = t - t % (24 * HOUR_MS)
            end = start + 24 * HOUR_MS
        return start, end

    def _midnight(self, ordinal: int) -> int:
        """When a date begins: at midnight, or where the clock jumps over it."""
        return (datetime.fromordinal(ordinal).replace(tzinfo=self.zone) - _EPOCH) // _MS


@lru_cache(maxsize=256)
def calendar_of(zone: str) -> Calendar:
    """The calendar of an IANA zone. Raises KeyError or ValueError when there is none."""
    return Calendar(ZoneInfo(zone))
