"""Unique clicks and opened mails, by where a pair was first seen: whatever the order of arrival."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from stream.core.policy import DAY_MS, Policy
from tests.builders import Lane, event
from tests.snapshot_reading import read

MAIL: dict[str, Any] = {"surface": "mail", "url": None}


def figures(lane: Lane, kpi: str) -> dict[str, tuple[int, int]]:
    """Segment -> (numerator, denominator) of `all`, where there is something."""
    lane.tick()
    found = {
        segment: (kpis[kpi]["numerator"], kpis[kpi]["denominator"])
        for (window, _, segment), kpis in read(lane.snapshot()).items()
        if window == "all" and kpi in kpis
    }
    return {segment: pair for segment, pair in found.items() if pair != (0, 0)}


def played(*bodies: dict[str, Any], policy: Policy | None = None, restart: bool = False) -> Lane:
    """Each event as a batch of its own, in this order."""
    lane = Lane(policy or Policy())
    for body in bodies:
        lane.append(body)
        lane.know_ends()
        lane.fetch("C" if body["type"] == "click" else "V")
        if restart:
            lane.open()
            lane.know_ends()
    return lane


def test_a_pair_seen_twice_counts_where_it_was_seen_first() -> None:
    events = (
        event("impression", 0, "a", position=1, campaign="autumn"),
        event("impression", 5000, "b", position=2),
        event("click", 6000, "c", position=2),
    )
    for order in permutations(events):
        for restart in (False, True):
            lane = played(*order, restart=restart)
            assert figures(lane, "unique_ctr") == {
                "all": (1, 1), "element=e": (1, 1), "surface=page": (1, 1), "position=1": (1, 1),
                "campaign=autumn": (1, 1),
            }  # fmt: skip
            assert figures(lane, "ctr")["position=2"] == (1, 1)


def test_clicks_never_seen_are_unmatched_where_they_were_first_clicked() -> None:
    clicks = (event("click", 0, "a", position=1), event("click", 5000, "b", position=2))
    for order in permutations(clicks):
        lane = played(*order)
        lane.tick()
        unmatched = {
            segment: kpis["ctr"]["unmatched_clicks"]
            for (window, _, segment), kpis in read(lane.snapshot()).items()
            if window == "all" and kpis["ctr"]["unmatched_clicks"]
        }
        assert unmatched == {"all": 2, "element=e": 2, "surface=page": 2, "position=1": 2}


def test_a_mail_opened_three_times_is_opened_once() -> None:
    events = (
        event("impression", 0, "a", campaign="autumn", **MAIL),
        event("impression", 5000, "b", opened=True, **MAIL),
        event("impression", 9000, "c", opened=True, **MAIL),
    )
    for order in permutations(events):
        lane = played(*order)
        assert figures(lane, "open_rate") == {"all": (1, 1), "element=e": (1, 1), "campaign=autumn": (1, 1)}


@pytest.mark.parametrize(("days", "opened"), [(6, (1, 1)), (8, (1, 2))])
def test_an_open_belongs_to_the_delivery_within_seven_days(days: int, opened: tuple[int, int]) -> None:
    delivered = event("impression", 0, "a", **MAIL)
    later = event("impression", days * DAY_MS, "b", opened=True, **MAIL)
    assert figures(played(delivered, later), "open_rate")["all"] == opened


def test_a_quarter_of_the_delivered_mails_is_opened() -> None:
    bodies = [event("impression", n, f"d{n}", f"v{n}", **MAIL) for n in range(20)]
    bodies += [event("impression", 1000 + n, f"o{n}", f"v{n}", opened=True, **MAIL) for n in range(5)]
    lane = played(*bodies)
    assert figures(lane, "open_rate")["all"] == (5, 20)
    assert figures(lane, "ctr")["all"] == (0, 25)  # gross: what was sent to be counted
