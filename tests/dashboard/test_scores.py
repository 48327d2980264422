"""GET /api/v1/scores: what was answered last on a site, and by nobody in particular."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from stream.core.policy import Policy
from tests.builders import Lane
from tests.dashboard.feeding import Stage, record

HOSTILE = '<script>alert(1)</script>\u202e"'


@pytest.fixture
async def answered(stage: Stage) -> Stage:
    """Two sites, two answers on one of them."""
    lane = Lane(Policy())
    lane.know_ends()
    lane.feed("S", 0, score=10, survey_id=HOSTILE, channel="Email", customer_id="ana")
    lane.feed("S", 1000, visitor="w", survey_kind="csat", score=2, scale_min=1, scale_max=5)
    stage.board.store.partitions[2] = lane.store.partition(0)
    await stage.publish(record("default"), record("shop-es"))
    return stage


async def scores(stage: Stage, query: str = "") -> Any:
    answer = await stage.get(f"scores{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_the_newest_first_of_the_first_site_or_the_one_named(answered: Stage) -> None:
    body = await scores(answered)
    assert body["site"] == "default"
    assert [(one["score"], one["scale_max"], one["says"]) for one in body["scores"]] == [
        (2, 5, "not satisfied"), (10, 10, "promoter")
    ]  # fmt: skip
    assert (body["scores"][1]["survey_id"], body["scores"][1]["channel"]) == (HOSTILE, "Email")
    assert body == await scores(answered, "?site=default")
    assert await scores(answered, "?site=shop-es") == {"site": "shop-es", "scores": []}


async def test_as_a_table_that_computes_nothing(stage: Stage) -> None:
    lane = Lane(Policy())
    lane.know_ends()
    lane.feed("S", 0, survey_id="=1+1")
    stage.board.store.partitions[2] = lane.store.partition(0)
    await stage.publish(record("default"))
    answer = await stage.get("scores.csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="latido-scores.csv"'
    [row] = csv.DictReader(io.StringIO(answer.text, newline=""))
    assert [row[name] for name in ("site", "survey_id", "score", "says", "plan")] == [
        "default", "'=1+1", "9", "promoter", ""
    ]  # fmt: skip


async def test_nobody_is_named(answered: Stage) -> None:
    [first, *_] = (await scores(answered))["scores"]
    said = {"answered_at", "survey_id", "survey_kind", "score", "scale_min", "scale_max", "says"}
    assert set(first) == said | {"channel", "campaign", "device", "country", "plan"}


async def test_before_anything_is_published_there_are_none(stage: Stage) -> None:
    assert await scores(stage) == {"site": "", "scores": []}


async def test_a_filter_that_means_nothing_is_refused(stage: Stage) -> None:
    answer = await stage.get("scores?customer=ana")
    assert answer.status_code == 400
    assert "there is no filter 'customer'; there are site" in answer.json()["error"]
