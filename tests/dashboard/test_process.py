"""The dashboard as the process people start: address, signals; a store or publisher that goes and comes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from stream.dashboard.state import STALE_AFTER_MS
from stream.demo.servers import EmbeddedStore
from tests.dashboard.process import LIMIT_S, ROOT, dashboard, publishing, until_status
from tests.dashboard.test_guard import TOKEN

STALE_WITHIN_MS = 5_000
BUSY_S = 4.0
"""A sign of life comes each second; a machine that runs other tests, too, is late."""


class Events:
    """The events of a stream, as (id, name, body)."""

    def __init__(self, answer: httpx.Response) -> None:
        self._lines = answer.aiter_lines()

    async def next(self) -> tuple[str, str, Any]:
        fields: dict[str, str] = {}
        async with asyncio.timeout(LIMIT_S):
            while True:
                name, _, value = (line := await anext(self._lines)).partition(": ")
                fields[name] = value
                if not line and "data" in fields:
                    return fields["id"], fields["event"], json.loads(fields["data"])

    async def until_status(self, wanted: str) -> dict[str, Any]:
        """Read on until the state is that; returns it. Something comes every second or two."""
        heard_s = time.monotonic()
        while True:
            state: dict[str, Any] = (await self.next())[2]["state"]
            assert time.monotonic() - heard_s < BUSY_S
            heard_s = time.monotonic()
            if state["status"] == wanted:
                return state


@asynccontextmanager
async def stream(url: str, **headers: str) -> AsyncIterator[Events]:
    async with (
        httpx.AsyncClient(timeout=LIMIT_S) as http,
        http.stream("GET", f"{url}/api/v1/kpis/stream", headers=headers) as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream"
        yield Events(answer)


async def test_a_stream_says_when_the_publisher_falls_silent_and_when_it_is_back(
    own_store: EmbeddedStore, tmp_path: Path
) -> None:
    with dashboard(own_store.url, tmp_path) as (process, url):
        async with stream(url) as events:
            assert (await events.next())[2]["state"]["status"] == "empty"
            async with publishing(own_store):
                name, sessions = "", 0
                while sessions < 3:
                    last_id, name, body = await events.next()
                    for one in body.get("records", ()):
                        sessions = one["kpis"]["sessions"]["value"]
                assert (name, body["state"]["status"]) == ("change", "complete")
            state = await events.until_status("stale")
            assert STALE_AFTER_MS < state["age_ms"] < STALE_WITHIN_MS
            async with publishing(own_store):
                await events.until_status("complete")
            async with stream(url, **{"last-event-id": last_id}) as again:
                assert (await again.next())[1] == "change"
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_S) == 0
    assert [line for line in read_log(tmp_path) if line["level"] != "info"] == []


async def test_a_store_that_goes_is_named_and_comes_back_by_itself(
    own_store: EmbeddedStore, tmp_path: Path
) -> None:
    with dashboard(own_store.url, tmp_path) as (process, url):
        async with publishing(own_store):
            await until_status(url, "complete")
            own_store.kill()
            state = await until_status(url, "unreachable")
            assert f"127.0.0.1:{own_store.port}" in state["text"]
            async with httpx.AsyncClient() as http:
                assert (await http.get(f"{url}/api/v1/health")).status_code == 503
                assert (await http.get(f"{url}/api/v1/results")).status_code == 503
            async with stream(url) as events:
                _, name, body = await events.next()
                assert (name, body["state"]["status"]) == ("snapshot", "unreachable")
                await own_store.start_async()
                await events.until_status("complete")
            await until_status(url, "complete")
        process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT_S) == 130
    warnings = [line["event"] for line in read_log(tmp_path) if line["level"] != "info"]
    assert set(warnings) == {"the store cannot be read"}
    assert len(warnings) == 1


async def test_with_a_token_the_address_alone_shows_nothing(store: EmbeddedStore, tmp_path: Path) -> None:
    with dashboard(store.url, tmp_path, "--host", "0.0.0.0", LATIDO_DASHBOARD_TOKEN=TOKEN) as (process, url):
        here = f"http://127.0.0.1:{url.rpartition(':')[2]}"
        async with httpx.AsyncClient(base_url=here) as http:
            assert (await http.get("/")).status_code == 401
            assert (await http.get("/api/v1/kpis/stream")).status_code == 401
            assert (await http.get(f"/?token={TOKEN}")).status_code == 303
            assert (await http.get("/")).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_S) == 0
    assert TOKEN not in (tmp_path / "log").read_text()


def read_log(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log").read_text().splitlines()]


def failed(folder: Path, *arguments: str, **variables: str) -> tuple[int, str]:
    """Exit code and standard error of a dashboard that does not start."""
    done = subprocess.run(
        [sys.executable, "-m", "stream", "dashboard", *arguments],
        capture_output=True, text=True, cwd=folder, timeout=LIMIT_S, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
    )  # fmt: skip
    return done.returncode, done.stderr


def test_what_keeps_it_from_starting_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        code, said = failed(tmp_path, "--port", port)
    assert code == 1
    assert said == (
        f"latido: cannot listen on 127.0.0.1:{port} (Address already in use); choose another --port\n"
    )
    code, said = failed(tmp_path, "--host", "0.0.0.0")
    assert code == 2
    assert said.startswith("latido: listening on 0.0.0.0 shows other machines your figures: set LATIDO_DASH")
    assert said.count("\n") == 1


@pytest.mark.parametrize("token", ["short", "0123456789abcde\u00e9"])
def test_a_weak_token_is_refused(tmp_path: Path, token: str) -> None:
    code, said = failed(tmp_path, LATIDO_DASHBOARD_TOKEN=token)
    assert code == 2
    assert "dashboard.token (variable LATIDO_DASHBOARD_TOKEN): needs 16 or more" in said
    assert token not in said
