"""Customers of known behaviour on Apache Kafka and redis-server: signals as computed plainly, once each.

Half a year passes as fast as events are sent; workers are killed on the way. `--customers 20000` for more.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import signal
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from schemas.topics import CHURN_SIGNALS
from stream.churn.backtest import play
from stream.churn.history import read_history
from stream.core.policy import DAY_MS
from stream.kafka.log_reader import read_topic
from stream.pipeline.churn_record import encode_signal
from stream.pipeline.customer_partition import CustomersHead, decode_customers_head
from stream.pipeline.ports import CUSTOMERS, StoreUnreachable
from stream.settings import Settings, load_settings, policy
from stream.tables.redis import RedisTables
from stream.tables.redis_board import RedisBoard
from stream.tables.redis_client import connect
from tests.churn.lives import DAYS, START_MS, Life, happened, lives, roaming
from tests.churn.plain import plain_signals
from tests.integration import worker_process
from tests.integration.conftest import Stack
from tests.integration.worker_process import (
    PARTITIONS,
    Event,
    WorkerProcess,
    heads,
    producing,
    send,
    total,
)

UNTIL = 220  # days, silence included
CONFIG = """
grace = "{within}d"
goals = [{{name = "thanks", page = "/thanks"}}]

[churn]
live = true
order_within = "{within}d"
high_value_conversions = 2

[churn.bgnbd]
r = 0.243
alpha_days = 31.0
a = 0.793
b = 2.426
"""


def days_apart(customers: int) -> int:
    """How many days topics and partitions may be read apart: the fewer customers, the faster days go by."""
    return max(8, 40 * 200 // max(200, customers))


def behaviour(customers: int) -> list[tuple[float, Event]]:
    """Events in order of time: regular, lapsing, returning, unhappy customers; some with three devices."""
    chance = random.Random(5)
    several = lives(max(1, customers // 10))[:-1]
    several += [roaming(number, chance) for number in range(customers // 4)]
    return sorted((one for life in several for one in life.events), key=lambda one: one[0])


def ends(within: int) -> list[Event]:
    """Somebody unknown, in one partition, a few times: the others are told by nobody how late it is."""
    life = Life(None, "clock")
    for day in (DAYS + 1, UNTIL, UNTIL + within + 1):
        life.visit(day)
    return [event for _, event in life.events]


def batch_signals(events: list[Event], folder: Path, settings: Settings) -> list[bytes]:
    """Those of the back-test, over the same events in a file."""
    file = folder / "events.jsonl"
    file.write_text("".join(f"{json.dumps(event)}\n" for event in events), encoding="utf-8")
    history = read_history([str(file)], policy=policy(settings), anonymous=False)
    return [encode_signal(one) for one in play(history, settings.churn).signals]


async def customer_heads(stack: Stack) -> list[CustomersHead | None]:
    client = connect(stack.redis)
    try:
        found = await RedisTables(client, "default", stage=CUSTOMERS).heads(PARTITIONS)
    finally:
        await client.aclose()
    return [None if head is None else decode_customers_head(head) for head in found]


async def wait_until(condition: Callable[[], Awaitable[bool]], limit_s: float, message: str) -> None:
    """As ever, though the store may be too busy to answer this process at once."""

    async def answered() -> bool:
        try:
            return await condition()
        except StoreUnreachable:
            return False

    await worker_process.wait_until(answered, limit_s, message)


async def judged(stack: Stack, until: float) -> bool:
    """Whether every partition has judged everybody up to this day, and all it said has left."""
    until_ms = START_MS + until * DAY_MS
    return all(
        head is not None and head.clock_ms >= until_ms and head.produced_through == head.outbox_next - 1
        for head in await customer_heads(stack)
    )


async def judged_some(stack: Stack, day: float) -> bool:
    """Whether some partition has come to this day."""
    day_ms = START_MS + day * DAY_MS
    return any(head is not None and head.clock_ms >= day_ms for head in await customer_heads(stack))


async def published(stack: Stack, customers: int) -> bool:
    """Whether the snapshot of everything says how so many customers stand."""
    client = connect(stack.redis)
    try:
        record = (await RedisBoard(client, "default").read_records()).get("default|all|all", b"{}")
    finally:
        await client.aclose()
    counts: dict[str, int] = json.loads(record).get("customers") or {}
    return sum(counts.values()) == customers


async def signals_in(stack: Stack) -> list[tuple[str, bytes]]:
    """(key, value) of every record of the topic, in the order of each partition."""
    found = [one async for one in read_topic(stack.client_options, CHURN_SIGNALS)]
    return [((one.key or b"").decode(), one.value) for one in found if one.value is not None]


def once(records: list[tuple[str, bytes]]) -> list[bytes]:
    """Without repeats: what a killed worker had sent may come again, with the same content, and in order."""
    first: dict[tuple[str, int], bytes] = {}
    newest: dict[str, int] = {}
    for key, value in records:
        newest[key] = json.loads(value)["transition"]
        assert first.setdefault((key, newest[key]), value) == value, "a repeat says something else"
    for key, transition in first:
        assert transition <= newest[key], "compaction would leave an older one"
    return list(first.values())


def in_order(values: list[bytes]) -> dict[str, list[dict[str, Any]]]:
    """The signals of each customer up to the end of the time looked at, as they came."""
    found: dict[str, list[dict[str, Any]]] = {}
    for one in map(json.loads, values):
        if one["changed_at"] <= happened(UNTIL):
            found.setdefault(one["customer_id"], []).append(one)
    return found


async def supervise(workers: list[WorkerProcess], start: Callable[[], WorkerProcess]) -> None:
    """Start another one for each that has ended: killed, or by itself on a machine that is too busy."""
    while True:
        for index, worker in enumerate(workers):
            if not worker.running:
                workers[index] = start()
        await asyncio.sleep(0.5)


async def feed(stack: Stack, events: list[tuple[float, Event]], from_day: int, to_day: int) -> None:
    """Send day after day."""
    async with producing(stack.broker, request_timeout_ms=120_000) as producer:
        for day, several in itertools.groupby(events, key=lambda one: int(one[0])):
            if from_day <= day < to_day:
                await send(producer, [event for _, event in several])


@pytest.mark.slow
async def test_signals_are_told_once_each_and_are_those_of_the_batch_computation(
    real: Stack,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
) -> None:
    customers = int(request.config.getoption("--customers"))
    within, config = days_apart(customers), tmp_path / "latido.toml"
    config.write_text(CONFIG.format(within=within), encoding="utf-8")
    events, last = behaviour(customers), ends(within)
    start = partial(real.worker, LATIDO_CONFIG=str(config))
    workers = [start(), start()]
    supervisor = asyncio.create_task(supervise(workers, start))
    began_s, limit_s = time.monotonic(), 120 + customers / 20

    for from_day, to_day in itertools.pairwise((0, 60, 111, DAYS + 1)):
        await feed(real, events, from_day, to_day)
        if to_day < DAYS:  # one dies in the midst of it, and another one comes
            await wait_until(partial(judged_some, real, to_day - within - 15), limit_s, "no signals")
            workers[to_day % 2].send(signal.SIGKILL)
    async with producing(real.broker) as producer:
        for event in last:
            await send(producer, [event])
    sent = len(events) + len(last)

    async def all_read() -> bool:
        return total(await heads(real.redis), "read") == sent

    await wait_until(all_read, limit_s, "not all events are read")
    await wait_until(lambda: judged(real, UNTIL), limit_s, "customers are not judged up to the end")
    took_s = time.monotonic() - began_s
    supervisor.cancel()
    found = await heads(real.redis)
    assert total(found, "counted") == sent, "none was late: then the results would be others"

    records = await signals_in(real)
    distinct = once(records)
    settings = load_settings(config)
    plain = [event for _, event in events] + last
    told = in_order(distinct)
    assert told == in_order(await asyncio.to_thread(batch_signals, plain, tmp_path, settings))
    until_ms = START_MS + (UNTIL + 1) * DAY_MS
    expected = plain_signals(plain, settings.gap, settings.churn, until_ms)
    assert told == in_order([encode_signal(one) for one in expected])
    states = [sum(sum(site) for site in head.states.values()) for head in await customer_heads(real) if head]
    assert sum(states) == len({event["customer_id"] for event in plain if event.get("customer_id")})
    await wait_until(partial(published, real, sum(states)), 20, "the snapshot does not count all customers")
    record_property("customers", sum(states))
    record_property("events", sent)
    record_property("signals", len(distinct))
    record_property("repeated as they were, after a kill", len(records) - len(distinct))
    record_property("workers started", len(real.workers))
    record_property("seconds", round(took_s, 1))
