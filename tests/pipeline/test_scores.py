"""A person's answers in time order: from every partition, whatever their names are, and nobody else's."""

from __future__ import annotations

from typing import Any

from stream.core.policy import Policy
from stream.pipeline.apply_answer import HISTORIES_OF_A_PERSON
from stream.pipeline.partition import Partition
from stream.pipeline.ports import Table
from stream.pipeline.scores import GivenScore, all_scores, scores_of
from stream.tables.memory import MemoryTables
from tests.builders import Lane, now


def opened() -> Lane:
    lane = Lane(Policy())
    lane.know_ends()
    return lane


def found(lane: Lane, person: str, partitions: int = 1) -> list[GivenScore]:
    return now(scores_of(MemoryTables(lane.store), partitions, person))


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
    other = Lane(Policy(), lane.store)
    tables = MemoryTables(lane.store)
    other.partition = now(Partition.open(tables, now(tables.claim(3, "test", 1, 0)), Policy()))
    other.know_ends()
    other.partition.begin("engagement.survey-answers.v1", 0)
    other.feed("S", 1000, visitor="elsewhere", customer_id="ana", score=2)
    assert [one.score for one in found(lane, "ana", partitions=4)] == [9, 2, 7]
    assert [one.score for one in found(lane, "ana", partitions=1)] == [9, 7]


def test_one_name_with_all_surveys_costs_no_more_and_more() -> None:
    lane = opened()
    for number in range(HISTORIES_OF_A_PERSON + 5):
        lane.feed("S", number, customer_id="ana", survey_id=f"s{number}")
    assert len(found(lane, "ana")) == HISTORIES_OF_A_PERSON
