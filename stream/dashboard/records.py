"""The published records as the dashboard holds them: found by site, window and dimension."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from schemas.keys import ALL, segment_name, snapshot_key
from stream.core.events import sites_in_order
from stream.core.kpi import WHOLE
from stream.core.windows import ALL_TIME, ROLLING
from stream.pipeline.largest import SIZES, order_of

_WINDOW_ORDER = {name: place for place, name in enumerate((*(one.name for one in ROLLING), ALL_TIME))}


class Group(NamedTuple):
    """Where records lie together."""

    site: str
    window: str
    dimension: str


class _Window(msgspec.Struct, frozen=True):
    name: str


class _Segment(msgspec.Struct, frozen=True):
    dimension: str
    value: str | None = None


class Listed(msgspec.Struct, frozen=True):
    """A snapshot record; KPIs stay the bytes they were published as."""

    site_id: str
    window: _Window
    segment: _Segment
    kpis: dict[str, msgspec.Raw]


class _Counted(msgspec.Struct, frozen=True):
    """The record of everything counts customers by state, too."""

    customers: dict[str, int] | None = None


class Held(NamedTuple):
    """A record as published, and what it is found by. Taken apart only when asked for: there may be many."""

    key: str
    raw: bytes
    group: Group
    value: str | None
    order: tuple[object, ...]  # among those of its group, the largest first

    @property
    def segment(self) -> str:
        return segment_name(self.group.dimension, self.value)

    def kpis(self) -> dict[str, msgspec.Raw]:
        return _decode(self.raw).kpis


_decode = msgspec.json.Decoder(Listed).decode
_decode_counted = msgspec.json.Decoder(_Counted).decode
_decode_kpi = msgspec.json.Decoder(dict[str, Any]).decode
_SIZES = tuple(name for names in SIZES for name in names)


def hold(key: str, raw: bytes) -> Held:
    """Raises msgspec.MsgspecError for what no version of latido publishes."""
    one = _decode(raw)
    sizes = {name: _decode_kpi(one.kpis[name]) for name in _SIZES if name in one.kpis}
    group = Group(one.site_id, one.window.name, one.segment.dimension)
    return Held(key, raw, group, one.segment.value, order_of(one.segment.value, sizes))


class Difference(NamedTuple):
    """What a reading changed: keys of records that are new or other, and records that are gone."""

    changed: frozenset[str]
    gone: frozenset[str]
    groups: frozenset[Group]  # in which anything of it lies


class Records:
    """All records of a namespace, by group."""

    def __init__(self) -> None:
        self._all: dict[str, Held] = {}
        self._groups: dict[Group, dict[str, Held]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def replace(self, raw: Mapping[str, bytes]) -> Difference:
        """Hold these instead. Raises msgspec.MsgspecError, and then holds what it held."""
        changed = {
            key: hold(key, value)
            for key, value in raw.items()
            if (before := self._all.get(key)) is None or before.raw != value
        }
        gone = [self._all[key] for key in self._all.keys() - raw.keys()]
        for one in gone:
            del self._all[one.key]
            self._leave(one)
        for key, one in changed.items():
            self._all[key] = one
            self._groups.setdefault(one.group, {})[key] = one
        groups = frozenset(one.group for one in (*changed.values(), *gone))
        return Difference(frozenset(changed), frozenset(one.key for one in gone), groups)

    def _leave(self, one: Held) -> None:
        members = self._groups[one.group]
        del members[one.key]
        if not members:
            del self._groups[one.group]

    def get(self, key: str) -> Held | None:
        return self._all.get(key)

    def groups(self) -> Iterable[Group]:
        return self._groups

    def of(self, group: Group) -> list[Held]:
        """The records of a group, the largest first."""
        return sorted(self._groups.get(group, {}).values(), key=lambda one: one.order)

    def sites(self) -> list[str]:
        return sites_in_order(group.site for group in self._groups)

    def customers(self, site: str) -> dict[str, int] | None:
        """State -> how many customers; None where nobody keeps any."""
        held = self._all.get(snapshot_key(site, ALL_TIME, ALL))
        return None if held is None else _decode_counted(held.raw).customers

    def windows(self) -> list[str]:
        """From short to long."""
        return sorted({group.window for group in self._groups}, key=window_order)

    def dimensions(self) -> list[str]:
        return sorted({group.dimension for group in self._groups} - {WHOLE})


def window_order(name: str) -> tuple[int, str]:
    """The key to sort windows by, from short to long."""
    return _WINDOW_ORDER.get(name, len(_WINDOW_ORDER)), name
