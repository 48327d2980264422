"""The worker from start to stop on the embedded broker and store: smoke, not proof (see test_worker_real)."""

from __future__ import annotations

import json
import time

import pytest

from schemas.headers import OUTPUT_HEADERS
from schemas.topics import KPI_SNAPSHOTS, PAGE_VIEWS, SESSIONS
from stream.kafka.dead_letters import list_dead_letters
from stream.kafka.log_reader import read_topic
from tests.integration.conftest import Stack
from tests.integration.worker_process import (
    WorkerProcess,
    balanced,
    heads,
    page_views,
    producing,
    send,
    total,
    wait_for_reads,
    wait_until,
)


async def test_it_counts_stops_and_goes_on_where_it_was(embedded: Stack) -> None:
    events = page_views(3000)
    async with producing(embedded.broker) as producer:
        worker = embedded.worker()
        await send(producer, events[:2000])
        await wait_for_reads(embedded.redis, 2000)
        started = time.monotonic()
        assert await worker.stop() == 0, worker.log()
        assert time.monotonic() - started < 10

        await send(producer, events[2000:])
        again = embedded.worker()
        found = await wait_for_reads(embedded.redis, 3000)
    assert total(found, "counted") == 3000
    assert balanced(found)
    assert await again.stop() == 0


async def test_sessions_and_snapshots_reach_their_topics(embedded: Stack) -> None:
    async with producing(embedded.broker) as producer:
        # The last visitor comes two hours after the others: their sessions end, and are final.
        late = page_views(1, visitors=1, first=10_000, start_ms=time.time_ns() // 1_000_000 - 60_000)
        await send(producer, [*page_views(100, visitors=10), {**late[0], "visitor_id": "the-last"}])
        worker = embedded.worker()
        await wait_for_reads(embedded.redis, 101)

        async def all_ended() -> bool:
            sessions = [record async for record in read_topic(embedded.client_options, SESSIONS)]
            return len({json.loads(record.value)["visitor_id"] for record in sessions if record.value}) >= 10

        async def published() -> bool:
            newest = {
                r.key: r.value async for r in read_topic(embedded.client_options, KPI_SNAPSHOTS) if r.value
            }
            everything = json.loads(newest.get(b"default|all|all", b"{}"))
            return bool(everything) and everything["kpis"]["page_views"]["value"] == 101

        await wait_until(all_ended, 30, "sessions are missing")
        await wait_until(published, 10, "the snapshot is missing")
        assert await worker.stop() == 0
    sessions = [record async for record in read_topic(embedded.client_options, SESSIONS)]
    assert all(tuple(name for name, _ in record.headers) == OUTPUT_HEADERS for record in sessions)
    snapshots = [record async for record in read_topic(embedded.client_options, KPI_SNAPSHOTS)]
    sequences = [json.loads(record.value)["sequence"] for record in snapshots if record.value]
    assert sequences == sorted(sequences)


async def test_a_poisoned_batch_becomes_dead_letters_and_the_rest_counts(embedded: Stack) -> None:
    poison = {
        b"not json": "invalid_json", b"\xff\xfe": "invalid_json", b'{"type": "unheard-of"}': "unknown_type",
        b"[" * 5000: "invalid_json", b"{}": "unknown_type",
    }  # fmt: skip
    async with producing(embedded.broker) as producer:
        await send(producer, page_views(10))
        for value in poison:
            await producer.send_and_wait(PAGE_VIEWS, key=b"v0", value=value, headers=[("trace", b"1")])
        await producer.send_and_wait(PAGE_VIEWS, key=b"v0", value=None)
        await send(producer, page_views(10, first=10))
        worker = embedded.worker()
        found = await wait_for_reads(embedded.redis, 26)

        async def all_listed() -> bool:
            return len([letter async for letter in list_dead_letters(embedded.client_options)]) == 6

        await wait_until(all_listed, 20, worker.log())
    assert (total(found, "counted"), total(found, "refused")) == (20, 6)
    letters = [letter async for letter in list_dead_letters(embedded.client_options)]
    assert sorted(letter.error_code for letter in letters) == sorted([*poison.values(), "null_value"])
    assert len({(letter.topic, letter.partition, letter.offset) for letter in letters}) == 6


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({}, "latido topics create"),
        ({"LATIDO_BROKER": "127.0.0.1:1"}, "no Kafka broker answers at 127.0.0.1:1"),
        ({"LATIDO_REDIS": "redis://127.0.0.1:1/0"}, "name another with --redis"),
    ],
)
async def test_it_refuses_to_start_and_says_what_to_do(
    bare_embedded: Stack, variables: dict[str, str], says: str
) -> None:
    worker = bare_embedded.worker(**variables)
    assert await worker.exit_code(30) == 1
    assert says in worker.log()
    assert "Traceback" not in worker.log()


async def test_another_gap_over_the_same_tables_is_refused(embedded: Stack) -> None:
    async with producing(embedded.broker) as producer:
        await send(producer, page_views(10))
    with WorkerProcess(embedded.broker, embedded.redis) as worker:
        await wait_for_reads(embedded.redis, 10)
        assert await worker.stop() == 0
    other = embedded.worker(LATIDO_GAP="10m")
    assert await other.exit_code(30) == 1
    assert "computed with another gap" in other.log()
    assert total(await heads(embedded.redis), "counted") == 10
