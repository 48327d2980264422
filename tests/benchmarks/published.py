"""What a run wrote to the sessions topic, against the recomputation."""

from __future__ import annotations

import time
from typing import NamedTuple

import msgspec
from confluent_kafka import KafkaException, TopicPartition

from schemas.times import parse_time, to_ms
from schemas.topics import SESSIONS
from stream.pipeline.partition_state import PartitionHead
from tests.benchmarks.load import BrokerFailed, consumer
from tests.benchmarks.truth import GAP_MS, Truth
from tests.benchmarks.workload import PARTITIONS, partition_of, visitor_id

_AT_ONCE = 10_000
_ASK_LIMIT_S = 10.0
_SILENT_LIMIT_S = 15.0
# The live clock is shown in steps of ten seconds, and a session ends at the next tick.
_SLACK_MS = 15_000


class WrongSessions(RuntimeError):
    """The topic does not say what the events say."""


class LogEnds(NamedTuple):
    """Where each partition of the sessions topic ended."""

    offsets: list[int]

    @classmethod
    def now(cls, broker: str) -> LogEnds:
        asked = consumer(broker)
        try:
            tps = [TopicPartition(SESSIONS, number) for number in range(PARTITIONS)]
            return cls([asked.get_watermark_offsets(tp, _ASK_LIMIT_S)[1] for tp in tps])
        finally:
            asked.close()


class _Record(msgspec.Struct):
    """The fields of a session record that are compared."""

    visitor_id: str
    revision: int
    started_at: str
    last_event_at: str
    page_views: int


_decode = msgspec.json.Decoder(_Record).decode


def check_sessions(broker: str, begin: LogEnds, truth: Truth, heads: list[PartitionHead | None]) -> int:
    """Compare every session written since `begin`; returns how many records those were. Raises WrongSessions.

    A session that ended and was joined by a late event afterwards is open again: only then may its record
    be behind.
    """
    latest, count = _latest(broker, begin)
    over_ms = [head.progress.live_ms - GAP_MS if head else 0 for head in heads]
    found = set()
    for record in latest.values():
        key = int(record.visitor_id.removeprefix("v-")), to_ms(parse_time(record.started_at))
        found.add(key)
        visit = truth.visits.get(key)
        last_ms = to_ms(parse_time(record.last_event_at))
        if visit and (visit.last_ms, visit.page_views) == (last_ms, record.page_views):
            continue
        if not _is_open_again(truth, key, last_ms, over_ms[partition_of(key[0])]):
            raise WrongSessions(f"published {record}, recomputed {visit}")
    missing = [
        visit for key, visit in truth.visits.items()
        if visit.last_ms < over_ms[partition_of(visit.visitor)] - _SLACK_MS and key not in found
    ]  # fmt: skip
    if missing:
        name = visitor_id(missing[0].visitor)
        raise WrongSessions(f"{len(missing)} ended sessions were not published, such as {name} {missing[0]}")
    return count


def _is_open_again(truth: Truth, key: tuple[int, int], last_ms: int, over_ms: int) -> bool:
    visitor, started_ms = key
    return any(
        visit.visitor == visitor and visit.first_ms <= started_ms and last_ms <= visit.last_ms
        and visit.last_ms >= over_ms - _SLACK_MS
        for visit in truth.visits.values()
    )  # fmt: skip


def _latest(broker: str, begin: LogEnds) -> tuple[dict[bytes, _Record], int]:
    """The newest revision by key, without tombstoned keys, and how many records are no tombstones."""
    end = LogEnds.now(broker).offsets
    reader = consumer(broker, **{"enable.partition.eof": True})
    left = {n for n in range(PARTITIONS) if begin.offsets[n] < end[n]}
    reader.assign([TopicPartition(SESSIONS, n, begin.offsets[n]) for n in left])
    latest: dict[bytes, _Record] = {}
    count = 0
    heard_s = time.monotonic()
    while left:
        if time.monotonic() - heard_s > _SILENT_LIMIT_S:
            raise BrokerFailed("nothing comes from the sessions topic any more")
        for message in reader.consume(_AT_ONCE, 1.0):
            heard_s = time.monotonic()
            error = message.error()
            if error is not None:
                if error.name() != "_PARTITION_EOF":
                    raise KafkaException(error)
                left.discard(message.partition())
            else:
                count += _take(latest, message.key() or b"", message.value())
    reader.close()
    return latest, count


def _take(latest: dict[bytes, _Record], key: bytes, value: bytes | None) -> bool:
    """Keep a record if it is the newest of its key; False for a tombstone."""
    if value is None:
        latest.pop(key, None)
        return False
    record = _decode(value)
    if key not in latest or latest[key].revision <= record.revision:
        latest[key] = record
    return True
