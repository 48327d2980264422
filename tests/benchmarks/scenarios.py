"""What is measured, one function per table of the report."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Final

from tests.benchmarks import load, restart, servers
from tests.benchmarks.figures import Figure, Section, median, milliseconds, spread, thousands
from tests.benchmarks.latency import WARM_UP_S, Latency, measure_latency
from tests.benchmarks.options import Options
from tests.benchmarks.publishing import measure_ticks
from tests.benchmarks.report import say
from tests.benchmarks.sampling import spent
from tests.benchmarks.standstill import RATE, SETTLE_S, measure_standstill
from tests.benchmarks.throughput import Work, work_off
from tests.benchmarks.truth import Truth, recompute
from tests.benchmarks.workload import PARTITIONS, RECORD_BYTES, SHARES, Workload

SNAPSHOT_CEILING_S: Final = 3.0
RESTART_CEILING_S: Final = 10.0
"""Loose: they find a wake-up that is lost, or a start that is quadratic. Beyond, the bench fails."""

_COLLECTORS: Final = ("off", "50000,20,100", "+freeze", "50000,20,100+freeze")
_FUNCTIONS_SHOWN: Final = 25
_TICKS: Final = 40


class TooSlow(RuntimeError):
    """A ceiling is exceeded: something is broken, not merely slow."""


def backlog(options: Options) -> list[Section]:
    """`session-2m`, floor and worker in turns."""
    floors: list[float] = []
    works: list[Work] = []
    with servers.kafka() as broker:
        workload, truth = _produced(broker.address, "session-2m", options.events, options.visitors)
        topic = workload.topics[0]
        for number in range(1, options.rounds + 1):
            floors.append(_floor(broker.address, topic, options.events))
            works.append(_worked(broker.address, truth, options.events, f"round {number}"))
        floors.append(_floor(broker.address, topic, options.events))
        sections = [_backlog_section(options, floors, works)]
        if options.collectors:
            sections.append(_collectors(broker.address, truth, options))
        if options.profile:
            sections.append(_profile(broker.address, truth, options.events))
    return sections


def mixed(options: Options) -> list[Section]:
    """All four topics."""
    with servers.kafka() as broker:
        _, truth = _produced(broker.address, "mixed", options.mixed_events, options.visitors)
        work = _worked(broker.address, truth, options.mixed_events, "mixed")
    kinds = ("page views", "impressions", "clicks", "form submissions", "survey answers")
    shares = ", ".join(f"{share} % {kind}" for kind, share in zip(kinds, SHARES["mixed"], strict=True))
    text = f"{options.mixed_events:,} events over all four topics, whose clocks hold each other: {shares}."
    return [Section("A backlog of every kind (mixed)", text, _costs([work], "80 k", "120 k"))]


def latency(options: Options) -> list[Section]:
    """Paced."""
    say(f"latency: {options.rate:,} events/s for {options.seconds:g} s")
    found = measure_latency(options.rate, options.seconds)
    if found.to_snapshot.p95 > SNAPSHOT_CEILING_S:
        took_s = found.to_snapshot.p95
        raise TooSlow(f"click to snapshot took {took_s:.1f} s, {SNAPSHOT_CEILING_S:g} s are allowed")
    return [_latency_section(found, options.seconds)]


def standstill(_: Options) -> list[Section]:
    """Joining, leaving, dying."""
    say("standstill: a second worker joins, leaves, joins again, is killed")
    found = measure_standstill()
    text = (
        f"{RATE:,} page views a second over {PARTITIONS} partitions, a worker that stays and one that "
        f"comes and goes: the longest time in which some partition applied nothing, from the event to "
        f"{SETTLE_S:g} s after the new owners. The session timeout is 6 s."
    )
    figures = [
        Figure("nothing happens", milliseconds(found.undisturbed_s)),
        Figure("a worker joins", milliseconds(found.join_s), "300 ms", "200 ms"),
        Figure("a worker leaves (SIGTERM)", milliseconds(found.leave_s), "1000 ms", "700 ms"),
        Figure("a worker dies (kill -9)", milliseconds(found.kill_s), "7000 ms", "6000 ms"),
    ]
    return [Section("Standing still", text, figures)]


def open_sessions(options: Options) -> list[Section]:
    """Memory and restart."""
    say(f"restart: {options.sessions:,} open sessions")
    found = restart.measure_restart(options.sessions)
    if found.after_kill_s > RESTART_CEILING_S:
        raise TooSlow(f"a restart took {found.after_kill_s:.1f} s, {RESTART_CEILING_S:g} s are allowed")
    return [_sessions_section(found)]


def _sessions_section(found: restart.Restart) -> Section:
    n = found.sessions
    text = (
        f"{n:,} visitors with one event each within {restart.SPAN_MS // 60_000} minutes; then the worker is "
        "stopped, started, killed and started again. Times are from the start of the process."
    )
    visitors, ids = found.visitors_bytes / n, found.dedupe_bytes / n
    figures = [
        Figure(
            "worker memory per open session (RSS grown)", f"{found.worker_bytes / n:.0f} B", "450 B", "360 B"
        ),
        Figure(
            "Redis memory per open session, all tables", f"{found.redis_bytes / n:.0f} B", "200 B", "110 B"
        ),
        Figure("of it visitors / event ids", f"{visitors:.0f} / {ids:.0f} B"),
        Figure("after a stop: every partition committed", f"{found.after_stop_s:.1f} s", "5 s", "2.5 s"),
        Figure("after kill -9 (the group waits for the dead member)", f"{found.after_kill_s:.1f} s"),
        Figure("after kill -9: what came meanwhile is counted", f"{found.after_kill_read_s:.1f} s"),
    ]
    return Section("Many open sessions", text, figures)


def publisher(options: Options) -> list[Section]:
    """The cost of one tick, with few and many open sessions, in one and in many partitions."""
    figures = []
    for sessions in (max(1, options.publisher_sessions // 100), options.publisher_sessions):
        for partitions in (1, 64):
            say(f"publisher: {sessions:,} open sessions in {partitions} partitions")
            tick = measure_ticks(sessions, partitions, _TICKS)
            targets = ("50 ms", "20 ms") if partitions == 64 else ("", "")
            what = f"{sessions:,} open sessions, partitions: {partitions}"
            figures += [
                Figure(f"{what}; tick, p50 / p99", _pair(tick.whole.p50, tick.whole.p99), *targets),
                Figure(
                    f"{what}; reading / adding up and encoding {tick.records} records, p50",
                    _pair(tick.read.p50, tick.add_up.p50),
                ),
            ]
    text = (
        "Every partition counts some page views before each tick, so that each tick changes every window of "
        "the site and of its channels, devices and referrers. The publisher reads what changed: neither the "
        "sessions there are nor their buckets matter."
    )
    return [Section("The publisher", text, figures)]


def _pair(first_s: float, second_s: float) -> str:
    return f"{milliseconds(first_s)} / {milliseconds(second_s)}"


def _produced(broker: str, name: str, events: int, visitors: int) -> tuple[Workload, Truth]:
    workload = Workload(name, events, visitors, time.time_ns() // 1_000_000)
    say(f"{name}: producing {events:,} events of {visitors:,} visitors")
    load.produce(broker, workload.messages())
    return workload, recompute(workload)


def _floor(broker: str, topic: str, events: int) -> float:
    cpu_s, wall_s = load.measure_floor(broker, topic, events)
    say(f"floor: {thousands(events / cpu_s)} events per CPU second, {thousands(events / wall_s)} per second")
    return events / cpu_s


def _worked(broker: str, truth: Truth, events: int, name: str, collector: str = "") -> Work:
    work = work_off(broker, truth, events, collector=collector)
    rates = f"{thousands(work.per_cpu_s)} events per CPU second, {thousands(work.per_wall_s)} per second"
    say(f"worker, {name}: {rates}")
    return work


def _backlog_section(options: Options, floors: list[float], works: list[Work]) -> Section:
    ratio = median([work.per_cpu_s for work in works]) / median(floors)
    last = works[-1]
    figures = [
        *_costs(works, "120 k", "180 k"),
        Figure("floor (confluent-kafka, orjson, one count), the same", _rate(floors)),
        Figure("worker and redis-server / floor", f"{ratio:.3f}"),
        *_memory(last),
    ]
    text = (
        f"{options.events:,} page views of {options.visitors:,} visitors, {RECORD_BYTES} bytes each, 20 ms "
        "of event time apart, up to 30 s out of order; read by one worker from the beginning, floor and "
        f"worker in turns ({options.rounds} rounds, medians). Store: {last.redis_server}, append-only file "
        "synced every second."
    )
    return Section("A backlog of page views (session-2m)", text, figures)


def _costs(works: list[Work], target: str, ambition: str) -> list[Figure]:
    last = works[-1]
    worker_us, redis_us = (cpu / last.measured * 1e6 for cpu in (last.worker_cpu_s, last.redis_cpu_s))
    answered = _pair(last.commits.p50, last.commits.p99)
    commits = f"{answered} ({last.commits.n} of {last.records_per_commit:.0f} records)"
    return [
        Figure(
            "events per CPU second, worker and redis-server",
            _rate([w.per_cpu_s for w in works]),
            target,
            ambition,
        ),
        Figure("the same up to the last output acknowledged", _rate([w.per_cpu_s_drained for w in works])),
        Figure("events per CPU second of the worker alone", _rate([w.per_worker_cpu_s for w in works])),
        Figure("CPU of an event, worker / redis-server", f"{worker_us:.1f} / {redis_us:.1f} us"),
        Figure("events per second of wall time", _rate([w.per_wall_s for w in works])),
        Figure("commit, sent to answered, p50 / p99", commits),
        Figure("session records published (all as recomputed)", f"{last.published:,}"),
    ]


def _rate(values: list[float]) -> str:
    """Their median, and lowest to highest."""
    return thousands(median(values)) + spread(values)


def _memory(work: Work) -> list[Figure]:
    stored, tables = work.stored, work.redis_tables
    n = max(1, stored.sessions)
    redis = (work.redis_bytes - work.idle_redis_bytes) / n
    by_table = " / ".join(f"{tables[name] / n:.0f}" for name in ("visitors", "dedupe", "seen"))
    worker = (work.worker_bytes - work.idle_worker_bytes) / n
    return [
        Figure("sessions stored, open / ended", f"{stored.open_sessions:,} / {stored.ended_sessions:,}"),
        Figure("Redis memory per session stored, all tables", f"{redis:.0f} B"),
        Figure("of it visitors / event ids / former visitors", f"{by_table} B"),
        Figure("worker memory per session stored (RSS grown)", f"{worker:.0f} B"),
    ]


def _latency_section(found: Latency, seconds: float) -> Section:
    table, snapshot = found.to_table, found.to_snapshot
    text = (
        f"{found.rate:,} page views a second asked for, {found.sent_per_s:,.0f} sent, for {seconds:g} s "
        f"after a warm-up of {WARM_UP_S:g} s, and clicks at random moments; timed from the producer's call. "
        f"Worker {found.worker_cpu_share:.0%}, redis-server {found.redis_cpu_share:.0%} of one core."
    )
    figures = [
        Figure(
            "event to table (Redis), p50 / p99", _pair(table.p50, table.p99), "60 / 200 ms", "30 / 100 ms"
        ),
        Figure("event to table, longest", f"{milliseconds(table.largest)} of {table.n:,}"),
        Figure("click to snapshot topic, p50", milliseconds(snapshot.p50)),
        Figure("click to snapshot topic, p95", milliseconds(snapshot.p95), "800 ms", "400 ms"),
        Figure("click to snapshot topic, longest", f"{milliseconds(snapshot.largest)} of {snapshot.n:,}"),
    ]
    return Section("Latency at a paced rate", text, figures)


def _collectors(broker: str, truth: Truth, options: Options) -> Section:
    """Each setting between two runs without it, so that a drift of the machine shows as such."""
    before = _worked(broker, truth, options.events, "collector as it is")
    figures = []
    for how in _COLLECTORS:
        changed = _worked(broker, truth, options.events, f"collector {how}", how)
        after = _worked(broker, truth, options.events, "collector as it is")
        usual = (before.per_worker_cpu_s + after.per_worker_cpu_s) / 2
        drift = after.per_worker_cpu_s / before.per_worker_cpu_s
        ratio = changed.per_worker_cpu_s / usual
        figures.append(Figure(f"gc {how}", f"{ratio:.2f} (drift meanwhile {drift:.2f})"))
        before = after
    text = (
        "Events per CPU second of the worker with another setting of Python's garbage collector, as a ratio "
        "to the runs before and after with the default one. `freeze`: once a second what lives is taken out "
        "of sight."
    )
    return Section("Garbage collector", text, figures)


def _profile(broker: str, truth: Truth, events: int) -> Section:
    say("once more, with the sampler looking")
    with tempfile.TemporaryDirectory(prefix="latido-bench-") as folder:
        stacks = Path(folder) / "stacks"
        work_off(broker, truth, events, profile=stacks)
        functions, samples = spent(stacks.read_text(encoding="utf-8"))
    shown = [
        Figure(one.function, f"{one.itself / samples:.1%} / {one.total / samples:.1%}")
        for one in functions[:_FUNCTIONS_SHOWN]
    ]
    text = (
        f"{samples:,} samples of the worker's threads on `session-2m`, those that wait left out: share of "
        f"each function itself / with what it calls, the first {_FUNCTIONS_SHOWN}."
    )
    return Section("Where the worker's time goes", text, shown)
