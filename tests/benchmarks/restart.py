"""Many open sessions: what each takes of memory, and how soon a new worker goes on after one was killed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, NamedTuple

from tests.benchmarks.load import produce
from tests.benchmarks.processes import BenchWorker, WorkerFailed, resident_bytes
from tests.benchmarks.servers import kafka, store
from tests.benchmarks.store_view import Stored, StoreView, records_read
from tests.benchmarks.workload import VIEW, Message, Workload, message

SPAN_MS: Final = 1_200_000
"""All first events lie within 20 minutes: no session ends."""
_AFTERWARDS = 1_000  # events that come while nobody counts
_POLL_S = 0.01
_LIMIT_S = 60.0
_SLOWEST_EVENTS_PER_S = 1_000


class Restart(NamedTuple):
    """Bytes over all sessions; seconds from starting the process."""

    sessions: int
    stored: Stored
    worker_bytes: int
    redis_bytes: int
    visitors_bytes: int
    dedupe_bytes: int
    after_stop_s: float  # to the first commit of every partition, the old worker ended in order
    after_kill_s: float  # the same after kill -9: the group waits for the dead member's session to time out
    after_kill_read_s: float  # to all of the waiting events counted


def measure_restart(sessions: int) -> Restart:
    """Raises WorkerFailed, BrokerFailed."""
    namespace = "bench-restart"
    now_ms = time.time_ns() // 1_000_000
    workload = Workload("session-2m", sessions, sessions, now_ms, step_ms=SPAN_MS / sessions, each_once=True)
    with kafka() as broker, store() as server:
        view = StoreView(server.url, namespace)
        idle_redis = view.used_bytes()
        produce(broker.address, workload.messages())
        with BenchWorker(broker.address, server.url, namespace) as worker:
            idle_worker = _fill(worker, view, sessions)
            worker_bytes = resident_bytes(worker.pid) - idle_worker
            redis_bytes = view.used_bytes() - idle_redis
            tables, stored = view.bytes_per_table(), view.stored_sessions()
            worker.stop()
        after_stop_s, second = _start(broker.address, server.url, namespace, view)
        second.kill()
        produce(broker.address, _later(workload))
        after_kill_s, third = _start(broker.address, server.url, namespace, view)
        _wait(third, lambda: records_read(view.heads()) >= sessions + _AFTERWARDS, _LIMIT_S)
        read_s = time.monotonic() - third.started_s
        third.stop()
        for one in (second, third):
            one.close()
        view.close()
    return Restart(
        sessions, stored, worker_bytes, redis_bytes, tables["visitors"], tables["dedupe"],
        after_stop_s, after_kill_s, read_s,
    )  # fmt: skip


def _fill(worker: BenchWorker, view: StoreView, sessions: int) -> int:
    """Wait until all is applied; returns what the worker held before the first commit."""
    idle = 0

    def started() -> bool:
        nonlocal idle
        if records_read(view.heads()):
            return True
        idle = resident_bytes(worker.pid)
        return False

    _wait(worker, started, _LIMIT_S)
    _wait(worker, lambda: records_read(view.heads()) >= sessions, _LIMIT_S + sessions / _SLOWEST_EVENTS_PER_S)
    return idle


def _start(broker: str, redis: str, namespace: str, view: StoreView) -> tuple[float, BenchWorker]:
    """Start a worker; returns how long it took until every partition has a commit of its own."""
    before = view.commit_ids()
    worker = BenchWorker(broker, redis, namespace)
    try:
        _wait(worker, lambda: all(a != b for a, b in zip(view.commit_ids(), before, strict=True)), _LIMIT_S)
    except BaseException:
        worker.close()
        raise
    return time.monotonic() - worker.started_s, worker


def _later(workload: Workload) -> list[Message]:
    """Further views of the first visitors, just after the others."""
    t = workload.start_ms + SPAN_MS
    return [message(VIEW, workload.events + n, n % workload.visitor_count, t) for n in range(_AFTERWARDS)]


def _wait(worker: BenchWorker, reached: Callable[[], bool], limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    while not reached():
        worker.check_runs()
        if time.monotonic() > deadline:
            raise WorkerFailed(f"it did not go on within {limit_s:g} s; the worker's log:\n{worker.log()}")
        time.sleep(_POLL_S)
