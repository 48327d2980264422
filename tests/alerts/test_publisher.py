"""The judge in the worker: what it promised is told once, after every accident, as what it was."""

from __future__ import annotations

import json
from typing import Any, cast
from unittest.mock import AsyncMock

import msgspec
import pytest
from aiokafka.errors import KafkaConnectionError

from schemas.topics import ALERTS
from stream.core.alerts import Rule
from stream.kafka.alerts_publisher import AlertsPublisher
from stream.kafka.producer import Capabilities, OutputProducer
from stream.kafka.worker_settings import WorkerSettings
from stream.pipeline.alerts import FORGOTTEN_AFTER_MS, AlertRules, Published
from stream.pipeline.ports import AlertsWrite, StoreUnreachable
from stream.tables.memory import MemoryBoard, MemoryStore
from tests.alerts.published import CTR, FINE, LOW, S, ctr, published
from tests.kafka.test_results_publisher import Clock, Topic

NOW = msgspec.structs.replace(CTR, for_ms=0)
FIRES = published(0, ctr(0, LOW))
CLEARS = published(60, ctr(60, FINE))


class ShakyBoard(MemoryBoard):
    """Loses the answer to what takes records out of the outbox."""

    lose_produced = False

    async def write_alerts(self, epoch: int, write: AlertsWrite) -> bool:
        if write.produced and self.lose_produced:
            self.lose_produced = False
            raise StoreUnreachable("no answer")
        return await super().write_alerts(epoch, write)


class Run:
    """One worker's judge."""

    def __init__(self, store: MemoryStore, topic: Topic, *rules: Rule) -> None:
        settings = WorkerSettings(
            client_options={"bootstrap_servers": "127.0.0.1:1"}, namespace="n", group="g",
            alerts=AlertRules(rules),
        )  # fmt: skip
        self.board, self.topic, self.clock = ShakyBoard(store), topic, Clock()
        self.waits = 0
        self.publisher = AlertsPublisher(
            settings, self.board, self._durable, Capabilities(transactions=True), self.clock
        )
        self.publisher._producer = cast(OutputProducer, cast(Any, topic))

    async def _durable(self) -> None:
        self.waits += 1

    async def tick(self, seen: Published | None, after_ms: int = 1_001) -> None:
        self.clock.now_ms += after_ms
        await self.publisher.tick(seen)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def told(topic: Topic) -> list[tuple[str, str]]:
    """(identity, state)"""
    assert all(output.topic == ALERTS for output in topic.outputs)
    assert all(output.id.startswith((output.key or b"").decode() + "/") for output in topic.outputs)
    return [
        (output.id, "forgotten" if output.value is None else json.loads(output.value)["state"])
        for output in topic.outputs
    ]


async def test_a_change_is_on_disk_before_it_is_told_and_told_once(store: MemoryStore) -> None:
    run = Run(store, Topic(), NOW)
    for _ in range(3):
        await run.tick(FIRES)
    assert [state for _, state in told(run.topic)] == ["firing"]
    assert run.waits == 1
    await run.tick(CLEARS, after_ms=999)
    assert len(run.topic.outputs) == 1, "not more than once a second"
    await run.tick(CLEARS)
    assert [state for _, state in told(run.topic)] == ["firing", "resolved"]
    assert await run.board.read_alerts_outbox() == {}
    await run.tick(published(70 + FORGOTTEN_AFTER_MS / S, ctr(60, FINE)))
    assert [state for _, state in told(run.topic)][2:] == ["forgotten"]
    assert await run.board.read_alerts() == {}


async def test_what_did_not_leave_is_sent_again_as_it_was_and_in_order(store: MemoryStore) -> None:
    first = Run(store, Topic(), NOW)
    first.topic.broken = KafkaConnectionError()
    await first.tick(FIRES)
    assert first.topic.outputs == []
    second = Run(store, first.topic, NOW)
    second.topic.broken = KafkaConnectionError()
    await second.tick(CLEARS)  # takes over, and cannot send either
    await second.tick(CLEARS)
    assert [state for _, state in told(second.topic)] == ["firing", "resolved"]


async def test_a_store_that_gives_no_leave_leaves_no_connection_open(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(store, Topic(), NOW)
    monkeypatch.setattr(run.board, "take_alerts_token", AsyncMock(side_effect=StoreUnreachable("gone")))
    await run.tick(FIRES)
    assert not run.topic.started
    monkeypatch.undo()
    await run.tick(FIRES)
    assert [state for _, state in told(run.topic)] == ["firing"]


async def test_what_left_unnoticed_is_sent_once_more_under_the_same_identity(store: MemoryStore) -> None:
    topic = Topic()
    first = Run(store, topic, NOW)
    first.board.lose_produced = True
    await first.tick(FIRES)
    second = Run(store, topic, NOW)
    await second.tick(FIRES)
    assert topic.outputs[0].value == topic.outputs[1].value
    assert len(topic.outputs) == 2
    assert len({identity for identity, _ in told(topic)}) == 1


async def test_an_older_judge_tells_nothing_more(store: MemoryStore) -> None:
    topic = Topic()
    old, new = Run(store, topic, NOW), Run(store, topic, NOW)
    await old.tick(FIRES)
    await new.tick(FIRES)
    await old.tick(CLEARS)  # refused, and steps down
    assert [state for _, state in told(topic)] == ["firing"]
    await new.tick(CLEARS)
    assert [state for _, state in told(topic)] == ["firing", "resolved"]


async def test_who_does_not_publish_and_who_has_no_rules_does_nothing(store: MemoryStore) -> None:
    run = Run(store, Topic(), NOW)
    await run.tick(None)
    idle = Run(store, Topic())
    await idle.tick(FIRES)
    assert (store.board.alerts_epoch, run.topic.outputs, idle.topic.outputs) == (0, [], [])


@pytest.mark.parametrize("stored", [b"of another version", b""])
async def test_what_cannot_be_judged_does_not_stop_the_worker(store: MemoryStore, stored: bytes) -> None:
    run = Run(store, Topic(), NOW)
    store.board.alerts["shop|ctr-low|all"] = stored
    await run.tick(FIRES)
    del store.board.alerts["shop|ctr-low|all"]
    await run.tick(FIRES)
    assert run.topic.outputs == [], "not before a minute is over"
    await run.tick(FIRES, after_ms=60_000)
    assert [state for _, state in told(run.topic)] == ["firing"]


async def test_a_surprise_does_not_stop_the_worker_either(store: MemoryStore) -> None:
    run = Run(store, Topic(), NOW)
    await run.tick(published(0, ctr(0, cast(Any, "no figure"))))
    await run.tick(FIRES, after_ms=60_000)
    assert [state for _, state in told(run.topic)] == ["firing"]


async def test_alerts_of_rules_that_are_no_more_are_ended_also_when_none_is_left(store: MemoryStore) -> None:
    topic = Topic()
    await Run(store, topic, NOW).tick(FIRES)
    await Run(store, topic).tick(FIRES)
    assert [state for _, state in told(topic)] == ["firing", "resolved"]
