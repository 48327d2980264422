"""How long a partition stands still when a worker joins, leaves in order, or dies."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from schemas.topics import PAGE_VIEWS
from tests.benchmarks.load import producer
from tests.benchmarks.processes import BenchWorker, WorkerFailed
from tests.benchmarks.servers import kafka, store
from tests.benchmarks.store_view import StoreView
from tests.benchmarks.workload import PARTITIONS, VIEW, message

RATE: Final = 1_000
"""Page views a second: every partition has something to apply in every moment."""
SETTLE_S: Final = 4.0
"""Before and after each event: what is measured is the event alone."""
_STEP_S = 0.01
_LIMIT_S = 40.0


class Standstill(NamedTuple):
    """The longest time, s, in which some partition applied nothing, around each event."""

    undisturbed_s: float
    join_s: float
    leave_s: float
    kill_s: float


class _Traffic:
    """Page views at a steady pace until it is closed, in a thread of its own."""

    def __init__(self, broker: str) -> None:
        self._broker = broker
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join(10)

    def _run(self) -> None:
        writer = producer(self._broker, linger_ms=0)
        started, number = time.monotonic(), 0
        while not self._ended.is_set():
            due = int((time.monotonic() - started) * RATE)
            for number in range(number, due):  # noqa: B020 - goes on where it was
                record = message(VIEW, number, 1 + number % 5_000, time.time_ns() // 1_000_000, number % 50)
                writer.produce(record.topic, record.value, record.key, record.partition)
            number = due
            writer.poll(0)
            time.sleep(_STEP_S)
        writer.flush(10)


class _Watch:
    """When each partition last applied something, and its longest pause since `reset`."""

    def __init__(self, view: StoreView) -> None:
        self._view = view
        self._at = [(0, time.monotonic())] * PARTITIONS
        self._longest = [0.0] * PARTITIONS

    def look(self) -> None:
        now_s = time.monotonic()
        for number, position in enumerate(self._view.positions(PAGE_VIEWS)):
            before, since_s = self._at[number]
            self._longest[number] = max(self._longest[number], now_s - since_s)
            if position != before:
                self._at[number] = position, now_s

    def reset(self) -> None:
        """Pauses that last are counted from now on."""
        now_s = time.monotonic()
        self._at = [(position, now_s) for position, _ in self._at]
        self._longest = [0.0] * PARTITIONS

    def longest_s(self, until: Callable[[], bool]) -> float:
        """Look until it is true, and a while longer."""
        deadline = time.monotonic() + _LIMIT_S
        while not until():
            if time.monotonic() > deadline:
                raise WorkerFailed(f"nobody took the partitions over within {_LIMIT_S:g} s")
            self._pause()
        quiet_from = time.monotonic() + SETTLE_S
        while time.monotonic() < quiet_from:
            self._pause()
        return max(self._longest)

    def _pause(self) -> None:
        self.look()
        time.sleep(_STEP_S)


def measure_standstill() -> Standstill:
    """One worker stays; a second one joins, leaves, joins again and is killed. Raises WorkerFailed."""
    namespace = "bench-standstill"
    with kafka() as broker, store() as server, BenchWorker(broker.address, server.url, namespace):
        view = StoreView(server.url, namespace)
        traffic = _Traffic(broker.address)
        watch = _Watch(view)

        def owners(count: int) -> Callable[[], bool]:
            return lambda: view.owners() == count

        try:
            watch.longest_s(lambda: all(view.heads()))
            watch.reset()
            undisturbed_s = watch.longest_s(lambda: True)
            watch.reset()
            with BenchWorker(broker.address, server.url, namespace) as second:
                join_s = watch.longest_s(owners(2))
                watch.reset()
                second.stop()
                leave_s = watch.longest_s(owners(1))
            with BenchWorker(broker.address, server.url, namespace) as third:
                watch.longest_s(owners(2))
                watch.reset()
                third.kill()
                kill_s = watch.longest_s(owners(1))
        finally:
            traffic.close()
            view.close()
    return Standstill(undisturbed_s, join_s, leave_s, kill_s)
