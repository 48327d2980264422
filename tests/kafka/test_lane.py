"""A lane whose store is silent for a while says when it answers again."""

from __future__ import annotations

from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from schemas.topics import INPUT_TOPICS
from stream.core.policy import Policy
from stream.kafka import lane as lane_module
from stream.kafka.lane import Keeper, Lane
from stream.pipeline.claimed import WentBack
from stream.pipeline.partition import Partition
from stream.pipeline.ports import StoreUnreachable
from stream.tables.memory import MemoryStore, MemoryTables


@pytest.mark.parametrize("lost_its_memory", [False, True])
async def test_a_store_that_answers_again_is_logged_once(
    monkeypatch: pytest.MonkeyPatch, lost_its_memory: bool
) -> None:
    monkeypatch.setattr(lane_module, "_PAUSE_S", 0.001)
    lane = Lane(0, frozenset(INPUT_TOPICS), cast(Keeper, cast(Any, None)))
    tables = MemoryTables(MemoryStore())
    partition = await Partition.open(tables, await tables.claim(0, "me", 1, 0), Policy())
    answers: list[Exception | None] = [StoreUnreachable("gone"), StoreUnreachable("gone"), None, None]
    if lost_its_memory:
        answers[2] = WentBack("empty")

    async def step() -> None:
        if (answer := answers.pop(0)) is not None:
            raise answer

    with capture_logs() as logs:
        if lost_its_memory:
            with pytest.raises(WentBack):
                await lane._until_answered(partition, step)
        else:
            await lane._until_answered(partition, step)
            await lane._until_answered(partition, step)
    assert [one["event"] for one in logs] == 2 * ["the store does not answer"] + ["the store answers again"]
