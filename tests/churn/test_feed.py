"""What the customer stage is told: each visit once, when nothing earlier is expected, and whose it is."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.topics import CUSTOMER_ACTIVITY
from stream.core.customers import Activity, Answered, Converted, VisitEnded, VisitStarted
from stream.core.policy import MINUTE_MS, Goal, Policy
from stream.pipeline.customer_feed import FeedSettings, decode_message
from stream.pipeline.partition import Partition
from tests.builders import BASE_MS, event, now
from tests.churn.stages import NAMESPACE, FedLane

POLICY = Policy(goals=(Goal("thanks", page="/thanks"),), grid_ms=1)
GAP, GRACE = POLICY.gap_ms, POLICY.grace_ms
ANA = {"customer_id": "ana"}
Told = list[tuple[str, Activity]]


def lane(*, within_ms: int = MINUTE_MS, anonymous: bool = False) -> FedLane:
    fed = FedLane(0, POLICY, FeedSettings(NAMESPACE, 1, GAP, within_ms, anonymous))
    fed.wall_ms = at(10_000)  # it stands still: time is what events say
    return fed


def at(minute: float) -> int:
    return BASE_MS + round(minute * MINUTE_MS)


def view(minute: float, visitor: str = "v", **fields: Any) -> dict[str, Any]:
    return event("V", round(minute * MINUTE_MS), f"{visitor}-{minute}", visitor, **fields)


def read(fed: FedLane, *bodies: dict[str, Any]) -> Told:
    """Send these, read everything, and return all that was told by now."""
    fed.append(*bodies)
    fed.know_ends()
    for topic in ("V", "S"):
        fed.fetch(topic)
    fed.tick()
    return told(fed)


def told(fed: FedLane) -> Told:
    outputs = [one.value or b"" for one in fed.outputs if one.topic == CUSTOMER_ACTIVITY]
    messages = [decode_message(value).told for value in outputs]
    numbers = [one.number for one in messages]
    assert numbers == sorted(set(numbers)), "a number came twice, or went back"
    return [(one.key[1], one.activity) for one in messages if one.key and one.activity]


def test_a_visit_is_told_of_when_it_is_settled_and_when_it_is_over() -> None:
    fed = lane()
    assert read(fed, view(0, plan="gold", **ANA), view(0.5)) == []
    assert read(fed, view(2)) == [("ana", VisitStarted(at(0), "gold"))]
    ping = event("page_ping", 3 * MINUTE_MS, "p", engaged_ms=9000)
    assert read(fed, ping, view(100, "other")) == [
        ("ana", VisitStarted(at(0), "gold")), ("ana", VisitEnded(at(3), 9000)),
    ]  # fmt: skip


def test_what_happened_before_the_name_goes_along() -> None:
    fed = lane()
    read(fed, view(0), view(1, url="/thanks"), view(5))
    assert read(fed, view(6, **ANA), view(8, customer_id="bea"), view(60, "other")) == [
        ("ana", VisitStarted(at(0))), ("ana", Converted(at(1), "thanks")), ("ana", VisitEnded(at(8))),
    ]  # fmt: skip


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_names_at_the_same_instant_the_order_of_reading_decides_nothing(order: int) -> None:
    fed = lane()
    named = [view(1, customer_id="bea"), {**view(1, **ANA), "event_id": "another"}][::order]
    assert read(fed, *named, view(60, "other")) == [("ana", VisitStarted(at(1))), ("ana", VisitEnded(at(1)))]


@pytest.mark.parametrize("anonymous", [False, True])
def test_a_visit_without_a_name_is_its_visitors_if_anybodys(anonymous: bool) -> None:
    fed = lane(anonymous=anonymous)
    assert read(fed, view(0), view(10)) == [], "they may still say who they are"
    expected: Told = [("v", VisitStarted(at(0))), ("v", VisitEnded(at(10)))]
    assert read(fed, view(60, "other")) == (expected if anonymous else [])


def test_an_earlier_event_changes_what_was_not_told_yet_only() -> None:
    fed = lane(within_ms=20 * MINUTE_MS)
    read(fed, view(10, **ANA))
    assert read(fed, view(5), view(31)) == [("ana", VisitStarted(at(5)))]
    assert read(fed, view(3), view(90, "other"))[1:] == [("ana", VisitEnded(at(31)))]


def test_visits_that_a_late_event_joins_are_told_no_third_time() -> None:
    fed = lane(within_ms=0)
    apart: Told = [
        ("ana", VisitStarted(at(0))), ("ana", VisitEnded(at(0))), ("ana", VisitStarted(at(40))),
    ]  # fmt: skip
    assert read(fed, view(0, **ANA), view(40, **ANA), view(41, "other")) == apart
    assert read(fed, view(20, **ANA), view(200, "other")) == [*apart, ("ana", VisitEnded(at(40)))]


def test_an_answer_is_of_whom_it_names_else_of_the_visit_around_it() -> None:
    fed = lane()
    read(fed, view(0, **ANA))

    def answer(minute: int, **fields: Any) -> dict[str, Any]:
        return event("S", minute * MINUTE_MS, f"s{minute}", score=minute, **fields)

    answers = [
        answer(1), answer(2, customer_id="bea"), answer(3, respondent_id=""), answer(4, visitor="mail"),
        {**answer(5), "skipped": True, "score": None}, answer(29),
    ]  # fmt: skip
    found = [(who, one) for who, one in read(fed, *answers, view(100, "other")) if isinstance(one, Answered)]
    assert [(who, one.score) for who, one in found] == [("bea", 2), ("ana", 1)]
    assert len(read(fed)) == 4


@pytest.mark.parametrize("anonymous", [False, True])
@pytest.mark.parametrize("restart", [False, True])
def test_an_answer_read_before_its_visit_waits_for_it(anonymous: bool, restart: bool) -> None:
    fed = lane(anonymous=anonymous)
    mine = event("S", 4 * MINUTE_MS, "mine", score=4)
    stray = event("S", 5 * MINUTE_MS, "stray", "w", score=5)
    fed.append(mine, stray, view(3, **ANA), view(4.5), view(100, "other"))
    fed.know_ends()
    fed.fetch("S")
    fed.tick()
    assert told(fed) == [], "pages are behind"
    if restart:
        fed.open()
        fed.know_ends()
    found = read(fed)
    answers = [(who, one.score) for who, one in found if isinstance(one, Answered)]
    assert answers == [("ana", 4), *([("w", 5)] if anonymous else [])]
    assert found[0] == ("ana", VisitStarted(at(3)))
    later = read(fed, view(900, "other"))
    assert [one for one in later if isinstance(one[1], Answered)] == [
        one for one in found if isinstance(one[1], Answered)
    ], "told once"


def test_numbers_go_on_where_customers_are_kept_again_after_a_while() -> None:
    fed = lane()
    before = read(fed, view(0, **ANA), view(100, "other"))
    claim = now(fed.tables.claim(0, "test", 2, 0))
    fed.partition = now(Partition.open(fed.tables, claim, POLICY))
    assert read(fed, view(200, **ANA), view(300, "other")) == before, "nothing is told while it is off"
    assert all(
        session.telling is None or session.first_ms < at(150)
        for site in fed.partition.state.sites.values()
        for visitor in site.visitors.values()
        for session in visitor.sessions
    )
    fed.open()
    after = read(fed, view(400, **ANA), view(500, "other"))
    assert after[: len(before)] == before
    assert after[-2:] == [("ana", VisitStarted(at(400))), ("ana", VisitEnded(at(400)))]
