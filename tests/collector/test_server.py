"""The collector as the process people start: address, token, signals."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import httpx
import pytest

from schemas.topics import PAGE_VIEWS
from stream.demo.servers import EmbeddedBroker
from stream.kafka.topics import create_topics
from tests.collector.test_batch import event
from tests.kafka_reading import read_records

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 30.0


@contextmanager
def collector(broker: str, log: Path, **variables: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run it; yields the process and the URL it says it listens on."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LATIDO_")}
    environment |= {"PYTHONPATH": str(ROOT), "LATIDO_BROKER": broker, **variables}
    command = [sys.executable, "-m", "stream", "collector", "--port", "0"]
    with (
        log.open("wb") as out,
        subprocess.Popen(command, stderr=out, env=environment, cwd=log.parent) as process,
    ):
        try:
            yield process, wait_for_url(process, log)
        finally:
            process.kill()


def wait_for_url(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + LIMIT_S
    while process.poll() is None and time.monotonic() < deadline:
        if found := re.search(r'"(http://[^"]+)/v1/events"', log.read_text(encoding="utf-8")):
            return found[1]
        time.sleep(0.05)
    raise AssertionError(log.read_text(encoding="utf-8"))


def wait_for_health(url: str, status: int) -> None:
    deadline = time.monotonic() + LIMIT_S
    while httpx.get(f"{url}/health").status_code != status:
        assert time.monotonic() < deadline, f"health did not become {status}"
        time.sleep(0.1)


def lines(log: Path) -> list[dict[str, object]]:
    with log.open(encoding="utf-8") as source:
        return read_json(source)


def read_json(source: IO[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in source]


async def test_an_event_over_http_is_in_kafka_when_it_is_acknowledged(
    own_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    with collector(own_broker.address, tmp_path / "log") as (process, url):
        wait_for_health(url, 503)
        await create_topics({"bootstrap_servers": own_broker.address}, 4)
        wait_for_health(url, 200)
        answer = httpx.post(f"{url}/v1/events", json=event(7))
        assert answer.status_code == 202
        [record] = await read_records(own_broker.address, [PAGE_VIEWS], 1)
        value = json.loads(record.value)
        assert (value["event_id"], record.key) == ("e7", b"v")
        assert value["received_at"] > "2020"
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_S) == 0
    troubles = [line for line in lines(tmp_path / "log") if line["level"] != "info"]
    assert [line for line in troubles if line.get("status") != 503] == []


def test_ctrl_c_ends_it_with_130_and_no_traceback(tmp_path: Path) -> None:
    with collector("127.0.0.1:1", tmp_path / "log") as (process, url):
        assert httpx.get(f"{url}/health").status_code == 503
        process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT_S) == 130
    events = {str(line["event"]) for line in lines(tmp_path / "log")}
    ours = {"listening", "waiting for the broker", "request"}
    assert [one for one in events - ours if not one.startswith("Unable connect")] == []


def test_503_while_the_broker_is_away_and_202_when_it_is_back(
    own_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    own_broker.kill()
    variables = {"LATIDO_COLLECTOR_ACKNOWLEDGE_WITHIN": "1s"}
    with collector(own_broker.address, tmp_path / "log", **variables) as (_, url):
        answer = httpx.post(f"{url}/v1/events", json=[event(1), event(2)])
        assert (answer.status_code, answer.json()["retry"]) == (503, [0, 1])
        assert answer.headers["retry-after"] == "1"
        own_broker.start()
        deadline = time.monotonic() + LIMIT_S
        while httpx.post(f"{url}/v1/events", json=[event(1), event(2)], timeout=LIMIT_S).status_code != 202:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_an_address_that_is_taken_is_named(own_broker: EmbeddedBroker, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stream", "collector", "--port", str(own_broker.port)],
        capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60,
        check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith(
        f"latido: cannot listen on 127.0.0.1:{own_broker.port} (Address already in use)"
    )


@pytest.mark.parametrize("token", ["short", "0123456789abcde\u00e9"])
def test_a_weak_token_is_refused(tmp_path: Path, token: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stream", "collector"],
        capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "LATIDO_COLLECTOR_TOKEN": token},
    )  # fmt: skip
    assert done.returncode == 2
    assert "collector.token (variable LATIDO_COLLECTOR_TOKEN): needs 16 or more" in done.stderr
    assert token not in done.stderr
