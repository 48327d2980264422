"""Writing outputs: whole record batches, in order, acknowledged by every in-sync replica.

aiokafka's `send` makes a task and a future per record; a batch built here costs one of each per several
thousand records. On a broker with transactions a producer has a transactional id: whoever starts it last
fences the one before, so that a worker that lost its partition cannot write old revisions over new ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import aiokafka
import msgspec
import structlog
from aiokafka.errors import (
    IllegalOperation,
    InvalidProducerEpoch,
    KafkaConnectionError,
    KafkaError,
    MessageSizeTooLargeError,
    ProducerFenced,
    TransactionalIdAuthorizationFailed,
    UnknownError,
    UnsupportedVersionError,
)
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.producer.message_accumulator import BatchBuilder

from schemas.headers import CE_ID, CE_TIME, ID, output_headers
from schemas.times import rfc3339
from stream import __version__
from stream.broker_refusal import why_refused
from stream.kafka.errors import BrokerUnreachable, WorkerRefused
from stream.kafka.large_letters import BATCH_BYTES, is_large, packed_batch, shortened
from stream.pipeline.batch import Output
from stream.pipeline.unreachable import no_broker

log = structlog.get_logger("latido.kafka")

_PROBE_LIMIT_S = 20.0
_STOP_LIMIT_S = 3.0

Headers: TypeAlias = list[tuple[str, bytes]]


class Fenced(Exception):
    """Another worker has started a producer with our transactional id."""


class Capabilities(msgspec.Struct, frozen=True):
    """What the broker knows."""

    transactions: bool


async def probe_broker(client_options: Mapping[str, Any]) -> Capabilities:
    """Ask whether the broker knows idempotent producers. Raises BrokerUnreachable."""
    producer = aiokafka.AIOKafkaProducer(**client_options, enable_idempotence=True)
    try:
        with _quiet("aiokafka.producer.sender"):
            await asyncio.wait_for(producer.start(), _PROBE_LIMIT_S)
    except (UnknownError, UnsupportedVersionError):
        log.warning("the broker knows no transactions: after a crash an output may be written twice, or an "
                    "old revision after a new one; readers tell them apart by id and revision")  # fmt: skip
        return Capabilities(transactions=False)
    except (TimeoutError, KafkaConnectionError, KafkaError) as error:
        servers, refusal = client_options["bootstrap_servers"], await why_refused(client_options)
        raise BrokerUnreachable(no_broker(servers, error, _PROBE_LIMIT_S, refusal)) from None
    finally:
        await _stop(producer)
    return Capabilities(transactions=True)


@contextlib.contextmanager
def _quiet(name: str) -> Iterator[None]:
    """aiokafka logs as an error what is an answer here."""
    logger = logging.getLogger(name)
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = False


class OutputHeaders:
    """Of one schema the headers are the same each time, but for id and time."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._constant: dict[str, Headers] = {}

    def of(self, output: Output) -> Headers:
        """As schemas/headers.py makes them, at half the cost. Of a dead letter: its own, untouched."""
        if not output.schema:
            return output.headers
        constant = self._constant.get(output.schema) or self._make(output.schema)
        schema, producer, _, content, _, kind, source, version, _ = constant
        record_id = output.id.encode()
        time = rfc3339(output.time_ms).encode()
        return [
            schema, producer, (ID, record_id), content, (CE_ID, record_id), kind, source, version,
            (CE_TIME, time),
        ]  # fmt: skip

    def _make(self, schema: str) -> Headers:
        self._constant[schema] = output_headers(
            schema=schema, record_id="", version=__version__, namespace=self._namespace, time_ms=0
        )
        return self._constant[schema]


class OutputProducer:
    """One ordered stream of outputs. `produce` may be called again with the same outputs after an error."""

    def __init__(
        self, client_options: Mapping[str, Any], headers: OutputHeaders, transactional_id: str | None
    ) -> None:
        self._options = client_options
        self._headers = headers
        self._transactional_id = transactional_id
        self._producer: aiokafka.AIOKafkaProducer | None = None
        self._partitioner = DefaultPartitioner()
        self._cut_large = False

    async def start(self) -> None:
        """Connect; with a transactional id, fence everybody who used it before.

        Raises KafkaError when the broker does not answer, WorkerRefused when it forbids transactions.
        """
        producer = aiokafka.AIOKafkaProducer(
            **self._options, acks="all", transactional_id=self._transactional_id, max_batch_size=BATCH_BYTES,
        )  # fmt: skip
        try:
            await producer.start()
        except TransactionalIdAuthorizationFailed:
            raise WorkerRefused(
                f"the broker forbids the transactional id {self._transactional_id}: allow Write and Describe "
                "on transactional ids with the prefix latido-"
            ) from None
        except BaseException:
            await _stop(producer)
            raise
        self._producer = producer

    async def stop(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await _stop(producer)

    async def produce(self, outputs: Iterable[Output]) -> None:
        """Write all, in order per topic and partition; returns when all are acknowledged.

        Raises Fenced, or KafkaError: then some may be written, and all should be written again.
        """
        try:
            if self._producer is None:
                await self.start()
            assert self._producer is not None
            if self._transactional_id is None:
                await self._write(self._producer, outputs)
            else:
                async with self._producer.transaction():
                    await self._write(self._producer, outputs)
            self._cut_large = False
        except (ProducerFenced, InvalidProducerEpoch) as error:
            raise Fenced(str(error)) from error
        except IllegalOperation as error:
            # Between two records the client heard that it is fenced, and left the transaction by itself.
            raise Fenced("the transaction was ended under us") from error
        except MessageSizeTooLargeError:
            self._cut_large = True
            await self.stop()
            raise
        except BaseException:
            # After most errors a producer with sequence numbers refuses everything: take a new one.
            await self.stop()
            raise

    async def _write(self, producer: aiokafka.AIOKafkaProducer, outputs: Iterable[Output]) -> None:
        groups: dict[tuple[str, int], list[Output]] = {}
        for output in map(shortened, outputs) if self._cut_large else outputs:
            partition = output.partition
            if partition is None:
                partition = await self._partition_of(producer, output)
            groups.setdefault((output.topic, partition), []).append(output)
        sent: list[asyncio.Future[Any]] = []
        try:
            for place, group in groups.items():
                await self._send_group(producer, *place, group, sent)
        except BaseException:
            for future in sent:  # their errors are the same one
                future.add_done_callback(_look_at)
            raise
        await asyncio.gather(*sent)

    async def _send_group(
        self,
        producer: aiokafka.AIOKafkaProducer,
        topic: str,
        partition: int,
        outputs: Sequence[Output],
        sent: list[asyncio.Future[Any]],
    ) -> None:
        """Hand all to the producer; `sent` gets a future for each batch of them."""
        headers_of = self._headers.of
        batch = self._batch_for(producer, outputs[0])
        for output in outputs:
            headers = headers_of(output)
            if batch.append(key=output.key, value=output.value, timestamp=None, headers=headers) is None:
                sent.append(await producer.send_batch(batch, topic, partition=partition))
                batch = self._batch_for(producer, output)
                batch.append(key=output.key, value=output.value, timestamp=None, headers=headers)
        sent.append(await producer.send_batch(batch, topic, partition=partition))

    def _batch_for(self, producer: aiokafka.AIOKafkaProducer, first: Output) -> BatchBuilder:
        """A large record is always the only one of its batch."""
        if is_large(first):
            return packed_batch(transactional=self._transactional_id is not None)
        return producer.create_batch()

    async def _partition_of(self, producer: aiokafka.AIOKafkaProducer, output: Output) -> int:
        partitions = sorted(await producer.partitions_for(output.topic))
        return int(self._partitioner(output.key, partitions, partitions))


def _look_at(future: asyncio.Future[Any]) -> None:
    """Else asyncio complains that nobody did."""
    if not future.cancelled():
        future.exception()


async def _stop(producer: aiokafka.AIOKafkaProducer) -> None:
    """Never longer than a moment: `stop` waits for batches, also for those nobody can deliver."""
    try:
        await asyncio.wait_for(producer.stop(), _STOP_LIMIT_S)
    except (TimeoutError, KafkaError, OSError):
        log.debug("a producer did not stop cleanly")
