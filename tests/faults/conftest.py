"""A broker to do anything to; a store of its own, clean topics and a cluster of workers per test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.faults.cluster import Cluster, fresh_topics, running
from tests.servers import RealKafka, RealRedis


@pytest.fixture
async def cluster(faulty_kafka: RealKafka, own_redis: RealRedis) -> AsyncIterator[Cluster]:
    """Clean topics on the broker, and an empty store (appendfsync everysec)."""
    await fresh_topics(faulty_kafka.address)
    with running(Cluster(faulty_kafka.address, own_redis.url)) as one:
        yield one
