"""Looking at logs from outside the group: where they begin and end, and what stands at one offset."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection, Mapping
from typing import Any, TypeVar

import aiokafka
import msgspec
from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from aiokafka.structs import TopicPartition

from stream.pipeline.batch import Record

_LIMIT_S = 10.0
_LOOK_WAIT_MS = 20
# Enough for one record of the largest kind; the broker sends a whole record set where it is larger.
_LOOK_BYTES = 64 * 1024

T = TypeVar("T")


class ProbeFailed(Exception):
    """The broker did not answer in time: try again later."""


class Seen(msgspec.Struct, frozen=True):
    """What stands at an offset. `log_end` is None when the offset is out of range."""

    record: Record | None
    log_end: int | None


class LogProbe:
    """A consumer without a group. One question at a time; all of them raise ProbeFailed."""

    def __init__(self, client_options: Mapping[str, Any], metadata_age_ms: int) -> None:
        self._options = dict(client_options, metadata_max_age_ms=metadata_age_ms)
        self._lock = asyncio.Lock()
        self._consumer: aiokafka.AIOKafkaConsumer | None = None

    async def stop(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    async def starts(self, tps: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """The first offset of each log."""
        async with self._lock:
            consumer = await self._open()
            return dict(await self._ask(consumer.beginning_offsets(list(tps))))

    async def ends(self, tps: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """The readable end of each log, as ListOffsets says. (The embedded broker says less.)"""
        async with self._lock:
            consumer = await self._open()
            return dict(await self._ask(consumer.end_offsets(list(tps))))

    async def partition_counts(self, topics: Collection[str]) -> dict[str, int]:
        """Of those that exist, as the broker says now."""
        async with self._lock:
            consumer = await self._open()
            # All topics are asked for: a question about one creates it on some brokers.
            cluster = await self._ask(consumer._client.fetch_all_metadata())
            found = {topic: cluster.partitions_for_topic(topic) for topic in topics}
            return {topic: len(numbers) for topic, numbers in found.items() if numbers}

    async def look(self, at: Mapping[TopicPartition, int]) -> dict[TopicPartition, Seen]:
        """What stands at one offset of each log."""
        if not at:
            return {}
        async with self._lock:
            consumer = await self._open()
            consumer.assign(list(at))
            for tp, offset in at.items():
                consumer.seek(tp, offset)
            try:
                return await self._ask(_look(consumer, dict(at)))
            finally:
                consumer.unsubscribe()

    async def _open(self) -> aiokafka.AIOKafkaConsumer:
        if self._consumer is None:
            consumer = aiokafka.AIOKafkaConsumer(
                **self._options, auto_offset_reset="none", isolation_level="read_committed",
                enable_auto_commit=False, fetch_max_wait_ms=_LOOK_WAIT_MS,
                max_partition_fetch_bytes=_LOOK_BYTES,
            )  # fmt: skip
            try:
                await self._ask(consumer.start())
            except BaseException:
                await consumer.stop()
                raise
            self._consumer = consumer
        return self._consumer

    async def _ask(self, question: Awaitable[T]) -> T:
        try:
            return await asyncio.wait_for(question, _LIMIT_S)
        except (TimeoutError, KafkaError, OSError) as error:
            raise ProbeFailed(f"broker: {error or type(error).__name__}") from error


async def _look(
    consumer: aiokafka.AIOKafkaConsumer, left: dict[TopicPartition, int]
) -> dict[TopicPartition, Seen]:
    seen: dict[TopicPartition, Seen] = {}
    while left:
        try:
            records = await consumer.getmany(*left, timeout_ms=_LOOK_WAIT_MS)
        except OffsetOutOfRangeError as error:
            for tp in error.args[0]:
                seen[tp] = Seen(None, None)
                left.pop(tp, None)
            continue
        for tp, offset in list(left.items()):
            end = log_end(fetch_state(consumer, tp))
            # An empty reply at or beyond the end is an answer, too.
            if records.get(tp) or (end is not None and end <= offset):
                found = [record for record in records.get(tp, ()) if record.offset == offset]
                seen[tp] = Seen(found[0] if found else None, end)
                del left[tp]
    return seen


def fetch_state(consumer: aiokafka.AIOKafkaConsumer, tp: TopicPartition) -> Any:
    """aiokafka's record of the newest fetch reply; None when the partition is not assigned."""
    subscription = consumer._subscription.subscription
    assignment = None if subscription is None else subscription.assignment
    return None if assignment is None else assignment.state_value(tp)


def log_end(state: Any) -> int | None:
    """The readable end: the last stable offset, or the high watermark where the broker names none.

    None before the first fetch reply. Right on every broker, other than the answer of ListOffsets.
    """
    if state is None or state.highwater is None:
        return None
    return int(state.highwater if state.lso is None or state.lso < 0 else state.lso)
