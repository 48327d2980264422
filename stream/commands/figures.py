"""KPI values as people read them. No I/O, no colours."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from stream.core.registry import KPIS
from stream.core.windows import ALL_TIME, ROLLING

LABELS: Final = {one.id: one.label for one in KPIS.values()}
"""In the order of reading; a KPI of a newer version comes after them under its own name."""
WINDOWS: Final = (*(window.name for window in ROLLING), ALL_TIME)
NONE: Final = "-"
_UNITS: Final = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s"))


class Figure(msgspec.Struct, frozen=True):
    """One KPI in one window: the value, what stands beside it, and how many it is about."""

    value: str
    beside: str = ""
    n: str = ""
    doubtful: bool = False


class Published(msgspec.Struct, frozen=True):
    """A snapshot record as a reader needs it; unknown fields are left to newer readers."""

    site_id: str
    window: _WindowName
    segment: _Segment
    kpis: dict[str, dict[str, Any]]
    sequence: int = 0
    as_of: str | None = None
    truncated: int | None = None  # of `(other)`: how many values there were

    @property
    def segment_name(self) -> str:
        return "all" if self.segment.value is None else f"{self.segment.dimension}={self.segment.value}"


class _WindowName(msgspec.Struct, frozen=True):
    name: str


class _Segment(msgspec.Struct, frozen=True):
    dimension: str
    value: str | None = None


def label(kpi: str) -> str:
    """What a KPI is called."""
    return LABELS.get(kpi) or kpi.removesuffix("_ms").replace("_", " ").capitalize()


def in_order(kpis: Iterable[str]) -> list[str]:
    """KPI names in the order of reading."""
    order = {name: place for place, name in enumerate(LABELS)}
    return sorted(kpis, key=lambda name: (order.get(name, len(order)), name))


def windows_in_order(names: Iterable[str]) -> list[str]:
    """Window names from short to long."""
    order = {name: place for place, name in enumerate(WINDOWS)}
    return sorted(names, key=lambda name: (order.get(name, len(order)), name))


def figure(name: str, kpi: dict[str, Any]) -> Figure:
    """One KPI of a record as text."""
    kind, value = kpi.get("type"), kpi.get("value")
    if kind == "count":
        return Figure(_count(value), _beside_count(kpi))
    write = _writer(name, str(kind))
    n = kpi.get("denominator", kpi.get("n"))
    if kind == "score":
        value = kpi.get("rounded", value)  # half away from zero, which formatting does not do
    return Figure(
        NONE if value is None else write(value),
        _interval(write, kpi) or _open_ones(write, kpi),
        _count(n) if n else "",
        doubtful=bool(kpi.get("suspect")),
    )


def _writer(name: str, kind: str) -> Any:
    """The function that writes a number of this KPI."""
    if kind == "rate":
        return _percent
    if kind == "score":
        return lambda value: f"{value:+.0f}"
    return duration if name.endswith("_ms") else _number


def _interval(write: Any, kpi: dict[str, Any]) -> str:
    low, high = kpi.get("low"), kpi.get("high")
    return "" if low is None or high is None else f"{write(low).removesuffix(' %')} to {write(high)}"


def _open_ones(write: Any, kpi: dict[str, Any]) -> str:
    """While no session has ended: the mean so far."""
    so_far = kpi.get("with_open")
    return "" if so_far is None or kpi.get("value") is not None else f"{write(so_far)} so far"


def _beside_count(kpi: dict[str, Any]) -> str:
    if kpi.get("open") is not None:
        return f"{_count(kpi['open'])} open"
    return "" if kpi.get("previous") is None else f"before {_count(kpi['previous'])}"


def _count(value: Any) -> str:
    return NONE if value is None else f"{value:,}"


def _percent(value: float) -> str:
    return f"{value * 100:.1f} %"


def _number(value: float) -> str:
    return f"{value:,.2f}"


def duration(ms: float) -> str:
    """90000 -> `1m 30s`, 4200 -> `4.2s`: two units at most."""
    if ms < 0:
        return f"-{duration(-ms)}"
    if ms < 10_000:
        return f"{ms / 1000:.1f}s"
    total = round(ms / 1000) * 1000
    parts: list[str] = []
    for size, unit in _UNITS:
        if total >= size or parts:
            parts.append(f"{total // size}{unit}")
            total %= size
        if len(parts) == 2:
            break
    return " ".join(part for part in parts if not part.startswith("0")) or "0s"
