"""Records into Kafka, at a pace."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaProducer

from tests.faults.traffic import Sent

SLICE_S = 0.02


@asynccontextmanager
async def producing(broker: str, **options: Any) -> AsyncIterator[AIOKafkaProducer]:
    """A producer that survives an outage of half a minute."""
    producer = AIOKafkaProducer(
        bootstrap_servers=broker, linger_ms=5, request_timeout_ms=30_000, metadata_max_age_ms=5_000, **options
    )
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def send(producer: AIOKafkaProducer, records: Sequence[Sent], per_s: float) -> None:
    """Send in order, `per_s` records a second; returns when the broker has acknowledged all of them."""
    futures = []
    started, done = time.monotonic(), 0
    while done < len(records):
        due = min(len(records), int((time.monotonic() - started) * per_s) + 1)
        for one in records[done:due]:
            futures.append(await producer.send(one.topic, key=one.key, value=one.value))
        done = due
        await asyncio.sleep(SLICE_S)
    await asyncio.gather(*futures)


async def one_by_one(producer: AIOKafkaProducer, records: Sequence[Sent]) -> list[int]:
    """Send each after the one before was acknowledged. Returns the partitions they went to."""
    return [
        (await producer.send_and_wait(one.topic, key=one.key, value=one.value)).partition for one in records
    ]
