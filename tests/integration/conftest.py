"""Servers with latido's topics, fresh for each test: the topics have fixed names."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from stream.demo.servers import embedded_servers
from stream.kafka.topics import create_topics
from tests.integration.worker_process import PARTITIONS, WorkerProcess
from tests.servers import RealKafka, RealRedis


@dataclass
class Stack:
    """A broker and a store, and the workers started on them."""

    broker: str
    redis: str
    workers: list[WorkerProcess] = field(default_factory=list)

    @property
    def client_options(self) -> dict[str, Any]:
        return {"bootstrap_servers": self.broker}

    def worker(self, **variables: str) -> WorkerProcess:
        """Start one; it is killed at the end of the test if it still runs."""
        started = WorkerProcess(self.broker, self.redis, **variables)
        self.workers.append(started)
        return started

    def close(self) -> None:
        for worker in self.workers:
            worker.__exit__()


@pytest.fixture
async def bare_embedded() -> AsyncIterator[Stack]:
    """Embedded servers without topics."""
    async with embedded_servers() as (broker, store):
        stack = Stack(broker.address, store.url)
        yield stack
        stack.close()


@pytest.fixture
async def embedded(bare_embedded: Stack) -> Stack:
    await create_topics(bare_embedded.client_options, PARTITIONS)
    return bare_embedded


@pytest.fixture
async def real(own_kafka: RealKafka, own_redis: RealRedis) -> AsyncIterator[Stack]:
    """Apache Kafka and redis-server with topics."""
    stack = Stack(own_kafka.address, own_redis.url)
    await create_topics(stack.client_options, PARTITIONS)
    yield stack
    stack.close()
