"""What is remembered of one customer, and how each thing they do changes it.

A customer may come with several devices and thus from several partitions, so nothing here trusts the order of
times: what arrives late is counted where it belongs, as far as that is still known. Times in ms.
"""

from __future__ import annotations

import math
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from stream.core import csat
from stream.core.events import NPS_MAX, Dimension, Name, ScalePoint
from stream.core.nps import DETRACTORS, PROMOTERS
from stream.core.nps import counts as nps_counts
from stream.core.policy import DAY_MS

SHORT_MS = 7 * DAY_MS
LONG_MS = 28 * DAY_MS
ANSWERS_KEPT = 4
"""Of each kind: enough to see a trend, few enough for millions of customers."""
SMOOTHING = 0.3
"""Weight of the newest gap in the moving average: about the last five gaps decide."""


LAST_MS: Final = 253_402_300_799_999
"""The end of the year 9999: the calendar of records goes no further."""
Ms = Annotated[int, Meta(ge=-62_135_510_400_000, le=LAST_MS)]
"""Since the epoch, from the second day of the year 1: what the time of an event may be."""


class VisitStarted(msgspec.Struct, frozen=True, array_like=True, tag="started", gc=False):
    """Somebody came."""

    at_ms: Ms
    plan: Dimension | None = None


class VisitEnded(msgspec.Struct, frozen=True, array_like=True, tag="ended", gc=False):
    """The visit is over; `at_ms` is its last event."""

    at_ms: Ms
    engaged_ms: Annotated[int, Meta(ge=-LAST_MS, le=LAST_MS)] = 0


Kind = Literal["nps", "csat"]


class Answered(msgspec.Struct, frozen=True, array_like=True, tag="answered", gc=False, order=True):
    """A survey question got a score (not: was skipped). Ordered by time, then content, so that arrival
    cannot matter. Raises ValueError on construction where the score is not on its scale."""

    at_ms: Ms
    survey_id: Name
    kind: Kind
    score: ScalePoint
    scale_min: ScalePoint = 1  # of csat; without meaning for nps
    scale_max: ScalePoint = 5

    def __post_init__(self) -> None:
        low, high = (0, NPS_MAX) if self.kind == "nps" else (self.scale_min, self.scale_max)
        if not (low < high and low <= self.score <= high):
            raise ValueError(f"no score from {low} to {high}: {self.score}")

    @property
    def points(self) -> int:
        """0 to 100, whatever the scale; rounded half up."""
        if self.kind == "nps":
            return 10 * self.score
        width = self.scale_max - self.scale_min
        return (200 * (self.score - self.scale_min) + width) // (2 * width)

    @property
    def mood(self) -> int:
        """-1 detractor or not satisfied, 1 promoter or satisfied, 0 between."""
        if self.kind == "nps":
            [said] = nps_counts(self.score)
            return {PROMOTERS: 1, DETRACTORS: -1}.get(said, 0)
        return 1 if self.score >= csat.satisfied_from(self.scale_min, self.scale_max) else -1


class Converted(msgspec.Struct, frozen=True, array_like=True, tag="converted", gc=False):
    """A goal was reached."""

    at_ms: Ms
    goal: str = ""


Activity = VisitStarted | VisitEnded | Answered | Converted


class Rhythm(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A customer's own gaps between visits, by their natural logarithm (of ms): gaps are far from symmetric.

    Mean and sum of squared deviations by Welford (1962), Technometrics 4(3).
    """

    gaps: int = 0
    mean: float = 0.0
    squares: float = 0.0
    recent: float = 0.0  # exponentially weighted mean

    def add(self, gap_ms: int) -> Rhythm:
        """With one gap more; `gap_ms` is at least 1."""
        value, gaps = math.log(gap_ms), self.gaps + 1
        mean = self.mean + (value - self.mean) / gaps
        squares = self.squares + (value - self.mean) * (value - mean)
        recent = value if self.gaps == 0 else self.recent + SMOOTHING * (value - self.recent)
        return Rhythm(gaps, mean, squares, recent)

    @property
    def sigma(self) -> float:
        """Standard deviation of the logarithms (n - 1); 0 below two gaps."""
        return math.sqrt(self.squares / (self.gaps - 1)) if self.gaps > 1 else 0.0


class Standing(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How the customer stood when they were judged last."""

    state: int = 0
    transition: int = 0  # counts the signals
    levels: tuple[int, ...] = ()  # per rule, -1 where it says nothing


class Customer(msgspec.Struct, array_like=True, gc=False):
    """One customer of one site: everything that rules are decided by, and how they stood last."""

    visits: int = 0
    first_ms: int = 0  # begin of the first visit
    started_ms: int = 0  # begin of the latest occasion: visits close together are one
    last_ms: int = 0  # last sign of life
    rhythm: Rhythm = Rhythm()
    short: float = 0.0  # occasions, fading with time constants of 7 and 28 days, as of `started_ms`
    long: float = 0.0
    engaged_ms: int = 0
    conversions: int = 0
    plan: str | None = None
    nps: tuple[Answered, ...] = ()  # the latest, by time
    csat: tuple[Answered, ...] = ()
    standing: Standing = Standing()
    due_ms: int = 0  # when time alone changes something next, at the latest that they are forgotten


def fold(customer: Customer, activity: Activity, occasion_ms: int) -> None:
    """Take `activity` into account.

    occasion_ms: who begins a visit within this time of their last sign of life (on another device, mostly)
    has not been away: the visit counts, but is no return and leaves no gap.
    """
    if isinstance(activity, VisitStarted):
        _start(customer, activity, occasion_ms)
    elif isinstance(activity, VisitEnded):
        customer.last_ms = max(customer.last_ms, activity.at_ms)
        customer.engaged_ms += activity.engaged_ms
    elif isinstance(activity, Answered):
        _answer(customer, activity)
    else:
        customer.last_ms = max(customer.last_ms, activity.at_ms)
        customer.conversions += 1


def last_sign_ms(customer: Customer) -> int:
    """When they did anything at all for the last time; an answer may come without a visit."""
    answers = (*customer.nps[-1:], *customer.csat[-1:])
    return max(customer.last_ms, *(answer.at_ms for answer in answers)) if answers else customer.last_ms


def _start(customer: Customer, visit: VisitStarted, occasion_ms: int) -> None:
    at_ms = visit.at_ms
    customer.visits += 1
    customer.plan = visit.plan or customer.plan
    if customer.visits == 1:
        customer.first_ms = customer.started_ms = at_ms
        customer.last_ms = max(customer.last_ms, at_ms)
        customer.short = customer.long = 1.0
        return
    away_ms = at_ms - customer.last_ms
    if away_ms > occasion_ms:
        since_ms = at_ms - customer.started_ms
        customer.rhythm = customer.rhythm.add(away_ms)
        customer.short = 1 + customer.short * math.exp(-since_ms / SHORT_MS)
        customer.long = 1 + customer.long * math.exp(-since_ms / LONG_MS)
        customer.started_ms = at_ms
    customer.first_ms = min(customer.first_ms, at_ms)
    customer.last_ms = max(customer.last_ms, at_ms)


def _answer(customer: Customer, given: Answered) -> None:
    if given.kind == "csat":
        customer.csat = _keep(customer.csat, given)
    else:  # whatever scale a client said
        plain = Answered(given.at_ms, given.survey_id, "nps", given.score)
        customer.nps = _keep(customer.nps, plain)


def _keep(answers: tuple[Answered, ...], answer: Answered) -> tuple[Answered, ...]:
    return tuple(sorted((*answers, answer))[-ANSWERS_KEPT:])
