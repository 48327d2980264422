"""Run a worker: check, start, wait for a signal or a failure, stop cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

import structlog

from stream.kafka.errors import WorkerRefused
from stream.kafka.leftovers import keep_quiet
from stream.kafka.producer import probe_broker
from stream.kafka.topics import check_for_worker
from stream.kafka.worker_app import WorkerApp
from stream.kafka.worker_settings import WorkerSettings
from stream.pipeline.ports import Board, PartitionTables, StoreMisconfigured, StoreUnreachable
from stream.pipeline.refusals import TooManyDeadLetters
from stream.pipeline.unreachable import no_store

log = structlog.get_logger("latido.kafka")

# These say all in one line.
_EXPLAINED = (WorkerRefused, StoreMisconfigured, TooManyDeadLetters)
# Of the 10 s that a supervisor gives us after SIGTERM.
_STOP_LIMIT_S = 8.0


async def run_worker(
    settings: WorkerSettings, tables: PartitionTables, customers: PartitionTables, board: Board
) -> int:
    """Run until SIGTERM or SIGINT (returns 0) or until going on would be wrong (returns 1, reason logged)."""
    stop = asyncio.Event()
    keep_quiet(asyncio.get_running_loop())
    # Faust announces each of its services under the names of our modules.
    logging.getLogger("stream.kafka").setLevel(logging.WARNING)
    with _stopping_on_signals(stop):
        try:
            capabilities = await probe_broker(settings.client_options)
            partitions = await check_for_worker(settings, board)
            app = WorkerApp(settings, tables, customers, board, capabilities, partitions)
            return await _run(app, stop)
        except StoreUnreachable as error:
            log.error("cannot run", reason=no_store(error))
            return 1
        except (WorkerRefused, StoreMisconfigured) as refused:
            log.error("cannot run", reason=str(refused))
            return 1


async def _run(app: WorkerApp, stop: asyncio.Event) -> int:
    starting = asyncio.create_task(app.start())
    ends: list[asyncio.Future[Any]] = [
        asyncio.create_task(stop.wait()), asyncio.create_task(app._crashed.wait()), app.failure
    ]  # fmt: skip
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for end in ends[:2]:
            end.cancel()
    reason = _reason(app)
    if reason is not None:
        log.error("stopping", reason=str(reason) or repr(reason), exc_info=_trace(reason))
    if not await _stop(app, starting):
        log.error("stopping took too long: what was not finished is repeated by the next owner")
        _end_now()
    log.info("stopped")
    return 0 if reason is None else 1


def _reason(app: WorkerApp) -> BaseException | None:
    if app.failure.done():
        return app.failure.exception()
    crash: BaseException | None = app.crash_reason
    return crash


def _trace(reason: BaseException) -> BaseException | None:
    """A refusal says all in one line; anything else is a surprise and shows where it came from."""
    return None if isinstance(reason, _EXPLAINED) else reason


async def _stop(app: WorkerApp, starting: asyncio.Task[None]) -> bool:
    async def stop() -> None:
        await app.stop()
        await app.close()
        await app.probe.stop()
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)

    # Not by a cancellation: Faust's services swallow it.
    stopping = asyncio.create_task(stop())
    await asyncio.wait({stopping}, timeout=_STOP_LIMIT_S)
    if not stopping.done():
        return False
    stopping.result()
    return True


def _end_now() -> NoReturn:
    """As kill -9 would, which the protocol allows at any moment: threads of the clients may wait for ever."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


@contextlib.contextmanager
def _stopping_on_signals(stop: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
