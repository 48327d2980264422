"""The demo's traffic through the pipeline on tables in memory: no broker, no store, no waiting."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby

from schemas.topics import INPUT_TOPICS
from stream.core.policy import Policy
from stream.demo.plain_log import LogRecord
from stream.pipeline.batch import Batch
from stream.pipeline.changes import decode_head
from stream.pipeline.partition import Partition
from stream.pipeline.renew_records import take_snapshot
from stream.pipeline.take_snapshot import Snapshot, look_at_heads
from stream.tables.memory import MemoryBoard, MemoryStore, MemoryTables

PARTITIONS = 4
TICK_MS = 1_000
QUIET_TICK_MS = 60_000


@dataclass(frozen=True)
class Sent:
    """Something sent at a moment."""

    arrival_ms: int
    topic: str
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True)
class Arrived:
    """A Kafka record."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass
class Rehearsal:
    """A log per topic and partition, and the partitions that read it as it grows."""

    policy: Policy
    logs: dict[tuple[str, int], list[Arrived]] = field(default_factory=lambda: defaultdict(list))
    partitions: list[Partition] = field(default_factory=list)

    async def run(self, sent: Iterable[Sent], until_ms: int) -> Snapshot:
        """Play what is sent, in order of arrival, in steps of a tick; then let time pass until the end."""
        store = MemoryStore()
        tables, self.board = MemoryTables(store), MemoryBoard(store)
        for number in range(PARTITIONS):
            claim = await tables.claim(number, "rehearsal", 1, 0)
            self.partitions.append(await Partition.open(tables, claim, self.policy))
        wall_ms = until_ms
        for tick, some in groupby(sent, key=lambda one: one.arrival_ms // TICK_MS):
            wall_ms = (tick + 1) * TICK_MS
            await self._deliver(list(some), wall_ms)
            await self._tick(wall_ms)
        while wall_ms < until_ms:
            wall_ms = min(wall_ms + QUIET_TICK_MS, until_ms)
            await self._tick(wall_ms)
        return await self._snapshot(wall_ms)

    def log_records(self) -> list[LogRecord]:
        """The whole log as a reader of the broker sees it."""
        return [
            LogRecord(topic, partition, one.offset, one.timestamp, one.key, one.value)
            for (topic, partition), records in self.logs.items()
            for one in records
        ]

    async def _deliver(self, some: list[Sent], wall_ms: int) -> None:
        starts = {log: len(self.logs[log]) for log in self._all_logs()}
        for one in some:
            log = self.logs[one.topic, zlib.crc32(one.key or b"") % PARTITIONS]
            log.append(Arrived(len(log), one.arrival_ms, one.key, one.value))
        for topic, number in starts:
            self.partitions[number].replied(topic, len(self.logs[topic, number]), wall_ms)
        for (topic, number), start in starts.items():
            records = self.logs[topic, number][start:]
            if records:
                end = start + len(records)
                await self.partitions[number].process(Batch(topic, number, records, start, end, end), wall_ms)

    async def _tick(self, wall_ms: int) -> None:
        partials = await self.board.read_partials(range(PARTITIONS))
        heads = {one.partition: decode_head(one.head) for one in partials if one.head is not None}
        shared = look_at_heads(heads, PARTITIONS, wall_ms).live_ms
        for partition in self.partitions:
            for topic in INPUT_TOPICS:
                partition.replied(topic, len(self.logs[topic, partition.number]), wall_ms)
            await partition.tick(wall_ms, shared)

    async def _snapshot(self, wall_ms: int) -> Snapshot:
        return take_snapshot(await self.board.read_partials(range(PARTITIONS)), PARTITIONS, wall_ms)

    def _all_logs(self) -> list[tuple[str, int]]:
        return [(topic, number) for topic in INPUT_TOPICS for number in range(PARTITIONS)]
