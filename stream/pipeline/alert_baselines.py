"""The same hour of earlier weeks, from settled results: what a rule with `against = "earlier_weeks"` needs.

A rolling hour rarely begins with an hour of the clock, so of each week the two hours it overlaps are mixed by
their share of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from stream.core.alerts import Baseline, Rule, baseline
from stream.core.calendar import Calendar, calendar_of
from stream.core.policy import HOUR_MS
from stream.pipeline.alert_record import Series, figure_of
from stream.pipeline.ports import ResultsBoard
from stream.pipeline.read_results import read_windows
from stream.pipeline.settle import closed_field

WINDOW: Final = "1h"
"""The rolling window that may be compared with hours of the clock."""
WEEKS: Final = 4
"""Settled hours are kept for 30 days."""
LEAST_WEEKS: Final = 3
"""The median of two is their mean: one odd week would move it."""

Hour = tuple[str, int]  # site, first ms


def weeks_before(calendar: Calendar, hour_ms: int, weeks: int) -> int:
    """The hour that the site's clocks showed so many weeks before, also across a change of the clocks."""
    local = datetime.fromtimestamp(hour_ms / 1000, UTC).astimezone(calendar.zone).replace(tzinfo=None)
    shown = (local - timedelta(weeks=weeks)).replace(tzinfo=calendar.zone)
    return calendar.hour(round(shown.timestamp() * 1000))


class SettledBaselines:
    """`Baselines` from the board. `refresh` before asking; it reads once per site and hour."""

    def __init__(self, board: ResultsBoard, rules: Iterable[Rule], zone_of: Callable[[str], str]) -> None:
        self._board = board
        self._kpis = {rule.kpi for rule in rules if rule.deviations}
        self._zone_of = zone_of
        self._hours: dict[Hour, dict[tuple[str, str], float]] = {}
        self._read_for: dict[str, int] = {}  # site -> the hour whose past was read

    async def refresh(self, sites: Iterable[str], at_ms: int) -> None:
        """Read what the hour at `at_ms` is compared with. Raises StoreUnreachable, StoreMisconfigured."""
        if not self._kpis:
            return
        for site_id in sites:
            hour_ms = self._calendar(site_id).hour(at_ms)
            if self._read_for.get(site_id) == hour_ms:
                continue
            for hour in [hour for hour in self._hours if hour[0] == site_id]:
                del self._hours[hour]
            # The window ends in this hour and begins in the one before.
            await self._read(site_id, [*self._past(site_id, hour_ms), *self._past(site_id, hour_ms - 1)])
            self._read_for[site_id] = hour_ms

    def of(self, rule: Rule, series: Series, at_ms: int) -> Baseline | None:
        """None where fewer than `LEAST_WEEKS` weeks have a figure."""
        hour_ms = self._calendar(series.site_id).hour(at_ms)
        share = (at_ms - hour_ms) / HOUR_MS  # of the hour the window ends in
        figure = (series.segment, rule.kpi)
        values = []
        for late, early in zip(
            self._past(series.site_id, hour_ms), self._past(series.site_id, hour_ms - 1), strict=True
        ):
            after = self._hours.get((series.site_id, late), {}).get(figure)
            before = self._hours.get((series.site_id, early), {}).get(figure)
            if after is not None and before is not None:
                values.append(share * after + (1 - share) * before)
        return baseline(values, rule.least_spread) if len(values) >= LEAST_WEEKS else None

    def _calendar(self, site_id: str) -> Calendar:
        return calendar_of(self._zone_of(site_id))

    def _past(self, site_id: str, at_ms: int) -> Sequence[int]:
        calendar = self._calendar(site_id)
        hour_ms = calendar.hour(at_ms)
        return [weeks_before(calendar, hour_ms, week) for week in range(1, WEEKS + 1)]

    async def _read(self, site_id: str, hours: Sequence[int]) -> None:
        fields = [closed_field(site_id, ("hour", hour_ms)) for hour_ms in hours]
        for hour_ms, records in zip(hours, await read_windows(self._board, fields), strict=True):
            figures = self._hours[site_id, hour_ms] = {}
            for segment, record in records.items():
                for kpi in self._kpis & record.kpis.keys():
                    value = figure_of(record.kpis[kpi]).value
                    if value is not None:
                        figures[segment, kpi] = value
