"""Times on the wire, against arithmetic that shares nothing with the code."""

from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import PageView, event_time_ms
from schemas.times import MAX_TIME_MS, MIN_TIME_MS, parse_time, rfc3339, to_ms
from stream.core import events as structs

OFFSETS = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 30), timezones=OFFSETS)


def exact_ms(moment: datetime) -> int:
    """Milliseconds since the epoch by the calendar, in fractions, rounded down."""
    days = moment.toordinal() - datetime(1970, 1, 1).toordinal()
    seconds = days * 86400 + moment.hour * 3600 + moment.minute * 60 + moment.second
    offset = moment.utcoffset()
    assert offset is not None
    total = seconds - (offset.days * 86400 + offset.seconds) + Fraction(moment.microsecond, 10**6)
    return (total * 1000).__floor__()


@given(MOMENTS)
def test_ms_are_exact_and_rounded_down(moment: datetime) -> None:
    expected = exact_ms(moment)
    assert to_ms(moment) == expected
    struct = structs.PageView(event_id="e", visitor_id="v", url="/", occurred_at=moment)
    assert structs.event_time_ms(struct) == expected
    model = PageView(event_id="e", visitor_id="v", url="/", occurred_at=moment)
    assert event_time_ms(model) == expected


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.0009Z", 0),
        ("1969-12-31T23:59:59.9999Z", -1),
        ("1969-12-31T23:59:59.999Z", -1),
        ("1969-12-31T23:59:59.998999Z", -2),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01 00:00:00z", 0),
        ("1969-12-31t18:30:00-0530", 0),
        ("2026-11-22T10:19:58.120Z", 1795342798120),
        ("1970-01-01T00:00:00.00099949Z", 0),
        ("1970-01-01T00:00:00.0009995Z", 1),
        ("0001-01-02T00:00:00Z", MIN_TIME_MS),
        ("9999-12-31T23:59:59.9999994Z", MAX_TIME_MS),
    ],
)
def test_a_time_is_read(text: str, ms: int) -> None:
    assert to_ms(parse_time(text)) == ms


@given(st.integers(MIN_TIME_MS, MAX_TIME_MS))
def test_what_is_written_is_read_again(ms: int) -> None:
    text = rfc3339(ms)
    assert len(text) == len("2026-11-22T10:19:58.120Z")
    assert text.endswith("Z")
    assert to_ms(parse_time(text)) == ms


@given(MOMENTS)
def test_pythons_own_form_is_read(moment: datetime) -> None:
    assert parse_time(moment.isoformat()) == moment


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 11, 22),
        datetime(2026, 11, 22, tzinfo=timezone(timedelta(seconds=30))),
        datetime(1, 1, 1, tzinfo=UTC),
    ],
)
def test_a_program_cannot_put_a_bad_datetime_into_an_event(moment: datetime) -> None:
    with pytest.raises(ValueError, match="must"):
        PageView(event_id="e", visitor_id="v", url="/", occurred_at=moment)
