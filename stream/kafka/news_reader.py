"""Reading alerts and signals for one receiver: a consumer group of its own, committed record by record."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Final

import aiokafka
import structlog
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from aiokafka.structs import TopicPartition

from stream.broker_refusal import why_refused
from stream.kafka.errors import BrokerUnreachable
from stream.pipeline.unreachable import no_broker

log = structlog.get_logger("latido.kafka")

_SESSION_MS: Final = 10_000
_FOR_EVER_MS: Final = 2**31 - 1
"""A delivery may take a day; heartbeats say that we live."""
_LIMIT_S: Final = 20.0


async def news_records(
    client_options: Mapping[str, Any], group: str, topics: Sequence[str]
) -> AsyncGenerator[tuple[str, bytes | None, int]]:
    """Yield topic, value and time (ms) of each record after those that are done, waiting for more.

    Asking for the next one commits that one: after a crash it comes again. Raises BrokerUnreachable.
    """
    consumer = aiokafka.AIOKafkaConsumer(
        *topics,
        **client_options,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        session_timeout_ms=_SESSION_MS,
        max_poll_interval_ms=_FOR_EVER_MS,
    )
    try:
        await consumer.start()
        async for record in consumer:
            yield record.topic, record.value, record.timestamp
            await _commit(consumer, TopicPartition(record.topic, record.partition), record.offset + 1)
    except (KafkaError, OSError) as error:
        servers, refusal = client_options["bootstrap_servers"], await why_refused(client_options)
        raise BrokerUnreachable(no_broker(servers, error, _LIMIT_S, refusal)) from None
    finally:
        await consumer.stop()


async def _commit(consumer: aiokafka.AIOKafkaConsumer, tp: TopicPartition, offset: int) -> None:
    try:
        await consumer.commit({tp: offset})
    except (CommitFailedError, IllegalStateError):
        # Another process of the group has the partition by now: it delivers from where we committed last.
        log.warning("delivered by two", topic=tp.topic, partition=tp.partition, offset=offset - 1)
