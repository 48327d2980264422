"""The four BG/NBD parameters of a population, by maximum likelihood. Needs scipy (extra `churn`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np
from scipy.optimize import minimize
from scipy.special import betaln, gammaln

from stream.core.bgnbd import Parameters
from stream.core.customers import Customer
from stream.core.policy import DAY_MS

FEWEST_RETURNING = 30
"""Below it four parameters are guessed rather than estimated."""
_LEAST, _MOST = 0.005, 2e4  # of a parameter: beyond them the likelihood is flat, and any value does
_STARTS = ((0.5, 10.0, 1.0, 2.0), (1.0, 30.0, 0.5, 5.0), (0.2, 3.0, 2.0, 1.0))

Vector = np.ndarray[Any, np.dtype[np.float64]]


class NotFitted(Exception):
    """The history does not determine the parameters; the message says why."""


class Fit(msgspec.Struct, frozen=True):
    """The estimate and what it stands on."""

    parameters: Parameters
    log_likelihood: float
    customers: int
    returning: int  # those with at least one return
    returns: int


def log_likelihood(logs: Vector, returns: Vector, latest: Vector, known: Vector) -> float:
    """Sum over customers of ln L(r, alpha, a, b | x, t_x, T): Fader, Hardie and Lee (2005), equation 6.

    logs: of r, alpha, a, b. returns: x. latest: t_x, and known: T, in days since the first visit.
    """
    r, alpha, a, b = np.exp(logs)
    common = gammaln(r + returns) - gammaln(r) + r * np.log(alpha) - betaln(a, b)
    still = betaln(a, b + returns) - (r + returns) * np.log(alpha + known)
    # Whoever never returned cannot have left; the clipped value is not used for them.
    left = betaln(a + 1, np.maximum(b + returns - 1, b)) - (r + returns) * np.log(alpha + latest)
    either = np.where(returns > 0, np.logaddexp(still, left), still)
    return float(np.sum(common + either))


def fit(customers: Iterable[Customer], end_ms: int) -> Fit:
    """Estimate from customers as they are at `end_ms`. Raises NotFitted."""
    seen = [one for one in customers if one.visits]
    returns = np.array([one.rhythm.gaps for one in seen], dtype=np.float64)
    latest = np.array([(one.started_ms - one.first_ms) / DAY_MS for one in seen])
    known = np.array([(max(end_ms, one.started_ms) - one.first_ms) / DAY_MS for one in seen])
    returning = int(np.count_nonzero(returns))
    if returning < FEWEST_RETURNING:
        raise NotFitted(
            f"{returning} of {len(seen)} customers ever returned; {FEWEST_RETURNING} are needed: "
            "take a longer history"
        )

    def cost(logs: Vector) -> float:
        return -log_likelihood(logs, returns, latest, known) / len(seen)

    bounds = [(np.log(_LEAST / 5), np.log(5 * _MOST))] * 4
    tried = [minimize(cost, np.log(start), method="L-BFGS-B", bounds=bounds) for start in _STARTS]
    best = min(tried, key=lambda one: float(one.fun))
    for name, value in zip(Parameters.__struct_fields__, best.x, strict=True):
        if not _LEAST <= np.exp(value) <= _MOST:
            raise NotFitted(
                f"the history does not determine {name}: customers differ too little, or none ever leaves; "
                "take a longer one"
            )
    found = Parameters(*(float(f"{value:.6g}") for value in np.exp(best.x)))
    return Fit(found, -float(best.fun) * len(seen), len(seen), returning, int(returns.sum()))
