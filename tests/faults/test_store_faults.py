"""The store dies, stops answering, or forgets: the state is exact again, and nothing is contradicted."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults.cluster import Cluster, Worker, fresh_topics, open_redis, running, wait_until
from tests.faults.readback import letter_ends
from tests.faults.rehearsal import GOAL_VARIABLES, finish, with_fault
from tests.faults.sending import producing, send
from tests.faults.test_poison import good_events
from tests.servers import RealKafka, RealRedis

pytestmark = pytest.mark.real

OUTAGE_S = 5.0
"""As long as the store answers nobody: an outage is a length of time, not a condition to wait for."""


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


async def test_store_killed_and_restarted(faulty_kafka: RealKafka, safe_store: RealRedis) -> None:
    with running(await _cluster(faulty_kafka, safe_store)) as cluster:

        async def fault() -> None:
            for _ in range(2):
                safe_store.kill()
                await safe_store.start_async()
                back_at = time.monotonic()
                await _commits_again(cluster)
                print(f"store back, every partition commits after {time.monotonic() - back_at:.1f} s")

        await with_fault(cluster, seed=1, fault=fault)
        await finish(cluster)


async def test_store_answers_nobody_for_seconds(faulty_kafka: RealKafka, safe_store: RealRedis) -> None:
    with running(await _cluster(faulty_kafka, safe_store)) as cluster:

        async def fault() -> None:
            os.kill(safe_store.pid, signal.SIGSTOP)
            await asyncio.sleep(OUTAGE_S)
            os.kill(safe_store.pid, signal.SIGCONT)
            await _commits_again(cluster)

        await with_fault(cluster, seed=2, fault=fault)
        await finish(cluster)


async def test_store_comes_back_without_its_last_commits(
    faulty_kafka: RealKafka, safe_store: RealRedis
) -> None:
    """Outputs of the lost commits have left: going on could contradict them."""
    with running(await _cluster(faulty_kafka, safe_store)) as cluster:

        async def fault() -> None:
            await cluster.wait_for_outputs()
            size = _file(safe_store.folder).stat().st_size
            await cluster.wait_for_outputs(
                beyond=[head.produced_through for head in await cluster.heads() if head]
            )
            safe_store.kill()
            os.truncate(_file(safe_store.folder), size)
            await safe_store.start_async()
            await _refused(cluster.workers[0])

        await with_fault(cluster, seed=3, fault=fault, events=15_000)
        await _rebuild(cluster)
        await finish(cluster)


async def _refused(worker: Worker) -> None:
    """It ends by itself, with one line that says what to do."""
    assert await worker.exit_code(30.0) == 1, worker.log()
    (line,) = [line for line in worker.log().splitlines() if "the store has lost commits" in line]
    assert "Run: latido rebuild" in line
    assert "Traceback" not in worker.log()


async def _rebuild(cluster: Cluster) -> None:
    """What the refusal says, and a worker as the command says."""
    done = cluster.command("rebuild")
    assert done.returncode == 0, done.stderr
    assert f"latido worker --namespace {cluster.namespace}-2" in done.stdout
    cluster.use_namespace(f"{cluster.namespace}-2", await letter_ends(cluster.broker))
    cluster.worker()
    await cluster.wait_for_owners(1)


def _file(folder: Path) -> Path:
    """The append-only file. The server drops a last command that is cut in two."""
    (file,) = folder.rglob("*.incr.aof")
    return file


async def test_store_emptied_under_a_running_worker(faulty_kafka: RealKafka, safe_store: RealRedis) -> None:
    """FLUSHALL: refused, also by the next worker; rebuilt, every figure is exact again."""
    with running(await _cluster(faulty_kafka, safe_store)) as cluster:

        async def fault() -> None:
            await cluster.wait_for_outputs()
            await _flush(safe_store)
            await _refused(cluster.workers[0])
            await _refused(cluster.worker())

        await with_fault(cluster, seed=4, fault=fault)
        await _rebuild(cluster)
        await finish(cluster)


async def test_store_emptied_between_runs(faulty_kafka: RealKafka, safe_store: RealRedis) -> None:
    with running(await _cluster(faulty_kafka, safe_store)) as cluster:

        async def fault() -> None:
            await cluster.wait_for_outputs()
            assert await cluster.workers[0].terminate() == 0
            await _flush(safe_store)
            await _refused(cluster.worker())

        await with_fault(cluster, seed=6, fault=fault)
        await _rebuild(cluster)
        await finish(cluster)


async def test_lost_commits_without_outputs_are_counted_again(
    faulty_kafka: RealKafka, safe_store: RealRedis
) -> None:
    """Nobody was told anything: the worker loads what there is, and reads the lost range again."""
    with running(await _cluster(faulty_kafka, safe_store)) as cluster:
        now_ms = time.time_ns() // 1_000_000
        async with producing(cluster.broker) as producer:
            for number in range(50):
                await send(producer, good_events(now_ms + number, f"v{number}"), 1000)
            await cluster.wait_for_read(200)
            await _flush(safe_store)
            await cluster.workers[0].says("claiming again")
            await send(producer, good_events(now_ms + 50, "v50"), 1000)
        await finish(cluster)


async def _flush(store: RealRedis) -> None:
    async with open_redis(store.url) as redis:
        await redis.flushall()
