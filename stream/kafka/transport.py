"""Faust's transport, one message per fetched batch, read from positions that the store names.

Stock Faust makes one message per record (16 thousand events/s), reads uncommitted records, and starts from
the group's offsets. Here a message carries all that one fetch brought for one topic-partition. Where to
read is said by `place`; what is not placed is not read. The group's offset is still committed, for lag
tools only.

All positions live in the consumer's thread, so that a seek and a fetch cannot overtake each other: every
batch names the ticket of the placement that it follows, and batches of an older ticket are void.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, cast

import aiokafka
import faust
import structlog
from aiokafka.errors import (
    ConsumerStoppedError,
    IllegalStateError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)
from aiokafka.structs import OffsetAndMetadata
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from stream.kafka.fetched import Fetched, OutOfRange, Place, Reply
from stream.kafka.leftovers import keep_quiet
from stream.kafka.log_probe import fetch_state, log_end
from stream.kafka.plain_records import PlainRecords
from stream.kafka.worker_settings import WorkerSettings
from stream.pipeline.batch import Batch, Record

log = structlog.get_logger("latido.kafka")

# A fetch waits this long for a first byte. Also how soon a quiet topic answers after a placement.
_FETCH_WAIT_MS = 250
# A commit to the group is for lag tools only. (For a deleted topic aiokafka tries it for ever.)
_COMMIT_LIMIT_S = 2.0


class _Wanted:
    """What a fetch may hand out, asked anew for every partition. (aiokafka reads an empty set as 'all'.)

    Nothing while the flow is stopped: a fetch that began before a rebalance may still be waiting when the
    first partitions are placed again, and the consumer drops what comes before the flow resumes. (Seen: a
    batch handed out in that moment was lost, its partition stood still until the watchdog ended the worker.)
    """

    def __init__(self, thread: BatchThread) -> None:
        self._thread = thread

    def __contains__(self, tp: TP) -> bool:
        thread = self._thread
        place = thread.placed.get(tp)
        if place is None or tp in thread.held or not thread.consumer.flow_active:
            return False
        return place.ahead == 0 or thread.has_room


class BatchThread(driver.AIOKafkaConsumerThread):
    """The consumer's thread. Methods with an underscore run in it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.placed: dict[TP, Place] = {}
        self._some_placed: asyncio.Event | None = None
        self.held: set[TP] = set()
        self._wanted = _Wanted(self)

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        settings = cast(BatchConsumer, self.consumer).settings
        self._assignor = self.app.assignor
        self._some_placed = asyncio.Event()
        return aiokafka.AIOKafkaConsumer(
            **settings.client_options,
            client_id=f"latido-{settings.namespace}",
            group_id=settings.group,
            partition_assignment_strategy=[self._assignor],
            enable_auto_commit=False,
            # Out of range means lost records or another topic: never jump over them in silence.
            auto_offset_reset="none",
            isolation_level="read_committed",
            # None: all that was fetched, in one go.
            max_poll_records=None,
            # aiokafka counts from the last fetch that *returned* something: an idle spare would leave for
            # ever.
            max_poll_interval_ms=100_000_000_000,
            max_partition_fetch_bytes=settings.fetch_bytes,
            fetch_max_wait_ms=_FETCH_WAIT_MS,
            request_timeout_ms=settings.request_timeout_ms,
            session_timeout_ms=settings.session_timeout_ms,
            rebalance_timeout_ms=settings.rebalance_timeout_ms,
            heartbeat_interval_ms=settings.heartbeat_ms,
            metadata_max_age_ms=settings.metadata_age_ms,
            check_crcs=True,
        )

    async def on_start(self) -> None:
        await super().on_start()
        keep_quiet(self.thread_loop)
        self._ensure_consumer()._fetcher._records = PlainRecords()

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Never worth waiting for, nor crashing for."""
        consumer = self._ensure_consumer()
        assigned = self.assignment()
        wanted = {
            driver.ensure_aiokafka_TP(tp): OffsetAndMetadata(offset, "")
            for tp, offset in offsets.items()
            if tp in assigned
        }
        try:
            async with asyncio.timeout(_COMMIT_LIMIT_S):
                await consumer.commit(wanted)
        except (TimeoutError, KafkaError) as error:
            log.debug("the group's offsets wait", reason=str(error) or repr(error))
            return False
        return True

    async def on_thread_stop(self) -> None:
        """While the broker is gone, aiokafka lets the cancellation of its own fetch out of `stop`.

        The thread would die of it, and Faust wait for ever for a thread that does not say that it ended.
        """
        try:
            await super().on_thread_stop()
        except asyncio.CancelledError:
            await self._ensure_consumer()._client.close()

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        self._withdraw_all()
        await super().on_partitions_revoked(revoked)

    def _withdraw_all(self) -> None:
        self.placed.clear()
        self.held.clear()
        if self._some_placed is not None:
            self._some_placed.clear()

    async def place(self, offsets: Mapping[TP, int], ticket: int) -> bool:
        """Read on from these offsets. False when one of them is not assigned to us any more."""
        return bool(await self.call_thread(self._place, dict(offsets), ticket))

    async def _place(self, offsets: dict[TP, int], ticket: int) -> bool:
        consumer = self._ensure_consumer()
        try:
            for tp, offset in offsets.items():
                consumer.seek(driver.ensure_aiokafka_TP(tp), offset)
                self.placed[tp] = Place(offset, ticket)
        except IllegalStateError:
            return False
        if self._some_placed is not None:
            self._some_placed.set()
        return True

    async def withdraw(self, tps: Collection[TP]) -> None:
        """Read these no further until they are placed again."""
        await self.call_thread(self._withdraw, tps)

    async def _withdraw(self, tps: Collection[TP]) -> None:
        for tp in tps:
            self.placed.pop(tp, None)

    async def fetch(self, timeout: float) -> list[Fetched | OutOfRange]:
        found: list[Fetched | OutOfRange] = await self.call_thread(self._fetch, timeout)
        return found

    async def _fetch(self, timeout: float) -> list[Fetched | OutOfRange]:
        consumer = self._ensure_consumer()
        if consumer._closed or consumer._fetcher._closed:
            raise ConsumerStoppedError
        if not self.placed:
            await self._wait_for_a_place(timeout)
            return []
        if not self.consumer.flow_active:
            return []
        try:
            with consumer._fetcher._subscriptions.fetch_context():
                records = await consumer._fetcher.fetched_records(self._wanted, timeout=timeout)
        except OffsetOutOfRangeError as error:
            return self._out_of_range(error)
        except NoOffsetForPartitionError:  # of a partition that was not placed yet
            return []
        return self._hand_out(records)

    @property
    def has_room(self) -> bool:
        """Whether more may be read ahead of those that have a batch waiting.

        Whoever has none may always have one, so that in a backlog all of them move. (Faust's own way frees
        any one of those it stopped when half of the queue is worked off. Seen: three partitions filled it
        again each time, and the fourth stood still until the watchdog ended the worker.)
        """
        limit = cast(BatchConsumer, self.consumer).settings.buffered_batches
        return sum(place.ahead for place in self.placed.values()) < limit

    def applied(self, fetched: Fetched) -> None:
        """The batch is applied, or void: there is room. Callable from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: the worker stops
            self.thread_loop.call_soon_threadsafe(self._applied, fetched)

    def _applied(self, fetched: Fetched) -> None:
        place = self.placed.get(TP(fetched.batch.topic, fetched.batch.partition))
        if place is not None and place.ticket == fetched.ticket:
            place.ahead -= 1
            self._wake_fetch()

    def look_again(self) -> None:
        """More may be handed out than a moment ago. Callable from any thread.

        A waiting fetch looks again only when new records arrive, and none are asked for while those that
        were held back still lie there: it would wait out its time (seen: numbers stood still for seconds).
        """
        self.thread_loop.call_soon_threadsafe(self._wake_fetch)

    def _wake_fetch(self) -> None:
        fetcher = self._ensure_consumer()._fetcher
        for waiter in list(fetcher._fetch_waiters):
            fetcher._notify(waiter)

    async def _wait_for_a_place(self, timeout: float) -> None:
        assert self._some_placed is not None
        self._some_placed.clear()
        try:
            await asyncio.wait_for(self._some_placed.wait(), timeout)
        except TimeoutError:
            return

    def _out_of_range(self, error: OffsetOutOfRangeError) -> list[Fetched | OutOfRange]:
        """An error may be older than the placement; then it names another offset."""
        offsets: Mapping[TP, int] = error.args[0]
        found: list[Fetched | OutOfRange] = []
        for tp, offset in offsets.items():
            place = self.placed.get(TP(tp.topic, tp.partition))
            if place is not None and place.position == offset:
                found.append(OutOfRange(TP(tp.topic, tp.partition), place.ticket))
        return found

    def _hand_out(self, records: Mapping[TP, Sequence[Record]]) -> list[Fetched | OutOfRange]:
        """A batch for every position that moved: over aborted records and markers it moves without any."""
        found: list[Fetched | OutOfRange] = []
        for tp, place in self.placed.items():
            state = self._state(tp)
            if state is None or not state.has_valid_position:
                continue
            end: int = state.position
            if end == place.position:
                continue
            readable_end = log_end(state)
            assert readable_end is not None  # a position moves by a fetch reply only
            batch = Batch(tp.topic, tp.partition, records.get(tp, ()), place.position, end, readable_end)
            found.append(Fetched(batch, place.ticket))
            place.position = end
            place.ahead += 1
        return found

    def _state(self, tp: TP) -> Any:
        return fetch_state(self._ensure_consumer(), driver.ensure_aiokafka_TP(tp))

    def reply(self, tp: TP) -> Reply | None:
        """The newest fetch reply since the assignment, None before the first. Callable from any thread."""
        state = self._state(tp)
        end = log_end(state)
        return None if end is None else Reply(int(state.timestamp), end)

    async def heartbeat(self, generation: int) -> bool:
        """Ask the group now: are we still a member of this generation?"""
        return bool(await self.call_thread(self._heartbeat, generation))

    async def _heartbeat(self, generation: int) -> bool:
        coordinator = self._ensure_consumer()._coordinator
        subscription = self._ensure_consumer()._subscription.subscription
        if coordinator.generation != generation or coordinator.need_rejoin(subscription):
            return False
        answered: bool = await coordinator._do_heartbeat()
        # A group that is rebalancing answers, too; then the partition may be given away this moment.
        return answered and coordinator.generation == generation and not coordinator.need_rejoin(subscription)

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Faust's own check looks at the group's offsets; ours is watchdog.py."""


class _NoReadOffset(dict[TP, Any]):
    """Faust drops what lies below the highest offset it saw; we do read again, after a seek back."""

    def __getitem__(self, tp: TP) -> None:
        return None


AssignmentHook = Callable[[int, frozenset[TP]], Awaitable[None]]
RevocationHook = Callable[[], Awaitable[None]]


class BatchConsumer(driver.Consumer):
    """The first four are set by the app before it starts."""

    settings: WorkerSettings
    on_assigned: AssignmentHook
    on_revoked: RevocationHook
    on_out_of_range: Callable[[OutOfRange], None]
    _thread: BatchThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._read_offset = _NoReadOffset()

    def _new_consumer_thread(self) -> BatchThread:
        return BatchThread(self, loop=self.loop, beacon=self.beacon)

    @property
    def thread(self) -> BatchThread:
        return self._thread

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:
        """What is dropped here when the flow stops was taken before: the coming assignment places anew."""
        if not self.flow_active:
            await self.wait(self.can_resume_flow.wait())
        for fetched in await self._thread.fetch(timeout):
            if not self.flow_active or self.should_stop:
                return
            if isinstance(fetched, OutOfRange):
                self.on_out_of_range(fetched)
                continue
            batch = fetched.batch
            tp = TP(batch.topic, batch.partition)
            arrived_s = batch.records[-1].timestamp / 1000 if batch.records else 0.0
            yield tp, ConsumerMessage(
                batch.topic, batch.partition, batch.end - 1, arrived_s, 0, None, None, cast(Any, fetched),
                # Faust skips messages of an older generation. A fetch may wait through a rebalance and bring
                # what was placed after it, so the generation is that of now; the ticket tells old from new.
                None, None, None, tp, generation_id=self.app.consumer_generation_id,
            )  # fmt: skip

    async def perform_seek(self) -> None:
        """Called by Faust after every assignment, right before the flow resumes: claim, load, place."""
        self._committed_offset.clear()
        await self.on_assigned(self.app.consumer_generation_id, frozenset(self.assignment()))

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Faust waits here for the batch being processed; our claims end before it and the state after."""
        await self.on_revoked()
        await super().on_partitions_revoked(revoked)

    def on_buffer_full(self, tp: TP) -> None:
        """Batches are counted in BatchThread: see `has_room`."""

    def on_buffer_drop(self, tp: TP) -> None:
        """As `on_buffer_full`."""

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """The offsets inside a batch are no gap."""

    def _new_offset(self, tp: TP) -> int | None:
        """Batches of a partition are acknowledged in order. (Faust's own way commits one per interval.)"""
        acked = self._acked[tp]
        if not acked:
            return None
        highest = max(acked)
        acked.clear()
        self._acked_index[tp].clear()
        return int(highest) + 1

    async def verify_all_partitions_active(self) -> None:
        """See BatchThread.verify_event_path."""


class BatchTransport(driver.Transport):
    Consumer = BatchConsumer


class RawBatch(faust.Schema):  # type: ignore[type-arg] # Faust's is generic for the type checker only
    """Hands `Fetched` through: a batch is decoded by the pipeline."""

    def loads_key(self, app: Any, message: Any, **options: Any) -> None:
        return None

    def loads_value(self, app: Any, message: Any, **options: Any) -> Any:
        return message.value
