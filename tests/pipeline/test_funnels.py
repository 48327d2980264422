"""Funnels: steps in the order of events, counted when a visit is over."""

from __future__ import annotations

from typing import Any

import pytest

from stream.core.funnels import Match, steps_reached
from stream.core.policy import MINUTE_MS, Funnel, Policy, Step
from tests.builders import BASE_MS, Lane
from tests.snapshot_reading import read

FORM = Funnel("form", (Step(page="/signup"), Step(form_id="signup")))
CART = Funnel("cart", (Step(element_id="add"), Step(page="/checkout"), Step(page="/thanks*")))


def opened(*funnels: Funnel) -> Lane:
    lane = Lane(Policy(funnels=funnels))
    at(lane, 1)
    return lane


def at(lane: Lane, minutes: int) -> None:
    """The wall clock moves on, and every topic answers that there is nothing new."""
    lane.wall_ms = BASE_MS + minutes * MINUTE_MS
    lane.empty("VCFS")


def kpis(lane: Lane, segment: str, window: str = "all") -> dict[str, Any]:
    return read(lane.snapshot())[window, "default", segment]


def rate_of(kpi: dict[str, Any]) -> tuple[int, int, float]:
    return kpi["numerator"], kpi["denominator"], kpi["value"]


def test_worked_example_form_abandonment() -> None:
    """Ten visits open the form, four send it: 60 % give up."""
    lane = opened(FORM)
    for number in range(10):
        lane.feed("V", 0, visitor=f"v{number}", url="/signup?from=mail")
    for number in range(4):
        lane.feed("F", 1000, visitor=f"v{number}", form_id="signup")
    lane.feed("V", 0, visitor="elsewhere", url="/")
    at(lane, 33)
    found = kpis(lane, "funnel=form")
    assert found["funnel_started"]["value"] == 10
    assert rate_of(found["funnel_abandonment"]) == (6, 10, 0.6)
    assert rate_of(found["funnel_conversion"]) == (4, 10, 0.4)
    assert found["funnel_abandonment"]["low"] < 0.6 < found["funnel_abandonment"]["high"]


def test_worked_example_cart_abandonment() -> None:
    """Of 5 visits with something in the cart 3 go to the checkout and 1 buys: 80 % are abandoned."""
    lane = opened(CART)
    for number in range(5):
        lane.feed("C", 0, visitor=f"v{number}", element_id="add")
    for number in range(3):
        lane.feed("V", 1000, visitor=f"v{number}", url="/checkout")
    lane.feed("V", 2000, visitor="v0", url="/thanks/42")
    at(lane, 33)
    assert rate_of(kpis(lane, "funnel=cart")["funnel_abandonment"]) == (4, 5, 0.8)
    steps = [kpis(lane, f"funnel_step=cart#{number}") for number in (1, 2, 3)]
    assert [one["funnel_step_sessions"]["value"] for one in steps] == [5, 3, 1]
    assert [rate_of(one["funnel_step_conversion"])[:2] for one in steps] == [(5, 5), (3, 5), (1, 3)]
    assert [rate_of(one["funnel_step_overall"])[2] for one in steps] == [1.0, 0.6, 0.2]


def test_an_open_visit_has_given_up_nothing_yet() -> None:
    lane = opened(FORM)
    lane.feed("V", 0, url="/signup")
    lane.tick(BASE_MS + MINUTE_MS + 2000)
    assert ("all", "default", "funnel=form") not in read(lane.snapshot())


def test_a_late_event_before_the_others_changes_how_far_an_ended_visit_came() -> None:
    lane = opened(CART)
    lane.feed("V", 5000, 6000, url="/checkout")
    at(lane, 33)
    assert ("all", "default", "funnel=cart") not in read(lane.snapshot())
    lane.feed("C", 5500, element_id="add")
    at(lane, 34)
    assert kpis(lane, "funnel_step=cart#2")["funnel_step_sessions"]["value"] == 1


def test_funnels_named_later_count_from_then_and_changed_ones_begin_anew() -> None:
    lane = opened(FORM)
    lane.feed("V", 0, url="/signup")
    lane.feed("V", 0, visitor="w", url="/signup")
    at(lane, 33)
    assert kpis(lane, "funnel=form")["funnel_started"]["value"] == 2
    lane.policy = Policy(funnels=(Funnel("form", (Step(page="/signup"), Step(page="/thanks"))), CART))
    lane.open()
    at(lane, 34)
    assert ("all", "default", "funnel=form") not in read(lane.snapshot())
    lane.feed("V", 25 * MINUTE_MS, url="/signup")
    lane.feed("V", 26 * MINUTE_MS, url="/thanks")
    lane.feed("V", 26 * MINUTE_MS, visitor="w", url="/")
    at(lane, 59)
    assert rate_of(kpis(lane, "funnel=form")["funnel_conversion"]) == (1, 1, 1.0)
    lane.open()
    at(lane, 60)
    assert rate_of(kpis(lane, "funnel=form")["funnel_conversion"]) == (1, 1, 1.0)


def test_an_overlong_visit_stores_no_further_steps() -> None:
    lane = Lane(Policy(funnels=(FORM,), overlong_events=2))
    at(lane, 1)
    lane.feed("V", 0, 1, 2, 3, 4, url="/signup")
    (visitor,) = lane.partition.state.sites["default"].visitors.values()
    assert len(visitor.sessions[0].trail or ()) == 2


@pytest.mark.parametrize(
    ("trail", "reached"),
    [
        ([], 0),
        ([(1, "a", 2)], 0),
        ([(1, "a", 1)], 1),
        ([(2, "a", 1), (1, "b", 2)], 1),
        ([(1, "b", 2), (1, "a", 1)], 2),  # of one instant: by id
        ([(1, "a", 1), (1, "a", 2)], 1),  # one event is one step
        ([(1, "a", 1), (1, "a", 2), (2, "b", 2), (2, "b", 3)], 2),
        ([(1, "a", 1), (2, "b", 3), (3, "c", 2), (4, "d", 3)], 3),
    ],
)
def test_steps_are_taken_in_order(trail: list[tuple[int, str, int]], reached: int) -> None:
    matches = [Match(t, event_id, 0, f"cart#{number}") for t, event_id, number in trail]
    assert steps_reached(CART, matches) == steps_reached(CART, matches[::-1]) == reached


def test_a_funnel_says_what_it_needs() -> None:
    with pytest.raises(ValueError, match="exactly one of page"):
        Step()
    with pytest.raises(ValueError, match="2 to 20 steps"):
        Funnel("f", (Step(page="/"),))
