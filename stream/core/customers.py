"""What is remembered of one customer, and how each thing they do changes it.

A customer may come with several devices and thus from several partitions, so nothing here trusts the order of
times: what arrives late is counted where it belongs, as far as that is still known. Times in ms.
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from stream.core import csat
from stream.core.nps import DETRACTORS, PROMOTERS
from stream.core.nps import counts as nps_counts
from stream.core.policy import DAY_MS

SHORT_MS = 7 * DAY_MS
LONG_MS = 28 * DAY_MS
ANSWERS_KEPT = 4
"""Of each kind: enough to see a trend, few enough for millions of customers."""
SMOOTHING = 0.3
"""Weight of the newest gap in the moving average: about the last five gaps decide."""


class VisitStarted(msgspec.Struct, frozen=True, array_like=True, tag="started", gc=False):
    """Somebody came."""

    at_ms: int
    plan: str | None = None


class VisitEnded(msgspec.Struct, frozen=True, array_like=True, tag="ended", gc=False):
    """The visit is over; `at_ms` is its last event."""

    at_ms: int
    engaged_ms: int = 0


class Answered(msgspec.Struct, frozen=True, array_like=True, tag="answered", gc=False):
    """A survey question got a score (not: was skipped)."""

    at_ms: int
    survey_id: str
    kind: Literal["nps", "csat"]
    score: int
    scale_min: int = 1
    scale_max: int = 5


class Converted(msgspec.Struct, frozen=True, array_like=True, tag="converted", gc=False):
    """A goal was reached."""

    at_ms: int
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


class Answer(msgspec.Struct, frozen=True, array_like=True, gc=False, order=True):
    """A score that was given. Ordered by time, then content, so that arrival cannot matter."""

    at_ms: int
    survey_id: str
    score: int
    points: int  # 0 to 100, whatever the scale
    mood: int  # -1 detractor or not satisfied, 1 promoter or satisfied, 0 between


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
    nps: tuple[Answer, ...] = ()  # the latest, by time
    csat: tuple[Answer, ...] = ()
    standing: Standing = Standing()
    deadline_ms: int | None = None  # when time alone changes something next


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Customer).decode
decode_activity = msgspec.msgpack.Decoder(Activity).decode


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
    answer = _read(given)
    if given.kind == "nps":
        customer.nps = _keep(customer.nps, answer)
    else:
        customer.csat = _keep(customer.csat, answer)


def _keep(answers: tuple[Answer, ...], answer: Answer) -> tuple[Answer, ...]:
    return tuple(sorted((*answers, answer))[-ANSWERS_KEPT:])


def _read(given: Answered) -> Answer:
    if given.kind == "nps":
        [said] = nps_counts(given.score)
        mood = {PROMOTERS: 1, DETRACTORS: -1}.get(said, 0)
        return Answer(given.at_ms, given.survey_id, given.score, 10 * given.score, mood)
    width = given.scale_max - given.scale_min
    points = (200 * (given.score - given.scale_min) + width) // (2 * width)  # rounded half up
    mood = 1 if given.score >= csat.satisfied_from(given.scale_min, given.scale_max) else -1
    return Answer(given.at_ms, given.survey_id, given.score, points, mood)
