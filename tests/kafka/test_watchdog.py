"""The watchdog ends a worker when nobody counts, and only then."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, cast

import pytest
from aiokafka.structs import TopicPartition

from schemas.topics import INPUT_TOPICS
from stream.core.policy import Policy
from stream.kafka.log_probe import LogProbe, ProbeFailed
from stream.kafka.watchdog import Stuck, Watchdog
from stream.pipeline.batch import Batch
from stream.pipeline.partition import Partition
from stream.tables.memory import MemoryBoard, MemoryStore, MemoryTables


class _Probe:
    """Every log ends at `end`."""

    def __init__(self) -> None:
        self.end = 0
        self.answers = True

    async def ends(self, tps: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        if not self.answers:
            raise ProbeFailed("no answer")
        return {tp: self.end if tp.topic == INPUT_TOPICS[0] else 0 for tp in tps}


class _Scene:
    def __init__(self) -> None:
        self.store, self.probe, self.now_s = MemoryStore(), _Probe(), 0.0
        self.watchdog = Watchdog(
            cast(LogProbe, cast(Any, self.probe)), MemoryBoard(self.store), INPUT_TOPICS, 1, 30_000,
            wall_ms=lambda: int(self.now_s * 1000), monotonic_s=lambda: self.now_s,
        )  # fmt: skip

    async def own(self) -> None:
        tables = MemoryTables(self.store)
        self.partition = await Partition.open(tables, await tables.claim(0, "me", 1, 0), Policy())

    async def count_to(self, offset: int) -> None:
        batch = Batch(
            INPUT_TOPICS[0], 0, (), max(0, self.partition.positions[INPUT_TOPICS[0]]), offset, offset
        )
        await self.partition.process(batch, int(self.now_s * 1000))

    async def wait(self, seconds: float) -> None:
        """Time passes, the watchdog looks every five seconds."""
        until = self.now_s + seconds
        while self.now_s < until:
            self.now_s += 5
            await self.watchdog.check()


async def test_a_partition_that_nobody_owns_is_noticed() -> None:
    scene = _Scene()
    scene.probe.end = 62_000
    await scene.wait(30)
    with pytest.raises(Stuck, match=r"partition 0 has not moved for \d+ s .*page-views.* at 0 of 62000"):
        await scene.wait(15)


async def test_an_owner_that_stands_still_is_noticed() -> None:
    scene = _Scene()
    await scene.own()
    scene.probe.end = 100
    await scene.count_to(50)
    with pytest.raises(Stuck, match="at 50 of 100"):
        await scene.wait(60)


async def test_a_slow_owner_is_left_alone() -> None:
    scene = _Scene()
    await scene.own()
    scene.probe.end = 1_000
    for offset in range(1, 10):
        await scene.count_to(offset)
        await scene.wait(25)


async def test_a_quiet_topic_is_left_alone() -> None:
    scene = _Scene()
    await scene.own()
    scene.probe.end = 10
    await scene.count_to(10)
    await scene.wait(600)


async def test_an_outage_of_the_broker_starts_the_clock_anew() -> None:
    scene = _Scene()
    await scene.own()
    scene.probe.end = 10
    await scene.wait(25)
    scene.probe.answers = False
    await scene.wait(120)
    scene.probe.answers = True
    await scene.wait(30)
    with pytest.raises(Stuck):
        await scene.wait(15)
