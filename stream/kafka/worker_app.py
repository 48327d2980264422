"""The Faust application: an agent over all input topics, one over what it tells of customers, timers."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import faust
import structlog
from faust.app.base import BootStrategy
from faust.types import TP

from stream.kafka.alerts_publisher import AlertsPublisher
from stream.kafka.assignment import Assignment
from stream.kafka.fetched import Fetched, OutOfRange
from stream.kafka.log_probe import LogProbe
from stream.kafka.producer import Capabilities
from stream.kafka.publisher import Publisher
from stream.kafka.results_publisher import ResultsPublisher
from stream.kafka.stage import customers_stage, events_stage
from stream.kafka.topic_watch import TopicWatch
from stream.kafka.transport import BatchConsumer, BatchThread, BatchTransport, RawBatch
from stream.kafka.watchdog import Watchdog
from stream.kafka.worker_settings import WorkerSettings
from stream.pipeline.ports import Board, PartitionTables, StoreUnreachable

log = structlog.get_logger("latido.kafka")


_WATCH_EVERY_MS = 3_000
_LOOK_EVERY_MS = 1_000  # whether settled results are due, or we are their publisher now


def wall_ms() -> int:
    """The one place where the wall clock enters."""
    return time.time_ns() // 1_000_000


class _Boot(BootStrategy):
    """No producer of Faust's: outputs leave through outbox.py. No web server: Faust's says OK always."""

    enable_kafka_producer = False
    enable_web = False


class WorkerApp(faust.App):
    """`failure` is set once when the worker must stop."""

    BootStrategy = _Boot

    def __init__(
        self, settings: WorkerSettings, tables: PartitionTables, customers: PartitionTables, board: Board,
        capabilities: Capabilities, partitions: int,
    ) -> None:  # fmt: skip
        self.worker_settings = settings
        self.partitions = partitions
        self.failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        stages = [events_stage(settings, tables, partitions)]
        if settings.churn.live:
            stages.append(customers_stage(settings, customers, partitions))
        self.stages = [
            Assignment(settings, stage, capabilities, self._consumer_thread, wall_ms, self.fail)
            for stage in stages
        ]
        self.owned = self.stages[0]
        self.publisher = Publisher(
            settings, board, capabilities, partitions, wall_ms, customers if settings.churn.live else None
        )
        self.results_publisher = ResultsPublisher(
            settings, board, tables.wait_durable, capabilities, partitions, wall_ms
        )
        self.alerts_publisher = AlertsPublisher(settings, board, tables.wait_durable, capabilities, wall_ms)
        self.probe = LogProbe(settings.client_options, settings.metadata_age_ms)
        limit_ms = settings.session_timeout_ms + settings.watchdog_margin_ms
        self.watchdog = Watchdog(self.probe, board, settings.topics, partitions, limit_ms, wall_ms)
        self.topic_watch = TopicWatch(self.probe, settings.topics, partitions)
        self._board = board
        super().__init__(settings.group, loop=asyncio.get_running_loop(), **_faust_settings(settings))
        self._declare()

    def fail(self, error: BaseException) -> None:
        """Stop the worker with this reason. The first one counts."""
        if not self.failure.done():
            self.failure.set_exception(error)

    def _create_directories(self) -> None:
        """Faust's own would make folders for tables, which we do not have, where the worker was started."""

    def _consumer_thread(self) -> BatchThread:
        return cast(BatchConsumer, self.consumer).thread

    def _new_transport(self) -> BatchTransport:
        return BatchTransport(self.conf.broker_consumer, self, loop=self.loop)

    def _new_consumer(self) -> BatchConsumer:
        consumer = cast(BatchConsumer, super()._new_consumer())
        consumer.settings = self.worker_settings
        consumer.on_assigned = self._on_assigned
        consumer.on_revoked = self._on_revoked
        consumer.on_out_of_range = self._on_out_of_range
        return consumer

    async def _on_revoked(self) -> None:
        for stage in self.stages:
            await stage.release()

    def _on_out_of_range(self, found: OutOfRange) -> None:
        for stage in self.stages:
            if found.tp.topic in stage.topics:
                stage.out_of_range(found)

    async def _on_assigned(self, generation: int, tps: frozenset[TP]) -> None:
        """Equal partition numbers keep one visitor in one state; anything else would split visitors."""
        topics = [topic for stage in self.stages for topic in stage.topics]
        missing = set(topics) - {tp.topic for tp in tps}
        if tps and missing:
            # Deleted, or not known for a moment: _watch finds out. A change of the metadata assigns anew.
            log.warning("nothing is claimed", reason=f"the broker does not know {', '.join(sorted(missing))}")
            tps = frozenset()
        expected = len(topics)
        together = Counter(tp.partition for tp in tps)
        if any(number >= self.partitions or count != expected for number, count in together.items()):
            log.warning("nothing is claimed", reason="the assigned partitions are not the same of all topics")
            tps = frozenset()
        await asyncio.gather(*(
            stage.begin(generation, frozenset(tp for tp in tps if tp.topic in stage.topics))
            for stage in self.stages
        ))  # fmt: skip

    def _declare(self) -> None:
        for stage in self.stages:
            self._declare_agent(stage)
        self.task(self._tick)
        self.task(self._publish)
        self.task(self._publish_results)
        self.task(self._publish_alerts)
        self.task(self._watch)

    def _declare_agent(self, stage: Assignment) -> None:
        async def apply(batches: Any) -> None:
            """Faust acknowledges what this loop has passed; a failed step stops the worker or seeks back."""
            events: AsyncIterator[Any] = batches.events()
            async for event in events:
                fetched: Fetched = event.value
                await stage.process(fetched)

        # One at a time: the order of a partition is kept, and there is one place where a step can fail.
        topic = self.topic(*stage.topics, schema=RawBatch())
        self.agent(topic, name=f"apply-{stage.name or 'events'}", concurrency=1)(apply)

    async def _tick(self) -> None:
        await self._every(self.worker_settings.tick_ms, self._tick_once)

    async def _tick_once(self) -> None:
        try:
            shared_live_ms = await self._board.read_clock()
        except StoreUnreachable:
            shared_live_ms = None
        for stage in self.stages:
            await stage.tick(shared_live_ms)

    async def _publish(self) -> None:
        publishes_here = TP(self.worker_settings.topics[0], 0)
        try:
            await self._every(
                self.worker_settings.publish_every_ms,
                lambda: self.publisher.tick(self.owned.owns(publishes_here)),
            )
        finally:
            await self.publisher.close()

    async def _publish_results(self) -> None:
        publishes_here = TP(self.worker_settings.topics[0], 0)
        settings = self.worker_settings
        try:
            await self._every(
                min(settings.results_every_ms, _LOOK_EVERY_MS),
                lambda: self.results_publisher.tick(self.owned.owns(publishes_here)),
            )
        finally:
            await self.results_publisher.close()

    async def _publish_alerts(self) -> None:
        try:
            await self._every(_LOOK_EVERY_MS, lambda: self.alerts_publisher.tick(self.publisher.newest))
        finally:
            await self.alerts_publisher.close()

    async def _watch(self) -> None:
        async def look() -> None:
            await self.topic_watch.check()
            await self.watchdog.check()

        await self._every(_WATCH_EVERY_MS, look)

    async def _every(self, period_ms: int, work: Callable[[], Any]) -> None:
        """An exception in a timer of Faust's crashes the app without a reason; here it is one."""
        while not self.should_stop:
            started = time.monotonic()
            try:
                await work()
            except asyncio.CancelledError:
                raise
            except Exception as error:
                self.fail(error)
                return
            await self.sleep(max(0.01, period_ms / 1000 - (time.monotonic() - started)))

    async def on_stop(self) -> None:
        """Faust waits for the batch being applied, then leaves the group; our claims end in between."""
        await self._on_revoked()
        await super().on_stop()
        for stage in self.stages:
            await stage.end()

    async def close(self) -> None:
        """Leave nothing open; after the stop."""
        for stage in self.stages:
            await stage.close()


def _faust_settings(settings: WorkerSettings) -> dict[str, Any]:
    """What Faust itself must know. The consumer's own settings are in transport.py."""
    return {
        "broker": [f"kafka://{server}" for server in settings.servers.split(",")],
        "store": "memory://",
        # 0 would silently switch to a round-robin assignor: topics would not stay together by partition.
        "table_standby_replicas": 1,
        "topic_disable_leader": True,
        "web_enabled": False,
        # Before partitions are given away, the batch being applied ends.
        "stream_wait_empty": True,
        "stream_recovery_delay": 0.0,
        "broker_session_timeout": settings.session_timeout_ms / 1000,
        "broker_request_timeout": settings.request_timeout_ms / 1000,
        "broker_rebalance_timeout": settings.rebalance_timeout_ms / 1000,
        "broker_heartbeat_interval": settings.heartbeat_ms / 1000,
        "broker_max_poll_interval": 1e8,
        "broker_commit_interval": 1.0,
    }
