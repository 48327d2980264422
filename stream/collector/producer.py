"""Events to Kafka: each to the topic of its type, keyed by its visitor, acknowledged by all replicas.

The producer is not idempotent (the embedded broker refuses that), so a retry inside the client may write a
record twice. That is harmless: the worker counts each event_id once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.events import Event, encode_event
from schemas.topics import INPUT_TOPICS, TOPIC_OF_TYPE
from stream.broker_refusal import why_refused
from stream.pipeline.unreachable import no_broker, reason

log = structlog.get_logger(__name__)

LINGER_MS: Final = 5
"""A client that sends one event per request still shares requests to the broker with its neighbours."""
MAX_BATCH_BYTES: Final = 256 * 1024
FIRST_PAUSE_S: Final = 0.2
LONGEST_PAUSE_S: Final = 5.0
REMIND_AFTER_S: Final = 60.0
"""Tries come every few seconds; to say each time that the broker is away would bury everything else."""
NOT_CONNECTED: Final = "no connection to the broker"


class BrokerUnavailable(Exception):
    """The broker cannot be reached or lacks a topic; the message says which and what to do."""


class EventProducer:
    """Sends events and waits for the broker's acknowledgement.

    options: aiokafka's connection options (`Settings.kafka_options`). acknowledge_within_s: how long an
    event may wait for its acknowledgement; after that it is reported and, at about the same time, dropped.
    """

    def __init__(self, options: Mapping[str, Any], acknowledge_within_s: float = 10.0) -> None:
        self._options = dict(options)
        self._limit_s = acknowledge_within_s
        self._producer: AIOKafkaProducer | None = None
        self._connecting: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect. Raises BrokerUnavailable."""
        producer = AIOKafkaProducer(
            **self._options,
            client_id="latido",
            acks="all",
            linger_ms=LINGER_MS,
            max_batch_size=MAX_BATCH_BYTES,
            # Also how long a record is kept unsent: the memory of an outage is bounded by it.
            request_timeout_ms=max(1000, int(self._limit_s * 1000)),
            metadata_max_age_ms=30_000,
        )
        try:
            await producer.start()
        except BaseException as error:  # cancelled, too: an unclosed client complains when it is collected
            with contextlib.suppress(Exception):
                await producer.stop()
            if not isinstance(error, KafkaError | OSError):
                raise
            servers = self._options.get("bootstrap_servers")
            refusal = await why_refused(self._options)
            raise BrokerUnavailable(no_broker(servers, error, self._limit_s, refusal)) from error
        self._producer = producer

    def start_in_background(self) -> None:
        """Connect as soon as the broker can be reached; until then nothing is acknowledged."""
        self._connecting = asyncio.create_task(self._keep_trying())

    async def _keep_trying(self) -> None:
        pause_s = FIRST_PAUSE_S
        said_s = -math.inf
        while True:
            is_due = time.monotonic() - said_s >= REMIND_AFTER_S
            try:
                # The client's own line stands beside ours: it tells what is wrong with TLS or a password.
                with contextlib.nullcontext() if is_due else _client_is_quiet():
                    await self.start()
            except BrokerUnavailable as error:
                if is_due:
                    log.warning("waiting for the broker", reason=str(error))
                    said_s = time.monotonic()
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            else:
                log.info("connected to the broker", broker=self._options.get("bootstrap_servers"))
                return

    async def stop(self) -> None:
        """Wait for what is on its way, no longer than the limit, and disconnect."""
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        if self._producer is not None:
            with contextlib.suppress(KafkaError, TimeoutError):
                await asyncio.wait_for(self._producer.stop(), self._limit_s)

    async def deliver(self, events: Sequence[Event]) -> list[str | None]:
        """Send all; returns one entry per event: None when acknowledged, else why not, in one line.

        An event that is reported as not acknowledged may still have arrived: sending it again with the same
        event_id is safe.
        """
        answers: list[str | None] = [NOT_CONNECTED] * len(events)
        waiting: dict[asyncio.Future[Any], int] = {}
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._limit_s
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                for index, event in enumerate(events):
                    future = await self._queue(event, answers, index)
                    if future is not None:
                        waiting[future] = index
        if waiting:
            await asyncio.wait(waiting, timeout=max(0.0, deadline - loop.time()))
        for future, index in waiting.items():
            answers[index] = _outcome(future)
        return answers

    async def _queue(self, event: Event, answers: list[str | None], index: int) -> asyncio.Future[Any] | None:
        """Hand one event to the client; waits while its buffer is full."""
        if self._producer is None:
            return None
        answers[index] = "the broker did not take it in time"
        try:
            future: asyncio.Future[Any] = await self._producer.send(
                TOPIC_OF_TYPE[event.type], encode_event(event), key=event.visitor_id.encode()
            )
            return future
        except KafkaError as error:
            answers[index] = _reason(error)
            return None

    async def check(self) -> None:
        """Ask the broker for the input topics. Raises BrokerUnavailable."""
        producer = self._producer
        if producer is None:
            raise BrokerUnavailable(NOT_CONNECTED)
        try:
            async with asyncio.timeout(self._limit_s):
                # All of them: to ask for one by name creates it on some brokers, and waits for it on others.
                there = (await producer.client.fetch_all_metadata()).topics()
        except (KafkaError, OSError, TimeoutError) as error:
            raise BrokerUnavailable(f"the broker does not answer ({reason(error, self._limit_s)})") from error
        missing = [topic for topic in INPUT_TOPICS if topic not in there]
        if missing:
            raise BrokerUnavailable(f"topic {missing[0]} is missing; run 'latido topics create'")


@contextlib.contextmanager
def _client_is_quiet() -> Iterator[None]:
    logger = logging.getLogger("aiokafka")
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = False


def _outcome(future: asyncio.Future[Any]) -> str | None:
    if not future.done():
        # Nobody waits for it any longer: its late error must not be reported as "never retrieved".
        future.add_done_callback(lambda late: late.cancelled() or late.exception())
        return "the broker did not acknowledge it in time"
    if future.cancelled():
        return "sending was stopped"
    error = future.exception()
    return None if error is None else _reason(error)


def _reason(error: BaseException) -> str:
    return f"the broker refused it or did not answer: {type(error).__name__}"
