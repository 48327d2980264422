"""The registry of KPIs for readers: each with its windows from short to long and its dimensions."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from stream.core.kpi import WHOLE, Definition
from stream.core.registry import FAMILIES
from stream.core.windows import ALL_TIME, ROLLING, SETTLED


class Entry(msgspec.Struct, frozen=True):
    """One KPI. up_is_good None: neither way is better."""

    id: str
    family: str
    label: str
    meaning: str
    unit: str
    formula: str
    source: str
    up_is_good: bool | None
    windows: tuple[str, ...]
    dimensions: tuple[str, ...]


def entries() -> Iterator[Entry]:
    """In the order people read them."""
    for family, definitions in FAMILIES.items():
        for one in definitions:
            yield Entry(
                id=one.id,
                family=family,
                label=one.label,
                meaning=one.meaning,
                unit=one.unit,
                formula=one.formula,
                source=one.source,
                up_is_good=None if one.better is None else one.better == "up",
                windows=windows_of(one),
                dimensions=dimensions_of(one),
            )


def windows_of(one: Definition) -> tuple[str, ...]:
    """The windows a KPI is published for, from short to long."""
    names = (*(window.name for window in ROLLING), ALL_TIME, *SETTLED)
    return tuple(name for name in names if name in one.windows)


def dimensions_of(one: Definition) -> tuple[str, ...]:
    """The whole site first, then the dimensions by name."""
    return tuple(sorted(one.dimensions, key=lambda name: (name != WHOLE, name)))
