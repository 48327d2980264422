"""What came out: sessions, dead letters and snapshots as they stand in the topics and in the store."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import ConsumerRecord, TopicPartition

from schemas.dead_letters import (
    DEAD_LETTER_HEADERS,
    HEADER_CODE,
    HEADER_MESSAGE,
    HEADER_OFFSET,
    HEADER_PARTITION,
    HEADER_TOPIC,
)
from schemas.headers import CE_SOURCE, ID
from schemas.sessions import Session as SessionModel
from schemas.topics import INPUT_TOPICS, SESSIONS, dead_letter_topic
from stream.core.policy import Policy
from stream.core.sessions import Visitor
from stream.demo.plain_log import LogRecord
from stream.pipeline.batch import Output, decode_outputs
from stream.pipeline.partition_state import PartitionState
from stream.pipeline.ports import Table
from stream.pipeline.session_record import session_record
from tests.faults.cluster import PARTITIONS, Cluster, open_redis
from tests.faults.oracle import Place, SessionKey

READ_WITHIN_S = 60.0
LATE_BY_OTHER_TOPIC = "other_topic"

_decode_visitor = msgspec.msgpack.Decoder(Visitor).decode


async def read_all(broker: str, topic: str) -> AsyncIterator[ConsumerRecord]:
    """Every committed record of a topic, in order per partition."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=broker, isolation_level="read_committed", auto_offset_reset="earliest",
        enable_auto_commit=False, fetch_max_wait_ms=50,
    )  # fmt: skip
    await consumer.start()
    try:
        cluster = await consumer._client.fetch_all_metadata()
        tps = [TopicPartition(topic, number) for number in sorted(cluster.partitions_for_topic(topic) or ())]
        assert tps, f"{topic} is missing"
        consumer.assign(tps)
        ends = await consumer.end_offsets(tps)
        async with asyncio.timeout(READ_WITHIN_S):
            for tp in tps:
                consumer.pause(*(other for other in tps if other != tp))
                consumer.resume(tp)
                # The position also moves over the markers of transactions, which are no records.
                while await consumer.position(tp) < ends[tp]:
                    for records in (await consumer.getmany(tp, timeout_ms=100)).values():
                        for record in records:
                            yield record
    finally:
        await consumer.stop()


async def read_log(broker: str) -> list[LogRecord]:
    """The input topics."""
    return [
        LogRecord(topic, one.partition, one.offset, one.timestamp, one.key, one.value)
        for topic in INPUT_TOPICS
        async for one in read_all(broker, topic)
    ]


# ---------------------------------------------------------------- dead letters


@dataclass(frozen=True)
class Letter:
    """One dead letter, the original apart from what was added."""

    place: Place
    code: str
    message: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


@dataclass
class Letters:
    """All dead letters, one per place; `repeats` counts further copies."""

    by_place: dict[Place, Letter] = field(default_factory=dict)
    repeats: int = 0

    @property
    def late_by_other_topic(self) -> set[Place]:
        return {
            place
            for place, letter in self.by_place.items()
            if letter.code == "late" and LATE_BY_OTHER_TOPIC in letter.message
        }

    def add(self, letter: Letter) -> None:
        """AssertionError when a copy differs from the one before."""
        before = self.by_place.setdefault(letter.place, letter)
        assert before == letter, f"two dead letters for one record: {before} and {letter}"
        self.repeats += before is not letter


LogEnds = Mapping[tuple[str, int], int]
"""(topic, partition) -> offset behind the last record."""


async def letter_ends(broker: str) -> LogEnds:
    """Where the dead-letter topics end now."""
    consumer = AIOKafkaConsumer(bootstrap_servers=broker, isolation_level="read_committed")
    await consumer.start()
    try:
        names = map(dead_letter_topic, INPUT_TOPICS)
        tps = [TopicPartition(name, number) for name in names for number in range(PARTITIONS)]
        ends = await consumer.end_offsets(tps)
        return {(tp.topic, tp.partition): end for tp, end in ends.items()}
    finally:
        await consumer.stop()


async def read_letters(broker: str, after: LogEnds | None = None) -> Letters:
    """The dead letters; with `after` only those written since: another namespace read the log before."""
    letters = Letters()
    for topic in INPUT_TOPICS:
        async for record in read_all(broker, dead_letter_topic(topic)):
            if after is not None and record.offset < after[record.topic, record.partition]:
                continue
            letter = _letter(record.key, record.value, record.headers)
            assert letter.place[0] == topic, f"{letter.place} in {record.topic}"
            letters.add(letter)
    return letters


def _letter(key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes]]) -> Letter:
    every = list(headers)
    own, added = every[: -len(DEAD_LETTER_HEADERS)], dict(every[-len(DEAD_LETTER_HEADERS) :])
    assert set(added) == set(DEAD_LETTER_HEADERS), every
    text = {name: content.decode() for name, content in added.items()}
    place = (text[HEADER_TOPIC], int(text[HEADER_PARTITION]), int(text[HEADER_OFFSET]))
    return Letter(place, text[HEADER_CODE], text[HEADER_MESSAGE], key, value, tuple(own))


# ---------------------------------------------------------------- sessions


@dataclass
class PublishedSessions:
    """The sessions topic, compacted by key."""

    live: dict[str, dict[str, Any]]
    """Kafka key -> the newest record."""
    records: int
    repeats: int
    """Copies of a record that was there already, all of them identical."""

    def by_start(self) -> dict[SessionKey, dict[str, Any]]:
        """AssertionError when one session stands there twice."""
        found: dict[SessionKey, dict[str, Any]] = {}
        for session in self.live.values():
            key = (session["site_id"], session["visitor_id"], session["started_at"])
            assert key not in found, f"published twice: {found[key]} and {session}"
            found[key] = session
        return found


async def read_sessions(cluster: Cluster) -> PublishedSessions:
    """What a reader of the namespace holds in the end, with what still waits in the outboxes.

    AssertionError when two records of one id differ, or an older revision comes after a newer one.
    """
    written: dict[int, list[tuple[str, bytes, bytes | None]]] = defaultdict(list)
    origin = f"/latido/{cluster.namespace}".encode()
    async for record in read_all(cluster.broker, SESSIONS):
        headers = dict(record.headers)
        if headers[CE_SOURCE] == origin:
            written[record.partition].append((headers[ID].decode(), record.key, record.value))
    for number, outputs in (await _waiting(cluster)).items():
        written[number] += [(one.id, one.key or b"", one.value) for one in outputs if one.topic == SESSIONS]
    return _compact(written)


def _compact(written: Mapping[int, list[tuple[str, bytes, bytes | None]]]) -> PublishedSessions:
    live: dict[str, dict[str, Any]] = {}
    contents: dict[str, bytes | None] = {}
    revisions: dict[str, int] = {}
    count = repeats = 0
    for number, records in written.items():
        for record_id, name, value in records:
            key = name.decode()
            before = contents.setdefault(record_id, value)
            assert before == value, f"{record_id} says two things: {before!r}, {value!r}"
            count += 1
            if value is None:
                live.pop(key, None)
                continue
            session = json.loads(value)
            assert session["source"]["partition"] == number, session
            assert record_id == f"{session['session_id']}/{session['revision']}", (record_id, session)
            repeats += session["revision"] <= revisions.get(key, 0)
            revisions[key] = max(session["revision"], revisions.get(key, 0))
            live[key] = session
    stale = [key for key, session in live.items() if session["revision"] != revisions[key]]
    assert not stale, f"an older revision stands last in the topic: {stale[:5]}"
    for key, session in live.items():
        assert SessionModel.model_validate(session).key == key
    return PublishedSessions(live, count, repeats)


async def _waiting(cluster: Cluster) -> dict[int, list[Output]]:
    """Committed outputs that have not left, in order."""
    found = {}
    for number in range(PARTITIONS):
        entries = await _fields(cluster, cluster.layout.partition(number).outbox)
        ordered = sorted((int(entry), data) for entry, data in entries.items())
        found[number] = [output for _, data in ordered for output in decode_outputs(data)]
    return found


async def _fields(cluster: Cluster, key: str) -> dict[bytes, bytes]:
    async with open_redis(cluster.redis_url) as redis:
        found: Any = await redis.hgetall(key)
        return dict(found)


async def hot_sessions(cluster: Cluster) -> dict[SessionKey, dict[str, Any]]:
    """The sessions in the live tables, as their records would read now, whatever their state."""
    found: dict[SessionKey, dict[str, Any]] = {}
    for number in range(PARTITIONS):
        state = PartitionState(number, Policy())
        for data in (
            await _fields(cluster, cluster.layout.partition(number).tables[Table.VISITORS])
        ).values():
            visitor = _decode_visitor(data)
            for session in visitor.sessions:
                fields = json.loads(msgspec.json.encode(session_record(state, visitor, session, "open")))
                start = (fields["site_id"], fields["visitor_id"], fields["started_at"])
                assert start not in found, f"twice in the tables: {start}"
                found[start] = fields
    return found
