"""Events to a real broker: where they land, and what is said when it does not answer."""

from __future__ import annotations

import asyncio
import json
import logging
import time

import pytest
from structlog.testing import capture_logs

from schemas.events import parse_event
from schemas.topics import CLICKS, PAGE_VIEWS
from stream.collector import producer as producer_module
from stream.collector.producer import NOT_CONNECTED, BrokerUnavailable, EventProducer
from stream.demo.servers import EmbeddedBroker
from stream.kafka.topics import create_topics
from tests.collector.test_batch import event
from tests.kafka_reading import read_records
from tests.servers import RealKafka

LIMIT_S = 20.0


async def with_topics(broker: EmbeddedBroker) -> dict[str, str]:
    options = {"bootstrap_servers": broker.address}
    await create_topics(options, 4)
    return options


async def _until_known(producer: EventProducer) -> None:
    """A broker may take a moment before it tells of topics just created."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            try:
                return await producer.check()
            except BrokerUnavailable:
                await asyncio.sleep(0.05)


async def test_each_event_goes_to_the_topic_of_its_type_with_its_visitor_as_key(
    own_broker: EmbeddedBroker,
) -> None:
    options = await with_topics(own_broker)
    producer = EventProducer(options)
    await producer.start()
    await producer.check()
    click = {"type": "click", "event_id": "c", "visitor_id": "ü😀", "element_id": "x"}
    events = [parse_event(event(1)), parse_event({**click, "occurred_at": "2026-11-22T10:19:58Z"})]
    assert await producer.deliver(events) == [None, None]
    await producer.stop()
    views = await read_records(own_broker.address, [PAGE_VIEWS], 1)
    clicks = await read_records(own_broker.address, [CLICKS], 1)
    assert [(one.key, json.loads(one.value)["event_id"]) for one in views] == [(b"v", "e1")]
    assert [(one.key, json.loads(one.value)["event_id"]) for one in clicks] == [("ü😀".encode(), "c")]


async def test_one_visitor_stays_in_order_in_one_partition(own_broker: EmbeddedBroker) -> None:
    options = await with_topics(own_broker)
    producer = EventProducer(options)
    await producer.start()
    answers = await producer.deliver([parse_event(event(number)) for number in range(1000)])
    assert answers == [None] * 1000
    await producer.stop()
    records = await read_records(own_broker.address, [PAGE_VIEWS], 1000)
    assert {one.partition for one in records} == {records[0].partition}
    assert [json.loads(one.value)["event_id"] for one in records] == [f"e{number}" for number in range(1000)]


async def test_a_broker_that_is_gone_is_reported_in_time_and_found_again(own_broker: EmbeddedBroker) -> None:
    producer = EventProducer(await with_topics(own_broker), acknowledge_within_s=1.5)
    await producer.start()
    own_broker.kill()
    before = time.monotonic()
    answers = await producer.deliver([parse_event(event(number)) for number in range(3)])
    assert time.monotonic() - before < 5
    assert all(answer is not None and answer.startswith("the broker") for answer in answers)
    with pytest.raises(BrokerUnavailable):
        await producer.check()
    await own_broker.start_async()
    await with_topics(own_broker)
    async with asyncio.timeout(LIMIT_S):
        while await producer.deliver([parse_event(event(9))]) != [None]:
            await asyncio.sleep(0.1)
    await producer.stop()


async def test_nothing_is_acknowledged_before_there_is_a_broker() -> None:
    producer = EventProducer({"bootstrap_servers": "127.0.0.1:1"}, acknowledge_within_s=1)
    with pytest.raises(
        BrokerUnavailable, match=r"^no Kafka broker answers at 127.0.0.1:1 \(no connection\); "
    ):
        await producer.start()
    producer.start_in_background()
    assert await producer.deliver([parse_event(event())]) == [NOT_CONNECTED]
    with pytest.raises(BrokerUnavailable, match=NOT_CONNECTED):
        await producer.check()
    async with asyncio.timeout(LIMIT_S):
        await producer.stop()


async def test_waiting_for_a_broker_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries: list[None] = []

    class Unreachable(EventProducer):
        async def start(self) -> None:
            tries.append(None)
            await super().start()

    monkeypatch.setattr(producer_module, "FIRST_PAUSE_S", 0.001)
    waiting = Unreachable({"bootstrap_servers": "127.0.0.1:1"}, acknowledge_within_s=1)
    with capture_logs() as logs:
        waiting.start_in_background()
        async with asyncio.timeout(LIMIT_S):
            while len(tries) < 4:
                await asyncio.sleep(0.001)
        await waiting.stop()
    assert [one["event"] for one in logs] == ["waiting for the broker"]
    assert len([one for one in caplog.records if one.name == "aiokafka"]) == 1
    assert not logging.getLogger("aiokafka").disabled


async def test_a_topic_that_is_missing_is_named(own_broker: EmbeddedBroker) -> None:
    producer = EventProducer({"bootstrap_servers": own_broker.address})
    await producer.start()
    with pytest.raises(BrokerUnavailable, match=f"topic {PAGE_VIEWS} is missing; run 'latido topics create'"):
        await producer.check()
    await with_topics(own_broker)
    await producer.check()
    await producer.stop()


async def test_on_kafka_an_event_is_acknowledged_and_a_missing_topic_named(own_kafka: RealKafka) -> None:
    producer = EventProducer({"bootstrap_servers": own_kafka.address}, acknowledge_within_s=5)
    await producer.start()
    with pytest.raises(BrokerUnavailable, match="is missing; run 'latido topics create'"):
        await producer.check()
    await create_topics({"bootstrap_servers": own_kafka.address}, 4)
    await _until_known(producer)
    events = [parse_event(event(number, visitor_id=f"v{number}")) for number in range(2000)]
    assert await producer.deliver(events) == [None] * 2000
    own_kafka.kill()
    assert None not in await producer.deliver(events[:10])
    own_kafka.start()
    async with asyncio.timeout(LIMIT_S):
        while set(await producer.deliver(events[:10])) != {None}:
            await asyncio.sleep(0.1)
    await producer.stop()
