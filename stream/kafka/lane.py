"""One partition number in this worker: its claimed state, its outbox, and what to do when a step fails."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import msgspec
import structlog

from stream.kafka.fetched import Fetched, Reply
from stream.kafka.outbox import Outbox
from stream.pipeline.claimed import Claimed, Fenced, Head, SkippedAhead, WentBack
from stream.pipeline.ports import StateTorn, StoreUnreachable
from stream.pipeline.refusals import TooManyDeadLetters

log = structlog.get_logger("latido.kafka")

_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0
# How long a worker that stops because of its dead letters waits for them to be where they can be read.
_LETTERS_LEAVE_WITHIN_S = 20.0


class Keeper(Protocol):
    """What a lane asks of the assignment that holds it."""

    def lane_lost(self, lane: Lane, reason: str) -> None:
        """The state is void: claim, load and place again."""

    async def seek_back(self, lane: Lane, topic: str, offset: int) -> None: ...

    def hold(self, lane: Lane, topics: set[str]) -> None:
        """Pause these topics, and no others."""

    def broken(self, error: BaseException) -> None:
        """Nothing mends this: the worker must stop."""


class Lane:
    """`partition` is None while it is being claimed. One step at a time: batch, tick or resent commit."""

    def __init__(self, number: int, topics: frozenset[str], keeper: Keeper) -> None:
        self.number = number
        self.topics = topics
        self.tickets: dict[str, int] = {}
        self.partition: Claimed[Head] | None = None
        self.outbox: Outbox | None = None
        self._keeper = keeper
        self._lock = asyncio.Lock()
        self._closing = asyncio.Event()
        self._replied_ms: dict[str, int] = {}
        self._alarm: TooManyDeadLetters | None = None
        self._alarm_at_s = 0.0

    @property
    def closing(self) -> bool:
        return self._closing.is_set()

    def open(self, partition: Claimed[Head], outbox: Outbox, replies: Mapping[str, Reply | None]) -> None:
        """The claim is made. Replies that came before it say nothing about it."""
        self._replied_ms = {topic: reply.arrived_ms if reply else 0 for topic, reply in replies.items()}
        self.partition, self.outbox = partition, outbox
        outbox.wake()

    def stop_waiting(self) -> None:
        """The partition is being taken away: finish the step, do not wait for the store."""
        self._closing.set()
        if self.outbox is not None:
            self.outbox.stop_waiting()

    async def close(self) -> None:
        self._closing.set()
        outbox, self.partition, self.outbox = self.outbox, None, None
        if outbox is not None:
            await outbox.close()

    def drop(self) -> Outbox | None:
        """Forget the state; the outbox is to be closed by the caller."""
        outbox, self.partition, self.outbox = self.outbox, None, None
        self.tickets.clear()
        return outbox

    def is_current(self, fetched: Fetched) -> bool:
        return self.partition is not None and self.tickets.get(fetched.batch.topic) == fetched.ticket

    async def process(
        self, fetched: Fetched, replies: Mapping[str, Reply | None], wall_ms: Callable[[], int]
    ) -> None:
        """Apply one batch, unless it belongs to an older placement."""
        if self.outbox is not None:
            await self.outbox.wait_for_room()
        async with self._lock:
            partition = self.partition
            if partition is None or self.closing or self._alarm or not self.is_current(fetched):
                return
            if not self._note(partition, replies):
                return
            batch = fetched.batch
            newest = replies.get(batch.topic)
            if newest is not None and newest.log_end > batch.log_end:
                # The end as it is known now: by that of an old reply the topic would seem caught up while
                # more of it waits in the queue.
                batch = msgspec.structs.replace(batch, log_end=newest.log_end)
            await self._step(partition, lambda: partition.process(batch, wall_ms()), batch.topic)

    async def tick(
        self, replies: Mapping[str, Reply | None], wall_ms: Callable[[], int], shared_live_ms: int | None
    ) -> None:
        async with self._lock:
            partition = self.partition
            if partition is not None and not self.closing and self._note(partition, replies):
                await self._step(partition, lambda: partition.tick(wall_ms(), shared_live_ms), None)
                self._stop_when_letters_left(partition)

    def _stop_when_letters_left(self, partition: Claimed[Head]) -> None:
        """What made the worker stop must be there for people to read, and not be sent again."""
        if self._alarm is None:
            return
        head = partition.head
        left = head is not None and head.produced_through == head.outbox_next - 1
        if left or time.monotonic() - self._alarm_at_s > _LETTERS_LEAVE_WITHIN_S:
            self._keeper.broken(self._alarm)

    def _note(self, partition: Claimed[Head], replies: Mapping[str, Reply | None]) -> bool:
        """Tell the partition how far its logs reach. False when one of them cannot be the log we read."""
        for topic, reply in replies.items():
            if reply is not None and reply.arrived_ms != self._replied_ms.get(topic):
                self._replied_ms[topic] = reply.arrived_ms
                partition.replied(topic, reply.log_end, reply.arrived_ms)
                if reply.log_end < partition.positions[topic]:
                    # Another log under the same name, or a truncated one: the claim looks closer.
                    self._keeper.lane_lost(self, f"{topic} ends at {reply.log_end}, below our position")
                    return False
        return True

    async def _step(
        self, partition: Claimed[Head], step: Callable[[], Awaitable[None]], topic: str | None
    ) -> None:
        try:
            await self._until_answered(partition, step)
        except SkippedAhead as skipped:
            assert topic is not None
            log.info("seeking back", partition=self.number, topic=topic, reason=str(skipped))
            await self._keeper.seek_back(self, topic, skipped.position)
        except (Fenced, WentBack, StateTorn) as error:
            if self.partition is partition:
                self._keeper.lane_lost(self, str(error))
        except TooManyDeadLetters as error:
            self._alarm, self._alarm_at_s = error, time.monotonic()
            if self.outbox is not None:
                self.outbox.wake()
        except asyncio.CancelledError:
            raise
        except Exception as error:  # a bug, or a store that no retry mends: memory may be ahead of the store
            self._keeper.broken(error)
        else:
            if self.outbox is not None and self.partition is partition:
                self.outbox.wake()
                self._keeper.hold(self, partition.ahead())

    async def _until_answered(self, partition: Claimed[Head], step: Callable[[], Awaitable[None]]) -> None:
        """A step that got no answer from the store: send the same commit again, then see what is left."""
        pause_s = _PAUSE_S
        unanswered = False
        while True:
            try:
                if unanswered:
                    await partition.resume()
                await step()
                self._answered(unanswered)
                return
            except (Fenced, WentBack, StateTorn):
                self._answered(unanswered)
                raise
            except StoreUnreachable as error:
                unanswered = True
                log.warning("the store does not answer", partition=self.number, reason=str(error))
            if await self._closed_within(pause_s):
                return
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _answered(self, after_silence: bool) -> None:
        """Also a refusal is an answer."""
        if after_silence:
            log.info("the store answers again", partition=self.number)

    async def _closed_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._closing.wait(), seconds)
        except TimeoutError:
            return False
        return True
