"""Times on the wire: RFC 3339 text in, RFC 3339 UTC with milliseconds out. Inside: ms since the epoch."""

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import Annotated, Final

from pydantic import Field, PlainSerializer, PlainValidator, WithJsonSchema

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
ONE_MS: Final = timedelta(milliseconds=1)

# Both ends leave room for what is done with a time later: a zone's midnight west or east of UTC, and
# four-digit years in the output. datetime would overflow, and one record would stop a worker.
MIN_TIME_MS: Final = (datetime(1, 1, 2, tzinfo=UTC) - EPOCH) // ONE_MS
MAX_TIME_MS: Final = (datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC) - EPOCH) // ONE_MS

TIME_PATTERN: Final = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:?[0-9]{2})$"
)
"""The form of a time for JSON Schema; `parse_time` also refuses what no calendar or clock has."""

_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})"
    r"(?:\.([0-9]+))?(?:[Zz]|([+-])([0-9]{2}):?([0-9]{2}))"
)


def parse_time(text: str) -> datetime:
    """Read an RFC 3339 date-time with its offset; the offset is kept.

    `T` may be lower case or a space, `Z` lower case, the colon of the offset may be missing. A seventh
    and later digit of the fraction rounds half up to the microsecond. Exactly what the worker's decoder
    takes, see tests/schemas/test_decode_equals_models.py.

    Raises ValueError: another form, no such date, second 60, hour 24, outside MIN_TIME_MS..MAX_TIME_MS.
    """
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError("must be an RFC 3339 time with its offset, such as 2026-11-22T10:19:58.120Z")
    year, month, day, hour, minute, second = (int(part) for part in found.group(1, 2, 3, 4, 5, 6))
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=_offset(*found.group(8, 9, 10)))
        moment += timedelta(microseconds=_microseconds(found.group(7) or ""))
    except (ValueError, OverflowError) as error:
        raise ValueError(f"is no such time: {error}") from None
    return check_range(moment)


def _microseconds(fraction: str) -> int:
    """Return the fraction's digits as microseconds, rounded half up."""
    return int(fraction[:6].ljust(6, "0")) + (fraction[6:7] >= "5")


def _offset(sign: str | None, hours: str | None, minutes: str | None) -> timezone:
    if sign is None or hours is None or minutes is None:
        return UTC
    if int(hours) > 23 or int(minutes) > 59:
        raise ValueError("offset must be within -23:59..+23:59")
    size = timedelta(hours=int(hours), minutes=int(minutes))
    return timezone(-size if sign == "-" else size)


def check_range(moment: datetime) -> datetime:
    """Return `moment`, an aware datetime. Raises ValueError if it is outside MIN_TIME_MS..MAX_TIME_MS."""
    if not MIN_TIME_MS <= to_ms(moment) <= MAX_TIME_MS:
        raise ValueError("must lie between 0001-01-02T00:00:00Z and 9999-12-31T23:59:59.999Z")
    return moment


def to_ms(moment: datetime) -> int:
    """Return milliseconds since the epoch, rounded down (also before 1970), in integers throughout."""
    return (moment - EPOCH) // ONE_MS


def rfc3339(ms: int) -> str:
    """Return milliseconds since the epoch as `2026-11-22T10:19:58.120Z`.

    Raises OverflowError outside the years 1 to 9999; no accepted event's time is.
    """
    return _second(ms // 1000) + _MILLIS[ms % 1000]


_MILLIS: Final = [f".{millis:03d}Z" for millis in range(1000)]


# Records of one batch lie close together in time: few seconds, many records.
@lru_cache(maxsize=16_384)
def _second(seconds: int) -> str:
    return (EPOCH + timedelta(seconds=seconds)).isoformat(timespec="seconds")[:-6]


def _read_time(value: object) -> datetime:
    """Validate an event's time: RFC 3339 text, or an aware datetime when a program builds the event."""
    if isinstance(value, str):
        return parse_time(value)
    if not isinstance(value, datetime):
        raise ValueError("must be an RFC 3339 string; numbers and other types are not read as times")
    offset = value.utcoffset()
    if offset is None or offset % timedelta(minutes=1):
        raise ValueError("must have an offset from UTC of whole minutes")
    return check_range(value)


def _write_time(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


EventTime = Annotated[
    datetime,
    PlainValidator(_read_time),
    PlainSerializer(_write_time, when_used="json"),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": TIME_PATTERN,
            "description": "RFC 3339 date-time with its offset, e.g. 2026-11-22T10:19:58.120Z. No leap"
            " second. Digits after the sixth round to the microsecond; counted rounded down to the ms.",
            "examples": ["2026-11-22T10:19:58.120Z", "2026-11-22T11:19:58+01:00"],
        }
    ),
]
"""An input event's time, kept with its offset and to the microsecond."""

OutputTime = Annotated[
    str,
    Field(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$",
        examples=["2026-11-22T10:19:58.120Z"],
    ),
]
"""A time in a record latido writes: the text that `rfc3339` returns."""
