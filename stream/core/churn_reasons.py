"""Why a customer stands as they do: each rule's part of the health score, in words and with its evidence."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import msgspec

from stream.core.churn_rules import NOTHING, RULES, alive, falling, levels, visit_ratio
from stream.core.churn_settings import Limits
from stream.core.customers import Answered, Customer
from stream.core.policy import DAY_MS, HOUR_MS

Fact = int | float | str | None


class Part(msgspec.Struct, frozen=True):
    """One rule that applies to the customer. Evidence named `..._at` is in ms."""

    rule: str
    weight: float  # 0 of what is no risk: it has no part in the health score
    score: int
    is_tripped: bool
    threshold: str | None
    reason: str
    evidence: dict[str, Fact]


Told = tuple[str | None, str, dict[str, Fact]]
"""(threshold, reason, evidence)"""


def parts_of(customer: Customer, limits: Limits, now_ms: int) -> tuple[Part, ...]:
    """The parts of the rules that apply; positive ones only where they are true."""
    found = zip(RULES, levels(customer, limits, now_ms), strict=True)
    return tuple(
        Part(
            rule.name,
            float(getattr(limits.weights, rule.name)) if rule.is_risk else 0.0,
            rule.points(customer, level),
            level > NOTHING,
            *_TOLD[rule.name](customer, limits, now_ms, level),
        )
        for rule, level in found
        if level > NOTHING or (rule.is_risk and level == NOTHING)
    )


def duration(ms: float) -> str:
    """`19 days`, `4.1 days`, `7.5 hours`: two digits at least, for a sentence."""
    for unit_ms, name in ((DAY_MS, "day"), (HOUR_MS, "hour")):
        if ms >= unit_ms:
            return _counted(ms / unit_ms, name)
    return _counted(ms / 60_000, "minute")


def _counted(value: float, name: str) -> str:
    text = f"{value:.0f}" if value >= 10 else f"{value:.1f}".removesuffix(".0")
    return f"{text} {name}{'' if text == '1' else 's'}"


def _limit(limits: tuple[float, ...], level: int) -> float:
    """The limit that was reached last; before the first that one."""
    return limits[max(level, 1) - 1]


def _overdue(customer: Customer, limits: Limits, now_ms: int, level: int) -> Told:
    rhythm, silence_ms = customer.rhythm, now_ms - customer.last_ms
    typical_ms = round(math.exp(rhythm.mean))
    returns = f"this customer usually returns every {duration(typical_ms)} ({rhythm.gaps} gaps)"
    return (
        f"last visit + exp(mu + {_limit(limits.overdue, level):g} sigma)",
        f"No visit for {duration(silence_ms)}; {returns}",
        {
            "last_visit_at": customer.last_ms,
            "gaps": rhythm.gaps,
            "typical_gap_ms": typical_ms,
            "recent_gap_ms": round(math.exp(rhythm.recent)),
            "sigma": round(max(rhythm.sigma, limits.least_sigma), 4),
        },
    )


def _declining(customer: Customer, limits: Limits, now_ms: int, level: int) -> Told:
    ratio = visit_ratio(customer, now_ms)
    return (
        f"7-day rate / 28-day rate < {_limit(limits.declining, level):g}",
        f"Visits of the last week are at {100 * ratio:.0f} % of the rate of the last four",
        {"ratio": round(ratio, 4), "latest_visit_at": customer.started_ms},
    )


def _alive(customer: Customer, limits: Limits, now_ms: int, level: int) -> Told:
    probability = alive(customer, limits, now_ms) or 0.0
    returned = "once" if customer.rhythm.gaps == 1 else f"{customer.rhythm.gaps} times"
    since = f"returned {returned} in {duration(now_ms - customer.first_ms)}"
    return (
        f"P(alive) < {_limit(limits.alive, level):g}",
        f"Still a customer with a probability of {probability:.2f}: {since}",
        {
            "probability": round(probability, 4),
            "returns": customer.rhythm.gaps,
            "first_visit_at": customer.first_ms,
            "latest_visit_at": customer.started_ms,
        },
    )


def _answered(kind: str, answers: tuple[Answered, ...], threshold: str) -> Told:
    latest, before = answers[-1], answers[-2].score if len(answers) > 1 else None
    was = "" if before is None else f" ({before} before)"
    return (
        threshold,
        f"Latest {kind} answer is {latest.score}{was}",
        {
            "survey_id": latest.survey_id,
            "score": latest.score,
            "previous_score": before,
            "answered_at": latest.at_ms,
        },
    )


def _detractor(customer: Customer, *_: object) -> Told:
    return _answered("NPS", customer.nps, "latest NPS answer <= 6")


def _promoter(customer: Customer, *_: object) -> Told:
    return _answered("NPS", customer.nps, "latest NPS answer >= 9")


def _dissatisfied(customer: Customer, *_: object) -> Told:
    return _answered("CSAT", customer.csat, "latest CSAT answer below the satisfied ones of its scale")


def _falling(customer: Customer, limits: Limits, now_ms: int, _: int) -> Told:
    found = falling(customer, limits, now_ms)
    slope, answers = found if found is not None else (0.0, ())
    given = ", ".join(str(one.score) for one in answers)
    direction = "fall" if slope < 0 else "rise"
    return (
        f"trend <= -{limits.falling_points:g} of 100 points per answer",
        f"Answers {direction} by {abs(slope):.1f} of 100 points from one to the next ({given})",
        {"points_per_answer": round(slope, 2), "answers": len(answers)},
    )


def _high_value(customer: Customer, limits: Limits, _: int, __: int) -> Told:
    hours = limits.high_value_engaged_ms / HOUR_MS
    goals = "1 goal" if customer.conversions == 1 else f"{customer.conversions} goals"
    return (
        f"{limits.high_value_conversions} goals reached, or {hours:g} hours engaged",
        f"Reached {goals}, engaged for {duration(customer.engaged_ms)}",
        {"conversions": customer.conversions, "engaged_ms": customer.engaged_ms, "visits": customer.visits},
    )


_TOLD: Final[dict[str, Callable[[Customer, Limits, int, int], Told]]] = {
    "overdue": _overdue,
    "declining": _declining,
    "alive_probability": _alive,
    "detractor": _detractor,
    "dissatisfied": _dissatisfied,
    "score_falling": _falling,
    "promoter": _promoter,
    "high_value": _high_value,
}
