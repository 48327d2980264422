"""In which order the values of a dimension are shown: the largest first, as the publisher cuts them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from stream.pipeline.partition_state import OTHER

SIZES: Final = (
    ("sessions",),
    ("impressions", "clicks"),
    ("nps", "csat"),
    ("conversions", "funnel_step_sessions"),
)
"""By what values are ordered: by the first, where equal by the next."""


def order_of(value: str | None, kpis: Mapping[str, Mapping[str, Any]]) -> tuple[bool, tuple[int, ...], str]:
    """The key to sort by; `(other)` comes last. kpis: the published ones, those of SIZES are enough."""
    sizes = tuple(-sum(_n(kpis.get(name, {})) for name in names) for names in SIZES)
    return value == OTHER, sizes, value or ""


def _n(kpi: Mapping[str, Any]) -> int:
    """How many a KPI is about: of a count the count itself."""
    return int(kpi.get("n", kpi.get("denominator", kpi.get("value"))) or 0)
