"""The store dies, stops answering, or forgets: the state is exact again, and nothing is contradicted."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults.cluster import Cluster, fresh_topics, open_redis, running, wait_until
from tests.faults.rehearsal import GOAL_VARIABLES, finish, with_fault
from tests.servers import RealKafka, RealRedis

pytestmark = pytest.mark.real

OUTAGE_S = 5.0
"""As long as the store answers nobody: an outage is a length of time, not a condition to wait for."""
LOST_BYTES = 200_000
"""Cut from the end of the append-only file: what a crash of the machine takes."""


@pytest.fixture
async def safe_store() -> AsyncIterator[RealRedis]:
    """Every commit is on disk before it is answered."""
    async with RealRedis(fsync="always") as server:
        yield server


async def _cluster(kafka: RealKafka, redis: RealRedis) -> Cluster:
    await fresh_topics(kafka.address)
    cluster = Cluster(kafka.address, redis.url, **GOAL_VARIABLES)
    cluster.worker()
    await cluster.wait_for_owners(1)
    return cluster


async def _commits_again(cluster: Cluster, limit_s: float = 30.0) -> None:
    """Every partition gets a commit it did not have."""
    before = [commit for _, commit in await cluster.owners()]

    async def moved() -> bool:
        return all(new != old for (_, new), old in zip(await cluster.owners(), before, strict=True))

    await wait_until(moved, limit_s, cluster.logs)


async def test_store_killed_and_restarted(module_kafka: RealKafka, safe_store: RealRedis) -> None:
    with running(await _cluster(module_kafka, safe_store)) as cluster:

        async def fault() -> None:
            for _ in range(2):
                safe_store.kill()
                await safe_store.start_async()
                back_at = time.monotonic()
                await _commits_again(cluster)
                print(f"store back, every partition commits after {time.monotonic() - back_at:.1f} s")

        await with_fault(cluster, seed=1, fault=fault)
        await finish(cluster)


async def test_store_answers_nobody_for_seconds(module_kafka: RealKafka, safe_store: RealRedis) -> None:
    with running(await _cluster(module_kafka, safe_store)) as cluster:

        async def fault() -> None:
            os.kill(safe_store.pid, signal.SIGSTOP)
            await asyncio.sleep(OUTAGE_S)
            os.kill(safe_store.pid, signal.SIGCONT)
            await _commits_again(cluster)

        await with_fault(cluster, seed=2, fault=fault)
        await finish(cluster)


async def test_store_comes_back_without_its_last_commits(
    module_kafka: RealKafka, safe_store: RealRedis
) -> None:
    """The worker sees that its last commit is gone, loads what there is, and reads the lost range again."""
    with running(await _cluster(module_kafka, safe_store)) as cluster:

        async def fault() -> None:
            safe_store.kill()
            _cut(safe_store.folder)
            await safe_store.start_async()
            await _commits_again(cluster)
            await cluster.workers[0].says("claiming again")

        await with_fault(cluster, seed=3, fault=fault)
        await finish(cluster)


def _cut(folder: Path) -> None:
    """Remove the tail of the append-only file; the server drops the command that is cut in two."""
    (file,) = folder.rglob("*.incr.aof")
    size = file.stat().st_size
    assert size > 2 * LOST_BYTES, "there is hardly anything to lose"
    with file.open("r+b") as data:
        data.truncate(size - LOST_BYTES)


async def test_store_emptied(module_kafka: RealKafka, safe_store: RealRedis) -> None:
    """FLUSHALL: everything is counted again from the beginning of the logs."""
    with running(await _cluster(module_kafka, safe_store)) as cluster:

        async def fault() -> None:
            async with open_redis(safe_store.url) as redis:
                await redis.flushall()
            await _commits_again(cluster)

        await with_fault(cluster, seed=4, fault=fault)
        await finish(cluster, store_forgot=True)
