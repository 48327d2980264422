"""Conversion rate per goal, by visitor and by session. Goals are named in the settings, none by default."""

from __future__ import annotations

from stream.core.engagement import ENDED, VISITORS
from stream.core.kpi import WAA, Count, Definition, Rate
from stream.core.statistics import rate
from stream.core.windows import Counts

CONVERSIONS = "conversions"
CONVERTED_VISITORS = "converted_visitors"  # in the bucket of each one's latest conversion
CONVERTED_SESSIONS = "converted_sessions"  # ended sessions, in the bucket of their last event


def by_visitor(counts: Counts, everyone: Counts) -> Rate:
    return rate(counts.get(CONVERTED_VISITORS, 0), everyone.get(VISITORS, 0), of="unique visitors")


def by_session(counts: Counts, everyone: Counts) -> Rate:
    return rate(counts.get(CONVERTED_SESSIONS, 0), everyone.get(ENDED, 0), of="ended sessions")


_GOAL = frozenset({"goal"})

KPIS = (
    Definition(
        id="conversions", label="Conversions", unit="events", better="up",
        meaning="How often the goal was reached.",
        source=WAA,
        formula="events that reach the goal", dimensions=_GOAL,
        compute=lambda counts, _: Count(counts.get(CONVERSIONS, 0)),
    ),
    Definition(
        id="cvr_visitors", label="CVR, visitors", unit="share from 0 to 1", better="up",
        meaning="The share of the visitors that reached the goal.",
        source=WAA,
        formula="visitors whose latest conversion lies in the window / unique visitors",
        dimensions=_GOAL, has_previous=False, of_site=True, compute=by_visitor,
    ),
    Definition(
        id="cvr_sessions", label="CVR, sessions", unit="share from 0 to 1", better="up",
        meaning="The share of the ended sessions that reached the goal.",
        source=WAA,
        formula="ended sessions that reached the goal / ended sessions",
        dimensions=_GOAL, of_site=True, compute=by_session,
    ),
)  # fmt: skip
