"""The four kinds of KPI value. Every rate and mean carries its counts, its interval and its population."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import msgspec

from stream.core.windows import UP_TO_A_DAY, Counts

LEVEL = 0.95


class Count(msgspec.Struct, tag_field="type", tag="count", omit_defaults=True):
    """A number of things. `previous` is the same count in the window before."""

    value: int
    open: int | None = None
    ended: int | None = None
    previous: int | None = None


class Mean(msgspec.Struct, tag_field="type", tag="mean"):
    """A mean with its t interval; `value` is None at n = 0, the interval below n = 2.

    Percentiles are nearest-rank over log-linear counts: exact below 64, within 2 % above.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    sd: float | None
    p50: int | None
    p95: int | None
    of: str
    level: float = LEVEL
    with_open: float | msgspec.UnsetType | None = msgspec.UNSET
    previous: float | msgspec.UnsetType | None = msgspec.UNSET


class Rate(msgspec.Struct, tag_field="type", tag="rate"):
    """A share with its Wilson interval; `value` is None at 0/0."""

    value: float | None
    numerator: int
    denominator: int
    low: float | None
    high: float | None
    of: str = ""
    method: str = "wilson"
    level: float = LEVEL
    unmatched_clicks: int | msgspec.UnsetType = msgspec.UNSET
    suspect: bool | msgspec.UnsetType = msgspec.UNSET
    previous: float | msgspec.UnsetType | None = msgspec.UNSET


class Score(msgspec.Struct, tag_field="type", tag="score"):
    """A net promoter score, -100 to 100, with its adjusted-Wald interval; None without answers."""

    value: float | None
    rounded: int | None
    promoters: int
    passives: int
    detractors: int
    n: int
    skipped: int
    low: float | None
    high: float | None
    of: str = ""
    method: str = "adjusted_wald"
    level: float = LEVEL
    # Answers are told apart where the visitor's events are: one person under two visitor ids may count twice.
    respondents: str = "per_visitor"
    previous: float | msgspec.UnsetType | None = msgspec.UNSET


Kpi: TypeAlias = Count | Mean | Rate | Score

WHOLE = "all"  # the dimension of a whole site
# Whose definitions they are.
WAA = "Web Analytics Association, Web Analytics Definitions (2008)"
GA4 = "Google Analytics 4 help, "
OURS = "latido: docs/semantics.md, section "
# What answers are counted by, besides survey and whole site: what the answer's own event says.
ANSWER_DIMENSIONS = ("channel", "campaign", "device", "country", "plan")
PAIR = "pair"  # stands for every pair of dimensions that settings name


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    """What a KPI says, and how it follows from counts. `stream/core/registry.py` holds all of them."""

    id: str
    label: str  # as people read it
    meaning: str  # one sentence
    unit: str  # of the value
    formula: str  # in words
    source: str  # whose definition it is, as one can look it up
    better: Literal["up", "down"] | None = None
    dimensions: frozenset[str] = frozenset({WHOLE})  # segments it is published for
    windows: frozenset[str] = UP_TO_A_DAY
    # The counts it is computed from, where a window is longer than a day: only these are kept so long.
    metrics: frozenset[str] = frozenset()
    # Whether the window before has an exact value, to be published as `previous`.
    has_previous: bool = True
    # Whether it is a share of the whole site: then it changes with the site, not only with its segment.
    of_site: bool = False
    # From the counts of a segment, and those of its whole site in the same window.
    compute: Callable[[Counts, Counts], Kpi]
