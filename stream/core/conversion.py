"""Conversion rate per goal, by visitor and by session. Goals are named in the settings, none by default."""

from __future__ import annotations

from stream.core.engagement import ENDED, VISITORS
from stream.core.kpi import Count, Kpi
from stream.core.statistics import rate
from stream.core.windows import Counts

CONVERSIONS = "conversions"
CONVERTED_VISITORS = "converted_visitors"  # in the bucket of each one's latest conversion
CONVERTED_SESSIONS = "converted_sessions"  # ended sessions, in the bucket of their last event


def results(counts: Counts, everyone: Counts) -> dict[str, Kpi]:
    """KPIs of one goal: its own counts, and those of the whole site in the same window as denominators."""
    converted = counts.get(CONVERTED_VISITORS, 0)
    return {
        "conversions": Count(counts.get(CONVERSIONS, 0)),
        "cvr_visitors": rate(converted, everyone.get(VISITORS, 0), of="unique visitors"),
        "cvr_sessions": rate(counts.get(CONVERTED_SESSIONS, 0), everyone.get(ENDED, 0), of="ended sessions"),
    }
