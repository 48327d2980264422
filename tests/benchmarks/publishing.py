"""A tick of the publisher while every partition counts: read what changed, add it up, encode the records.

The same open sessions once in one partition and once spread over many. What a tick costs depends on how many
sums changed since the last: neither on the sessions there are, nor on buckets, nor on what stands still.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from schemas.topics import INPUT_TOPICS, PAGE_VIEWS
from stream.core.policy import Policy
from stream.pipeline.batch import Batch
from stream.pipeline.partition import Partition
from stream.pipeline.renew_records import Records
from stream.pipeline.sums import ALL_WINDOWS, Followed
from stream.pipeline.take_snapshot import encode_record, look_at_heads
from stream.tables.redis import RedisTables
from stream.tables.redis_board import RedisBoard
from stream.tables.redis_client import connect
from tests.benchmarks.figures import Percentiles, percentiles
from tests.benchmarks.servers import store
from tests.benchmarks.workload import VIEW, Message, Workload, message

_WARM_UP = 3
_OPEN_WITHIN_MS = 1_200_000
_BATCH = 2_000
_VIEWS_PER_TICK = 8  # in each partition
_TICK_MS = 1_000


class _Record(msgspec.Struct):
    offset: int
    timestamp: int
    key: bytes
    value: bytes
    headers: tuple[()] = ()


class Tick(NamedTuple):
    """Seconds of a tick before which every partition counted some events."""

    sessions: int
    partitions: int
    records: int  # made anew, the median of the ticks
    read: Percentiles
    add_up: Percentiles  # to finished records, encoded
    whole: Percentiles


def measure_ticks(sessions: int, partitions: int, ticks: int) -> Tick:
    """So many open sessions, spread over so many partitions."""
    return asyncio.run(_measure(sessions, partitions, ticks))


async def _measure(sessions: int, partitions: int, ticks: int) -> Tick:
    with store() as server:
        client = connect(server.url)
        tables, board = RedisTables(client, "bench"), RedisBoard(client, "bench")
        owned = await _claim(tables, partitions)
        wall_ms = time.time_ns() // 1_000_000
        workload = Workload(
            "session-2m", sessions, sessions, wall_ms, step_ms=_OPEN_WITHIN_MS / sessions, each_once=True
        )
        await _apply(owned, workload.messages(), wall_ms)
        followed = Followed(partitions)
        records = Records(followed, Policy().published_values)
        read, computed, made = [], [], []
        for number in range(_WARM_UP + ticks):
            wall_ms += _TICK_MS
            t = workload.start_ms + _OPEN_WITHIN_MS + number * _TICK_MS
            await _apply(owned, _views(sessions, partitions, number, t), wall_ms)
            started = time.perf_counter()
            lost = followed.take(await board.read_changes(followed.seen))
            if lost:
                followed.take(await board.read_partials(lost))
            between = time.perf_counter()
            snapshot = look_at_heads(followed.heads, partitions, wall_ms)
            renewed = records.renew(snapshot, ALL_WINDOWS, wall_ms).records
            encoded = [encode_record(record, 1, wall_ms) for record in renewed.values()]
            read.append(between - started)
            computed.append(time.perf_counter() - between)
            made.append(len(encoded))
        await tables.close()
        await client.aclose()
    whole = [sum(both) for both in zip(read, computed, strict=True)]
    parts = [percentiles(one[_WARM_UP:]) for one in (read, computed, whole)]
    return Tick(sessions, partitions, sorted(made[_WARM_UP:])[ticks // 2], *parts)


async def _claim(tables: RedisTables, partitions: int) -> list[Partition]:
    owned = []
    for number in range(partitions):
        claim = await tables.claim(number, "bench", 1, 0)
        owned.append(await Partition.open(tables, claim, Policy()))
        for topic in INPUT_TOPICS:
            owned[number].begin(topic, 0)
            owned[number].replied(topic, 0, 0)
    return owned


def _views(sessions: int, partitions: int, number: int, t: int) -> Iterable[Message]:
    """Some page views of every partition's visitors."""
    count = partitions * _VIEWS_PER_TICK
    for place in range(count):
        visitor = (number * count + place) % sessions
        yield message(VIEW, sessions + number * count + place, visitor, t + place * _TICK_MS // count, place)


async def _apply(owned: list[Partition], messages: Iterable[Message], wall_ms: int) -> None:
    """Count them, and let the partitions write their sums at one instant."""
    waiting: dict[int, list[_Record]] = defaultdict(list)
    for one in messages:
        number = int(one.key.removeprefix(b"v-")) % len(owned)
        waiting[number].append(_Record(0, wall_ms, one.key, one.value))
        if len(waiting[number]) >= _BATCH:
            await _process(owned[number], waiting.pop(number), wall_ms)
    for number, records in waiting.items():
        await _process(owned[number], records, wall_ms)
    live_ms = max(partition.state.progress.live_ms for partition in owned)
    for partition in owned:
        for topic in INPUT_TOPICS:
            partition.replied(topic, partition.positions[topic], wall_ms)
        await partition.tick(wall_ms, live_ms)


async def _process(partition: Partition, records: list[_Record], wall_ms: int) -> None:
    start = partition.positions[PAGE_VIEWS]
    for place, record in enumerate(records):
        record.offset = start + place
    end = start + len(records)
    await partition.process(Batch(PAGE_VIEWS, partition.number, records, start, end, end), wall_ms)
    while partition.outbox:
        partition.produced(partition.outbox[0][0])
