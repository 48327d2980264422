"""Workers as processes of their own, topics made anew, and waiting for what the store shows."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from aiokafka.admin import AIOKafkaAdminClient
from redis.asyncio import Redis

from schemas.topics import topic_specs
from stream.demo.child_process import ChildServer
from stream.kafka.topics import create_topics, describe_topics
from stream.pipeline.changes import decode_head
from stream.pipeline.partition_state import PartitionHead
from stream.tables.layout import COMMIT, HEAD, OWNER, Layout

ROOT = Path(__file__).parents[2]
PARTITIONS = 4
STOPS_WITHIN_S = 10.0
"""What a supervisor gives a process after SIGTERM."""
POLL_S = 0.05

Condition = Callable[[], Any] | Callable[[], Awaitable[Any]]


async def wait_until(condition: Condition, limit_s: float, message: Callable[[], str] | str) -> Any:
    """Poll until the condition is true, and return what it said. AssertionError after `limit_s`."""
    deadline = time.monotonic() + limit_s
    while True:
        answer = condition()
        if isinstance(answer, Awaitable):
            answer = await answer
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(
                f"not within {limit_s:g} s: {message if isinstance(message, str) else message()}"
            )
        await asyncio.sleep(POLL_S)


class Worker(ChildServer):
    """`python -m stream worker` with LATIDO_ variables, as a user runs it."""

    name: ClassVar[str] = "worker"

    def __init__(self, variables: dict[str, str], arguments: tuple[str, ...] = ()) -> None:
        super().__init__()
        self._variables = variables
        self._arguments = arguments

    def _command(self) -> list[str]:
        return [sys.executable, "-m", "stream", "worker", *self._arguments]

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(ROOT), **self._variables}

    def _answers(self) -> bool:
        return True  # it serves nobody: what it does shows in the store

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def log(self) -> str:
        """Everything it has logged, of all its starts."""
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    async def exit_code(self, limit_s: float = STOPS_WITHIN_S) -> int:
        """Wait for its end. AssertionError with its log when it goes on."""
        process = self._process
        assert process is not None, "it was never started, or killed"
        await wait_until(
            lambda: process.poll() is not None, limit_s, lambda: f"its end; log:\n{self.log()[-4000:]}"
        )
        code = process.wait()
        self._process = None
        return int(code)

    async def terminate(self) -> int:
        """SIGTERM, and its exit code."""
        self.signal(signal.SIGTERM)
        return await self.exit_code()

    async def says(self, text: str, limit_s: float = 30.0) -> None:
        """Wait for a line of its log."""
        await wait_until(lambda: text in self.log(), limit_s, lambda: f"{text!r} in:\n{self.log()[-4000:]}")


class Cluster:
    """One broker, one store, one namespace, and the workers that were started on them."""

    def __init__(self, broker: str, redis_url: str, namespace: str = "faults", **variables: str) -> None:
        self.broker, self.redis_url, self.namespace = broker, redis_url, namespace
        self.client_options: dict[str, Any] = {"bootstrap_servers": broker}
        self.layout = Layout(namespace)
        self.workers: list[Worker] = []
        self.letters_after: Mapping[tuple[str, int], int] | None = None
        self._variables = variables

    def use_namespace(self, namespace: str, letters_after: Mapping[tuple[str, int], int]) -> None:
        """For workers and commands from now on; dead letters below these offsets are of the one before.

        What one namespace found late by another topic may be in time for the next, which reads the topics
        side by side in another way.
        """
        self.namespace, self.layout, self.letters_after = namespace, Layout(namespace), letters_after

    def variables(self, **more: str) -> dict[str, str]:
        """What a process of this cluster is told."""
        named = {
            "LATIDO_BROKER": self.broker,
            "LATIDO_REDIS": self.redis_url,
            "LATIDO_NAMESPACE": self.namespace,
        }
        return {**named, **self._variables, **more}

    def worker(self, *arguments: str, **variables: str) -> Worker:
        """Start one more worker."""
        worker = Worker(self.variables(**variables), arguments)
        self.workers.append(worker)
        worker.start()
        return worker

    def command(self, *arguments: str, limit_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run another command of the product to its end."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **self.variables()}
        return subprocess.run(
            [sys.executable, "-m", "stream", *arguments],
            env=environment, capture_output=True, text=True, timeout=limit_s, check=False,
        )  # fmt: skip

    def close(self) -> None:
        for worker in self.workers:
            worker.kill()
            worker.close()

    def logs(self) -> str:
        """The ends of all workers' logs, for messages."""
        return "\n".join(f"--- worker {n}:\n{one.log()[-3000:]}" for n, one in enumerate(self.workers))

    # ------------------------------------------------------------ what the store shows

    async def heads(self) -> list[PartitionHead | None]:
        """The last commit of each partition."""
        found = await self._meta(HEAD)
        return [None if head is None else decode_head(head) for (head,) in found]

    async def owners(self) -> list[tuple[str, str]]:
        """(process nonce of the owner, last commit id) of each partition, '' where there is none."""
        found = await self._meta(OWNER, COMMIT)
        return [
            ((owner or b"::").decode().split(":")[1], (commit or b"").decode()) for owner, commit in found
        ]

    async def _meta(self, *fields: str) -> list[list[bytes | None]]:
        async with open_redis(self.redis_url) as redis:
            pipe = redis.pipeline(transaction=False)
            for number in range(PARTITIONS):
                pipe.hmget(self.layout.partition(number).meta, list(fields))
            found: list[list[bytes | None]] = await pipe.execute()
            return found

    async def read(self, field: str = "read") -> int:
        """The sum of one field of the accounting over the partitions."""
        return sum(int(getattr(head.accounting, field)) for head in await self.heads() if head is not None)

    async def wait_for_owners(self, processes: int, limit_s: float = 40.0) -> set[str]:
        """Wait until all partitions are owned and committed, by that many processes. Returns their nonces."""

        async def shared() -> set[str] | None:
            owners = await self.owners()
            nonces = {nonce for nonce, _ in owners}
            even = sorted(sum(nonce == one for nonce, _ in owners) for one in nonces)
            ready = len(nonces) == processes and all(nonce and commit for nonce, commit in owners)
            return nonces if ready and even[0] >= PARTITIONS // processes else None

        found: set[str] = await wait_until(shared, limit_s, lambda: f"{processes} owners\n{self.logs()}")
        return found

    async def wait_for_read(self, count: int, limit_s: float = 60.0) -> None:
        """Wait until `count` records are accounted for. One more than that is an error at once."""
        read = 0

        async def all_read() -> bool:
            nonlocal read
            read = await self.read()
            assert read <= count, f"{read} records read, only {count} are there"
            return read == count

        await wait_until(all_read, limit_s, lambda: f"{count} records read, {read} are\n{self.logs()}")

    async def wait_for_outputs(
        self, beyond: Sequence[int] = (0,) * PARTITIONS, limit_s: float = 30.0
    ) -> None:
        """Wait until outputs of every partition, beyond these entries, have left."""

        async def left() -> bool:
            heads = await self.heads()
            return all(
                head and head.produced_through > entry for head, entry in zip(heads, beyond, strict=True)
            )

        await wait_until(left, limit_s, lambda: f"outputs of each partition\n{self.logs()}")

    async def wait_for_drained(self, limit_s: float = 20.0) -> None:
        """Wait until every output committed so far has left."""

        async def empty() -> bool:
            return all(
                head is None or head.produced_through == head.outbox_next - 1 for head in await self.heads()
            )

        await wait_until(empty, limit_s, lambda: f"empty outboxes\n{self.logs()}")


def open_redis(url: str) -> Redis:
    """A client of its own; `async with` closes it."""
    return Redis.from_url(url)


@contextmanager
def running(cluster: Cluster) -> Iterator[Cluster]:
    """End the cluster's workers whatever happens."""
    try:
        yield cluster
    finally:
        cluster.close()


async def fresh_topics(broker: str, partitions: int = PARTITIONS) -> None:
    """Delete whatever topics of ours exist, and create all of them."""
    await delete_topics(broker, [spec.name for spec in topic_specs()])
    await create_topics({"bootstrap_servers": broker}, partitions)
    await wait_for_topics(broker, {spec.name: spec.partitions for spec in topic_specs(partitions)})


async def wait_for_topics(broker: str, partitions: Mapping[str, int]) -> None:
    """Wait until the broker tells of these topics: it answers a creation before it does."""

    async def all_there() -> bool:
        found = await describe_topics({"bootstrap_servers": broker})
        return {name: found[name].partitions for name in partitions if name in found} == partitions

    await wait_until(all_there, 20.0, "topics created")


async def delete_topics(broker: str, names: Collection[str]) -> None:
    """Delete those that exist, and wait until they are gone."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()

    async def gone() -> bool:
        existing = sorted(set(names) & set(await admin.list_topics()))
        if existing:
            await admin.delete_topics(existing)
        return not existing

    try:
        await wait_until(gone, 20.0, "topics deleted")
    finally:
        await admin.close()
