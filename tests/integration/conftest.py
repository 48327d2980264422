"""Servers with latido's topics, fresh for each test: the topics have fixed names."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from schemas.topics import topic_specs
from stream.demo.servers import embedded_servers
from stream.kafka.topics import create_topics
from tests.integration.worker_process import PARTITIONS, WorkerProcess, wait_until
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
        """pytest shows the logs when the test failed."""
        for number, worker in enumerate(self.workers, 1):
            print(f"--- log of worker {number}\n{worker.log()}")
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
async def real(faulty_kafka: RealKafka, own_redis: RealRedis) -> AsyncIterator[Stack]:
    """Apache Kafka with fresh topics, and a redis-server."""
    stack = Stack(faulty_kafka.address, own_redis.url)
    await delete_topics(stack, [spec.name for spec in topic_specs()])
    await create_topics(stack.client_options, PARTITIONS)
    yield stack
    stack.close()


async def delete_topics(stack: Stack, names: Iterable[str]) -> None:
    """Delete those that exist, and wait until they are gone."""
    admin = AIOKafkaAdminClient(**stack.client_options)
    await admin.start()
    try:
        here = sorted(set(names) & set(await admin.list_topics()))
        if here:
            await admin.delete_topics(here)

        async def gone() -> bool:
            return not set(here) & set(await admin.list_topics())

        await wait_until(gone, 20, "the topics are still there")
    finally:
        await admin.close()
