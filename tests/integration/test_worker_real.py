"""The delivery protocol on Apache Kafka and redis-server. What faults do to it: tests/faults."""

from __future__ import annotations

import asyncio
import json

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from schemas.topics import INPUT_TOPICS, SESSIONS
from stream.kafka.log_reader import read_topic
from tests.integration.conftest import Stack
from tests.integration.worker_process import (
    PARTITIONS,
    heads,
    page_views,
    producing,
    send,
    total,
    wait_for_reads,
    wait_until,
)


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
