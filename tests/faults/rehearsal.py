"""One run with a fault in its middle: traffic before, during and after it, then the comparison."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Collection

from stream.demo.plain_log import Goal, Rules
from tests.faults.cluster import Cluster
from tests.faults.readback import read_log
from tests.faults.sending import producing, send
from tests.faults.traffic import GOALS, MINUTE_MS, SEGMENTS, mixed
from tests.faults.verdict import Verdict, check, check_figures, ends_of, read_board

RULES = Rules(
    goals=(
        Goal("signup", "form", "signup"),
        Goal("thanked", "page", "/thanks*"),
        Goal("top", "element", "cta-top"),
    ),
    funnels=(("order", (Goal("top", "element", "cta-top"), Goal("thanked", "page", "/thanks*"))),),
    pairs=(("channel", "device"), ("landing_page", "channel")),
)
"""The goals of the traffic as the recomputation reads them."""
GOAL_VARIABLES = {"LATIDO_GOALS": json.dumps(GOALS), **SEGMENTS}

EVENTS = 6_000
EVENTS_PER_S = 1_000
# Long enough for sessions that are final at the end, short enough that topics stay together in event time.
SPAN_MS = 80 * MINUTE_MS


async def with_fault(
    cluster: Cluster, seed: int, fault: Callable[[], Awaitable[None]], events: int = EVENTS
) -> None:
    """Send a third, cause the fault while the second third is sent, send the rest; wait until all is read."""
    records = mixed(seed, events, time.time_ns() // 1_000_000, SPAN_MS, visitors=600)
    third = events // 3
    async with producing(cluster.broker) as producer:
        await send(producer, records[:third], EVENTS_PER_S)
        sending = asyncio.create_task(send(producer, records[third : 2 * third], EVENTS_PER_S))
        try:
            await fault()
        finally:
            await sending
        await send(producer, records[2 * third :], EVENTS_PER_S)


async def finish(cluster: Cluster, cut: Collection[str] = ()) -> Verdict:
    """Wait until everything is counted, stop the workers that run, and compare everything.

    cut: see `check_figures`.
    """
    log = await read_log(cluster.broker)
    await cluster.wait_for_read(len(log))
    board = await read_board(cluster, ends_of(log))
    await cluster.wait_for_drained()
    codes = [await worker.terminate() for worker in cluster.workers if worker.running]
    assert set(codes) == {0}, cluster.logs()
    verdict = await check(cluster, RULES, log)
    print(f"\n{verdict}, {check_figures(board, verdict.truth, cut)}")
    return verdict
