"""Real servers for one scenario, with the topics made."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from stream.kafka.topics import create_topics
from tests.benchmarks.workload import PARTITIONS
from tests.servers import RealKafka, RealRedis


@contextmanager
def kafka() -> Iterator[RealKafka]:
    """Apache Kafka of its own, topics created."""
    with RealKafka() as server:
        asyncio.run(create_topics({"bootstrap_servers": server.address}, PARTITIONS))
        yield server


@contextmanager
def store() -> Iterator[RealRedis]:
    """An empty redis-server: append-only file, synced every second."""
    with RealRedis(fsync="everysec") as server:
        yield server
