"""Alerts on Apache Kafka and redis-server: one record per change, told to a webhook, through kill -9."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path

from standardwebhooks import Webhook

from schemas.alerts import Alert
from schemas.churn import ChurnSignal
from schemas.times import rfc3339
from schemas.topics import ALERTS
from stream.kafka.log_reader import read_topic
from stream.kafka.news_reader import news_records
from stream.pipeline.alerts import decode_kept
from stream.pipeline.latest_signals import latest_signals_of
from stream.tables.redis_board import RedisBoard
from stream.tables.redis_client import connect
from tests.alerts.telling import SECRET, Listener, listening
from tests.integration.conftest import Stack
from tests.integration.worker_process import PARTITIONS, ROOT, Event, page_views, producing, send, wait_until

RULE = {"name": "quiet", "kpi": "page_views", "window": "24h", "below": 100, "clear": 200, "for": "1s"}
LIMIT_S = 60.0


@contextmanager
def delivery(stack: Stack, alerts: str) -> Iterator[subprocess.Popen[bytes]]:
    """`latido alerts` as a process; its log is shown when it does not end as it should."""
    environment = {
        **os.environ,
        "LATIDO_BROKER": stack.broker,
        "LATIDO_REDIS": stack.redis,
        "LATIDO_ALERTS": alerts,
    }
    command = [sys.executable, "-m", "stream", "alerts"]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield process
        finally:
            process.kill()
            process.wait(10)
            log.seek(0)
            print(f"--- log of latido alerts\n{log.read().decode()}")


async def _told(stack: Stack) -> list[Alert]:
    """Every record of the topic, by the contract; the identity is in the header too."""
    found = []
    async for record in read_topic(stack.client_options, ALERTS):
        alert = Alert.model_validate_json(record.value)
        assert dict(record.headers)["id"].decode() == alert.identity
        assert record.key.decode() == alert.key
        found.append(alert)
    return found


async def _stored_state(stack: Stack) -> list[int]:
    client = connect(stack.redis)
    try:
        stored = await RedisBoard(client, "default").read_alerts()
    finally:
        await client.aclose()
    return [decode_kept(data).standing.state for data in stored.values()]


async def _latest_signals(stack: Stack) -> list[tuple[str, str, str | None]]:
    """Those that the store keeps for the page."""
    client = connect(stack.redis)
    try:
        found = await latest_signals_of(RedisBoard(client, "default"), PARTITIONS, "default")
    finally:
        await client.aclose()
    return [(one.customer_id, one.state, one.reason) for one in found]


def unhappy(customer: str, at_ms: int) -> Event:
    """A customer who would not recommend it."""
    about = {"event_id": "a1", "type": "survey_answer", "visitor_id": "v1", "customer_id": customer}
    return about | {"survey_id": "s", "survey_kind": "nps", "score": 2, "occurred_at": rfc3339(at_ms)}


def _types(listener: Listener) -> list[str]:
    """Of different messages, in the order in which they came first; each signed."""
    found = {
        heard.headers["webhook-id"]: Webhook(SECRET).verify(heard.body, heard.headers)["type"]
        for heard in listener.heard
    }
    return list(found.values())


async def test_a_rule_fires_once_survives_kill_9_and_is_resolved_once(real: Stack, tmp_path: Path) -> None:
    """An unhappy customer of a real worker is told of, too."""
    now_ms = time.time_ns() // 1_000_000
    config = tmp_path / "latido.toml"
    config.write_text("[churn]\nlive = true\n", encoding="utf-8")
    async with listening(500, 204) as listener, producing(real.broker) as producer:
        receiver = {
            "name": "ops",
            "url": listener.url,
            "secret": SECRET,
            "allow_private": True,
            "churn": ["at_risk"],
        }
        alerts = json.dumps({"rules": [RULE], "receivers": [receiver]})
        worker = real.worker(LATIDO_ALERTS=alerts, LATIDO_CONFIG=str(config))
        await send(producer, page_views(10, start_ms=now_ms - 60_000))
        with delivery(real, alerts):
            await wait_until(lambda: len(listener.heard) >= 2, LIMIT_S, "nobody is told that it fires")
            worker.kill()
        first = await _told(real)
        assert [(alert.state, alert.rule) for alert in first] == [("firing", "quiet")]
        assert await _stored_state(real) == [2]

        real.worker(LATIDO_ALERTS=alerts, LATIDO_CONFIG=str(config))
        with delivery(real, alerts) as process:
            await send(producer, page_views(300, first=10, start_ms=now_ms - 50_000))
            await wait_until(
                lambda: "alert.resolved" in _types(listener), LIMIT_S, "nobody is told that it is over"
            )
            await send(producer, [unhappy("c-1001", now_ms - 180_000)])
            await wait_until(
                lambda: "churn.at_risk" in _types(listener), LIMIT_S, "nobody is told of a customer"
            )
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait, 10) == 0
        found = await _told(real)
    assert [(alert.state, alert.cause) for alert in found] == [("firing", "limit"), ("resolved", "cleared")]
    assert found[0] == first[0]
    assert found[0].fired_at == found[1].fired_at < found[1].changed_at
    assert _types(listener) == ["alert.firing", "alert.resolved", "churn.at_risk"]
    news = Webhook(SECRET).verify(listener.heard[-1].body, listener.heard[-1].headers)
    told = ChurnSignal.model_validate_json(json.dumps(news["data"]))
    assert (told.customer_id, told.state, told.cause) == ("c-1001", "at_risk", "answer")
    assert await _latest_signals(real) == [("c-1001", "at_risk", "Latest NPS answer is 2")]


async def test_what_was_not_done_comes_again_and_what_was_does_not(real: Stack) -> None:
    async with producing(real.broker) as producer:
        for value in (b"1", b"2", b"3"):
            await producer.send_and_wait(ALERTS, value, key=b"k")

    async def read(count: int) -> list[bytes | None]:
        """So many; the last one is not done."""
        found = []
        async with aclosing(news_records(real.client_options, "latido-n-alerts-ops", [ALERTS])) as records:
            async for _, value, _ in records:
                found.append(value)
                if len(found) == count:
                    break
        return found

    assert await read(2) == [b"1", b"2"]
    assert await read(2) == [b"2", b"3"]
    assert await read(1) == [b"3"]
