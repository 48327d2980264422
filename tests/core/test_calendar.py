"""Hours and days as clocks show them: whole, set forward, set back, and in zones of odd offsets."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core.calendar import Calendar, calendar_of

HOUR_MS = 3_600_000
ZONES = (
    "UTC", "Europe/Madrid", "America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia",
    "America/Sao_Paulo", "Africa/Casablanca",
)  # fmt: skip


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def hours_of(calendar: Calendar, start: int, end: int) -> list[int]:
    """The first ms of every hour from `start` on."""
    found = [calendar.hour(start)]
    while found[-1] < end:
        found.append(calendar.end(("hour", found[-1])))
    return found


@pytest.mark.parametrize(
    ("date", "zone", "hours"),
    [
        ("2026-03-29", "Europe/Madrid", 23),
        ("2026-10-25", "Europe/Madrid", 25),
        ("2026-11-22", "Europe/Madrid", 24),
        ("2026-11-01", "America/New_York", 25),
        ("2018-11-04", "America/Sao_Paulo", 23),  # midnight was left out
        ("2018-02-17", "America/Sao_Paulo", 25),  # and here shown twice: 24:00 was 23:00 again
    ],
)
def test_a_day_of_a_clock_change_has_23_or_25_hours(date: str, zone: str, hours: int) -> None:
    calendar = calendar_of(zone)
    noon = int(datetime.fromisoformat(f"{date}T12:00").replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)
    start = calendar.day(noon)
    end = calendar.end(("day", start))
    assert end - start == hours * HOUR_MS
    assert len(hours_of(calendar, start, end)) - 1 == hours
    assert datetime.fromtimestamp(start / 1000, ZoneInfo(zone)).date().isoformat() == date


def test_an_hour_shown_twice_is_two_hours() -> None:
    calendar = calendar_of("Europe/Madrid")
    first, second = ms("2026-10-25T02:30:00+02:00"), ms("2026-10-25T02:30:00+01:00")
    assert calendar.hour(first) == ms("2026-10-25T00:00:00+00:00")
    assert calendar.hour(second) == ms("2026-10-25T01:00:00+00:00")


def test_half_an_hour_that_is_left_out_leaves_half_an_hour() -> None:
    calendar = calendar_of("Australia/Lord_Howe")  # 2:00 was 2:30
    change = ms("2026-10-03T15:30:00+00:00")
    assert calendar.hour(change) == change
    assert calendar.end(("hour", change)) - change == HOUR_MS // 2
    assert calendar.end(("hour", calendar.hour(change - 1))) == change


def test_a_date_that_a_zone_left_out_is_no_day() -> None:
    calendar = calendar_of("Pacific/Apia")  # 30 December 2011 never was
    start = calendar.day(ms("2011-12-29T12:00:00-10:00"))
    assert calendar.end(("day", start)) == calendar.day(ms("2011-12-31T12:00:00+14:00"))


def test_a_clock_set_back_over_midnight_starts_one_day_once() -> None:
    calendar = calendar_of("America/St_Johns")  # 0:01 of 1 November 2009 was 23:01 of 31 October again
    change = ms("2009-11-01T02:31:00+00:00")
    day = calendar.day(change)
    assert day == change - 60_000
    assert calendar.day(change - 60_001) < day
    assert calendar.end(("day", day)) - day == 25 * HOUR_MS


@given(
    zone=st.sampled_from(ZONES),
    moment=st.datetimes(datetime(1995, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC)),
)
def test_hours_follow_one_another_and_days_are_made_of_them(zone: str, moment: datetime) -> None:
    fresh, calendar, t = Calendar(ZoneInfo(zone)), calendar_of(zone), int(moment.timestamp() * 1000)
    day = fresh.day(t)
    end = fresh.end(("day", day))
    assert day <= t < end
    hours = hours_of(fresh, day, end)
    assert hours[0] == day
    assert hours[-1] == end
    for start, following in pairwise(hours):
        assert 0 < following - start <= HOUR_MS
        assert start % 60_000 == 0
        for inside in (start, (start + following) // 2, following - 1):
            assert fresh.hour(inside) == start == calendar.hour(inside)
            assert fresh.day(inside) == day == calendar.day(inside)


def test_the_years_at_both_ends_have_hours_and_days_too() -> None:
    for zone in ("Pacific/Kiritimati", "Pacific/Niue", "UTC"):
        calendar, t = calendar_of(zone), ms("0001-01-02T00:00:00+00:00")
        for kind, start in calendar.windows(t):
            assert start <= t < calendar.end((kind, start))
        calendar.windows(ms("9999-12-31T23:59:59+00:00"))  # no clock is there yet: it must only not fail
