"""Working off a backlog: events per CPU second, memory, commit times, and whether the answer is right."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from stream.pipeline.partition_state import PartitionHead
from tests.benchmarks.figures import Percentiles, percentiles
from tests.benchmarks.processes import BenchWorker, Timed, WorkerFailed, cpu_s, resident_bytes
from tests.benchmarks.published import LogEnds, check_sessions
from tests.benchmarks.sampling import Sampler
from tests.benchmarks.servers import store
from tests.benchmarks.store_view import Stored, StoreView, records_read
from tests.benchmarks.truth import Truth

_POLL_S = 0.01
_SLOWEST_EVENTS_PER_S = 1_000  # below this something is broken
_START_LIMIT_S = 60.0
_SETTLE_LIMIT_S = 120.0


class WrongAnswer(RuntimeError):
    """The tables do not say what the events say: no speed makes up for that."""


class Moment(NamedTuple):
    """Costs so far."""

    at_s: float
    worker_cpu_s: float
    redis_cpu_s: float
    read: int


class Work(NamedTuple):
    """One backlog worked off. `done` is the last batch applied, `drained` every output acknowledged."""

    events: int
    first: Moment
    done: Moment
    drained: Moment
    commits: Percentiles  # seconds
    records_per_commit: float
    idle_worker_bytes: int
    worker_bytes: int
    idle_redis_bytes: int
    redis_bytes: int
    redis_tables: dict[str, int]
    stored: Stored
    published: int  # session records, tombstones left out
    redis_server: str

    @property
    def measured(self) -> int:
        """Events between the first commit seen and the last."""
        return self.done.read - self.first.read

    @property
    def worker_cpu_s(self) -> float:
        return self.done.worker_cpu_s - self.first.worker_cpu_s

    @property
    def redis_cpu_s(self) -> float:
        return self.done.redis_cpu_s - self.first.redis_cpu_s

    @property
    def per_cpu_s(self) -> float:
        """Events per CPU second of worker and redis-server together."""
        return self.measured / (self.worker_cpu_s + self.redis_cpu_s)

    @property
    def per_worker_cpu_s(self) -> float:
        return self.measured / self.worker_cpu_s

    @property
    def per_wall_s(self) -> float:
        return self.measured / (self.done.at_s - self.first.at_s)

    @property
    def per_cpu_s_drained(self) -> float:
        """The same up to the acknowledgement of the last output."""
        worker = self.drained.worker_cpu_s - self.first.worker_cpu_s
        return self.measured / (worker + self.drained.redis_cpu_s - self.first.redis_cpu_s)


def work_off(
    broker: str, truth: Truth, events: int, *, collector: str = "", profile: Path | None = None
) -> Work:
    """A fresh namespace and store; the topics hold `events` records. Raises WorkerFailed, WrongAnswer.

    profile: where the sampler writes its stacks.
    """
    namespace = f"bench-{time.time_ns()}"
    ends = LogEnds.now(broker)
    with store() as server:
        view = StoreView(server.url, namespace)
        idle_redis = view.used_bytes()
        with BenchWorker(broker, server.url, namespace, collector) as worker:
            idle_worker, first = _first_commit(worker, view, server.pid)
            sampler = Sampler(worker.pid, profile) if profile else None
            done = _until(worker, view, server.pid, "events", lambda h: records_read(h) >= events, events)
            if sampler:
                sampler.stop()
            drained = _drained(worker, view, server.pid, events)
            _check(view, truth, events, worker)
            work = Work(
                events, first, done, drained, percentiles([0.0]), 0.0,
                idle_worker, resident_bytes(worker.pid), idle_redis, view.used_bytes(),
                view.bytes_per_table(), view.stored_sessions(), 0, view.server(),
            )  # fmt: skip
            heads = view.heads()
            commits = worker.stop()
        view.close()
    published = check_sessions(broker, ends, truth, heads)
    return work._replace(published=published, **_commit_figures(commits, first, done))


def _commit_figures(commits: list[Timed], first: Moment, done: Moment) -> dict[str, Any]:
    """Of the commits between both moments; commit times are on the same clock."""
    timed = [one for one in commits if first.at_s <= one.at_s <= done.at_s]
    return {
        "commits": percentiles(one.took_s for one in timed),
        "records_per_commit": (done.read - first.read) / len(timed),
    }


def _first_commit(worker: BenchWorker, view: StoreView, redis_pid: int) -> tuple[int, Moment]:
    """Memory of the worker when it is connected, and costs at the first commit that holds records."""
    deadline = time.monotonic() + _START_LIMIT_S
    resident = 0
    while time.monotonic() < deadline:
        worker.check_runs()
        heads = view.heads()
        if records_read(heads):
            return resident, _moment(worker, redis_pid, heads)
        resident = resident_bytes(worker.pid)
        time.sleep(_POLL_S)
    raise WorkerFailed(f"no commit within {_START_LIMIT_S:g} s; the worker's log:\n{worker.log()}")


def _until(
    worker: BenchWorker, view: StoreView, redis_pid: int, what: str,
    reached: Callable[[list[PartitionHead | None]], bool], events: int,
) -> Moment:  # fmt: skip
    deadline = time.monotonic() + _START_LIMIT_S + events / _SLOWEST_EVENTS_PER_S
    while True:
        heads = view.heads()
        if reached(heads):
            return _moment(worker, redis_pid, heads)
        worker.check_runs()
        if time.monotonic() > deadline:
            raise WorkerFailed(f"not all {what} are through in time; the worker's log:\n{worker.log()}")
        time.sleep(_POLL_S)


def _drained(worker: BenchWorker, view: StoreView, redis_pid: int, events: int) -> Moment:
    """Every output of what was applied by now is acknowledged. (A live worker goes on making new ones.)"""
    last = [head.outbox_next - 1 if head else 0 for head in view.heads()]

    def acknowledged(heads: list[PartitionHead | None]) -> bool:
        return all(head and head.produced_through >= entry for head, entry in zip(heads, last, strict=True))

    return _until(worker, view, redis_pid, "outputs", acknowledged, events)


def _moment(worker: BenchWorker, redis_pid: int, heads: list[PartitionHead | None]) -> Moment:
    return Moment(time.perf_counter(), cpu_s(worker.pid), cpu_s(redis_pid), records_read(heads))


def _check(view: StoreView, truth: Truth, events: int, worker: BenchWorker) -> None:
    """Compare the accounting and the snapshot of everything. Raises WrongAnswer."""
    deadline = time.monotonic() + _SETTLE_LIMIT_S
    while view.header().get("current") is not True:
        worker.check_runs()
        if time.monotonic() > deadline:
            raise WorkerFailed(f"no complete snapshot in time; the worker's log:\n{worker.log()}")
        time.sleep(_POLL_S)
    for head in view.heads():
        accounting = head.accounting if head else None
        if accounting is None or not accounting.balances() or accounting.counted != accounting.read:
            raise WrongAnswer(f"not every record was counted: {accounting}")
    if (read := records_read(view.heads())) != events:
        raise WrongAnswer(f"{read} records counted, {events} were sent")
    expected = truth.figures()
    found = _figures(view.kpis("default|all|all"))
    wrong = {name: (found.get(name), value) for name, value in expected.items() if found.get(name) != value}
    if wrong:
        raise WrongAnswer(f"figures differ (found, expected): {wrong}")


def _figures(kpis: Any) -> dict[str, int]:
    """The counts among the KPIs of one record."""
    counts = {name: kpi["value"] for name, kpi in kpis.items() if kpi["type"] == "count"}
    nps = kpis.get("nps", {})
    return counts | {name: nps.get(name, 0) for name in ("promoters", "passives", "detractors")}
