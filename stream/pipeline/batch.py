"""What comes in (one fetched batch) and what goes out (records for the output topics)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec


class Record(Protocol):
    """One Kafka record as a consumer gives it. `timestamp` is its arrival time in ms."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


class Batch(msgspec.Struct, frozen=True):
    """What one fetch brought for one topic-partition.

    `start` is where the hand-out before it ended (or the seek target), `end` the consumer's position
    after it: ranges, because compaction and transaction markers leave holes between record offsets.
    `log_end` is the readable end of the log (last stable offset) that the fetch reply named.
    """

    topic: str
    partition: int
    records: Sequence[Record]
    start: int
    end: int
    log_end: int


class Output(msgspec.Struct, array_like=True, gc=False):
    """One record to produce. It says what it is, absolutely, so that a repeat is harmless.

    `id` identifies it by content; `schema` names its contract, '' for dead letters, which keep the
    original key, value and headers and add their own. `partition` None: the topic's partitioner decides.
    """

    topic: str
    partition: int | None
    key: bytes | None
    value: bytes | None
    id: str
    schema: str
    time_ms: int
    headers: list[tuple[str, bytes]] = []


_encode_outputs = msgspec.msgpack.Encoder().encode
_decode_outputs = msgspec.msgpack.Decoder(list[Output]).decode


def encode_outputs(outputs: Sequence[Output]) -> bytes:
    """One entry of the outbox."""
    return _encode_outputs(outputs)


def decode_outputs(data: bytes) -> list[Output]:
    return _decode_outputs(data)
