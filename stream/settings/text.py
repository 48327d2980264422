"""Settings as people write them: durations and lists of servers; and the error when they cannot be read."""

from __future__ import annotations

import re
from typing import Final

UNIT_MS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
UNLIMITED: Final = "unlimited"
LONGEST_MS: Final = 100 * 365 * UNIT_MS["d"]
"""Beyond it a typing error is likelier than a wish, and times would run over the ends of the calendar."""

_DURATION = re.compile(r"([0-9]{1,15})(ms|s|m|h|d)")
_SERVER = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")


class SettingsProblem(Exception):
    """A setting that cannot be used; the message is one line that says what to change, without secrets."""


def parse_duration(value: object) -> int:
    """Return `30m`, `1500ms` in milliseconds. Raises ValueError; a bare number has no unit and is refused."""
    if isinstance(value, int) and not isinstance(value, bool) and value == 0:
        return 0
    found = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise ValueError("is no duration; write a number and one of ms, s, m, h, d, such as 30m or 1500ms")
    duration_ms = int(found.group(1)) * UNIT_MS[found.group(2)]
    if duration_ms > LONGEST_MS:
        raise ValueError(f"is longer than {format_duration(LONGEST_MS)}")
    return duration_ms


def parse_tolerance(value: object) -> int | None:
    """Return a duration in milliseconds, None for `unlimited`. Raises ValueError."""
    if isinstance(value, str) and value.strip() == UNLIMITED:
        return None
    try:
        return parse_duration(value)
    except ValueError as error:
        raise ValueError(f"{error}; or {UNLIMITED}") from None


def format_duration(duration_ms: int | None) -> str:
    """Return the shortest text `parse_duration` or `parse_tolerance` reads back: 90000 -> `90s`."""
    if duration_ms is None:
        return UNLIMITED
    unit = next((u for u in ("d", "h", "m", "s") if duration_ms and duration_ms % UNIT_MS[u] == 0), "ms")
    return f"{duration_ms // UNIT_MS[unit]}{unit}"


def parse_servers(value: object) -> str:
    """Return `HOST:PORT,HOST:PORT` without spaces. Raises ValueError."""
    servers = [part.strip() for part in value.split(",")] if isinstance(value, str) else []
    for server in servers:
        found = _SERVER.fullmatch(server)
        if found is None or not 1 <= int(found.group(2)) <= 65535:
            break
    else:
        if servers:
            return ",".join(servers)
    raise ValueError("is no list of Kafka servers; write HOST:PORT, such as 127.0.0.1:9092, more by commas")
