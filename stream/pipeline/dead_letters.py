"""A refused record as a dead letter: untouched, with where it came from and why it was refused."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from schemas.dead_letters import (
    HEADER_CODE,
    HEADER_MESSAGE,
    HEADER_OFFSET,
    HEADER_PARTITION,
    HEADER_TOPIC,
    Content,
    DeadLetter,
    ErrorCode,
)
from schemas.times import rfc3339
from schemas.topics import dead_letter_topic
from stream.pipeline.batch import Output, Record


def dead_letter(topic: str, partition: int, record: Record, code: str, message: str) -> Output:
    """The output for one refused record, identified by (topic, partition, offset)."""
    added = {
        HEADER_TOPIC: topic,
        HEADER_PARTITION: str(partition),
        HEADER_OFFSET: str(record.offset),
        HEADER_MESSAGE: message,
        HEADER_CODE: str(code),
    }
    headers = [*record.headers, *((name, text.encode()) for name, text in added.items())]
    return Output(
        topic=dead_letter_topic(topic), partition=partition, key=record.key, value=record.value,
        id=f"{topic}:{partition}:{record.offset}", schema="", time_ms=record.timestamp, headers=headers,
    )  # fmt: skip


def listed(output: Output) -> DeadLetter:
    """A dead letter as it is printed. Raises KeyError when a header of ours is missing."""
    return read_dead_letter(output.key, output.value, output.headers, output.time_ms)


def read_dead_letter(
    key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]], arrived_ms: int
) -> DeadLetter:
    """A dead letter from its record: what it was, where it came from, why it was refused.

    The record may have brought headers of the same names: ours stand last. Raises KeyError.
    """
    ours = dict(headers)
    return DeadLetter(
        topic=ours[HEADER_TOPIC].decode(),
        partition=int(ours[HEADER_PARTITION]),
        offset=int(ours[HEADER_OFFSET]),
        error_code=ErrorCode(ours[HEADER_CODE].decode()),
        message=ours[HEADER_MESSAGE].decode(),
        key=_content(key),
        value=_content(value),
        arrived_at=rfc3339(arrived_ms),
    )


def _content(data: bytes | None) -> Content | None:
    """Bytes as text where they are text, else as base64."""
    if data is None:
        return None
    try:
        return Content(encoding="utf-8", data=data.decode())
    except UnicodeDecodeError:
        return Content(encoding="base64", data=base64.b64encode(data).decode())
