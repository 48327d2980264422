"""Which partitions are ours, and since when: claim, load, look, place.

Faust hands over an assignment while nothing flows. Every partition of it is then claimed in the store
(which fences the owner before us), its state loaded, its topics checked for being the logs we know, and
only then placed, that is, read. A claim that fails is tried again, and never stops the others.

After the first try of an assignment, each one needs a heartbeat that was sent after the refusal and
answered with our generation: a worker that is cut off from the group would otherwise steal for ever.
"""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any

import structlog
from aiokafka.errors import KafkaError
from faust.types import TP

from stream.core.event_time import has_passed
from stream.kafka.errors import WorkerRefused
from stream.kafka.fetched import Fetched, OutOfRange, Reply
from stream.kafka.identity import reading_positions
from stream.kafka.lane import Lane
from stream.kafka.log_probe import LogProbe, ProbeFailed
from stream.kafka.marks import Marks, compare, make_mark, writer_of
from stream.kafka.outbox import Outbox
from stream.kafka.producer import Capabilities, OutputHeaders, OutputProducer
from stream.kafka.stage import Stage
from stream.kafka.transport import BatchThread
from stream.kafka.worker_settings import WorkerSettings
from stream.pipeline.claimed import Claimed, Head
from stream.pipeline.ports import Claim, ClaimRefused, StateTorn, StoreUnreachable

log = structlog.get_logger("latido.kafka")

# Faust gives up waiting for us after the request timeout (20 s); claims go on in the background.
_WAIT_FOR_CLAIMS_S = 10.0
# Batches wait in a queue as long as one before them is applied; with none applied for this long, none waits.
_LOST_AFTER_MS = 5_000
_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0


class NotOurs(Exception):
    """The group does not confirm that we own the partition."""


# What a claim may fail with and may be tried again after.
_PASSING = (
    NotOurs, ClaimRefused, StateTorn, StoreUnreachable, ProbeFailed, KafkaError, OSError, TimeoutError
)  # fmt: skip


class Assignment:
    """The lanes of this worker. `on_broken` stops the worker."""

    def __init__(
        self, settings: WorkerSettings, stage: Stage, capabilities: Capabilities,
        thread: Callable[[], BatchThread], wall_ms: Callable[[], int],
        on_broken: Callable[[BaseException], None],
    ) -> None:  # fmt: skip
        self._settings = settings
        self._stage = stage
        self.name, self.topics = stage.name, stage.topics
        self._tables = stage.tables
        self._writer = writer_of(settings.namespace, stage.name)
        self._capabilities = capabilities
        self._thread = thread
        self._wall_ms = wall_ms
        self.broken = on_broken
        self._probe = LogProbe(settings.client_options, settings.metadata_age_ms)
        self._marks = Marks(settings.client_options)
        self._headers = OutputHeaders(settings.namespace)
        self._nonce = uuid.uuid4().hex[:12]
        self._count = 0
        self._generation = -1
        self._epochs: dict[int, int] = {}
        self._tickets = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._processing = False
        self._processed_at_ms = wall_ms()
        self.lanes: dict[int, Lane] = {}

    def owns(self, tp: TP) -> bool:
        lane = self.lanes.get(tp.partition)
        return lane is not None and lane.partition is not None and tp.topic in lane.topics

    async def begin(self, generation: int, tps: frozenset[TP]) -> None:
        """A new assignment, retained partitions included: everything is claimed anew."""
        await self.end()
        self._count += 1
        self._generation = generation
        topics: dict[int, set[str]] = {}
        for tp in tps:
            topics.setdefault(tp.partition, set()).add(tp.topic)
        self.lanes = {
            number: Lane(number, frozenset(names), self) for number, names in sorted(topics.items())
        }
        log.info("assigned", **self._stage.named, generation=generation, partitions=sorted(topics))
        for lane in self.lanes.values():
            self._spawn(self._bring_up(lane, confirmed=True), f"claim-{lane.number}")
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_WAIT_FOR_CLAIMS_S)

    async def release(self) -> None:
        """The partitions are being taken away: start nothing new, let the running steps end."""
        for task in self._tasks:
            task.cancel()
        for lane in self.lanes.values():
            lane.stop_waiting()

    async def end(self) -> None:
        """Drop all state."""
        await self.release()
        lanes, self.lanes = self.lanes, {}
        if self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(lane.close() for lane in lanes.values()))

    async def close(self) -> None:
        await self.end()
        await self._probe.stop()
        await self._marks.stop()

    async def process(self, fetched: Fetched) -> None:
        lane = self.lanes.get(fetched.batch.partition)
        self._processing = True
        try:
            if lane is not None:
                await lane.process(fetched, self._replies(lane), self._wall_ms)
        finally:
            self._processing = False
            self._processed_at_ms = self._wall_ms()
            self._thread().applied(fetched)

    async def tick(self, shared_live_ms: int | None) -> None:
        """Timed work of every lane."""
        lanes = list(self.lanes.values())
        await asyncio.gather(
            *(lane.tick(self._replies(lane), self._wall_ms, shared_live_ms) for lane in lanes)
        )

        await self._find_lost_batches()

    async def _find_lost_batches(self) -> None:
        """Read again what was handed out and never arrived.

        A batch that is lost on the way through Faust is noticed by the next one of its topic, which starts
        too high; this is for the last one before silence.
        """
        if self._processing or not has_passed(self._wall_ms(), self._processed_at_ms, _LOST_AFTER_MS):
            return
        placed = self._thread().placed
        for lane in list(self.lanes.values()):
            for topic, ticket in list(lane.tickets.items()):
                place = placed.get(TP(topic, lane.number))
                partition = lane.partition
                if partition is None or place is None or place.ticket != ticket:
                    continue
                position = partition.positions[topic]
                if place.position > position:
                    log.warning(
                        "a batch was lost on its way", partition=lane.number, topic=topic, first=position
                    )
                    await self.seek_back(lane, topic, position)

    def out_of_range(self, found: OutOfRange) -> None:
        """The broker has nothing at our position: the claim finds out why."""
        lane = self.lanes.get(found.tp.partition)
        if lane is not None and lane.tickets.get(found.tp.topic) == found.ticket:
            self.lane_lost(lane, f"{found.tp.topic} has nothing at our position")

    def lane_lost(self, lane: Lane, reason: str) -> None:
        if self.lanes.get(lane.number) is not lane or lane.closing or lane.partition is None:
            return
        log.warning("claiming again", partition=lane.number, reason=reason)
        outbox = lane.drop()
        self._spawn(self._bring_up(lane, confirmed=False, leftover=outbox), f"claim-{lane.number}")

    async def seek_back(self, lane: Lane, topic: str, offset: int) -> None:
        ticket = next(self._tickets)
        if await self._thread().place({TP(topic, lane.number): offset}, ticket):
            lane.tickets[topic] = ticket

    def hold(self, lane: Lane, topics: set[str]) -> None:
        held = self._thread().held
        wanted = {TP(topic, lane.number) for topic in topics}
        freed = held.intersection(TP(topic, lane.number) for topic in lane.topics) - wanted
        held |= wanted
        if freed:
            held -= freed
            self._thread().look_again()

    def _replies(self, lane: Lane) -> Mapping[str, Reply | None]:
        thread = self._thread()
        return {topic: thread.reply(TP(topic, lane.number)) for topic in lane.topics}

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _bring_up(self, lane: Lane, *, confirmed: bool, leftover: Outbox | None = None) -> None:
        """Claim until it works. Only what no retry mends stops the worker."""
        try:
            if leftover is not None:
                await leftover.close()
            await self._thread().withdraw([TP(topic, lane.number) for topic in lane.topics])
            pause_s = _PAUSE_S
            while not await self._try_claim(lane, confirmed):
                confirmed = False
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self.broken(error)

    async def _try_claim(self, lane: Lane, confirmed: bool) -> bool:
        try:
            if not confirmed and not await self._thread().heartbeat(self._generation):
                raise NotOurs("the group does not confirm that the partition is ours")
            await self._claim(lane)
        except _PASSING as error:
            log.warning("not claimed yet", partition=lane.number, reason=str(error) or repr(error))
            return False
        return True

    async def _claim(self, lane: Lane) -> None:
        number = lane.number
        claim = await self._tables.claim(number, self._nonce, self._count, self._epochs.get(number, 0))
        self._epochs[number] = claim.owner.epoch
        producer = OutputProducer(
            self._settings.client_options, self._headers, self._transactional_id(number)
        )
        try:
            await producer.start()
            partition = await self._load(claim)
            await compare(self._marks, self._writer, partition)
            offsets = await self._offsets(lane, partition)
        except BaseException:
            await producer.stop()
            raise
        await self._go_live(lane, partition, producer, offsets)

    async def _load(self, claim: Claim) -> Claimed[Head]:
        try:
            return await self._stage.open(claim)
        except ValueError as error:  # computed under other rules
            raise WorkerRefused(str(error)) from error

    async def _offsets(self, lane: Lane, partition: Claimed[Head]) -> dict[str, int]:
        stored = {topic: partition.positions[topic] for topic in lane.topics}
        offsets = await reading_positions(
            self._probe, lane.number, stored, partition.fingerprints, accept_loss=self._settings.accept_loss
        )
        for topic, offset in offsets.items():
            if stored[topic] < 0:
                partition.begin(topic, offset)
            elif offset > stored[topic]:
                partition.lose(topic, offset)
        return offsets

    async def _go_live(
        self, lane: Lane, partition: Claimed[Head], producer: OutputProducer, offsets: Mapping[str, int]
    ) -> None:
        def lost(reason: str) -> None:
            if lane.partition is partition:
                self.lane_lost(lane, reason)

        outbox = Outbox(
            partition, self._tables, producer, self._settings.outbox_records,
            partial(make_mark, self._writer, lane.number), lost, self.broken,
        )  # fmt: skip
        ticket = next(self._tickets)
        lane.tickets = dict.fromkeys(offsets, ticket)
        self._processed_at_ms = self._wall_ms()
        lane.open(partition, outbox, self._replies(lane))
        places = {TP(topic, lane.number): offset for topic, offset in offsets.items()}
        if not await self._thread().place(places, ticket):
            lane.drop()
            await outbox.close()
            raise NotOurs("the partition was taken away meanwhile")
        log.info(
            "claimed", **self._stage.named, partition=lane.number, epoch=partition.claim.owner.epoch,
            outbox=len(partition.outbox),
        )  # fmt: skip

    def _transactional_id(self, number: int) -> str | None:
        return f"latido-{self._writer}-{number}" if self._capabilities.transactions else None
