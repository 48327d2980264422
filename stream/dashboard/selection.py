"""Which records a caller wants: read from the query, applied to what is held."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from stream.core.dimensions import check_pair
from stream.core.kpi import PAIR, WHOLE
from stream.core.registry import KPIS
from stream.core.windows import ALL_TIME, WINDOWS
from stream.dashboard.records import Group, Held, Records, window_order
from stream.pipeline.partition_state import OTHER

MOST_VALUES: Final = 100
"""Of all filters together: more is no question a person or a program asks."""
MOST_RECORDS: Final = 10_000
DIMENSIONS: Final = frozenset().union(*(one.dimensions for one in KPIS.values())) - {WHOLE, PAIR}


class BadQuery(Exception):
    """A filter that cannot be; the message says what there is."""


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which records, and which KPIs of them; an empty tuple stands for all. Equal ones share their work."""

    sites: tuple[str, ...] = ()
    kpis: tuple[str, ...] = ()
    windows: tuple[str, ...] = ()
    dimensions: tuple[str, ...] = ()  # every value of these
    segments: tuple[str, ...] = ()  # these by name; if neither is given, the whole site
    limit: int = MOST_RECORDS  # values of a dimension, per site and window; `(other)` comes in addition

    def wants_group(self, group: Group) -> bool:
        return (
            (not self.sites or group.site in self.sites)
            and (not self.windows or group.window in self.windows)
            and (group.dimension in self.dimensions or group.dimension in self._dimensions_of_segments())
        )

    def _dimensions_of_segments(self) -> Iterable[str]:
        if not self.segments and not self.dimensions:
            return (WHOLE,)
        return [name.partition("=")[0] for name in self.segments]

    def chosen(self, records: Records) -> list[Held]:
        """By site, window and dimension; in each the largest first."""
        groups = sorted(
            filter(self.wants_group, records.groups()),
            key=lambda one: (one.site, window_order(one.window), one.dimension),
        )
        return [one for group in groups for one in self._of_group(records.of(group), group)]

    def _of_group(self, members: Sequence[Held], group: Group) -> list[Held]:
        if group.dimension == WHOLE:
            return list(members)
        if group.dimension not in self.dimensions:
            return [one for one in members if one.segment in self.segments]
        return [
            one for place, one in enumerate(members)
            if place < self.limit or one.value == OTHER or one.segment in self.segments
        ]  # fmt: skip

    def encoded(self, one: Held) -> msgspec.Raw | dict[str, msgspec.Raw]:
        """The record as published; only the KPIs wanted."""
        if not self.kpis:
            return msgspec.Raw(one.raw)
        record, kpis = _decode_record(one.raw), one.kpis()
        record["kpis"] = msgspec.Raw(_encode({name: kpis[name] for name in self.kpis if name in kpis}))
        return record


_decode_record = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


def read_selection(query: Iterable[tuple[str, str]]) -> Selection:
    """The selection a query asks for. Raises BadQuery."""
    found: dict[str, list[str]] = {}
    for count, (name, value) in enumerate(query, 1):
        check_names((name,), _FILTERS)
        if count > MOST_VALUES:
            raise BadQuery(f"more than {MOST_VALUES} filters; leave some out: none stands for all")
        _FILTERS[name](value)
        found.setdefault(name, []).append(value)
    return Selection(
        sites=_names(found, "site"),
        kpis=_names(found, "kpi"),
        windows=_names(found, "window"),
        dimensions=_names(found, "dimension"),
        segments=_names(found, "segment"),
        limit=int(found.get("limit", [str(MOST_RECORDS)])[-1]),
    )


def check_names(given: Iterable[str], there: Iterable[str]) -> None:
    """Raises BadQuery when a parameter has a name that means nothing."""
    for name in given:
        if name not in there:
            raise BadQuery(f"there is no filter {quoted(name)}; there are {', '.join(there)}")


def _names(found: dict[str, list[str]], name: str) -> tuple[str, ...]:
    return tuple(sorted(set(found.get(name, ()))))


def _any(value: str) -> None:
    """Sites and segments are what events say: each may exist in a moment."""


def check_kpi(value: str) -> None:
    if value not in KPIS:
        raise BadQuery(f"there is no KPI {quoted(value)}; there are {', '.join(KPIS)}")


def _check_window(value: str) -> None:
    if value not in WINDOWS and value != ALL_TIME:
        raise BadQuery(f"there is no window {quoted(value)}; there are {', '.join((*WINDOWS, ALL_TIME))}")


def _check_dimension(value: str) -> None:
    if value in DIMENSIONS:
        return
    try:
        check_pair(value)
    except ValueError:
        names = ", ".join(sorted(DIMENSIONS))
        raise BadQuery(
            f"there is no dimension {quoted(value)}; there are {names}, and pairs of them"
        ) from None


def _check_limit(value: str) -> None:
    if not (value.isascii() and value.isdigit() and len(value) <= 5 and 1 <= int(value) <= MOST_RECORDS):
        raise BadQuery(f"limit must be a whole number from 1 to {MOST_RECORDS}")


_FILTERS: Final[dict[str, Callable[[str], None]]] = {
    "site": _any, "kpi": check_kpi, "window": _check_window, "dimension": _check_dimension,
    "segment": _any, "limit": _check_limit,
}  # fmt: skip


def quoted(text: str) -> str:
    return ascii(text if len(text) <= 40 else f"{text[:40]}...")
