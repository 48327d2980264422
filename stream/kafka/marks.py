"""How far each partition's outputs have left, written down in Kafka, beside the outputs themselves.

A store that lost commits (emptied, an older copy, the tail of its log gone) cannot say so itself. What it
lost is computed again, and where time alone decided, or how far the other topics were, it may come out
otherwise: readers would be told two things under one identity. So the mark, the highest outbox entry that
left, goes out in the same transaction as the entry, and every claim compares it with what the store holds.

A mark says of an entry that it *may* have left: entries are in the store before they leave, so a store that
lost nothing is never behind its marks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

import aiokafka
import msgspec
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord, TopicPartition

from schemas.topics import OUTPUT_MARKS
from stream.kafka.errors import WorkerRefused
from stream.kafka.log_probe import ProbeFailed, fetch_state, log_end
from stream.kafka.log_reader import read_topic
from stream.kafka.producer import OutputHeaders, OutputProducer
from stream.kafka.topics import describe_topics
from stream.pipeline.batch import Output
from stream.pipeline.claimed import Claimed, Head
from stream.pipeline.ports import STAGES

_LIMIT_S = 10.0
_WAIT_MS = 20
_POLL_MS = 30
# The newest marks are at the end; only of a namespace that was quiet for long they are further up.
_TAIL = 1_000


class StoreForgot(WorkerRefused):
    """The store lacks commits whose outputs have left."""

    def __init__(self, namespace: str, number: int, marked: int, stored: int) -> None:
        super().__init__(
            f"partition {number}: the store has lost commits (of namespace {namespace} {marked} groups of "
            f"outputs have left, it knows {stored}); counting again could contradict what readers have. "
            "Run: latido rebuild"
        )


class ReadsMarks(Protocol):
    """`Marks`, or a test's own."""

    async def read(self, writer: str, number: int) -> int: ...


class _Mark(msgspec.Struct):
    through: int


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Mark).decode


def writer_of(namespace: str, stage: str = "") -> str:
    """Whose marks they are: each stage of a namespace has its own. No namespace holds a slash."""
    return f"{namespace}/{stage}" if stage else namespace


def make_mark(writer: str, number: int, through: int) -> Output:
    """The record that says: every outbox entry of the writer up to `through` may have left."""
    return _record(writer, number, _encode(_Mark(through)))


def _record(writer: str, number: int, value: bytes | None) -> Output:
    return Output(OUTPUT_MARKS, number, writer.encode(), value, f"{writer}:{number}", "", 0)


async def compare(marks: ReadsMarks, writer: str, partition: Claimed[Head]) -> None:
    """To be asked after the producer before us was fenced. Raises StoreForgot, ProbeFailed."""
    marked = await marks.read(writer, partition.number)
    if marked > partition.newest_output:
        raise StoreForgot(writer.partition("/")[0], partition.number, marked, partition.newest_output)


async def marked_namespaces(client_options: Mapping[str, Any]) -> tuple[set[str], int]:
    """Namespaces of which outputs have left, and the number of partitions.

    Raises BrokerUnreachable, WorkerRefused.
    """
    found = (await describe_topics(client_options)).get(OUTPUT_MARKS)
    if found is None:
        raise WorkerRefused(f"topic {OUTPUT_MARKS} is missing; run: latido topics create")
    marked: dict[tuple[str, int], bool] = {}
    async for record in read_topic(client_options, OUTPUT_MARKS):
        marked[(record.key or b"").decode(), record.partition] = record.value is not None
    writers = {writer for (writer, _), there in marked.items() if there}
    return {writer.partition("/")[0] for writer in writers}, found.partitions


async def clear_marks(client_options: Mapping[str, Any], namespace: str, partitions: int) -> None:
    """Forget that outputs of this namespace have left. Raises KafkaError, BrokerUnreachable."""
    producer = OutputProducer(client_options, OutputHeaders(namespace), None)
    try:
        writers = [writer_of(namespace, stage) for stage in STAGES]
        await producer.produce(
            [_record(writer, number, None) for writer in writers for number in range(partitions)]
        )
    finally:
        await producer.stop()


class Marks:
    """Reads marks. One question at a time; all of them raise ProbeFailed."""

    def __init__(self, client_options: Mapping[str, Any]) -> None:
        self._options = client_options
        self._lock = asyncio.Lock()
        self._consumer: aiokafka.AIOKafkaConsumer | None = None

    async def stop(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    async def read(self, writer: str, number: int) -> int:
        """The highest entry of the partition that may have left; 0 where there is none."""
        async with self._lock:
            newest = await self._ask(TopicPartition(OUTPUT_MARKS, number), writer.encode(), _TAIL)
            if newest is None:
                newest = await self._ask(TopicPartition(OUTPUT_MARKS, number), writer.encode(), None)
        return 0 if newest is None or newest.value is None else _decode(newest.value).through

    async def _ask(self, tp: TopicPartition, key: bytes, tail: int | None) -> ConsumerRecord | None:
        try:
            async with asyncio.timeout(_LIMIT_S):
                return await _newest(await self._open(), tp, key, tail)
        except (TimeoutError, KafkaError, OSError) as error:
            await self.stop()
            raise ProbeFailed(f"broker: {error or type(error).__name__}") from error

    async def _open(self) -> aiokafka.AIOKafkaConsumer:
        if self._consumer is None:
            # Uncommitted, too: an open transaction of another namespace would hide newer marks behind it.
            consumer = aiokafka.AIOKafkaConsumer(
                **self._options, auto_offset_reset="earliest", isolation_level="read_uncommitted",
                enable_auto_commit=False, fetch_max_wait_ms=_WAIT_MS,
            )  # fmt: skip
            try:
                await consumer.start()
            except BaseException:  # a claim that is cancelled must not leave half a consumer to the next one
                await consumer.stop()
                raise
            self._consumer = consumer
        return self._consumer


async def _newest(
    consumer: aiokafka.AIOKafkaConsumer, tp: TopicPartition, key: bytes, tail: int | None
) -> ConsumerRecord | None:
    """The newest record of the key, among the last `tail` offsets where that is given."""
    newest: ConsumerRecord | None = None
    consumer.assign([tp])
    try:
        await consumer.seek_to_beginning(tp)
        jumped = tail is None
        end: int | None = None
        while True:
            for record in (await consumer.getmany(tp, timeout_ms=_POLL_MS)).get(tp, ()):
                newest = record if record.key == key else newest
            state = fetch_state(consumer, tp)
            # The end as the first reply says it: right on every broker, and what came later is not ours.
            end = log_end(state) if end is None else end
            if end is None or not state.has_valid_position:
                continue
            if state.position >= end:
                return newest
            if not jumped and tail is not None:
                jumped = True
                if state.position < end - tail:
                    newest = None
                    consumer.seek(tp, end - tail)
    finally:
        consumer.unsubscribe()
