"""`latido demo`: everything at once on this machine, and at the end every figure checked.

1. embedded broker and store as child processes, in a temporary folder, on free ports (or yours)
2. topics, worker, collector, dashboard
3. recorded traffic: the past at once, the rest and generated visitors at their own pace
4. at the end: wait until all of it is counted, read the log again, recompute, compare
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import tempfile
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from redis.asyncio import Redis

from schemas.topics import DEFAULT_PARTITIONS
from stream.demo.cancellation import still_wanted
from stream.demo.check import (
    LOOKED_AT_AFTER_S,
    compare,
    ends_of,
    moment_ms,
    read_log,
    read_published,
    wait_until_counted,
)
from stream.demo.child_process import ServerError
from stream.demo.compare import Comparison
from stream.demo.plain_log import Accounting, Goal, Rules
from stream.demo.processes import CollectorProcess, DashboardProcess, LatidoProcess, WorkerProcess
from stream.demo.servers import EmbeddedBroker, EmbeddedStore
from stream.demo.traffic import Traffic, TrafficFailed, told
from stream.demo.view import kpi_command, live_view, open_page, say
from stream.kafka.topics import create_topics
from stream.pipeline.take_snapshot import Header
from stream.settings import load_settings
from stream.tables.redis_board import RedisBoard
from stream.tables.redis_client import connect

EXACT, DIFFERENT = 0, 1
SHOWN_DIFFERENCES: Final = 50
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)

RULES: Final = Rules(
    goals=(
        Goal("signup", "form", "signup"),
        Goal("thanks", "page", "/thanks*"),
        Goal("mail", "element", "mail-button"),
    ),
    funnels=(
        (
            "order",
            (
                Goal("product", "page", "/producto/*"),
                Goal("buy", "element", "buy-alpha"),
                Goal("thanks", "page", "/thanks*"),
            ),
        ),
    ),
    pairs=(("channel", "device"),),
)
VIEW: Final = "?window=1h"
"""Which view of the page: in the page's own default, minutes, no visit has ended yet."""
CHURN: Final = '\n[churn]\nlive = true\norder_within = "10s"\n'
"""Customers are kept, and seen while somebody looks: events are held back for a few seconds at most."""
GOAL_FIELDS: Final = {"form": "form_id", "page": "page", "element": "element_id"}


class Interrupted(Exception):
    """A signal asked the demo to end; `number` is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.number = number


@dataclass(frozen=True)
class Stage:
    """Everything that runs, ready."""

    board: RedisBoard
    client_options: Mapping[str, Any]
    collector: CollectorProcess
    dashboard: DashboardProcess
    processes: tuple[LatidoProcess, ...]
    settings: Mapping[str, str]

    @property
    def page(self) -> str:
        """Where the live page is."""
        return self.dashboard.url + VIEW

    def check(self) -> None:
        """Raises ServerError when a process has ended by itself."""
        for process in self.processes:
            process.check()


def run_demo(
    seconds: float | None, broker: str | None = None, redis: str | None = None, *, browser: bool = False
) -> int:
    """Run for `seconds` (None: until a signal) and compare; returns 0 when every figure is exact, else 1.

    broker, redis: servers to use instead of the embedded ones. browser: open the page, where there is one.
    After a signal 128 + its number.
    Raises NoEmbeddedServer, ServerError, NotCounted, TrafficFailed: each message says what to do.
    """
    try:
        return asyncio.run(_until_signal(_demo(seconds, broker, redis, browser)))
    except Interrupted as interrupted:
        say("stopped; with --seconds N it ends by itself and compares every figure")
        return 128 + interrupted.number


async def _until_signal(running: Coroutine[Any, Any, int]) -> int:
    """Run; a signal cancels whatever is going on, so that everything opened is closed on the way out."""
    demo = asyncio.ensure_future(running)
    caught: list[int] = []

    def stop(number: int) -> None:
        if not caught:  # a second Ctrl-C must not stop the stopping
            demo.cancel()
        caught.append(number)

    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, stop, number)
    try:
        return await demo
    except asyncio.CancelledError:
        if caught:
            raise Interrupted(caught[0]) from None
        raise


async def _demo(seconds: float | None, broker: str | None, redis: str | None, browser: bool) -> int:
    async with _stage(broker, redis) as stage, _producer(stage.client_options) as producer:
        traffic = Traffic(producer, stage.collector.url)
        views = await traffic.play_past()
        still_wanted()
        say(f"{views} recorded page views played, the rest follows live; generated visitors arrive now")
        if browser:
            open_page(stage.page)
        async with live_view(stage.board, stage.settings, stage.collector.url, stage.page):
            await _play(traffic, seconds, stage)
        still_wanted()
        log = await read_log(stage.client_options)
        still_wanted()
        say(f"{told(traffic.offered, traffic.refused, len(log))}; waiting until all of them are counted")
        header = await wait_until_counted(stage.board, ends_of(log), stage.check)
        await asyncio.sleep(LOOKED_AT_AFTER_S)
        stage.check()
        published = await read_published(stage.board)
        comparison, accounting = compare(log, RULES, published, moment_ms(header.as_of))
        return report(comparison, accounting, published.header)


async def _play(traffic: Traffic, seconds: float | None, stage: Stage) -> None:
    """The live traffic, as long as every process runs."""
    playing = asyncio.ensure_future(traffic.play_live(seconds))
    try:
        while not playing.done():
            stage.check()
            await asyncio.wait({playing}, timeout=0.5)
        await playing
    finally:
        playing.cancel()


def report(comparison: Comparison, accounting: Accounting, header: Header) -> int:
    """Print the outcome; its last line is the result. Returns the exit code."""
    parts = ", ".join(f"{name} {n}" for name, n in vars(accounting).items())
    say(f"the log: {parts}")
    for difference in comparison.differences[:SHOWN_DIFFERENCES]:
        say(f"  {difference}")
    if len(comparison.differences) > SHOWN_DIFFERENCES:
        say(f"  and {len(comparison.differences) - SHOWN_DIFFERENCES} more")
    counted = header.completeness
    if counted.late_records != accounting.late:
        say(
            f"late: {counted.late_records} in the run, {accounting.late} by their own topic's clock;"
            " the others came after another topic had moved on, which a log alone cannot tell"
        )
    if counted.refused_records != accounting.refused:
        say(f"refused: expected {accounting.refused}, got {counted.refused_records}")
    say(str(comparison))
    return EXACT if not comparison.differences and comparison.figures else DIFFERENT


# ---------------------------------------------------------------- what has to run


@contextlib.asynccontextmanager
async def _stage(broker: str | None, redis: str | None) -> AsyncIterator[Stage]:
    """Servers, topics, worker and collector; all gone afterwards, with their folder."""
    namespace = f"demo-{secrets.token_hex(4)}"
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(_temporary_folder()))
        if broker is None:
            server = await stack.enter_async_context(EmbeddedBroker(folder / "broker"))
            broker = server.address
        if redis is None:
            store = await stack.enter_async_context(EmbeddedStore(folder / "store"))
            redis = store.url
        say(f"broker {broker} · store {redis.rpartition('@')[2]}")
        file = _write_settings(folder)
        settings = {"CONFIG": str(file), "NAMESPACE": namespace, "BROKER": broker, "REDIS": redis}
        own = load_settings(file, broker=broker, redis=redis, namespace=namespace)
        client = await stack.enter_async_context(_store_client(own.redis_url, namespace))
        await create_topics(own.kafka_options(), DEFAULT_PARTITIONS)
        still_wanted()
        worker = await stack.enter_async_context(WorkerProcess(folder / "worker", settings))
        collector = await stack.enter_async_context(CollectorProcess(folder / "collector", settings))
        dashboard = await stack.enter_async_context(DashboardProcess(folder / "dashboard", settings))
        say(f"worker {worker.pid} · collector {collector.url}")
        board, processes = RedisBoard(client, namespace), (worker, collector, dashboard)
        stage = Stage(board, own.kafka_options(), collector, dashboard, processes, settings)
        say(f"the live page: {stage.page}")
        say(f"the figures from another terminal: {kpi_command(redis, namespace)}")
        yield stage


@contextlib.contextmanager
def _temporary_folder() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="latido-demo-", ignore_cleanup_errors=True) as folder:
        yield folder


def _write_settings(folder: Path) -> Path:
    """The worker's settings file: the rules that the comparison assumes."""
    goals = "".join(
        f'\n[[goals]]\nname = "{goal.name}"\n{GOAL_FIELDS[goal.kind]} = "{goal.wanted}"\n'
        for goal in RULES.goals
    )
    funnels = "".join(
        f'\n[[funnels]]\nname = "{name}"\nsteps = [{", ".join(map(_step, steps))}]\n'
        for name, steps in RULES.funnels
    )
    pairs = ", ".join(f'"{one}+{other}"' for one, other in RULES.pairs)
    file = folder / "latido.toml"
    durations = {"gap": RULES.gap_ms, "grace": RULES.grace_ms, "survey_tolerance": RULES.survey_tolerance_ms}
    rules = "".join(f'{name} = "{ms}ms"\n' for name, ms in durations.items())
    file.write_text(f"{rules}dimension_pairs = [{pairs}]\n{CHURN}{goals}{funnels}", encoding="utf-8")
    return file


def _step(step: Goal) -> str:
    return f'{{ {GOAL_FIELDS[step.kind]} = "{step.wanted}" }}'


@contextlib.asynccontextmanager
async def _store_client(url: str, namespace: str) -> AsyncIterator[Redis]:
    """A client; on the way out the namespace, which nobody else has, is removed from the store."""
    client = connect(url)
    try:
        yield client
    finally:
        with contextlib.suppress(Exception):  # the store may be the reason why we leave
            async for key in client.scan_iter(match=f"*{{{namespace}[:/]*", count=1000):
                await client.delete(key)
        await client.aclose()


@contextlib.asynccontextmanager
async def _producer(client_options: Mapping[str, Any]) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(**client_options, client_id="latido-demo", acks="all", linger_ms=5)
    try:
        await producer.start()
        yield producer
    finally:
        await producer.stop()


__all__ = ["Interrupted", "ServerError", "TrafficFailed", "run_demo"]
