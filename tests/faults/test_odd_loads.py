"""Loads and clocks that no test of a plain shop brings along."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from schemas.times import rfc3339
from schemas.topics import PAGE_VIEWS
from tests.faults.cluster import Cluster, Worker
from tests.faults.rehearsal import GOAL_VARIABLES, finish, with_fault
from tests.faults.sending import producing, send
from tests.faults.traffic import HOUR_MS, MINUTE_MS, SECOND_MS, Sent, encode

pytestmark = pytest.mark.real

_VIEWS = 30_000
_VIEWS_PER_S = 6_000


def _views_of_a_robot(seed: int, end_ms: int) -> Iterator[Sent]:
    """Half of all views are one visitor's, and each is of a page of its own."""
    rng = random.Random(seed)
    span_ms = 2 * HOUR_MS
    for number in range(_VIEWS):
        visitor = "robot" if number % 2 else f"v-{rng.randrange(3000)}"
        t = end_ms - span_ms + number * span_ms // _VIEWS
        event = {"event_id": f"e{number}", "type": "page_view", "visitor_id": visitor, "url": f"/p/{number}",
                 "occurred_at": rfc3339(t)}  # fmt: skip
        yield Sent(PAGE_VIEWS, visitor.encode(), encode(event))


async def test_a_visitor_with_half_of_the_traffic_and_a_page_for_every_view(cluster: Cluster) -> None:
    """More pages than a partition keeps apart, and a visit of more events than one is meant to have."""
    records = list(_views_of_a_robot(33, time.time_ns() // 1_000_000))
    cluster.worker(**GOAL_VARIABLES)
    await cluster.wait_for_owners(1)
    async with producing(cluster.broker) as producer:
        await send(producer, records, _VIEWS_PER_S)
    verdict = await finish(cluster, cut=("landing_page", "exit_page"))
    assert verdict.truth.accounting["counted"] == _VIEWS


class ShiftedWorker(Worker):
    """Its wall clock is off by what `offset_file` says."""

    name: ClassVar[str] = "worker with a clock of its own"

    def __init__(self, variables: dict[str, str], offset_file: Path) -> None:
        super().__init__(variables)
        self._offset_file = offset_file

    def _command(self) -> list[str]:
        return [sys.executable, "-m", "tests.faults.shifted_worker", str(self._offset_file), "worker"]


async def test_a_wall_clock_that_jumps(cluster: Cluster, tmp_path: Path) -> None:
    """Two hours ahead, an hour behind, right again: what is shown runs ahead, nothing is dropped."""
    offset = tmp_path / "offset"
    offset.write_text("0")
    worker = ShiftedWorker(cluster.variables(**GOAL_VARIABLES), offset)
    cluster.workers.append(worker)
    worker.start()
    await cluster.wait_for_owners(1)

    async def fault() -> None:
        for jump_ms in (2 * HOUR_MS, -HOUR_MS, 90 * SECOND_MS, 0, -MINUTE_MS, 0):
            offset.write_text(str(jump_ms))
            await asyncio.sleep(1.5)  # the fault itself: a clock that is wrong for a while

    await with_fault(cluster, seed=34, fault=fault)
    verdict = await finish(cluster)
    assert not verdict.letters.late_by_other_topic
