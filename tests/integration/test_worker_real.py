"""The delivery protocol on Apache Kafka and redis-server: counted once, whatever happens."""

from __future__ import annotations

import asyncio
import json
import signal

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, RecordsToDelete
from aiokafka.structs import TopicPartition

from schemas.topics import CLICKS, INPUT_TOPICS, PAGE_VIEWS, SESSIONS
from stream.kafka.log_probe import LogProbe
from stream.kafka.log_reader import read_topic
from stream.kafka.topics import create_topics
from tests.integration.conftest import Stack, delete_topics
from tests.integration.worker_process import (
    PARTITIONS,
    balanced,
    heads,
    page_views,
    producing,
    send,
    total,
    wait_for_reads,
    wait_until,
)


async def _counted_some(stack: Stack, least: int) -> None:
    async def some() -> bool:
        return total(await heads(stack.redis), "read") >= least

    await wait_until(some, 40, "nothing is counted")


async def test_killed_and_started_again_it_counts_each_event_once(real: Stack) -> None:
    async with producing(real.broker) as producer:
        await send(producer, page_views(5_000))
        for round_number in range(1, 4):
            worker = real.worker()
            feeding = asyncio.create_task(send(producer, page_views(5_000, first=5_000 * round_number)))
            await _counted_some(real, 5_000 * round_number - 4_000)
            worker.kill()
            await feeding
        real.worker()
        found = await wait_for_reads(real.redis, 20_000)
    assert total(found, "counted") == 20_000
    assert balanced(found)


async def test_workers_join_and_leave(real: Stack) -> None:
    async with producing(real.broker) as producer:
        first = real.worker()
        await first.says("claimed")
        feeding = asyncio.create_task(_feed(producer, 20_000))
        second = real.worker()
        await second.says("claimed")
        await _counted_some(real, 2_000)
        assert await first.stop() == 0, first.log()
        third = real.worker()
        await third.says("claimed")
        second.kill()
        await feeding
        found = await wait_for_reads(real.redis, 20_000, 60)
    assert total(found, "counted") == 20_000
    assert balanced(found)
    assert await third.stop() == 0


async def _feed(producer: object, count: int) -> None:
    for first in range(0, count, 200):
        await send(producer, page_views(200, first=first))
        await asyncio.sleep(0.02)


async def test_a_zombie_counts_nothing_and_comes_back(real: Stack) -> None:
    async with producing(real.broker) as producer:
        zombie = real.worker()
        await send(producer, page_views(2_000))
        await wait_for_reads(real.redis, 2_000)
        zombie.send(signal.SIGSTOP)
        other = real.worker()
        await send(producer, page_views(2_000, first=2_000))
        await wait_for_reads(real.redis, 4_000, 60)
        zombie.send(signal.SIGCONT)
        await send(producer, page_views(2_000, first=4_000))
        found = await wait_for_reads(real.redis, 6_000)
        assert zombie.running, zombie.log()
        assert other.running, other.log()
        assert await other.stop() == 0
        await send(producer, page_views(100, first=6_000))
        found = await wait_for_reads(real.redis, 6_100)
    assert total(found, "counted") == 6_100


async def test_aborted_transactions_are_not_counted(real: Stack) -> None:
    async with producing(real.broker, transactional_id="shop") as producer:
        for aborted, first in ((False, 0), (True, 1_000), (False, 2_000), (True, 3_000)):
            await producer.begin_transaction()
            await send(producer, page_views(1_000, first=first))
            await (producer.abort_transaction() if aborted else producer.commit_transaction())
        worker = real.worker()
        found = await wait_for_reads(real.redis, 2_000)

        async def caught_up() -> bool:
            return all(head is not None and not head.behind for head in await heads(real.redis))

        await wait_until(caught_up, 15, "markers at the end keep it behind")
    assert total(found, "counted") == 2_000
    assert await worker.stop() == 0


async def test_a_recreated_topic_is_refused(real: Stack) -> None:
    async with producing(real.broker) as producer:
        worker = real.worker()
        await send(producer, page_views(1_000))
        await wait_for_reads(real.redis, 1_000)
        assert await worker.stop() == 0
    await delete_topics(real, [PAGE_VIEWS])
    await create_topics(real.client_options, PARTITIONS)
    async with producing(real.broker) as producer:
        await send(producer, page_views(2_000, first=50_000))
    again = real.worker()
    assert await again.exit_code(40) == 1
    assert "is not the log that was counted" in again.log()
    assert total(await heads(real.redis), "read") == 1_000


async def test_a_topic_recreated_under_a_running_worker_is_refused(real: Stack) -> None:
    async with producing(real.broker) as producer:
        worker = real.worker()
        await send(producer, page_views(1_000))
        await wait_for_reads(real.redis, 1_000)
    await delete_topics(real, [PAGE_VIEWS])
    await create_topics(real.client_options, PARTITIONS)
    async with producing(real.broker) as producer:
        await send(producer, page_views(2_000, first=50_000))
    assert await worker.exit_code(60) == 1
    assert "is not the log that was counted" in worker.log()
    assert total(await heads(real.redis), "read") == 1_000


async def test_records_deleted_before_they_were_counted_are_refused_unless_accepted(real: Stack) -> None:
    async with producing(real.broker) as producer:
        worker = real.worker()
        await send(producer, page_views(1_000))
        await wait_for_reads(real.redis, 1_000)
        assert await worker.stop() == 0
        await send(producer, page_views(1_000, first=1_000))
    deleted = await _delete_records(real, PAGE_VIEWS, keep=100)
    again = real.worker()
    assert await again.exit_code(40) == 1
    assert "--accept-loss" in again.log()
    real.worker(LATIDO_TEST_ACCEPT_LOSS="1")
    found = await wait_for_reads(real.redis, 2_000 - deleted)
    assert total(found, "counted") == 2_000 - deleted


async def _delete_records(stack: Stack, topic: str, keep: int) -> int:
    """Delete all but the last `keep` of each partition; returns how many of the second thousand went."""
    positions = [head.progress.topics[0].position for head in await heads(stack.redis) if head is not None]
    probe = LogProbe(stack.client_options, 5_000)
    ends = await probe.ends([TopicPartition(topic, number) for number in range(PARTITIONS)])
    await probe.stop()
    admin = AIOKafkaAdminClient(**stack.client_options)
    await admin.start()
    await admin.delete_records({tp: RecordsToDelete(end - keep) for tp, end in ends.items()})
    await admin.close()
    return sum(max(0, end - keep - positions[tp.partition]) for tp, end in ends.items())


async def test_unequal_partition_counts_are_refused(real: Stack) -> None:
    admin = AIOKafkaAdminClient(**real.client_options)
    await admin.start()
    await admin.create_partitions({CLICKS: NewPartitions(PARTITIONS + 2)})
    await admin.close()
    worker = real.worker()
    assert await worker.exit_code(30) == 1
    assert f"{CLICKS} has {PARTITIONS + 2}" in worker.log()


async def test_a_changed_partition_count_is_refused(real: Stack) -> None:
    async with producing(real.broker) as producer:
        await send(producer, page_views(100))
        worker = real.worker()
        await wait_for_reads(real.redis, 100)
        await worker.says("publishing")
        await asyncio.sleep(1)
        assert await worker.stop() == 0
    admin = AIOKafkaAdminClient(**real.client_options)
    await admin.start()
    await admin.create_partitions(
        {topic: NewPartitions(PARTITIONS + 2) for topic in (*INPUT_TOPICS, SESSIONS)}
    )
    await admin.close()
    again = real.worker()
    assert await again.exit_code(30) == 1
    assert "use another --namespace" in again.log()


async def test_what_was_committed_and_not_produced_goes_out_after_a_crash(real: Stack) -> None:
    async with producing(real.broker) as producer:
        # Each visitor comes back after an hour: every one of them ends a session.
        events = page_views(3_000, visitors=3_000)
        later = page_views(
            3_000, visitors=3_000, first=3_000, start_ms=_ms(events[0]["occurred_at"]) + 3_600_000
        )
        await send(producer, events)
        worker = real.worker()
        await wait_for_reads(real.redis, 3_000)
        await send(producer, later)

        async def committed() -> bool:
            return any(head and head.outbox_next > 1 for head in await heads(real.redis))

        await wait_until(committed, 30)
        worker.kill()
        real.worker()
        await wait_for_reads(real.redis, 6_000)

        async def produced() -> bool:
            found = await heads(real.redis)
            return all(head is not None and head.produced_through == head.outbox_next - 1 for head in found)

        await wait_until(produced, 30, "the outbox is not empty")
    newest: dict[bytes, object] = {}
    async for record in read_topic(real.client_options, SESSIONS):
        newest[record.key] = None if record.value is None else json.loads(record.value)
    first_visits = [
        one
        for one in newest.values()
        if isinstance(one, dict) and one["started_at"] < later[0]["occurred_at"]
    ]
    assert len(first_visits) == 3_000
    assert {one["state"] for one in first_visits} <= {"ended", "final"}


def _ms(text: str) -> int:
    from datetime import datetime

    return int(datetime.fromisoformat(text).timestamp() * 1000)
