"""Every KPI there is, in the order people read them; a new one is a `Definition` in its family's module."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from stream.core import conversion, csat, ctr, engagement, funnels, loyalty, nps
from stream.core.dimensions import is_pair, windows_of
from stream.core.kpi import PAIR, WHOLE, Definition, Kpi
from stream.core.packed import spelled_out
from stream.core.windows import Counts

FAMILIES: dict[str, tuple[Definition, ...]] = {
    "engagement": engagement.KPIS,
    "visitors": loyalty.KPIS,
    "clicks": ctr.KPIS,
    "conversion": conversion.KPIS,
    "funnels": funnels.KPIS,
    "NPS": nps.KPIS,
    "CSAT": csat.KPIS,
}
KPIS: dict[str, Definition] = {one.id: one for family in FAMILIES.values() for one in family}


@lru_cache(maxsize=1024)
def that_apply(window: str, dimension: str) -> tuple[Definition, ...]:
    """The KPIs published for a segment of `dimension` in `window`."""
    kind = PAIR if is_pair(dimension) else dimension
    windows = windows_of(dimension)
    if windows is not None and window not in windows:
        return ()
    return tuple(one for one in KPIS.values() if kind in one.dimensions and window in one.windows)


@lru_cache(maxsize=1)
def of_whole_site() -> frozenset[str]:
    """Dimensions with a KPI that is a share of the whole site."""
    return frozenset().union(*(one.dimensions for one in KPIS.values() if one.of_site)) - {WHOLE}


def metrics_of(window: str, dimension: str) -> frozenset[str]:
    """What must be counted for the KPIs of a segment of `dimension` in a window longer than a day."""
    return frozenset().union(*(one.metrics for one in that_apply(window, dimension)))


def results_before(window: str, dimension: str, counts: Counts, everyone: Counts) -> dict[str, Kpi]:
    """The same of the window before, where that has an exact value: others may not even be computable."""
    exact = (one for one in that_apply(window, dimension) if one.has_previous)
    return _computed(exact, dimension, counts, everyone)


def results(window: str, dimension: str, counts: Counts, everyone: Counts) -> dict[str, Kpi]:
    """Every KPI of a segment from its counts, and those of its whole site in the same window."""
    return _computed(that_apply(window, dimension), dimension, counts, everyone)


def _computed(
    definitions: Iterable[Definition], dimension: str, counts: Counts, everyone: Counts
) -> dict[str, Kpi]:
    counts = spelled_out(counts)
    site = spelled_out(everyone) if dimension in of_whole_site() else counts
    return {one.id: one.compute(counts, site) for one in definitions}
