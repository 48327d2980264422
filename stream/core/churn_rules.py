"""The churn rules: each says how bad it is now, and when time alone will make it worse.

A rule has a level: 0 nothing, 1 watch, 2 at_risk, 3 lost; -1 where it cannot judge the customer. Between two
activities a level changes at known instants only, found by inverting the rule's formula; `level` evaluates
the formula itself. Times in ms; `now_ms` is never before the customer's latest activity was known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from stream.core.bgnbd import alive_probability, alive_until
from stream.core.churn_settings import Limits
from stream.core.customers import LAST_MS, LONG_MS, SHORT_MS, Answered, Customer
from stream.core.policy import DAY_MS

NOTHING: Final = 0
WATCH: Final = 1
AT_RISK: Final = 2
LOST: Final = 3
NOT_JUDGED: Final = -1
FOREVER_MS: Final = 100 * 365 * DAY_MS
"""Silence beyond this is not waited for: times would leave the calendar."""

Moments = tuple[int, ...]
ALL: Final = slice(None)


class Rule(msgspec.Struct, frozen=True):
    """One rule. `points`: health from 0 to 100 at a level that is not -1."""

    name: str
    level: Callable[[Customer, Limits, int], int]
    # Instants at which the level changes, in silence: of these of the rule's limits, ALL or the next one.
    crossings: Callable[[Customer, Limits, slice], Moments]
    points: Callable[[Customer, int], int]
    says_absent: bool = False  # at level 3 the customer counts as lost
    is_risk: bool = True


def first_instant(guess_ms: float, from_ms: int, is_reached: Callable[[int], bool]) -> int | None:
    """The first whole ms, not before `from_ms`, at which something that stays reached is reached.

    guess_ms: from the closed form. Substitution moves it by the last digit of a float, not further. None
    where it is too far away to wait for.
    """
    if guess_ms - from_ms > FOREVER_MS:
        return None
    at_ms = max(from_ms, math.ceil(guess_ms))
    while at_ms > from_ms and is_reached(at_ms - 1):
        at_ms -= 1
    while not is_reached(at_ms):
        at_ms += 1
    return at_ms


def _moments(found: Iterator[int | None]) -> Moments:
    return tuple(at_ms for at_ms in found if at_ms is not None)


def _by_level(_: Customer, level: int) -> int:
    return (100, 60, 25, 0)[level]


def _all(_: Customer, __: int) -> int:
    return 100


# overdue: silence beyond the customer's own rhythm


def _longest_silence_ms(customer: Customer, limits: Limits, z: float) -> float:
    rhythm = customer.rhythm
    exponent = rhythm.mean + z * max(rhythm.sigma, limits.least_sigma)
    return max(math.exp(min(exponent, 700.0)), float(limits.shortest_silence_ms))


def overdue(customer: Customer, limits: Limits, now_ms: int) -> int:
    """How many limits the silence has reached. Not judged below `least_gaps` gaps."""
    if customer.rhythm.gaps < limits.least_gaps:
        return NOT_JUDGED
    silence_ms = now_ms - customer.last_ms
    return sum(silence_ms >= _longest_silence_ms(customer, limits, z) for z in limits.overdue)


def overdue_crossings(customer: Customer, limits: Limits, which: slice = ALL) -> Moments:
    """last + exp(mu + z sigma), for each z."""
    if customer.rhythm.gaps < limits.least_gaps:
        return ()
    silences = (_longest_silence_ms(customer, limits, z) for z in limits.overdue[which])
    return tuple(customer.last_ms + math.ceil(ms) for ms in silences if ms <= FOREVER_MS)


# declining: visits of the last week against those of the last four


_FADING_PER_MS: Final = 1 / SHORT_MS - 1 / LONG_MS


def visit_ratio(customer: Customer, now_ms: int) -> float:
    """Rate of visits with a memory of 7 days over that with one of 28; about 1 for who comes evenly.

    Each rate is its fading count over its time constant; in silence the shorter one fades faster.
    """
    if customer.long == 0:
        return 0.0
    ratio = (customer.short / SHORT_MS) / (customer.long / LONG_MS)
    return ratio * math.exp(-(now_ms - customer.started_ms) * _FADING_PER_MS)


def _declines(customer: Customer, limits: Limits) -> bool:
    """Judged are those who came often, as of their latest visit: who comes once a month always declines."""
    return customer.rhythm.gaps >= limits.least_gaps and customer.long >= limits.declining_visits


def declining(customer: Customer, limits: Limits, now_ms: int) -> int:
    """How many limits the ratio is below."""
    if not _declines(customer, limits):
        return NOT_JUDGED
    ratio = visit_ratio(customer, now_ms)
    return sum(ratio < limit for limit in limits.declining)


def declining_crossings(customer: Customer, limits: Limits, which: slice = ALL) -> Moments:
    """t* = ln(ratio / limit) / (1/7 - 1/28) days after the latest visit began, for each limit."""
    if not _declines(customer, limits):
        return ()
    ratio = visit_ratio(customer, customer.started_ms)
    return _moments(
        first_instant(
            customer.started_ms + math.log(ratio / limit) / _FADING_PER_MS,
            customer.started_ms,
            lambda now_ms, limit=limit: visit_ratio(customer, now_ms) < limit,  # type: ignore[misc]
        )
        for limit in limits.declining[which]
    )


# alive_probability: BG/NBD


def alive(customer: Customer, limits: Limits, now_ms: int) -> float | None:
    """P(alive); None without the four parameters, or without a visit."""
    if limits.bgnbd is None or customer.visits == 0:
        return None
    return alive_probability(
        limits.bgnbd,
        customer.rhythm.gaps,
        (customer.started_ms - customer.first_ms) / DAY_MS,
        (max(now_ms, customer.started_ms) - customer.first_ms) / DAY_MS,
    )


def alive_level(customer: Customer, limits: Limits, now_ms: int) -> int:
    """How many limits the probability is below."""
    probability = alive(customer, limits, now_ms)
    return NOT_JUDGED if probability is None else sum(probability < limit for limit in limits.alive)


def alive_crossings(customer: Customer, limits: Limits, which: slice = ALL) -> Moments:
    """first + T*, for each limit."""
    if limits.bgnbd is None or customer.visits == 0:
        return ()
    latest = (customer.started_ms - customer.first_ms) / DAY_MS
    return _moments(
        first_instant(
            customer.first_ms + DAY_MS * alive_until(limits.bgnbd, customer.rhythm.gaps, latest, limit),
            customer.started_ms,
            lambda now_ms, limit=limit: (alive(customer, limits, now_ms) or 0.0) < limit,  # type: ignore[misc]
        )
        for limit in limits.alive[which]
    )


# answers: the latest one, until it is too old


def latest(answers: tuple[Answered, ...], limits: Limits, now_ms: int) -> Answered | None:
    """The newest answer, None once it is too old to count."""
    if not answers or now_ms - answers[-1].at_ms >= limits.answers_count_for_ms:
        return None
    return answers[-1]


def _expiry(answers: tuple[Answered, ...], limits: Limits) -> Moments:
    return (answers[-1].at_ms + limits.answers_count_for_ms,) if answers else ()


def _mood(answer: Answered | None, mood: int, level: int) -> int:
    if answer is None:
        return NOT_JUDGED
    return level if answer.mood == mood else NOTHING


def detractor(customer: Customer, limits: Limits, now_ms: int) -> int:
    """The latest NPS answer is 0 to 6 (Reichheld 2003)."""
    return _mood(latest(customer.nps, limits, now_ms), -1, AT_RISK)


def promoter(customer: Customer, limits: Limits, now_ms: int) -> int:
    """The latest NPS answer is 9 or 10: somebody to ask for a review or a referral."""
    return _mood(latest(customer.nps, limits, now_ms), 1, WATCH)


def dissatisfied(customer: Customer, limits: Limits, now_ms: int) -> int:
    """The latest CSAT answer is not one of the satisfied ones of its scale."""
    return _mood(latest(customer.csat, limits, now_ms), -1, AT_RISK)


def _said(answers: Callable[[Customer], tuple[Answered, ...]]) -> Callable[[Customer, int], int]:
    """Points of the latest answer; an unhappy one has half of them, so a detractor 0 to 30."""
    return lambda customer, level: answers(customer)[-1].points // (1 if level == NOTHING else 2)


def trend(answers: tuple[Answered, ...]) -> float | None:
    """Points (of 100) by which answers rise from one to the next, by least squares; None below three."""
    if len(answers) < 3:
        return None
    middle, mean = (len(answers) - 1) / 2, sum(one.points for one in answers) / len(answers)
    above = sum((i - middle) * (one.points - mean) for i, one in enumerate(answers))
    return above / sum((i - middle) ** 2 for i in range(len(answers)))


def falling(customer: Customer, limits: Limits, now_ms: int) -> tuple[float, tuple[Answered, ...]] | None:
    """The steeper fall of NPS and CSAT answers, as (trend, answers); None where there are too few."""
    found = [
        (slope, answers)
        for answers in (customer.nps, customer.csat)
        if latest(answers, limits, now_ms) is not None and (slope := trend(answers)) is not None
    ]
    return min(found, key=lambda one: one[0], default=None)


def score_falling(customer: Customer, limits: Limits, now_ms: int) -> int:
    """The answers fall, whatever the latest one says."""
    found = falling(customer, limits, now_ms)
    if found is None:
        return NOT_JUDGED
    return AT_RISK if found[0] <= -limits.falling_points else NOTHING


def high_value(customer: Customer, limits: Limits, _: int) -> int:
    """Has reached many goals or spent much time: whom to lose would cost most."""
    much = customer.engaged_ms >= limits.high_value_engaged_ms
    return WATCH if much or customer.conversions >= limits.high_value_conversions else NOTHING


def _never(_: Customer, __: Limits, ___: slice) -> Moments:
    return ()


def _nps_expiry(customer: Customer, limits: Limits, _: slice) -> Moments:
    return _expiry(customer.nps, limits)


def _csat_expiry(customer: Customer, limits: Limits, _: slice) -> Moments:
    return _expiry(customer.csat, limits)


def _any_expiry(customer: Customer, limits: Limits, _: slice) -> Moments:
    return _expiry(customer.nps, limits) + _expiry(customer.csat, limits)


RULES: Final = (
    Rule("overdue", overdue, overdue_crossings, _by_level, says_absent=True),
    Rule("declining", declining, declining_crossings, _by_level),
    Rule("alive_probability", alive_level, alive_crossings, _by_level, says_absent=True),
    Rule("detractor", detractor, _nps_expiry, _said(lambda customer: customer.nps)),
    Rule("dissatisfied", dissatisfied, _csat_expiry, _said(lambda customer: customer.csat)),
    Rule("score_falling", score_falling, _any_expiry, _by_level),
    Rule("promoter", promoter, _nps_expiry, _all, is_risk=False),
    Rule("high_value", high_value, _never, _all, is_risk=False),
)
POSITION: Final = {rule.name: index for index, rule in enumerate(RULES)}


def levels(customer: Customer, limits: Limits, now_ms: int) -> tuple[int, ...]:
    """The level of each of `RULES`, by direct evaluation."""
    return tuple(rule.level(customer, limits, now_ms) for rule in RULES)


def crossings(customer: Customer, limits: Limits, after_ms: int) -> list[int]:
    """All instants after `after_ms` at which time alone changes a level, in order."""
    found = {at_ms for rule in RULES for at_ms in rule.crossings(customer, limits, ALL)}
    return sorted(at_ms for at_ms in found if after_ms < at_ms <= LAST_MS)


def next_crossing(customer: Customer, limits: Limits, after_ms: int, found: tuple[int, ...]) -> int | None:
    """The first of `crossings`, where `found` are the levels at `after_ms`: of each rule only the limit that
    is next can be first."""
    following = (
        at_ms
        for rule, level in zip(RULES, found, strict=True)
        if level >= NOTHING
        for at_ms in rule.crossings(customer, limits, slice(level, level + 1))
        if after_ms < at_ms <= LAST_MS
    )
    return min(following, default=None)
