"""The network between the workers and a server is cut, left half open, and slow."""

from __future__ import annotations

import asyncio
from typing import Final

import pytest

from stream.demo.child_process import HOST, free_port
from tests.faults.cluster import Cluster, fresh_topics, running
from tests.faults.proxy import Proxy
from tests.faults.rehearsal import GOAL_VARIABLES, finish, with_fault
from tests.faults.test_worker_faults import complaints
from tests.servers import RealKafka, RealRedis

pytestmark = pytest.mark.real

CUT_S: Final = 3.0
HALF_OPEN_S: Final = 8.0
"""Longer than the session timeout: the group gives the partitions away meanwhile."""
SLOW_S: Final = 3.0
DELAY_S: Final = 0.1


async def disturb(proxy: Proxy, cluster: Cluster) -> None:
    """All three, one after the other; after each the worker must count on."""
    await proxy.cut()
    await asyncio.sleep(CUT_S)
    await proxy.mend()
    await cluster.wait_for_owners(1)
    proxy.half_open()
    await asyncio.sleep(HALF_OPEN_S)
    await proxy.mend()
    await cluster.wait_for_owners(1)
    proxy.slow(DELAY_S)
    await asyncio.sleep(SLOW_S)
    await proxy.mend()


async def test_between_worker_and_store(faulty_kafka: RealKafka, own_redis: RealRedis) -> None:
    await fresh_topics(faulty_kafka.address)
    async with Proxy(free_port(), own_redis.port) as proxy:
        cluster = Cluster(faulty_kafka.address, own_redis.url, **GOAL_VARIABLES)
        with running(cluster):
            worker = cluster.worker(LATIDO_REDIS=f"redis://{proxy.address}/0")
            await cluster.wait_for_owners(1)
            await with_fault(cluster, seed=31, fault=lambda: disturb(proxy, cluster))
            await finish(cluster)
            assert not complaints(worker)


async def test_between_worker_and_broker(own_redis: RealRedis) -> None:
    """The broker names the proxy to whoever comes through it, as a broker behind a firewall does."""
    door, far_door = free_port(), free_port()
    kafka = RealKafka(port=free_port())
    kafka.settings = {
        "listeners": f"PLAINTEXT://{HOST}:{kafka.port},FAR://{HOST}:{far_door},"
        f"CONTROLLER://{HOST}:{kafka.controller_port}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{kafka.port},FAR://{HOST}:{door}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,FAR:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
    }
    with kafka:
        await fresh_topics(kafka.address)
        async with Proxy(door, far_door) as proxy:
            cluster = Cluster(kafka.address, own_redis.url, **GOAL_VARIABLES)
            with running(cluster):
                worker = cluster.worker(LATIDO_BROKER=proxy.address)
                await cluster.wait_for_owners(1)
                await with_fault(cluster, seed=32, fault=lambda: disturb(proxy, cluster))
                await finish(cluster)
                assert not complaints(worker)
