"""What the worker has committed, read from Redis: cheap enough to ask every few milliseconds."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import redis

from schemas.topics import INPUT_TOPICS
from stream.core.sessions import Visitor
from stream.pipeline.changes import decode_head
from stream.pipeline.partition_state import PartitionHead
from stream.pipeline.ports import Table
from stream.tables.layout import COMMIT, HEAD, OWNER, Layout
from tests.benchmarks.truth import GAP_MS
from tests.benchmarks.workload import PARTITIONS

_decode_visitor = msgspec.msgpack.Decoder(Visitor).decode
_SCAN_AT_ONCE = 5_000


class Stored(NamedTuple):
    """What the visitors' table holds."""

    visitors: int
    open_sessions: int
    ended_sessions: int  # not final yet: a late event may still change them

    @property
    def sessions(self) -> int:
        return self.open_sessions + self.ended_sessions


class StoreView:
    """One namespace. A connection of its own: use it from one thread."""

    def __init__(self, url: str, namespace: str) -> None:
        self._redis: Any = redis.Redis.from_url(url)
        self._layout = Layout(namespace)
        self._metas = [self._layout.partition(number).meta for number in range(PARTITIONS)]

    def close(self) -> None:
        self._redis.close()

    def heads(self) -> list[PartitionHead | None]:
        """The head of each partition, None before its first commit."""
        flight = self._redis.pipeline(transaction=False)
        for meta in self._metas:
            flight.hget(meta, HEAD)
        return [None if data is None else decode_head(data) for data in flight.execute()]

    def owners(self) -> int:
        """How many processes own the partitions."""
        flight = self._redis.pipeline(transaction=False)
        for meta in self._metas:
            flight.hget(meta, OWNER)
        return len({owner.split(b":")[1] for owner in flight.execute() if owner})

    def commit_ids(self) -> list[str]:
        """The last commit of each partition, '' before the first."""
        flight = self._redis.pipeline(transaction=False)
        for meta in self._metas:
            flight.hget(meta, COMMIT)
        return [(found or b"").decode() for found in flight.execute()]

    def positions(self, topic: str) -> list[int]:
        """The next offset of each partition that is not applied yet."""
        index = INPUT_TOPICS.index(topic)
        return [0 if head is None else head.progress.topics[index].position for head in self.heads()]

    def used_bytes(self) -> int:
        return int(self._redis.info("memory")["used_memory"])

    def server(self) -> str:
        """Name and version."""
        found = self._redis.info("server")
        return f"{found.get('server_name', 'redis')} {found.get('valkey_version') or found['redis_version']}"

    def bytes_per_table(self) -> dict[str, int]:
        """By Redis' own count, over all partitions and every element."""
        found: Counter[str] = Counter()
        for number in range(PARTITIONS):
            keys = self._layout.partition(number)
            named = {table.value: key for table, key in keys.tables.items()} | {"outbox": keys.outbox}
            for name, key in named.items():
                found[name] += self._redis.memory_usage(key, samples=0) or 0
        return dict(found)

    def stored_sessions(self) -> Stored:
        """Counts by decoding every visitor; the live clock says who has ended, which alone is not written."""
        visitors = opened = ended = 0
        for number, head in enumerate(self.heads()):
            if head is None:
                continue
            over_ms = head.progress.live_ms - GAP_MS
            key = self._layout.partition(number).tables[Table.VISITORS]
            for _, value in self._redis.hscan_iter(key, count=_SCAN_AT_ONCE):
                last_ms = [session.last_ms for session in _decode_visitor(value).sessions]
                visitors += 1
                ended += sum(last < over_ms for last in last_ms)
                opened += sum(last >= over_ms for last in last_ms)
        return Stored(visitors, opened, ended)

    def kpis(self, key: str) -> Mapping[str, Any]:
        """The KPIs of one published record; empty before it is published."""
        record = self._redis.hget(self._layout.records, key)
        found: Mapping[str, Any] = {} if record is None else json.loads(record)["kpis"]
        return found

    def header(self) -> Mapping[str, Any]:
        """The newest tick; empty before the first."""
        header = self._redis.get(self._layout.header)
        found: Mapping[str, Any] = {} if header is None else json.loads(header)
        return found


def records_read(heads: list[PartitionHead | None]) -> int:
    return sum(head.accounting.read for head in heads if head is not None)
