"""What sessions are counted by, besides the whole site: where they came from, their pages, pairs of both.

A dimension's value is that of the session as it stands: it moves when an earlier event says otherwise.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from stream.core.sessions import OPEN, Origin, Session
from stream.core.windows import ALL_TIME, PAGES_DAY, SETTLED, WINDOWS, Window

# Fields of the origin: what the earliest event says.
ORIGIN_DIMENSIONS: Final = ("channel", "campaign", "device", "country", "plan", "referrer")
LANDING_PAGE: Final = "landing_page"
EXIT_PAGE: Final = "exit_page"
PAGE_DIMENSIONS: Final = (LANDING_PAGE, EXIT_PAGE)  # of ended sessions
PAGE_WINDOWS: Final = frozenset({"24h", ALL_TIME, *SETTLED})
SESSION_DIMENSIONS: Final = (*ORIGIN_DIMENSIONS, *PAGE_DIMENSIONS)
# Counted since the first version; a state that names no others was computed by these alone.
FIRST_DIMENSIONS: Final = frozenset({"channel", "campaign", "device", "country", "plan"})
# By which visits are told apart into first and further ones: kept for months, so not by what has many values.
ARRIVAL_DIMENSIONS: Final = ("channel", "campaign", "device", "country", "plan")
SEPARATOR: Final = "+"


def check_pair(name: str) -> str:
    """The pair itself, such as `channel+device`. Raises ValueError when it is none."""
    parts = name.split(SEPARATOR)
    unknown = [part for part in parts if part not in SESSION_DIMENSIONS]
    if len(parts) != 2 or unknown or parts[0] == parts[1]:
        known = ", ".join(SESSION_DIMENSIONS)
        raise ValueError(f"holds {name!r}, which is no pair; write channel+device, of two out of {known}")
    return name


def is_pair(dimension: str) -> bool:
    return SEPARATOR in dimension


def pair_value(first: str, second: str) -> str:
    """Both values as one: `Email+mobile`; a plus or percent sign inside one is percent-encoded."""
    return f"{_encode(first)}{SEPARATOR}{_encode(second)}"


def _encode(value: str) -> str:
    return value.replace("%", "%25").replace(SEPARATOR, "%2B")


def value_of(session: Session, dimension: str) -> str | None:
    """What the session counts under in a dimension or pair; None: nowhere.

    Pages count ended sessions only: an open visit has no exit yet.
    """
    if is_of_origin(dimension):
        return origin_value(session.origin, dimension)
    if session.phase == OPEN:
        return None
    first, pair, second = dimension.partition(SEPARATOR)
    if pair:
        one, other = value_of(session, first), value_of(session, second)
        return None if one is None or other is None else pair_value(one, other)
    return session.entry_page if dimension == LANDING_PAGE else session.exit_page


def origin_value(origin: Origin, dimension: str) -> str | None:
    """The value of an origin's dimension or pair."""
    first, pair, second = dimension.partition(SEPARATOR)
    if pair:
        one, other = origin_value(origin, first), origin_value(origin, second)
        return None if one is None or other is None else pair_value(one, other)
    value: str | None = getattr(origin, dimension)
    return value


def windows_of(dimension: str) -> frozenset[str] | None:
    """The windows in which segments of a dimension are counted; None: in every one its KPIs have.

    A site has as many pages as everything else has values together: by the quarter of an hour, and by settled
    hours, is enough there. Narrower buckets would nearly all hold one visit.
    """
    return PAGE_WINDOWS if is_of_pages(dimension) else None


@lru_cache(maxsize=256)
def is_of_pages(dimension: str) -> bool:
    """Whether it is a page, or a pair with one."""
    return any(page in dimension.split(SEPARATOR) for page in PAGE_DIMENSIONS)


def shape_of(window: str, dimension: str) -> Window:
    """A rolling window as segments of a dimension have it."""
    return PAGES_DAY if window == PAGES_DAY.name and is_of_pages(dimension) else WINDOWS[window]


@lru_cache(maxsize=256)
def is_of_origin(dimension: str) -> bool:
    """Whether the origin alone says its value."""
    return all(part in ORIGIN_DIMENSIONS for part in dimension.split(SEPARATOR))
