"""The composition root: settings in, opened parts out. Below it nothing reads settings."""

from __future__ import annotations

import asyncio
import gc

import structlog

from stream.kafka import worker
from stream.kafka.worker_settings import WorkerSettings
from stream.pipeline.ports import CUSTOMERS, StoreMisconfigured, StoreUnreachable
from stream.pipeline.unreachable import no_store
from stream.settings import Settings, policy
from stream.settings.alerts import alert_rules
from stream.tables.redis import RedisTables
from stream.tables.redis_board import RedisBoard
from stream.tables.redis_check import check_store
from stream.tables.redis_client import connect

log = structlog.get_logger("latido")


def worker_settings(settings: Settings, *, accept_loss: bool = False) -> WorkerSettings:
    """What the worker is told."""
    return WorkerSettings(
        client_options=settings.kafka_options(),
        namespace=settings.namespace,
        group=settings.group,
        policy=policy(settings),
        alerts=alert_rules(settings.alerts),
        churn=settings.churn,
        accept_loss=accept_loss,
    )


def run_worker(settings: Settings, *, accept_loss: bool = False) -> int:
    """Run a worker until SIGTERM, SIGINT or a refusal. Returns the exit code."""
    # A batch makes thousands of objects that live on and hardly a cycle: looking for these every 700 objects
    # cost 4 to 10 % of the worker's time.
    gc.set_threshold(100_000, 20, 20)
    return asyncio.run(open_worker(settings, accept_loss=accept_loss))


async def open_worker(settings: Settings, *, accept_loss: bool = False) -> int:
    """Check the store, then run a worker until it is told to stop. Returns the exit code."""
    client = None
    try:
        client = connect(settings.redis_url)
        for problem in await check_store(client, settings.replicas):
            if problem.fatal:
                raise StoreMisconfigured(f"{problem.what}; {problem.do}")
            log.warning("store", what=problem.what, do=problem.do)
        tables = RedisTables(client, settings.namespace, replicas=settings.replicas)
        customers = RedisTables(client, settings.namespace, stage=CUSTOMERS, replicas=settings.replicas)
        board = RedisBoard(client, settings.namespace)
        try:
            return await worker.run_worker(
                worker_settings(settings, accept_loss=accept_loss), tables, customers, board
            )
        finally:
            await tables.close()
            await customers.close()
    except StoreUnreachable as error:
        log.error("cannot run", reason=no_store(error))
        return 1
    except StoreMisconfigured as refused:
        log.error("cannot run", reason=str(refused))
        return 1
    finally:
        if client is not None:
            await client.aclose()
