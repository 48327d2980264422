"""The numbers of a run: what was measured, how they are summed up, what they must not exceed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Figure(NamedTuple):
    """One line of the report. `target` and `ambition` are texts of the same unit, '' where there is none."""

    name: str
    value: str
    target: str = ""
    ambition: str = ""


class Section(NamedTuple):
    """One table of the report."""

    title: str
    text: str
    figures: list[Figure]


class Percentiles(NamedTuple):
    """Of a set of measurements, in their unit."""

    n: int
    p50: float
    p95: float
    p99: float
    largest: float


def percentiles(values: Iterable[float]) -> Percentiles:
    """Nearest rank. Raises ValueError without values."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("nothing was measured")
    p50, p95, p99 = (ordered[math.ceil(len(ordered) * share) - 1] for share in (0.5, 0.95, 0.99))
    return Percentiles(len(ordered), p50, p95, p99, ordered[-1])


def median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def thousands(per_second: float) -> str:
    """123456 -> `123.5 k`."""
    return f"{per_second / 1000:.1f} k"


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


def spread(values: Sequence[float]) -> str:
    """Lowest to highest of several rounds, '' for a single one."""
    return f" ({thousands(min(values))} to {thousands(max(values))})" if len(values) > 1 else ""
