"""Workers as processes, events to feed them, and a look at what the store holds."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self, TypeAlias

import aiokafka

from schemas.times import rfc3339
from schemas.topics import TOPIC_OF_TYPE
from stream.pipeline.changes import decode_head
from stream.pipeline.partition_state import PartitionHead
from stream.tables.redis_board import RedisBoard
from stream.tables.redis_client import connect

ROOT = Path(__file__).parents[2]
PARTITIONS = 4
Event = dict[str, Any]


class WorkerProcess:
    """`latido worker` on these servers; its log is a file, shown when a wait fails."""

    def __init__(self, broker: str, redis: str, namespace: str = "default", **variables: str) -> None:
        self.broker, self.redis, self.namespace = broker, redis, namespace
        self._log = tempfile.NamedTemporaryFile(prefix="latido-worker-", suffix=".log")  # noqa: SIM115 - until close
        environment = {
            **os.environ, "LATIDO_BROKER": broker, "LATIDO_REDIS": redis, "LATIDO_NAMESPACE": namespace,
            "PYTHONPATH": str(ROOT), **variables,
        }  # fmt: skip
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.run_worker"],
            cwd=ROOT, env=environment, stdout=self._log, stderr=subprocess.STDOUT,
        )  # fmt: skip

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def log(self) -> str:
        return Path(self._log.name).read_text(encoding="utf-8")

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        """As a crash would."""
        self._process.kill()
        self._process.wait(10)

    async def exit_code(self, limit_s: float = 15.0) -> int:
        await wait_until(lambda: not self.running, limit_s, f"the worker does not end:\n{self.log()}")
        return int(self._process.wait())

    async def stop(self) -> int:
        self.send(signal.SIGTERM)
        return await self.exit_code()

    async def says(self, text: str, limit_s: float = 30.0) -> None:
        """Wait for a line of its log."""
        await wait_until(lambda: text in self.log() or not self.running, limit_s, f"no {text!r} in its log")
        assert text in self.log(), self.log()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.running:
            self.kill()
        self._log.close()


async def wait_until(
    condition: Callable[[], Any], limit_s: float, message: str = "it did not happen"
) -> None:
    """Poll until the condition is true."""
    deadline = time.monotonic() + limit_s
    while True:
        answer = condition()
        if isinstance(answer, Awaitable):
            answer = await answer
        if answer:
            return
        assert time.monotonic() < deadline, f"after {limit_s:g} s: {message}"
        await asyncio.sleep(0.05)


def page_views(count: int, visitors: int = 500, first: int = 0, start_ms: int | None = None) -> list[Event]:
    """Events a millisecond apart, two hours ago."""
    start_ms = start_ms if start_ms is not None else time.time_ns() // 1_000_000 - 7_200_000
    return [
        {"event_id": f"e{n}", "type": "page_view", "visitor_id": f"v{n % visitors}", "url": "https://shop.example/a",
         "occurred_at": rfc3339(start_ms + n)}
        for n in range(first, first + count)
    ]  # fmt: skip


@asynccontextmanager
async def producing(broker: str, **options: Any) -> AsyncIterator[aiokafka.AIOKafkaProducer]:
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=broker, linger_ms=5, **options)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def send(producer: aiokafka.AIOKafkaProducer, events: Iterable[Event]) -> None:
    """Send events to their topics and wait until the broker has them."""
    futures = [
        await producer.send(
            TOPIC_OF_TYPE[event["type"]], key=event["visitor_id"].encode(), value=json.dumps(event).encode()
        )
        for event in events
    ]
    await asyncio.gather(*futures)


Heads: TypeAlias = list[PartitionHead | None]


async def heads(redis_url: str, namespace: str = "default", partitions: int = PARTITIONS) -> Heads:
    client = connect(redis_url)
    try:
        partials = await RedisBoard(client, namespace).read_partials(range(partitions))
    finally:
        await client.aclose()
    return [None if partial.head is None else decode_head(partial.head) for partial in partials]


def total(found: Heads, field: str) -> int:
    """The sum of one field of the accounting."""
    return sum(int(getattr(head.accounting, field)) for head in found if head is not None)


def balanced(found: Heads) -> bool:
    return all(head is None or head.accounting.balances() for head in found)


async def wait_for_reads(
    redis_url: str, count: int, limit_s: float = 40.0, namespace: str = "default"
) -> Heads:
    """Wait until `count` records are accounted for; one more than that is an error at once."""
    found: Heads = []

    async def all_read() -> bool:
        found[:] = await heads(redis_url, namespace)
        read = total(found, "read")
        assert read <= count, f"{read} records counted, {count} are there"
        return read == count

    try:
        await wait_until(all_read, limit_s)
    except AssertionError as error:
        raise AssertionError(f"{total(found, 'read')} of {count} records counted: {error}") from None
    return found
