"""A person's answers in time order: from every partition, whatever their names are, and nobody else's; and
the latest scores of a site, which name nobody."""

from __future__ import annotations

from typing import Any

import msgspec

from stream.core.policy import Policy
from stream.core.surveys import LATEST_KEPT
from stream.pipeline.apply_answer import HISTORIES_OF_A_PERSON
from stream.pipeline.partition import Partition
from stream.pipeline.partition_state import latest_field
from stream.pipeline.ports import Table
from stream.pipeline.scores import GivenScore, LatestScore, all_scores, latest_scores_of, scores_of
from stream.tables.memory import MemoryBoard, MemoryTables
from tests.builders import Lane, event, now


def opened() -> Lane:
    lane = Lane(Policy())
    lane.know_ends()
    return lane


def found(lane: Lane, person: str, partitions: int = 1) -> list[GivenScore]:
    return now(scores_of(MemoryTables(lane.store), partitions, person))


def latest(lane: Lane, site: str = "default", partitions: int = 1) -> list[LatestScore]:
    return now(latest_scores_of(MemoryBoard(lane.store), partitions, site))


def second_partition(lane: Lane) -> Lane:
    """Another one over the same store, whose answers are fed to it."""
    other, tables = Lane(Policy(), lane.store), MemoryTables(lane.store)
    other.partition = now(Partition.open(tables, now(tables.claim(3, "test", 1, 0)), Policy()))
    other.know_ends()
    other.partition.begin("engagement.survey-answers.v1", 0)
    return other


def told(scores: list[GivenScore]) -> list[tuple[Any, ...]]:
    return [(one.survey_id, one.survey_kind, one.score, one.says) for one in scores]


def test_answers_stand_in_the_order_of_their_times_not_of_their_arrival() -> None:
    lane = opened()
    lane.feed("S", 9000, customer_id="ana", score=3, survey_id="after")
    lane.feed("S", 1000, customer_id="ana", score=9, channel="Email")
    lane.feed("S", 5000, customer_id="ana", score=None, skipped=True)
    lane.feed("S", 6000, customer_id="ana", survey_kind="csat", score=4, scale_min=1, scale_max=5)
    lane.feed("S", 7000, customer_id="ana", survey_kind="csat", score=4, scale_min=1, scale_max=10)
    scores = found(lane, "ana")
    assert told(scores) == [
        ("s", "nps", 9, "promoter"), ("s", "nps", None, "skipped"), ("s", "csat", 4, "satisfied"),
        ("s", "csat", 4, "not satisfied"), ("after", "nps", 3, "detractor"),
    ]  # fmt: skip
    assert scores[0].answered_at == "2001-09-09T00:00:01.000Z"
    assert (scores[0].channel, scores[0].scale_min, scores[0].scale_max) == ("Email", 0, 10)
    assert (scores[4 - 1].scale_min, scores[4 - 1].scale_max) == (1, 10)


def test_a_customer_is_the_same_under_two_visitors_and_a_respondent_id() -> None:
    lane = opened()
    lane.feed("S", 0, visitor="phone", customer_id="ana", score=9)
    lane.feed("S", 1000, visitor="desk", customer_id="ana", respondent_id="r-7", score=8)
    lane.feed("S", 2000, visitor="desk", respondent_id="r-7", score=1)  # the same respondent, said by nobody
    assert [one.score for one in found(lane, "ana")] == [9, 8]
    assert [one.score for one in found(lane, "r-7")] == [1]
    assert found(lane, "desk") == []


def test_who_names_nobody_on_purpose_is_found_under_no_name() -> None:
    lane = opened()
    lane.feed("S", 0, customer_id="ana", respondent_id="", score=2)
    assert found(lane, "ana") == found(lane, "v") == []
    assert all_scores(lane.store.partition(0).tables[Table.ANSWERS]) == []


def test_names_that_look_like_fields_are_names() -> None:
    names = ["@ana", "#1f", "7|1|nps|defaultscana", "a:b{c}*?[x]", "\N{GRINNING FACE}\x1b[31m", "a\x00b"]
    lane = opened()
    for number, name in enumerate(names):
        lane.feed("S", number, customer_id=name, score=number)
    for number, name in enumerate(names):
        assert [(one.person, one.score) for one in found(lane, name)] == [(name, number)]


def test_every_partition_is_looked_at_and_a_restart_forgets_nobody() -> None:
    lane = opened()
    lane.feed("S", 0, customer_id="ana", score=9)
    lane.open()
    lane.know_ends()
    lane.feed("S", 2000, customer_id="ana", survey_id="t", score=7)
    other = second_partition(lane)
    other.feed("S", 1000, visitor="elsewhere", customer_id="ana", score=2)
    assert [one.score for one in found(lane, "ana", partitions=4)] == [9, 2, 7]
    assert [one.score for one in found(lane, "ana", partitions=1)] == [9, 7]


def test_one_name_with_all_surveys_costs_no_more_and_more() -> None:
    lane = opened()
    for number in range(HISTORIES_OF_A_PERSON + 5):
        lane.feed("S", number, customer_id="ana", survey_id=f"s{number}")
    assert len(found(lane, "ana")) == HISTORIES_OF_A_PERSON


def test_the_latest_are_those_of_the_latest_times_in_whatever_order_they_come() -> None:
    lane = opened()
    times = [7 * number % 31 for number in range(31)]
    for t in times:
        lane.feed("S", 1000 * t, visitor=f"v{t}", score=t % 11)
    assert [one.score for one in latest(lane)] == [t % 11 for t in sorted(times, reverse=True)][:LATEST_KEPT]
    lane.feed("S", 500, visitor="old")
    assert latest(lane)[-1].answered_at == "2001-09-09T00:00:11.000Z"


def test_the_latest_of_all_partitions_and_of_each_site_apart() -> None:
    lane = opened()
    lane.feed("S", 0, score=1)
    lane.feed("S", 2000, visitor="w", score=3)
    lane.feed("S", 3000, visitor="x", score=4, site_id="shop")
    second_partition(lane).feed("S", 1000, visitor="y", score=2)
    assert [one.score for one in latest(lane, partitions=4)] == [3, 2, 1]
    assert [one.score for one in latest(lane, "shop", partitions=4)] == [4]
    assert latest(lane, "nobody", partitions=4) == []


def test_a_latest_score_says_what_was_answered_and_nothing_of_who_did() -> None:
    lane = opened()
    about: dict[str, Any] = {
        "channel": "Email",
        "campaign": "spring",
        "device": "mobile",
        "country": "ES",
        "plan": "pro",
    }
    who: dict[str, Any] = {"customer_id": "ana", "respondent_id": "r-7", "comment": "call me"}
    lane.feed("S", 0, visitor="phone", survey_kind="csat", score=4, scale_min=1, scale_max=5, **about, **who)
    assert [msgspec.structs.asdict(one) for one in latest(lane)] == [
        {"answered_at": "2001-09-09T00:00:00.000Z", "survey_id": "s", "survey_kind": "csat", "score": 4}
        | {"scale_min": 1, "scale_max": 5, "says": "satisfied"} | about
    ]  # fmt: skip
    stored = lane.store.partition(0).tables[Table.ANSWERS][latest_field("default")]
    assert not [name for name in (b"phone", b"ana", b"r-7", b"call") if name in stored]


def test_skipped_and_repeated_answers_are_no_latest_scores_but_replaced_ones_are() -> None:
    lane = opened()
    lane.feed("S", 0, score=3)
    lane.feed("S", 1000, score=9)
    lane.feed("S", 2000, score=None, skipped=True)
    lane.append(event("S", 0, "S0", score=3))  # again
    lane.fetch("S")
    assert told_latest(lane) == [(9, "promoter"), (3, "detractor")]


def test_a_store_that_went_back_gives_the_latest_of_then_and_counting_on_those_of_now() -> None:
    lane = opened()
    lane.feed("S", 0, score=3)
    before = lane.store.snapshot()
    lane.feed("S", 1000, visitor="w", score=9)
    now_told = told_latest(lane)
    lane.store.restore(before)
    assert told_latest(lane) == [(3, "detractor")]
    lane.open()
    lane.know_ends()
    lane.fetch("S")
    assert told_latest(lane) == now_told == [(9, "promoter"), (3, "detractor")]


def told_latest(lane: Lane) -> list[tuple[int, str]]:
    return [(one.score, one.says) for one in latest(lane)]
