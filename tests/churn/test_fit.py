"""The estimate of the BG/NBD parameters: the likelihood by hand, and parameters that are found again."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from stream.churn.fit import NotFitted, fit, log_likelihood
from stream.core.bgnbd import Parameters
from stream.core.customers import Customer, Rhythm
from stream.core.policy import DAY_MS

TRUE = Parameters(r=0.6, alpha_days=8.0, a=0.9, b=3.0)
END_MS = 400 * DAY_MS


def one(parameters: Parameters, returns: float, latest: float, known: float) -> float:
    logs = np.log(np.array([parameters.r, parameters.alpha_days, parameters.a, parameters.b]))
    return log_likelihood(logs, np.array([returns]), np.array([latest]), np.array([known]))


def simulated(chance: random.Random, count: int) -> list[Customer]:
    """People as the model describes them, first seen some time before the end."""
    found = []
    for _ in range(count):
        rate, leaves = chance.gammavariate(TRUE.r, 1 / TRUE.alpha_days), chance.betavariate(TRUE.a, TRUE.b)
        known, at, returns, latest = chance.uniform(100, 390), 0.0, 0, 0.0
        while (at := at + chance.expovariate(rate)) < known:
            returns, latest = returns + 1, at
            if chance.random() < leaves:
                break
        first_ms = END_MS - round(known * DAY_MS)
        started_ms = first_ms + round(latest * DAY_MS)
        found.append(Customer(returns + 1, first_ms, started_ms, started_ms, Rhythm(returns)))
    return found


def test_who_never_returned_worked_by_hand() -> None:
    """L = (alpha / (alpha + T))^r."""
    assert one(TRUE, 0, 0, 24) == pytest.approx(0.6 * math.log(8 / 32))


def test_who_returned_once_worked_by_hand() -> None:
    """One return on day 2 of 12: still there (b/(a+b)), or gone right after it (a/(a+b))."""
    stays, leaves = 3 / 3.9 * (8 + 12) ** -1.6, 0.9 / 3.9 * (8 + 2) ** -1.6
    assert one(TRUE, 1, 2, 12) == pytest.approx(math.log(0.6 * 8**0.6 * (stays + leaves)))


def test_parameters_are_found_again() -> None:
    """Of 3000 simulated customers; the estimate is at least as likely as the truth, and close to it."""
    customers = simulated(random.Random(1), 3000)
    found = fit(customers, END_MS)
    truth = sum(
        one(TRUE, c.rhythm.gaps, (c.started_ms - c.first_ms) / DAY_MS, (END_MS - c.first_ms) / DAY_MS)
        for c in customers
    )
    assert found.log_likelihood >= truth
    assert found.customers == 3000
    assert found.returns == sum(c.rhythm.gaps for c in customers)
    for name in ("r", "alpha_days"):
        assert getattr(found.parameters, name) == pytest.approx(getattr(TRUE, name), rel=0.15), name
    leaving, truly = (one.a / (one.a + one.b) for one in (found.parameters, TRUE))
    assert leaving == pytest.approx(truly, rel=0.15)


def test_too_few_who_returned_are_not_estimated_from() -> None:
    with pytest.raises(NotFitted, match="1 of 2 customers ever returned; 30 are needed"):
        fit([Customer(1), Customer(2, rhythm=Rhythm(1), started_ms=DAY_MS), Customer()], END_MS)


def test_people_who_returned_once_at_most_do_not_tell_how_many_leave() -> None:
    """A part of them returned, on day 10 of 100 to 300: any small a and b with the same ratio fit alike."""
    once = [Customer(2, at * DAY_MS, (at + 10) * DAY_MS, 0, Rhythm(1)) for at in range(100, 300, 5)]
    never = [Customer(1, at * DAY_MS, at * DAY_MS) for at in range(100, 300)]
    with pytest.raises(NotFitted, match="the history does not determine"):
        fit([*once, *never], END_MS)


def test_a_history_in_which_nobody_ever_leaves_is_not_estimated_from() -> None:
    people = [Customer(41, 0, 400 * DAY_MS, 400 * DAY_MS, Rhythm(40)) for _ in range(40)]
    with pytest.raises(NotFitted, match="the history does not determine"):
        fit(people, END_MS)
