"""P(alive) and its inverse, by the parameters published for CDNOW (Fader, Hardie and Lee 2005; in weeks)."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core.bgnbd import Parameters, alive_probability, alive_until

CDNOW = Parameters(r=0.243, alpha_days=4.414, a=0.793, b=2.426)
positive = st.floats(0.01, 50)
SHAPES = st.builds(Parameters, r=positive, alpha_days=positive, a=positive, b=positive)


def test_worked_by_hand() -> None:
    # 1 / (1 + 0.793/3.426 x (43.274/34.844)^2.243) = 1 / (1 + 0.23147 x 1.62581)
    assert alive_probability(CDNOW, 2, 30.43, 38.86) == pytest.approx(0.72657, abs=5e-5)


def test_nobody_leaves_before_they_returned_once() -> None:
    assert alive_probability(CDNOW, 0, 0.0, 1e6) == 1.0
    assert alive_until(CDNOW, 0, 0.0, 0.5) == math.inf


def test_who_came_often_is_given_up_sooner_than_who_came_seldom() -> None:
    often, seldom = (alive_probability(CDNOW, returns, 30.0, 90.0) for returns in (20, 2))
    assert often < 0.001 < 0.3 < seldom


def test_no_silence_is_too_long_for_floats() -> None:
    assert alive_probability(CDNOW, 10_000, 1.0, 1e9) == 0.0
    assert math.isfinite(alive_until(CDNOW, 10_000, 1.0, 0.01))


@given(of=SHAPES, returns=st.integers(1, 500), latest=st.floats(0, 3000), limit=st.floats(0.01, 0.99))
def test_the_inverse_put_into_the_formula_gives_the_limit(
    of: Parameters, returns: int, latest: float, limit: float
) -> None:
    until = alive_until(of, returns, latest, limit)
    if until <= latest:  # below the limit as soon as the visit was over
        assert alive_probability(of, returns, latest, latest) <= limit * (1 + 1e-9)
    elif until < 1e12:
        assert alive_probability(of, returns, latest, until) == pytest.approx(limit, rel=1e-7)


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf, 1e7])
@pytest.mark.parametrize("name", ["r", "alpha_days", "a", "b"])
def test_parameters_out_of_range_are_named(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} must lie between"):
        Parameters(**{"r": 1.0, "alpha_days": 1.0, "a": 1.0, "b": 1.0, name: value})
