"""kill -9 at each named point of the protocol, one after the other, in the middle of traffic."""

from __future__ import annotations

import random
import sys
from typing import ClassVar

import pytest

from tests.faults.cluster import Cluster, Worker, fresh_topics, running
from tests.faults.dying_worker import POINTS
from tests.faults.rehearsal import GOAL_VARIABLES, finish, with_fault
from tests.servers import RealKafka, RealRedis

pytestmark = pytest.mark.real

_SEED = 29
_DIES_WITHIN_S = 60.0
_KILLED = -9


class DyingWorker(Worker):
    """Kills itself at the `times`-th pass of `point`."""

    name: ClassVar[str] = "dying worker"

    def __init__(self, variables: dict[str, str], point: str, times: int) -> None:
        super().__init__(variables)
        self._fuse = (point, str(times))

    def _command(self) -> list[str]:
        return [sys.executable, "-m", "tests.faults.dying_worker", *self._fuse, "worker"]


async def test_a_crash_at_every_named_point(faulty_kafka: RealKafka, own_redis: RealRedis) -> None:
    await fresh_topics(faulty_kafka.address)
    with running(Cluster(faulty_kafka.address, own_redis.url, **GOAL_VARIABLES)) as cluster:
        passes = random.Random(_SEED)

        async def fault() -> None:
            for point in POINTS:
                worker = DyingWorker(cluster.variables(), point, passes.randint(1, 4))
                cluster.workers.append(worker)
                worker.start()
                assert await worker.exit_code(_DIES_WITHIN_S) == _KILLED, f"{point}:\n{worker.log()[-3000:]}"
            cluster.worker()

        await with_fault(cluster, seed=_SEED, fault=fault)
        await finish(cluster)
