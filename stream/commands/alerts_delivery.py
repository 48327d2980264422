"""The process `latido alerts`: one task per receiver, each with a consumer group of its own."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Sequence
from typing import Final

import structlog

from schemas.topics import ALERTS, CHURN_SIGNALS
from stream.alerts.delivery import Delivery, keep_delivering
from stream.alerts.news import Receiver
from stream.alerts.sending import sender_for
from stream.commands.failures import DONE, Failed, WrongUse
from stream.commands.receivers import receivers_of
from stream.commands.watching import opened_board
from stream.kafka.errors import WorkerRefused
from stream.kafka.news_reader import news_records
from stream.kafka.topics import describe_topics
from stream.pipeline.ports import AlertsBoard, StoreMisconfigured, StoreUnreachable
from stream.settings import Settings

log = structlog.get_logger("latido.alerts")

TROUBLES: Final = (WorkerRefused, StoreUnreachable, StoreMisconfigured, OSError)
LOOK_AGAIN_S: Final = 30.0
"""How soon a receiver that was enabled is told again."""


async def deliver_until_stopped(settings: Settings) -> int:
    """Deliver until SIGTERM or SIGINT. Raises WrongUse, Failed, BrokerUnreachable, StoreMisconfigured."""
    receivers = receivers_of(settings)
    if not receivers:
        raise WrongUse(
            "nobody is to be told: add a table [[alerts.receivers]] to the settings (docs/alerts.md)"
        )
    await _check_topics(settings, receivers)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with opened_board(settings) as board:
        tasks = [asyncio.create_task(_serve(settings, board, receiver)) for receiver in receivers]
        log.info("delivering", receivers=[receiver.name for receiver in receivers])
        try:
            await _first_of(stop, tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    log.info("stopped")
    return DONE


async def _first_of(stop: asyncio.Event, tasks: Sequence[asyncio.Task[None]]) -> None:
    """Until told to stop. Raises what a task ended with: an address that cannot be used at all."""
    stopping = asyncio.create_task(stop.wait())
    try:
        done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in done - {stopping}:
            task.result()
    finally:
        stopping.cancel()


async def _serve(settings: Settings, board: AlertsBoard, receiver: Receiver) -> None:
    """Tell one receiver, whenever it is not switched off. Raises Failed for an unusable address."""
    topics = [ALERTS, CHURN_SIGNALS] if receiver.churn else [ALERTS]
    group = f"latido-{settings.namespace}-alerts-{receiver.name}"
    options = settings.kafka_options()

    async def switch_off(why: str) -> None:
        await board.write_receiver_off(receiver.fingerprint, why.encode())

    try:
        sender = sender_for(receiver)
    except ValueError as error:
        raise Failed(str(error)) from None
    delivery = Delivery(receiver, sender, settings.alerts.give_up, _wall_ms)
    try:
        while True:
            if not await _is_off(board, receiver):
                await keep_delivering(
                    delivery, lambda: news_records(options, group, topics), switch_off, TROUBLES
                )
            await asyncio.sleep(LOOK_AGAIN_S)
    finally:
        await sender.close()


async def _is_off(board: AlertsBoard, receiver: Receiver) -> bool:
    """Without the store nobody knows: then it is told."""
    with contextlib.suppress(StoreUnreachable):
        return receiver.fingerprint in await board.read_receivers_off()
    return False


async def _check_topics(settings: Settings, receivers: Sequence[Receiver]) -> None:
    """A consumer of a missing topic would create it, with the wrong settings."""
    found = await describe_topics(settings.kafka_options())
    wanted = [ALERTS, *([CHURN_SIGNALS] if any(receiver.churn for receiver in receivers) else [])]
    for topic in wanted:
        if topic not in found:
            raise Failed(f"topic {topic} is missing; run: latido topics create")


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000
