"""At a paced rate: how long until an event is in the tables, and a click in the snapshot topic."""

from __future__ import annotations

import json
import random
import threading
import time
from array import array
from collections.abc import Callable
from typing import Final, NamedTuple

from confluent_kafka import OFFSET_END, TopicPartition

from schemas.topics import KPI_SNAPSHOTS, PAGE_VIEWS
from tests.benchmarks.figures import Percentiles, percentiles
from tests.benchmarks.load import consumer, producer
from tests.benchmarks.processes import BenchWorker, WorkerFailed, cpu_s
from tests.benchmarks.servers import kafka, store
from tests.benchmarks.store_view import StoreView, records_read
from tests.benchmarks.workload import CLICK, PARTITIONS, VIEW, message, partition_of

STEP_S: Final = 0.01
CLICK_EVERY_S: Final = (0.02, 0.12)
"""Clicks come one by one at random moments, so that they meet every phase of the publisher's tick."""
WARM_UP_S: Final = 4.0
"""Compilers and caches of broker and worker; not counted."""
CLICKER: Final = 0
_POLL_S = 0.002
_START_LIMIT_S = 60.0
_CATCH_UP_LIMIT_S = 30.0
_ALL = b"default|all|all"


class Latency(NamedTuple):
    """Seconds from before `produce` was called. `events` per second were asked for and sent."""

    rate: int
    sent_per_s: float
    to_table: Percentiles
    to_snapshot: Percentiles
    worker_cpu_share: float  # of one core
    redis_cpu_share: float


class _Sent:
    """When each record was sent, by partition and offset: the topics are empty, and one idempotent producer
    writes them, so that the offset is the place in the list."""

    def __init__(self) -> None:
        self.views = [array("d") for _ in range(PARTITIONS)]
        self.clicks = array("d")
        self.from_s = 0.0  # what was sent earlier warms up
        self.ended = threading.Event()


def measure_latency(rate: int, seconds: float) -> Latency:
    """One worker, empty at first. Raises WorkerFailed when not everything arrives."""
    namespace = "bench-latency"
    with kafka() as broker, store() as server, BenchWorker(broker.address, server.url, namespace) as worker:
        view = StoreView(server.url, namespace)
        _wait(worker, lambda: all(view.heads()), _START_LIMIT_S, "no first commit")
        sent = _Sent()
        in_table, in_snapshot = _TableWatch(sent, server.url, namespace), _SnapshotWatch(sent, broker.address)
        _wait(worker, in_snapshot.ready.is_set, _START_LIMIT_S, "the snapshot topic does not answer")
        costs = cpu_s(worker.pid), cpu_s(server.pid)
        started_s = time.monotonic()
        count = _send_paced(broker.address, rate, seconds, sent)
        took_s = time.monotonic() - started_s
        costs = cpu_s(worker.pid) - costs[0], cpu_s(server.pid) - costs[1]
        _wait(worker, in_table.is_done, _CATCH_UP_LIMIT_S, "not all events are in the tables")
        _wait(worker, in_snapshot.is_done, _CATCH_UP_LIMIT_S, "not all clicks are in a snapshot")
        sent.ended.set()
        found = in_table.join(), in_snapshot.join()
        if (read := records_read(view.heads())) != count:
            raise WorkerFailed(f"{read} records counted, {count} were sent")
        view.close()
        worker.stop()
    return Latency(rate, count / took_s, *found, costs[0] / took_s, costs[1] / took_s)


def _wait(worker: BenchWorker, reached: Callable[[], bool], limit_s: float, otherwise: str) -> None:
    deadline = time.monotonic() + limit_s
    while not reached():
        worker.check_runs()
        if time.monotonic() > deadline:
            raise WorkerFailed(f"after {limit_s:g} s: {otherwise}; the worker's log:\n{worker.log()}")
        time.sleep(_POLL_S)


def _send_paced(broker: str, rate: int, seconds: float, sent: _Sent) -> int:
    """Send `rate` page views a second, in steps of ten milliseconds, and clicks. Returns how many records."""
    rng = random.Random(2)
    visitors = max(100, int(rate * seconds / 5))
    writer = producer(broker, linger_ms=0)
    writer.list_topics(timeout=10)  # connected before the clock starts
    started = time.monotonic()
    sent.from_s = started + WARM_UP_S
    number, next_click = 0, started
    while (now := time.monotonic()) < started + WARM_UP_S + seconds:
        wall_ms = time.time_ns() // 1_000_000
        due = int((now - started) * rate)
        for number in range(number, due):  # noqa: B020 - goes on where it was
            visitor = 1 + int(rng.random() * visitors)
            record = message(VIEW, number, visitor, wall_ms, number % 50)
            sent.views[partition_of(visitor)].append(time.monotonic())
            writer.produce(record.topic, record.value, record.key, record.partition)
        number = due
        if now >= next_click:
            record = message(CLICK, len(sent.clicks), CLICKER, wall_ms, 1)
            sent.clicks.append(time.monotonic())
            writer.produce(record.topic, record.value, record.key, record.partition)
            next_click = now + rng.uniform(*CLICK_EVERY_S)
        writer.poll(0)
        time.sleep(max(0.0, STEP_S - (time.monotonic() - now)))
    writer.flush(10)
    return number + len(sent.clicks)


class _Watch:
    """A thread that looks until `sent.ended`, and collects latencies."""

    def __init__(self, sent: _Sent) -> None:
        self._sent = sent
        self._found = array("d")
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def join(self) -> Percentiles:
        self._thread.join(10)
        if self._failed is not None:
            raise self._failed
        return percentiles(self._found)

    def _run(self) -> None:
        try:
            self._look()
        except BaseException as error:
            self._failed = error

    def _look(self) -> None:
        raise NotImplementedError

    def _seen(self, sent_s: float, now_s: float) -> None:
        if sent_s >= self._sent.from_s:
            self._found.append(now_s - sent_s)


class _TableWatch(_Watch):
    """Asks the store which page views are in."""

    def __init__(self, sent: _Sent, url: str, namespace: str) -> None:
        self._view = StoreView(url, namespace)
        self._applied = [0] * PARTITIONS
        super().__init__(sent)

    def is_done(self) -> bool:
        if self._failed is not None:
            raise self._failed
        return self._applied == [len(times) for times in self._sent.views]

    def _look(self) -> None:
        while not self._sent.ended.is_set():
            positions = self._view.positions(PAGE_VIEWS)
            now_s = time.monotonic()
            for number, position in enumerate(positions):
                for offset in range(self._applied[number], position):
                    self._seen(self._sent.views[number][offset], now_s)
                self._applied[number] = max(position, self._applied[number])
            time.sleep(_POLL_S)
        self._view.close()


class _SnapshotWatch(_Watch):
    """Reads the snapshot topic. All clicks are one visitor's, so their total says which are in."""

    def __init__(self, sent: _Sent, broker: str) -> None:
        self.ready = threading.Event()
        self._reader = consumer(broker, **{"fetch.wait.max.ms": 100})
        self._clicks = 0
        super().__init__(sent)

    def is_done(self) -> bool:
        if self._failed is not None:
            raise self._failed
        return self._clicks == len(self._sent.clicks)

    def _look(self) -> None:
        partitions = self._reader.list_topics(KPI_SNAPSHOTS, timeout=10).topics[KPI_SNAPSHOTS].partitions
        self._reader.assign([TopicPartition(KPI_SNAPSHOTS, number, OFFSET_END) for number in partitions])
        self._reader.consume(1, 1.0)
        self.ready.set()
        while not self._sent.ended.is_set():
            for record in self._reader.consume(1_000, 0.01):
                now_s = time.monotonic()
                if record.error() is None and record.key() == _ALL and (value := record.value()) is not None:
                    clicks = json.loads(value)["kpis"]["clicks"]["value"]
                    for number in range(self._clicks, clicks):
                        self._seen(self._sent.clicks[number], now_s)
                    self._clicks = max(clicks, self._clicks)
        self._reader.close()
