"""Reading a topic once, from its beginning to where it ended when the reading began."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiokafka
from aiokafka.errors import KafkaConnectionError, KafkaError
from aiokafka.structs import ConsumerRecord, TopicPartition

from stream.broker_refusal import why_refused
from stream.kafka.errors import BrokerUnreachable, WorkerRefused
from stream.kafka.log_probe import fetch_state, log_end
from stream.pipeline.unreachable import no_broker

_POLL_MS = 200
_FETCH_WAIT_MS = 50
# No record and no reply from a partition for this long: the broker is gone, or the end can never come.
_STUCK_AFTER_S = 30.0


async def read_topic(
    client_options: Mapping[str, Any], topic: str, ends: Mapping[int, int] | None = None
) -> AsyncIterator[ConsumerRecord]:
    """Yield every committed record, in order per partition.

    ends: partition -> the offset to stop before. Without it the end that the first fetch reply of each
    partition names, which is right on every broker (the embedded one answers ListOffsets wrongly).
    Raises WorkerRefused when the topic does not exist, BrokerUnreachable when nothing comes any more.
    """
    async with _reader(client_options) as consumer:
        tps = await _partitions(consumer, topic)
        consumer.assign(tps)
        await consumer.seek_to_beginning(*tps)
        left = {tp: None if ends is None else ends.get(tp.partition, 0) for tp in tps}
        moved_at = asyncio.get_running_loop().time()
        while left:
            fetched = await consumer.getmany(*left, timeout_ms=_POLL_MS)
            for tp, records in fetched.items():
                end = left[tp] if left[tp] is not None else log_end(fetch_state(consumer, tp))
                left[tp] = end
                for record in records:
                    if end is None or record.offset < end:
                        yield record
            now = asyncio.get_running_loop().time()
            if _cross_off(consumer, left) or fetched:
                moved_at = now
            elif now - moved_at > _STUCK_AFTER_S:
                raise BrokerUnreachable(f"{topic}: nothing comes from the broker for {_STUCK_AFTER_S:g} s")


def _cross_off(consumer: aiokafka.AIOKafkaConsumer, left: dict[TopicPartition, int | None]) -> bool:
    """Remove the partitions that are read to their end. The position also moves over markers."""
    done = []
    for tp, end in left.items():
        state = fetch_state(consumer, tp)
        if end is None:
            end = left[tp] = log_end(state)
        if end is not None and (end == 0 or (state.has_valid_position and state.position >= end)):
            done.append(tp)
    for tp in done:
        del left[tp]
    return bool(done)


async def _partitions(consumer: aiokafka.AIOKafkaConsumer, topic: str) -> list[TopicPartition]:
    # All topics are asked for: a question about one topic creates it on some brokers.
    cluster = await consumer._client.fetch_all_metadata()
    numbers = cluster.partitions_for_topic(topic)
    if not numbers:
        raise WorkerRefused(f"topic {topic} is missing; run: latido topics create")
    return [TopicPartition(topic, number) for number in sorted(numbers)]


@asynccontextmanager
async def _reader(client_options: Mapping[str, Any]) -> AsyncIterator[aiokafka.AIOKafkaConsumer]:
    consumer = aiokafka.AIOKafkaConsumer(
        **client_options,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level="read_committed",
        fetch_max_wait_ms=_FETCH_WAIT_MS,
    )
    try:
        await consumer.start()
        yield consumer
    except KafkaConnectionError as error:
        servers, refusal = client_options["bootstrap_servers"], await why_refused(client_options)
        raise BrokerUnreachable(no_broker(servers, error, _STUCK_AFTER_S, refusal)) from None
    except KafkaError as error:
        raise BrokerUnreachable(f"the broker answers with an error: {error!r}") from error
    finally:
        await consumer.stop()
