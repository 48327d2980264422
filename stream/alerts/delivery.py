"""One receiver's news, in order, each until it is taken, too old, or the receiver is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Final

import structlog
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    RetryError,
    retry_if_exception_type,
    wait_exponential_jitter,
)

from stream.alerts.news import News, NotNews, Receiver, read_news
from stream.alerts.sending import ReceiverGone, Refused, Sender

log = structlog.get_logger("latido.alerts")

FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 300.0
JITTER_S: Final = 1.0
"""Receivers that failed together are not all asked again at the same moment."""
LONGEST_RETRY_AFTER_S: Final = 3600.0
"""Who asks for more is asked again all the same, once an hour."""

Record = tuple[str, bytes | None, int]
"""Topic, value, and when it was written (ms)."""
Sleep = Callable[[float], Awaitable[None]]


class Delivery:
    """Delivers to one receiver. `wall_ms` and `sleep` are the clock."""

    def __init__(
        self, receiver: Receiver, sender: Sender, give_up_ms: int, wall_ms: Callable[[], int],
        sleep: Sleep = asyncio.sleep,
    ) -> None:  # fmt: skip
        self.receiver = receiver
        self._sender = sender
        self._give_up_ms = give_up_ms
        self._wall_ms = wall_ms
        self._sleep = sleep
        self._backoff = wait_exponential_jitter(FIRST_PAUSE_S, LONGEST_PAUSE_S, jitter=JITTER_S)

    async def run(self, records: AsyncIterator[Record]) -> None:
        """Deliver what the receiver wants of these; asking for the next says that one is done.

        Raises ReceiverGone, and whatever reading raises.
        """
        async for topic, value, told_ms in records:
            if value is None:
                continue
            try:
                news = read_news(topic, value, told_ms)
            except NotNews as error:
                log.warning("not delivered", receiver=self.receiver.name, topic=topic, reason=str(error))
                continue
            if self.receiver.wants(news):
                await self.deliver(news)

    async def deliver(self, news: News) -> bool:
        """Whether it was taken; False when it is too old by now. Raises ReceiverGone."""
        known = {"receiver": self.receiver.name, "id": news.id, "type": news.type}
        if self._is_old(news):
            log.info("not delivered", **known, reason="it is older than give_up")
            return False
        try:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type(Refused),
                wait=self._pause,
                stop=lambda _: self._is_old(news),
                sleep=self._sleep,
                before_sleep=lambda state: _tell(state, known),
            ):
                with attempt:
                    await self._sender.send(news, self._wall_ms())
        except RetryError as error:
            log.error("not delivered", **known, reason=f"given up: {error.last_attempt.exception()}")
            return False
        log.info("delivered", **known)
        return True

    def _pause(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome is not None else None
        asked_s = error.retry_after_s if isinstance(error, Refused) else 0.0
        return max(self._backoff(state), min(asked_s, LONGEST_RETRY_AFTER_S))

    def _is_old(self, news: News) -> bool:
        return self._wall_ms() - news.told_ms >= self._give_up_ms


def _tell(state: RetryCallState, known: dict[str, str]) -> None:
    """Every attempt that failed, with when the next one is."""
    error = state.outcome.exception() if state.outcome is not None else None
    log.warning(
        "trying again", **known, attempt=state.attempt_number, reason=str(error),
        after_s=round(state.upcoming_sleep, 1),
    )  # fmt: skip


async def _until_gone(
    delivery: Delivery, records: AsyncIterator[Record], switch_off: Callable[[str], Awaitable[None]]
) -> None:
    try:
        await delivery.run(records)
    except ReceiverGone as gone:
        name = delivery.receiver.name
        log.error("receiver switched off", receiver=name, reason=str(gone),
                  do=f"latido alerts enable {name}, once it wants to hear again")  # fmt: skip
        await switch_off(str(gone))


READ_AGAIN_S: Final = 5.0


async def keep_delivering(
    delivery: Delivery,
    records: Callable[[], AsyncGenerator[Record]],
    switch_off: Callable[[str], Awaitable[None]],
    troubles: tuple[type[Exception], ...],
    sleep: Sleep = asyncio.sleep,
) -> None:
    """Deliver until the receiver is gone, which is written down; begin again after any other trouble.

    troubles: those that say all in one line; any other one is a surprise, and stops nobody else all the same.
    """
    name = delivery.receiver.name
    while True:
        try:
            async with aclosing(records()) as stream:
                await _until_gone(delivery, stream, switch_off)
            return
        except troubles as error:
            log.warning("delivery waits", receiver=name, reason=str(error) or repr(error))
        except Exception:
            log.exception("delivery waits", receiver=name)
        await sleep(READ_AGAIN_S)
