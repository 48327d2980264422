"""P(alive): how probable it is that a customer who has been silent for so long still comes.

The BG/NBD model: who is alive comes at random times, at a rate of their own (gamma with shape `r` and rate
`alpha`); after each visit they leave for good with a probability of their own (beta with `a` and `b`).

Sources: Fader, Hardie and Lee (2005), "Counting Your Customers" the Easy Way: An Alternative to the
Pareto/NBD Model, Marketing Science 24(2), 275-284; P(alive): Fader, Hardie and Lee (2008), Computing P(alive)
Using the BG/NBD Model. Times are in days here, counted from the customer's first visit.
"""

from __future__ import annotations

import math

import msgspec

_SMALLEST, _LARGEST = 1e-6, 1e6  # of a parameter: beyond it a millisecond more would change nothing
_LARGEST_EXPONENT = 700.0  # beyond it exp() overflows, and the probability is 0 all the same


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The four parameters of a population of customers. Raises ValueError where one is out of range."""

    r: float
    alpha_days: float
    a: float
    b: float

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if not _SMALLEST <= value <= _LARGEST:
                raise ValueError(
                    f"{name} must lie between {_SMALLEST:g} and {_LARGEST:g}; 'latido churn fit' estimates it"
                )


def alive_probability(of: Parameters, returns: int, latest: float, now: float) -> float:
    """The probability that somebody is still a customer.

    returns: visits after the first (x). latest: days from the first visit to the latest (t_x).
    now: days from the first visit to now (T), at least `latest`. Nobody leaves before they returned once.
    """
    if returns == 0:
        return 1.0
    odds = _log_odds_of_leaving(of, returns) + (of.r + returns) * math.log(
        (of.alpha_days + now) / (of.alpha_days + latest)
    )
    return 0.0 if odds > _LARGEST_EXPONENT else 1 / (1 + math.exp(odds))


def alive_until(of: Parameters, returns: int, latest: float, limit: float) -> float:
    """The T (days from the first visit) at which the probability, in silence, has fallen to `limit`.

    T* = (alpha + t_x) [(1/p - 1)(b + x - 1)/a]^(1/(r + x)) - alpha; infinite for who never returned. A T*
    before `latest` means that the probability was below the limit as soon as the latest visit was over.
    """
    if returns == 0:
        return math.inf
    exponent = (math.log(1 / limit - 1) - _log_odds_of_leaving(of, returns)) / (of.r + returns)
    if exponent > _LARGEST_EXPONENT:
        return math.inf
    return (of.alpha_days + latest) * math.exp(exponent) - of.alpha_days


def _log_odds_of_leaving(of: Parameters, returns: int) -> float:
    """Right after the latest visit."""
    return math.log(of.a) - math.log(of.b + returns - 1)
