"""Two workers, 300 000 events at a pace, each worker killed in the middle: nothing lost, nothing twice."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import time
from collections.abc import Sequence
from itertools import pairwise

import pytest

from stream.demo.plain_log import Goal, Rules
from tests.faults.cluster import Cluster, Worker, fresh_topics, running, wait_until
from tests.faults.readback import read_log
from tests.faults.sending import producing, send
from tests.faults.traffic import GOALS, SEGMENTS, Sent, mixed
from tests.faults.verdict import check, check_figures, ends_of, read_board
from tests.servers import RealKafka, RealRedis

pytestmark = [pytest.mark.real, pytest.mark.slow]

SEED = int(os.environ.get("FAULTS_SEED", "20261122"))
EVENTS = 300_000
EVENTS_PER_S = 5_000
KILLS_AT = (0.3, 0.65)
TAKEN_OVER_WITHIN_S = 30.0
"""Loose: measured are about 6 s; beyond this something is broken, not slow."""

RULES = Rules(
    goals=(
        Goal("signup", "form", "signup"),
        Goal("thanked", "page", "/thanks*"),
        Goal("top", "element", "cta-top"),
    ),
    funnels=(("order", (Goal("top", "element", "cta-top"), Goal("thanked", "page", "/thanks*"))),),
    pairs=(("channel", "device"), ("landing_page", "channel")),
)


async def test_two_workers_killed_in_turn_lose_and_double_nothing(
    faulty_kafka: RealKafka, own_redis: RealRedis
) -> None:
    await fresh_topics(faulty_kafka.address)
    records = mixed(SEED, EVENTS, end_ms=time.time_ns() // 1_000_000)
    with running(
        Cluster(faulty_kafka.address, own_redis.url, LATIDO_GOALS=json.dumps(GOALS), **SEGMENTS)
    ) as cluster:
        recoveries = await _run(cluster, records)
        log = await read_log(cluster.broker)
        assert len(log) >= EVENTS
        await cluster.wait_for_read(len(log))
        board = await read_board(cluster, ends_of(log))
        assert [await worker.terminate() for worker in cluster.workers] == [0, 0], cluster.logs()
        verdict = await check(cluster, RULES, log)
        figures = check_figures(board, verdict.truth)
    assert {"open", "ended", "final"} <= verdict.states.keys(), verdict.states
    for part in ("counted", "duplicates", "conflicts", "late", "refused", "no_consent"):
        assert verdict.truth.accounting[part] > 0, f"the traffic has no {part}"
    seconds = f"p50 {statistics.median(recoveries):.1f} s, max {max(recoveries):.1f} s"
    print(f"\nseed {SEED}, events {EVENTS}, kills {len(KILLS_AT)}, recovery {seconds}\n{verdict}\n{figures}")


async def _run(cluster: Cluster, records: Sequence[Sent]) -> list[float]:
    """Send everything; between the parts kill one worker each. Returns seconds to recover, per partition."""
    workers = [cluster.worker()]
    nonces = [await cluster.wait_for_owners(1)]
    workers.append(cluster.worker())
    nonces.append(await cluster.wait_for_owners(2) - nonces[0])
    recoveries: list[float] = []
    borders = [0, *(int(share * len(records)) for share in KILLS_AT), len(records)]
    async with producing(cluster.broker) as producer:
        await send(producer, records[: borders[1]], EVENTS_PER_S)
        for turn, (start, end) in enumerate(pairwise(borders[1:])):
            victim = turn % len(workers)
            sending = asyncio.create_task(send(producer, records[start:end], EVENTS_PER_S))
            recoveries += await _kill(cluster, workers[victim], nonces[victim])
            nonces[victim] = await cluster.wait_for_owners(2) - nonces[1 - victim]
            await sending
    return recoveries


async def _kill(cluster: Cluster, worker: Worker, nonces: set[str]) -> list[float]:
    """kill -9, start again at once. Returns the seconds until each of its partitions commits again."""
    worker.kill()
    killed_at = time.monotonic()
    before = await cluster.owners()
    lost = [number for number, (nonce, _) in enumerate(before) if nonce in nonces]
    assert len(lost) == 2, before
    worker.start()
    recovered: dict[int, float] = {}

    async def all_recovered() -> bool:
        now = await cluster.owners()
        for number in lost:
            (old, old_commit), (new, commit) = before[number], now[number]
            if new != old and commit != old_commit:
                recovered.setdefault(number, time.monotonic() - killed_at)
        return len(recovered) == len(lost)

    await wait_until(all_recovered, TAKEN_OVER_WITHIN_S, cluster.logs)
    return list(recovered.values())
