"""By which limits customers are judged: all of it can be set, and per segment differently."""

from __future__ import annotations

from functools import cached_property
from hashlib import sha256

import msgspec

from stream.core.bgnbd import Parameters
from stream.core.policy import DAY_MS, HOUR_MS, MINUTE_MS

SEGMENTED_BY = ("plan", "site")


class Weights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much each rule that applies to a customer counts in the health score, relative to the others."""

    overdue: float = 0.35
    declining: float = 0.15
    alive_probability: float = 0.25
    detractor: float = 0.35
    dissatisfied: float = 0.35
    score_falling: float = 0.15

    def __post_init__(self) -> None:
        values = [getattr(self, name) for name in self.__struct_fields__]
        if not all(0 <= one <= 1000 for one in values) or sum(values) <= 0:
            raise ValueError("weights are numbers from 0 to 1000, and not all of them 0")


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """The limits of one segment. A list of limits is that of watch, of at_risk and of lost, in this order;
    it may be shorter. Raises ValueError on construction."""

    # Visits that begin so soon after the last sign of life are one occasion: two devices, mostly.
    occasion_ms: int = 30 * MINUTE_MS
    # overdue: silence of exp(mean + z x standard deviation) of the logarithms of the customer's own gaps.
    overdue: tuple[float, ...] = (1.5, 2.0, 3.0)
    least_gaps: int = 3
    # Three gaps may be alike by chance: a rhythm is never taken to be more regular than this.
    least_sigma: float = 0.35
    shortest_silence_ms: int = DAY_MS
    # declining: 7-day rate of visits over 28-day rate. Not judged for who comes about once a week or less.
    declining: tuple[float, ...] = (0.5, 0.25)
    declining_visits: float = 4.0
    # alive_probability: P(alive), where the four parameters are given. The model lets people leave right
    # after a visit: many a first return has less than 0.8.
    alive: tuple[float, ...] = (0.7, 0.4, 0.1)
    bgnbd: Parameters | None = None
    # Older answers say nothing about today.
    answers_count_for_ms: int = 180 * DAY_MS
    # score_falling: by how many of 100 points answers fall from one to the next.
    falling_points: float = 10.0
    # high_value: who reached so many goals, or spent so much time.
    high_value_conversions: int = 3
    high_value_engaged_ms: int = 10 * HOUR_MS
    # States by the health score; to leave a state for a better one the score must be `band` above its limit.
    watch_below: int = 80
    at_risk_below: int = 50
    band: int = 5
    weights: Weights = Weights()

    def __post_init__(self) -> None:
        _check_list("overdue", self.overdue, rising=True, low=0.0, high=10.0)
        _check_list("declining", self.declining, rising=False, low=0.01, high=4.0)
        _check_list("alive", self.alive, rising=False, low=0.01, high=0.99)
        for name in ("least_sigma", "declining_visits", "falling_points"):
            if not 0.01 <= getattr(self, name) <= 1000:
                raise ValueError(f"{name} must lie between 0.01 and 1000")
        for name in ("least_gaps", "high_value_conversions", "occasion_ms", "shortest_silence_ms"):
            _check_from(name, getattr(self, name), 2 if name == "least_gaps" else 1)
        for name in ("answers_count_for_ms", "high_value_engaged_ms"):
            _check_from(name, getattr(self, name), 1)
        if not 0 <= self.at_risk_below <= self.watch_below <= 100:
            raise ValueError(
                "at_risk_below and watch_below lie between 0 and 100, the first not above the other"
            )
        if not 0 <= self.band <= 100 - self.watch_below:
            raise ValueError("band lies between 0 and 100 - watch_below, else nobody becomes healthy again")

    @cached_property
    def version(self) -> str:
        """Changes with every limit: signals say by which rules they came about."""
        return _digest(self)


def _check_from(name: str, value: int, least: int) -> None:
    if value < least:
        raise ValueError(f"{name.removesuffix('_ms')} must be at least {least}{'ms' * name.endswith('_ms')}")


def _check_list(name: str, limits: tuple[float, ...], *, rising: bool, low: float, high: float) -> None:
    ordered = sorted(set(limits), reverse=not rising)
    if not 1 <= len(limits) <= 3 or list(limits) != ordered or not all(low <= one <= high for one in limits):
        direction = "rising" if rising else "falling"
        raise ValueError(
            f"{name} takes one to three {direction} limits from {low:g} to {high:g}: "
            "of watch, at_risk and lost"
        )


class ChurnSettings(msgspec.Struct, frozen=True, dict=True):
    """The limits of everybody, and of segments: the first one that a customer belongs to decides.

    Raises ValueError on construction.
    """

    limits: Limits = Limits()
    segments: tuple[tuple[str, Limits], ...] = ()  # name such as plan=premium or site=shop-es
    anonymous: bool = False  # whether visitors without a customer id are customers too
    # Whether workers keep customers and tell signals. Off: then an event costs nothing more, and nothing is
    # kept about persons for longer than their sessions.
    live: bool = False
    # How much earlier activities may be than others that were read before: devices and topics come apart.
    order_within_ms: int = MINUTE_MS
    # Who is silent for longer is forgotten altogether.
    remember_ms: int = 730 * DAY_MS

    def __post_init__(self) -> None:
        if self.order_within_ms < 0:
            raise ValueError("order_within must be at least 0")
        if self.remember_ms < DAY_MS:
            raise ValueError("remember must be at least 1d")

    def of(self, site_id: str, plan: str | None) -> Limits:
        """The limits for a customer of this site and plan."""
        names = (f"plan={plan}", f"site={site_id}")
        return next((limits for name, limits in self.segments if name in names), self.limits)

    @cached_property
    def version(self) -> str:
        """Changes with every limit of anybody."""
        return _digest((self.limits, self.segments, self.remember_ms))


def _digest(rules: object) -> str:
    return f"sha256:{sha256(msgspec.json.encode(rules, order='deterministic')).hexdigest()[:16]}"
