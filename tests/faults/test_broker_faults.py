"""The broker dies and comes back; its topics are not the ones that were counted."""

from __future__ import annotations

import time

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.structs import TopicPartition

from schemas.topics import CLICKS, PAGE_VIEWS
from tests.faults.cluster import (
    Cluster,
    delete_topics,
    fresh_topics,
    running,
    wait_for_topics,
    wait_until,
)
from tests.faults.readback import read_log
from tests.faults.rehearsal import GOAL_VARIABLES, finish, with_fault
from tests.faults.sending import producing, send
from tests.faults.test_poison import good_events
from tests.faults.verdict import ends_of, read_board
from tests.servers import RealKafka, RealRedis

pytestmark = pytest.mark.real


async def test_broker_killed_and_restarted(faulty_kafka: RealKafka, own_redis: RealRedis) -> None:
    await fresh_topics(faulty_kafka.address)
    with running(Cluster(faulty_kafka.address, own_redis.url, **GOAL_VARIABLES)) as cluster:
        cluster.worker()
        await cluster.wait_for_owners(1)

        async def fault() -> None:
            read = await cluster.read()
            faulty_kafka.kill()
            await faulty_kafka.start_async()
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


async def test_records_deleted_before_they_were_counted(counted: Cluster) -> None:
    """Refused in one line; with --accept-loss the rest counts, and everybody is told that it is not all."""
    lost = 30
    tp = TopicPartition(PAGE_VIEWS, 1)
    head = (await counted.heads())[tp.partition]
    assert head is not None
    first = head.progress.topics[0].position
    now_ms = time.time_ns() // 1_000_000
    async with producing(counted.broker) as producer:
        for number in range(100):
            (view, *_) = good_events(now_ms + number, f"x{number}")
            await producer.send(view.topic, key=view.key, value=view.value, partition=tp.partition)
    await _delete_records(counted.broker, tp, before=first + lost)
    refused = counted.worker()
    assert await refused.exit_code(40.0) == 1
    (line,) = [line for line in refused.log().splitlines() if "--accept-loss" in line]
    assert f"records {first} to {first + lost - 1} were deleted" in line
    assert "Traceback" not in refused.log()
    assert await counted.read() == 200

    worker = counted.worker("--accept-loss")
    await counted.wait_for_read(300 - lost)
    board = await read_board(counted, ends_of(await read_log(counted.broker)))
    (everything,) = [one for key, one in board.records.items() if key.endswith("|all|all")]
    assert everything["completeness"]["status"] == "partial"
    assert everything["completeness"]["lost_records"] == lost
    assert everything["kpis"]["page_views"]["value"] == 150 - lost
    doctor = counted.command("doctor").stdout
    assert f"{PAGE_VIEWS} partition 1: offsets {first} to {first + lost - 1} were deleted" in doctor
    assert await worker.terminate() == 0

    again = counted.worker()  # accepted is accepted, and stays said
    await again.says("publishing")
    head = (await counted.heads())[tp.partition]
    assert head is not None
    assert [(one.topic, one.first, one.last) for one in head.lost] == [(PAGE_VIEWS, first, first + lost - 1)]
    assert await again.terminate() == 0


async def _delete_records(broker: str, tp: TopicPartition, before: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    try:
        await admin.delete_records({tp: RecordsToDelete(before)})
    finally:
        await admin.close()


async def test_topic_deleted_under_a_running_worker(cluster: Cluster) -> None:
    """Said as it is, though the deletion first shows as missing partitions and failing commits."""
    worker = cluster.worker()
    await cluster.wait_for_owners(1)
    now_ms = time.time_ns() // 1_000_000
    async with producing(cluster.broker) as producer:
        for number in range(50):
            await send(producer, good_events(now_ms + number, f"v{number}"), 1000)
    await delete_topics(cluster.broker, [CLICKS])
    assert await worker.exit_code(40.0) == 1
    assert f"{CLICKS} was deleted while it was counted" in worker.log()
    assert "partition counts changed" not in worker.log()
    assert "Traceback" not in worker.log()


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
    assert await worker.exit_code(60.0) == 1, worker.log()
    assert "is not the log that was counted" in worker.log()
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
    assert f"the partition counts changed while running ({CLICKS} has 6, all had 4)" in worker.log()


async def _raise_partitions(broker: str, topic: str, partitions: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    try:
        await admin.create_partitions({topic: NewPartitions(partitions)})
    finally:
        await admin.close()
