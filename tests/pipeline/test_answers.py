"""Answers counted by what they say of themselves: where one is taken back, it is taken from there."""

from __future__ import annotations

from typing import Any

import pytest

from stream.core.policy import Policy
from stream.pipeline.partition import Partition
from stream.tables.memory import MemoryTables
from tests.builders import Lane, now
from tests.snapshot_reading import read

FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0"


def opened(policy: Policy | None = None) -> Lane:
    lane = Lane(policy or Policy())
    lane.know_ends()
    return lane


def scores(lane: Lane) -> dict[str, tuple[int, int, int]]:
    """Segment -> promoters, passives, detractors of `all`, where there are any."""
    lane.tick()
    found = {}
    for (window, _, segment), kpis in read(lane.snapshot()).items():
        if window == "all" and kpis.get("nps", {}).get("n"):
            nps = kpis["nps"]
            found[segment] = (nps["promoters"], nps["passives"], nps["detractors"])
    return found


def test_an_answer_counts_in_its_survey_and_in_each_of_its_dimensions() -> None:
    lane = opened()
    lane.feed("S", 0, channel="Email", campaign="autumn", device="mobile", country="ES", plan="pro")
    one = (1, 0, 0)
    assert scores(lane) == {
        "all": one, "survey=s": one, "channel=Email": one, "campaign=autumn": one, "device=mobile": one,
        "country=ES": one, "plan=pro": one,
    }  # fmt: skip


def test_a_changed_answer_leaves_the_channel_it_came_from() -> None:
    lane = opened()
    lane.feed("S", 0, channel="Email", score=9)
    lane.feed("S", 1000, channel="Social", plan="pro", score=3)
    now_there = (0, 0, 1)
    assert scores(lane) == {
        "all": now_there, "survey=s": now_there, "channel=Social": now_there, "plan=pro": now_there
    }  # fmt: skip


def test_an_older_answer_that_comes_later_counts_nowhere() -> None:
    lane = opened()
    lane.feed("S", 1000, channel="Email", score=9)
    lane.feed("S", 0, channel="Social", score=3)
    assert scores(lane).keys() == {"all", "survey=s", "channel=Email"}


def test_a_restart_does_not_forget_from_where_to_take_back() -> None:
    lane = opened()
    lane.feed("S", 0, channel="Email", country="ES")
    lane.open()
    lane.know_ends()
    lane.feed("S", 1000, channel="Social")
    assert scores(lane).keys() == {"all", "survey=s", "channel=Social"}


def test_the_device_of_an_answer_may_follow_from_its_user_agent() -> None:
    lane = opened()
    lane.feed("S", 0, user_agent=FIREFOX)
    assert scores(lane).keys() == {"all", "survey=s", "device=desktop"}


def test_a_skip_is_told_where_it_was_skipped() -> None:
    lane = opened()
    lane.feed("S", 0, channel="Email", score=None, skipped=True)
    lane.tick()
    skipped = {
        segment: kpis["nps"]["skipped"]
        for (window, _, segment), kpis in read(lane.snapshot()).items()
        if window == "all" and "nps" in kpis
    }
    assert skipped == {"all": 1, "survey=s": 1, "channel=Email": 1}


@pytest.mark.parametrize(("answers", "counted"), [("latest", (0, 0, 1)), ("every", (2, 0, 1))])
def test_latest_or_every_answer(answers: Any, counted: tuple[int, int, int]) -> None:
    lane = opened(Policy(answers=answers))
    lane.feed("S", 0, 2000, score=9)
    lane.feed("S", 3000, score=3)
    lane.feed("S", 4000, score=None, skipped=True)
    assert scores(lane)["all"] == counted


def test_tables_of_one_choice_of_answers_are_not_continued_with_the_other() -> None:
    lane = opened()
    lane.feed("S", 0)
    tables = MemoryTables(lane.store)
    with pytest.raises(ValueError, match="answers"):
        now(Partition.open(tables, now(tables.claim(0, "test", 1, 0)), Policy(answers="every")))
