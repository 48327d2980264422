"""What a running worker makes of topics that change under it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, cast

import pytest

from schemas.topics import CLICKS, INPUT_TOPICS
from stream.kafka.errors import BrokerLostTopic, WorkerRefused
from stream.kafka.log_probe import LogProbe, ProbeFailed
from stream.kafka.topic_watch import TopicWatch


class _Broker:
    """Says in turn what each look finds: counts, or None when it does not answer."""

    def __init__(self, *looks: dict[str, int] | None) -> None:
        self.looks = list(looks)

    async def partition_counts(self, topics: Collection[str]) -> dict[str, int]:
        found = self.looks.pop(0)
        if found is None:
            raise ProbeFailed("broker: silent")
        return found


ALL = dict.fromkeys(INPUT_TOPICS, 4)
LESS = {topic: 4 for topic in INPUT_TOPICS if topic != CLICKS}


async def _look(*looks: dict[str, int] | None) -> None:
    watch = TopicWatch(cast(LogProbe, cast(Any, _Broker(*looks))), INPUT_TOPICS, 4)
    for _ in looks:
        await watch.check()


@pytest.mark.parametrize("looks", [(ALL, ALL), (ALL, None, ALL), (LESS, ALL, LESS, ALL), (LESS, None, LESS)])
async def test_topics_that_are_missing_for_a_moment_are_not_deleted(looks: tuple[Any, ...]) -> None:
    await _look(*looks)


async def test_a_deleted_topic_is_named_as_such() -> None:
    with pytest.raises(BrokerLostTopic, match=f"^{CLICKS} was deleted while it was counted"):
        await _look(ALL, LESS, LESS)


async def test_changed_counts_are_named_with_their_numbers() -> None:
    with pytest.raises(WorkerRefused, match=rf"changed while running \({CLICKS} has 6, all had 4\)"):
        await _look(ALL, {**ALL, CLICKS: 6})
