"""The publisher of settled results: what it promised is sent, after every accident, as what it was."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, cast
from unittest.mock import AsyncMock

import pytest
from aiokafka.errors import KafkaConnectionError

from schemas.topics import KPI_RESULTS
from stream.kafka.producer import Capabilities, OutputProducer
from stream.kafka.results_publisher import ResultsPublisher
from stream.kafka.worker_settings import WorkerSettings
from stream.pipeline.batch import Output
from stream.pipeline.ports import ResultsWrite, StoreUnreachable
from stream.tables.memory import MemoryBoard
from tests.builders import Lane
from tests.pipeline.test_results import at, happen, live

SETTINGS = WorkerSettings(
    client_options={"bootstrap_servers": "127.0.0.1:1"}, namespace="n", group="g", results_every_ms=10_000
)


class Topic:
    """Stands for the producer: keeps what was produced; `broken` is raised instead."""

    def __init__(self) -> None:
        self.outputs: list[Output] = []
        self.broken: Exception | None = None
        self.started = False

    async def start(self) -> None:
        self.started = True

    async def stop(self) -> None:
        self.started = False

    async def produce(self, outputs: Iterable[Output]) -> None:
        if self.broken is not None:
            error, self.broken = self.broken, None
            raise error
        self.outputs += outputs


class ShakyBoard(MemoryBoard):
    """Loses the answer to what takes records out of the outbox."""

    lose_produced = False

    async def write_results(self, epoch: int, write: ResultsWrite) -> bool:
        if write.produced and self.lose_produced:
            self.lose_produced = False
            raise StoreUnreachable("no answer")
        return await super().write_results(epoch, write)


class Clock:
    now_ms = 1_000_000_000_000

    def __call__(self) -> int:
        return self.now_ms


class Run:
    """One publisher on one lane's store."""

    def __init__(self, lane: Lane, topic: Topic) -> None:
        self.board, self.topic, self.clock = ShakyBoard(lane.store), topic, Clock()
        self.waits = 0
        self.publisher = ResultsPublisher(
            SETTINGS, self.board, self._durable, Capabilities(transactions=True), 1, self.clock
        )
        self.publisher._producer = cast(OutputProducer, cast(Any, topic))

    async def _durable(self) -> None:
        self.waits += 1

    async def tick(self, after_ms: int = 10_001, *, active: bool = True) -> None:
        self.clock.now_ms += after_ms
        await self.publisher.tick(active)


@pytest.fixture
def lane() -> Lane:
    lane = live()
    happen(lane, "V", 10)
    return lane


def revisions(topic: Topic) -> list[tuple[str, int]]:
    assert all(output.topic == KPI_RESULTS for output in topic.outputs)
    for output in topic.outputs:
        revision = json.loads(output.value or b"")["revision"]
        assert output.id == f"{(output.key or b'').decode()}/{revision}"
    return [
        ((output.key or b"").decode(), json.loads(output.value or b"")["revision"])
        for output in topic.outputs
    ]


async def test_at_most_every_ten_seconds_and_only_what_changed(lane: Lane) -> None:
    run = Run(lane, Topic())
    await run.tick()
    assert [revision for _, revision in revisions(run.topic)] == [1, 1]
    assert run.waits == 1, "it is on disk before it leaves"
    happen(lane, "V", 11)
    await run.tick(1_000)
    assert len(run.topic.outputs) == 2
    await run.tick(9_001)
    assert [revision for _, revision in revisions(run.topic)] == [1, 1, 2, 2]
    await run.tick()
    await run.tick()
    assert len(run.topic.outputs) == 4
    assert run.waits == 2
    assert await run.board.read_results_outbox() == {}


async def test_what_did_not_leave_is_sent_again_as_it_was(lane: Lane) -> None:
    run = Run(lane, Topic())
    run.topic.broken = KafkaConnectionError()
    await run.tick()
    assert run.topic.outputs == []
    kept = await run.board.read_results_outbox()
    happen(lane, "V", 11)  # by now it would be told otherwise
    await run.tick(1_001)
    assert {(output.key or b"").decode(): output.value for output in run.topic.outputs[:2]} == kept
    assert [revision for _, revision in revisions(run.topic)] == [1, 1, 2, 2]


async def test_a_store_that_gives_no_leave_leaves_no_connection_open(
    lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(lane, Topic())
    monkeypatch.setattr(run.board, "take_results_token", AsyncMock(side_effect=StoreUnreachable("gone")))
    await run.tick()
    assert not run.topic.started
    monkeypatch.undo()
    await run.tick()
    assert run.topic.started
    assert len(run.topic.outputs) == 2


async def test_what_left_unnoticed_is_sent_once_more_as_it_was(lane: Lane) -> None:
    topic = Topic()
    first = Run(lane, topic)
    first.board.lose_produced = True
    await first.tick()
    second = Run(lane, topic)
    await second.tick()
    assert topic.outputs[0].value == topic.outputs[2].value
    assert [revision for _, revision in revisions(topic)] == [1, 1, 1, 1]
    assert await second.board.read_results_outbox() == {}


async def test_an_older_publisher_writes_and_sends_nothing_more(lane: Lane) -> None:
    topic = Topic()
    old, new = Run(lane, topic), Run(lane, topic)
    await old.tick()
    new.clock.now_ms = old.clock.now_ms
    await new.tick()
    happen(lane, "V", 11)
    seen = len(topic.outputs)
    await old.tick()  # refused, and steps down
    assert len(topic.outputs) == seen
    await new.tick()
    assert [revision for _, revision in revisions(topic)[seen:]] == [2, 2]


async def test_who_is_not_the_publisher_does_nothing(lane: Lane) -> None:
    run = Run(lane, Topic())
    await run.tick(active=False)
    assert run.topic.outputs == []
    await run.tick()
    await run.tick(active=False)
    at(lane, 27 * 60)
    await run.tick()  # again its turn
    assert {json.loads(output.value or b"")["state"] for output in run.topic.outputs[2:]} == {"final"}
    await run.publisher.close()
