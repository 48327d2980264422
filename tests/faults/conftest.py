"""One broker per module; a store of its own, clean topics and a cluster of workers per test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.faults.cluster import Cluster, fresh_topics, running
from tests.servers import RealKafka, RealRedis


@pytest.fixture(scope="module")
def module_kafka() -> Iterator[RealKafka]:
    """Apache Kafka for one module; its tests may kill and restart it."""
    with RealKafka() as server:
        yield server


@pytest.fixture
async def cluster(module_kafka: RealKafka, own_redis: RealRedis) -> AsyncIterator[Cluster]:
    """Clean topics on the module's broker, and an empty store (appendfsync everysec)."""
    await fresh_topics(module_kafka.address)
    with running(Cluster(module_kafka.address, own_redis.url)) as one:
        yield one
