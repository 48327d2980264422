"""The broker dies and comes back; its topics are not the ones that were counted."""

from __future__ import annotations

import time

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic

from schemas.topics import CLICKS, PAGE_VIEWS
from tests.faults.cluster import (
    Cluster,
    delete_topics,
    fresh_topics,
    running,
    wait_for_topics,
    wait_until,
)
from tests.faults.rehearsal import GOAL_VARIABLES, finish, with_fault
from tests.faults.sending import producing, send
from tests.faults.test_poison import good_events
from tests.servers import RealKafka, RealRedis

pytestmark = pytest.mark.real


async def test_broker_killed_and_restarted(module_kafka: RealKafka, own_redis: RealRedis) -> None:
    await fresh_topics(module_kafka.address)
    with running(Cluster(module_kafka.address, own_redis.url, **GOAL_VARIABLES)) as cluster:
        cluster.worker()
        await cluster.wait_for_owners(1)

        async def fault() -> None:
            read = await cluster.read()
            module_kafka.kill()
            await module_kafka.start_async()
            back_at = time.monotonic()

            async def reads_on() -> bool:
                return await cluster.read() > read + 1000

            await wait_until(reads_on, 60.0, cluster.logs)
            print(f"broker back, records are read after {time.monotonic() - back_at:.1f} s")

        await with_fault(cluster, seed=11, fault=fault)
        await finish(cluster)


@pytest.fixture
async def counted(cluster: Cluster) -> Cluster:
    """A cluster on which one worker has counted a few events, and stopped."""
    now_ms = time.time_ns() // 1_000_000
    worker = cluster.worker()
    async with producing(cluster.broker) as producer:
        for number in range(50):
            await send(producer, good_events(now_ms + number, f"v{number}"), 1000)
    await cluster.wait_for_read(200)
    assert await worker.terminate() == 0
    return cluster


async def _create(broker: str, topic: str, partitions: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    try:
        answer = await admin.create_topics([NewTopic(topic, partitions, 1)])
        assert all(error[1] == 0 for error in answer.topic_errors), answer
    finally:
        await admin.close()
    await wait_for_topics(broker, {topic: partitions})


@pytest.mark.parametrize("new_records", [0, 10, 200], ids=["empty", "shorter", "longer"])
async def test_topic_deleted_and_created_again_is_refused(counted: Cluster, new_records: int) -> None:
    """Read on from the old offset, the new log's first records would be skipped in silence."""
    await delete_topics(counted.broker, [PAGE_VIEWS])
    await _create(counted.broker, PAGE_VIEWS, 4)
    now_ms = time.time_ns() // 1_000_000
    async with producing(counted.broker) as producer:
        for number in range(new_records):
            await send(producer, good_events(now_ms + number, f"w{number}")[:1], 1000)
    worker = counted.worker()
    assert await worker.exit_code(40.0) == 1, worker.log()
    assert "is not the log that was counted" in worker.log()
    assert "--namespace" in worker.log()
    assert await counted.read() == 200


async def test_topic_created_again_under_a_running_worker_is_refused(cluster: Cluster) -> None:
    now_ms = time.time_ns() // 1_000_000
    worker = cluster.worker()
    async with producing(cluster.broker) as producer:
        for number in range(50):
            await send(producer, good_events(now_ms + number, f"v{number}"), 1000)
        await cluster.wait_for_read(200)
    await delete_topics(cluster.broker, [PAGE_VIEWS])
    await _create(cluster.broker, PAGE_VIEWS, 4)
    async with producing(cluster.broker) as producer:
        for number in range(100):
            await send(producer, good_events(now_ms + number, f"w{number}")[:1], 1000)
    # Which of its checks sees it first depends on when it looks: while the topic is missing, or later.
    assert await worker.exit_code(60.0) == 1, worker.log()
    assert "the partition counts changed" in worker.log() or "is not the log that was counted" in worker.log()
    worker.start()
    assert await worker.exit_code(60.0) == 1, worker.log()
    assert "is not the log that was counted" in worker.log()
    assert await cluster.read() == 200


async def test_unequal_partition_counts_are_refused_at_start(cluster: Cluster) -> None:
    await delete_topics(cluster.broker, [CLICKS])
    await _create(cluster.broker, CLICKS, 3)
    worker = cluster.worker()
    assert await worker.exit_code(30.0) == 1, worker.log()
    assert "differ in their number of partitions" in worker.log()
    assert f"{CLICKS} has 3" in worker.log()
    assert cluster.command("topics", "check").returncode == 1


async def test_changed_partition_counts_are_refused_while_running(cluster: Cluster) -> None:
    """More partitions move visitors away from their sessions."""
    worker = cluster.worker()
    await cluster.wait_for_owners(1)
    await _raise_partitions(cluster.broker, CLICKS, 6)
    assert await worker.exit_code(60.0) == 1, worker.log()
    assert "partition" in worker.log()


async def _raise_partitions(broker: str, topic: str, partitions: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    try:
        await admin.create_partitions({topic: NewPartitions(partitions)})
    finally:
        await admin.close()
