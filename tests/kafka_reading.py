"""Reading what was sent, for tests: every record of a topic, from a fresh consumer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

LIMIT_S = 20.0


async def read_records(address: str, topics: Sequence[str], count: int) -> list[Any]:
    """The first `count` records of these topics, in the order of each partition. Raises TimeoutError."""
    found: list[Any] = []
    async with AIOKafkaConsumer(
        bootstrap_servers=address, enable_auto_commit=False, auto_offset_reset="earliest"
    ) as consumer:
        async with asyncio.timeout(LIMIT_S):
            partitions = [
                TopicPartition(topic, number)
                for topic in topics
                for number in sorted(await consumer._client._wait_on_metadata(topic))
            ]
            consumer.assign(partitions)
            while len(found) < count:
                fetched: Mapping[TopicPartition, list[Any]] = await consumer.getmany(timeout_ms=200)
                for records in fetched.values():
                    found += records
    return found
