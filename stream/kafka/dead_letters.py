"""Listing dead letters: the refused records, where they came from and why."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

import structlog
from aiokafka.structs import ConsumerRecord

from schemas.dead_letters import (
    DEAD_LETTER_HEADERS,
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
from schemas.topics import INPUT_TOPICS, dead_letter_topic
from stream.kafka.log_reader import read_topic

log = structlog.get_logger("latido.kafka")


async def list_dead_letters(
    client_options: Mapping[str, Any], topics: Iterable[str] = INPUT_TOPICS
) -> AsyncIterator[DeadLetter]:
    """Yield the dead letters of these input topics, each once, oldest first per partition.

    Raises WorkerRefused, BrokerUnreachable.
    """
    for topic in topics:
        seen: set[tuple[int, int]] = set()
        async for record in read_topic(client_options, dead_letter_topic(topic)):
            letter = as_dead_letter(record)
            if letter is None:
                log.warning(
                    "a record of the dead-letter topic is not ours", topic=record.topic, offset=record.offset
                )
            elif (letter.partition, letter.offset) not in seen:  # written again after a crash
                seen.add((letter.partition, letter.offset))
                yield letter


def as_dead_letter(record: ConsumerRecord) -> DeadLetter | None:
    """None when the headers are not those of a dead letter."""
    # The last of a name is ours: the record's own headers come first, and may have the same names.
    headers = {name: value for name, value in record.headers if name in DEAD_LETTER_HEADERS}
    try:
        texts = {name: headers[name].decode() for name in DEAD_LETTER_HEADERS}
        return DeadLetter(
            topic=texts[HEADER_TOPIC],
            partition=int(texts[HEADER_PARTITION]),
            offset=int(texts[HEADER_OFFSET]),
            error_code=ErrorCode(texts[HEADER_CODE]),
            message=texts[HEADER_MESSAGE],
            key=_content(record.key),
            value=_content(record.value),
            arrived_at=rfc3339(record.timestamp),
        )
    except (KeyError, ValueError, AttributeError):
        return None


def _content(data: bytes | None) -> Content | None:
    if data is None:
        return None
    try:
        return Content(encoding="utf-8", data=data.decode())
    except UnicodeDecodeError:
        return Content(encoding="base64", data=base64.b64encode(data).decode())
