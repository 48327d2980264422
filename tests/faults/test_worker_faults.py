"""Workers stop, freeze, join and leave: each event is counted once, whoever counts it."""

from __future__ import annotations

import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaProducer

from tests.faults.cluster import (
    PARTITIONS,
    STOPS_WITHIN_S,
    Cluster,
    Worker,
    fresh_topics,
    running,
    wait_until,
)
from tests.faults.rehearsal import GOAL_VARIABLES, finish, with_fault
from tests.servers import RealKafka, RealRedis

pytestmark = pytest.mark.real


@pytest.fixture
async def two(faulty_kafka: RealKafka, own_redis: RealRedis) -> AsyncIterator[Cluster]:
    """A cluster of two workers that share the partitions."""
    await fresh_topics(faulty_kafka.address)
    with running(Cluster(faulty_kafka.address, own_redis.url, **GOAL_VARIABLES)) as cluster:
        cluster.worker()
        await cluster.wait_for_owners(1)
        cluster.worker()
        await cluster.wait_for_owners(2)
        yield cluster


async def test_sigterm_drains_and_ends_with_0(two: Cluster) -> None:
    """The other one takes over at once; nothing waits for a session to time out."""

    async def fault() -> None:
        started = time.monotonic()
        assert await two.workers[0].terminate() == 0
        took_s = time.monotonic() - started
        assert took_s < STOPS_WITHIN_S
        assert not complaints(two.workers[0])
        await two.wait_for_owners(1)
        print(f"stopped after {took_s:.1f} s, taken over after {time.monotonic() - started:.1f} s")

    await with_fault(two, seed=21, fault=fault)
    await finish(two)


async def test_a_worker_ends_in_time_though_the_broker_is_gone(
    faulty_kafka: RealKafka, own_redis: RealRedis
) -> None:
    """It may not leave the group nor empty its outbox: the next owner repeats what was not finished."""
    await fresh_topics(faulty_kafka.address)
    with running(Cluster(faulty_kafka.address, own_redis.url, **GOAL_VARIABLES)) as cluster:
        worker = cluster.worker()
        await cluster.wait_for_owners(1)

        async def fault() -> None:
            faulty_kafka.kill()
            try:
                await worker.says("Unable connect to node")
                started = time.monotonic()
                assert await worker.terminate() in (0, 1)
                print(f"stopped after {time.monotonic() - started:.1f} s")
                assert not complaints(worker)
            finally:
                await faulty_kafka.start_async()
            cluster.worker()

        await with_fault(cluster, seed=27, fault=fault)
        await finish(cluster)


async def test_a_fenced_producer_claims_again_without_a_fuss(two: Cluster) -> None:
    """As by a worker that was given the partitions meanwhile."""

    async def fault() -> None:
        for number in range(PARTITIONS):
            async with fencing(two, f"latido-{two.namespace}-{number}"):
                pass
            async with fencing(two, f"latido-{two.namespace}-publisher"):
                pass

    await with_fault(two, seed=28, fault=fault)
    await finish(two)
    assert any("newer producer" in one.log() for one in two.workers)
    assert [line for one in two.workers for line in complaints(one)] == []


def complaints(worker: Worker) -> list[str]:
    """What an operator would take for a bug, each with the lines after it."""
    signs = ("Traceback", "never retrieved", "was destroyed", "Unclosed")
    lines = worker.log().splitlines()
    return [
        "\n".join(lines[number : number + 40])
        for number, line in enumerate(lines)
        if any(sign in line for sign in signs)
    ]


@asynccontextmanager
async def fencing(cluster: Cluster, transactional_id: str) -> AsyncIterator[None]:
    producer = AIOKafkaProducer(bootstrap_servers=cluster.broker, transactional_id=transactional_id)
    await producer.start()
    try:
        yield
    finally:
        await producer.stop()


async def test_a_frozen_worker_that_wakes_up_changes_nothing(two: Cluster) -> None:
    """SIGSTOP for longer than the session timeout: it still believes that it owns its partitions."""
    zombie = two.workers[0]

    async def fault() -> None:
        zombie.signal(signal.SIGSTOP)
        stopped_at = time.monotonic()
        try:
            await two.wait_for_owners(1)
            print(f"taken over after {time.monotonic() - stopped_at:.1f} s")
        finally:
            zombie.signal(signal.SIGCONT)
        await two.wait_for_owners(2)

    await with_fault(two, seed=22, fault=fault)
    await finish(two)


async def test_workers_that_come_and_go(two: Cluster) -> None:
    """Joining, leaving and dying in quick succession, often within one rebalance."""

    async def fault() -> None:
        assert await two.workers[1].terminate() == 0
        for turn in range(4):
            newcomer = two.worker()
            await newcomer.says("assigned")
            if turn % 2:
                newcomer.kill()
            else:
                newcomer.signal(signal.SIGTERM)
        await two.wait_for_owners(1)

    await with_fault(two, seed=23, fault=fault)
    await wait_until(lambda: sum(worker.running for worker in two.workers) == 1, 15.0, two.logs)
    await finish(two)


async def test_a_spare_worker_takes_the_place_of_a_dead_one(two: Cluster) -> None:
    """Of three workers over four partitions one has nothing to do, until it is needed."""

    async def fault() -> None:
        before = {nonce for nonce, _ in await two.owners()}
        two.worker()
        two.workers[0].kill()
        killed_at = time.monotonic()

        async def replaced() -> bool:
            return len({nonce for nonce, _ in await two.owners()} - before) == 1

        await wait_until(replaced, 40.0, two.logs)
        await two.wait_for_owners(2)
        print(f"replaced after {time.monotonic() - killed_at:.1f} s")

    await with_fault(two, seed=25, fault=fault)
    await finish(two)


async def test_crash_at_random_moments(faulty_kafka: RealKafka, own_redis: RealRedis) -> None:
    """One worker, killed again and again while it works through a backlog."""
    await fresh_topics(faulty_kafka.address)
    with running(Cluster(faulty_kafka.address, own_redis.url, **GOAL_VARIABLES)) as cluster:
        worker = cluster.worker()
        await cluster.wait_for_owners(1)

        async def fault() -> None:
            for _ in range(4):
                read = await cluster.read()

                async def reads_on(read: int = read) -> bool:
                    return await cluster.read() > read

                worker.kill()
                worker.start()
                await wait_until(reads_on, 30.0, cluster.logs)

        await with_fault(cluster, seed=24, fault=fault)
        await finish(cluster)
