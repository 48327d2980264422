"""The same hour of earlier weeks, from settled results."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from schemas.keys import ALL
from schemas.times import rfc3339
from stream.core.alerts import Baseline, Rule
from stream.core.calendar import calendar_of
from stream.core.kpi import Count, Kpi
from stream.core.policy import HOUR_MS
from stream.pipeline.alert_baselines import SettledBaselines, weeks_before
from stream.pipeline.alert_record import Series
from stream.pipeline.ports import ResultsWrite
from stream.pipeline.publish_results import pack_records
from stream.pipeline.settle import closed_field
from stream.pipeline.take_results import ResultRecord, ResultWindow
from stream.pipeline.take_snapshot import SegmentName
from stream.tables.memory import MemoryBoard
from tests.alerts.published import complete

MADRID = ZoneInfo("Europe/Madrid")
RULE = Rule(
    name="quiet", kpi="page_views", window="1h", direction="below", limit=-3, clear=-1, deviations=True
)
SHOP = Series("shop", ALL, None)


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=MADRID).timestamp() * 1000)


async def board_with(hours: dict[str, int]) -> MemoryBoard:
    """Page views of hours, as Madrid's clocks show them."""
    board = MemoryBoard()
    epoch, _ = await board.take_results_token(1)
    windows = {}
    for text, number in hours.items():
        start_ms = ms(text)
        kpis: dict[str, Kpi] = {"page_views": Count(number)}
        window = ResultWindow("hour", rfc3339(start_ms), rfc3339(start_ms + HOUR_MS), "Europe/Madrid")
        record = ResultRecord(
            site_id="shop", window=window, segment=SegmentName(ALL, None), state="final", revision=1,
            reason=None, previous=None, published_at=rfc3339(start_ms), completeness=complete(),
            kpis=kpis, profile="latido",
        )  # fmt: skip
        windows[closed_field("shop", ("hour", start_ms))] = pack_records({ALL: record})
    assert await board.write_results(epoch, ResultsWrite(b"", windows))
    return board


def test_weeks_are_those_of_the_site_s_clocks() -> None:
    calendar = calendar_of("Europe/Madrid")
    # Clocks went back on 25 October 2026: four weeks are an hour more.
    assert weeks_before(calendar, ms("2026-11-04T10:00"), 1) == ms("2026-10-28T10:00")
    assert weeks_before(calendar, ms("2026-11-04T10:00"), 4) == ms("2026-10-07T10:00")
    assert ms("2026-11-04T10:00") - ms("2026-10-07T10:00") == (28 * 24 + 1) * HOUR_MS


async def test_the_two_hours_that_the_window_overlaps_are_mixed_by_their_share() -> None:
    days = ("2026-11-14", "2026-11-07", "2026-10-31", "2026-10-24")
    hours = {f"{day}T09:00": 100 + 10 * week for week, day in enumerate(days)}
    hours |= {f"{day}T10:00": 300 + 10 * week for week, day in enumerate(days)}
    baselines = SettledBaselines(await board_with(hours), [RULE], lambda _: "Europe/Madrid")
    at_ms = ms("2026-11-21T10:15")
    assert baselines.of(RULE, SHOP, at_ms) is None, "nothing is read yet"
    await baselines.refresh(["shop"], at_ms)
    # A quarter of the later hour: 150, 160, 170, 180.
    assert baselines.of(RULE, SHOP, at_ms) == pytest.approx(Baseline(165, 1.4826 * 10, 4))
    assert baselines.of(RULE, Series("blog", ALL, None), at_ms) is None
    on_the_hour = baselines.of(RULE, SHOP, ms("2026-11-21T10:00"))
    assert on_the_hour == pytest.approx(Baseline(115, 1.4826 * 10, 4))


async def test_two_weeks_are_too_few() -> None:
    hours = {f"2026-11-{day:02}T{hour:02}:00": 10 for day in (14, 7) for hour in (9, 10)}
    baselines = SettledBaselines(await board_with(hours), [RULE], lambda _: "Europe/Madrid")
    await baselines.refresh(["shop"], ms("2026-11-21T10:15"))
    assert baselines.of(RULE, SHOP, ms("2026-11-21T10:15")) is None
