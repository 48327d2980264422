"""One tick of the publisher: read the sums of every partition, add them up, encode the records.

The same events once in one partition and once spread over many: what the tick costs then depends on the
number of partitions alone. It never depends on the number of visitors or sessions.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from typing import NamedTuple

import msgspec

from schemas.topics import INPUT_TOPICS
from stream.core.policy import Policy
from stream.pipeline.batch import Batch
from stream.pipeline.partition import Partition
from stream.pipeline.take_snapshot import encode_record, take_snapshot
from stream.tables.redis import RedisTables
from stream.tables.redis_board import RedisBoard
from stream.tables.redis_client import connect
from tests.benchmarks.figures import Percentiles, percentiles
from tests.benchmarks.servers import store
from tests.benchmarks.workload import Workload

_WARM_UP = 3


class _Record(msgspec.Struct):
    offset: int
    timestamp: int
    key: bytes
    value: bytes
    headers: tuple[()] = ()


class Tick(NamedTuple):
    """Seconds of a tick in which every record has changed."""

    partitions: int
    records: int
    read: Percentiles
    add_up: Percentiles  # to finished records, encoded
    whole: Percentiles


def measure_ticks(partitions: int, events: int, ticks: int) -> Tick:
    """`events` of the mixed workload, spread over so many partitions."""
    return asyncio.run(_measure(partitions, events, ticks))


async def _measure(partitions: int, events: int, ticks: int) -> Tick:
    with store() as server:
        client = connect(server.url)
        tables, board = RedisTables(client, "bench"), RedisBoard(client, "bench")
        await _fill(tables, partitions, events)
        read, computed, records = [], [], 0
        for _ in range(_WARM_UP + ticks):
            started = time.perf_counter()
            partials = await board.read_partials(partitions)
            between = time.perf_counter()
            wall_ms = time.time_ns() // 1_000_000
            snapshot = take_snapshot(partials, partitions, wall_ms)
            records = len([encode_record(record, 1, wall_ms) for record in snapshot.records.values()])
            read.append(between - started)
            computed.append(time.perf_counter() - between)
        await tables.close()
        await client.aclose()
    read, computed = read[_WARM_UP:], computed[_WARM_UP:]
    whole = [sum(both) for both in zip(read, computed, strict=True)]
    return Tick(partitions, records, percentiles(read), percentiles(computed), percentiles(whole))


async def _fill(tables: RedisTables, partitions: int, events: int) -> None:
    wall_ms = time.time_ns() // 1_000_000
    records: dict[tuple[int, str], list[_Record]] = defaultdict(list)
    for one in Workload("mixed", events, events // 4, wall_ms).messages():
        log = records[int(one.key.removeprefix(b"v-")) % partitions, one.topic]
        log.append(_Record(len(log), wall_ms, one.key, one.value))
    owned = {}
    for number in range(partitions):
        claim = await tables.claim(number, "bench", 1, 0)
        owned[number] = await Partition.open(tables, claim, Policy())
        for topic in INPUT_TOPICS:
            owned[number].begin(topic, 0)
            owned[number].replied(topic, len(records[number, topic]), wall_ms)
    for (number, topic), log in records.items():
        if log:
            batch = Batch(topic, number, log, 0, len(log), len(log))
            await owned[number].process(batch, wall_ms)
    for partition in owned.values():
        await partition.tick(wall_ms + 1_000, None)
