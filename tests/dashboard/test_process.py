"""The dashboard as the process people start: address, signals; a store or publisher that goes and comes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from stream.demo.servers import EmbeddedStore
from tests.dashboard.process import LIMIT_S, ROOT, dashboard, publishing, until_status
from tests.dashboard.test_guard import TOKEN

STALE_WITHIN_S = 5.0


async def events_of(http: httpx.AsyncClient, url: str, **headers: str) -> AsyncIterator[tuple[str, str, Any]]:
    """(id, name, body) of each event of the stream."""
    async with http.stream("GET", f"{url}/api/v1/kpis/stream", headers=headers, timeout=LIMIT_S) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream"
        fields: dict[str, str] = {}
        async for line in answer.aiter_lines():
            name, _, value = line.partition(": ")
            fields[name] = value
            if not line and "data" in fields:
                yield fields["id"], fields["event"], json.loads(fields["data"])
                fields = {}


async def test_a_stream_says_when_the_publisher_falls_silent_and_when_it_is_back(
    own_store: EmbeddedStore, tmp_path: Path
) -> None:
    with dashboard(own_store.url, tmp_path) as (process, url):
        async with httpx.AsyncClient() as http:
            events = events_of(http, url)
            assert (await anext(events))[2]["state"]["status"] == "empty"
            async with publishing(own_store):
                async for event_id, name, body in events:
                    if name == "change" and body["records"][0]["kpis"]["sessions"]["value"] > 3:
                        last_id = event_id
                        break
                assert body["state"]["status"] == "complete"
            silent_at = heard_at = time.monotonic()
            async for _, _, body in events:
                assert time.monotonic() - heard_at < 2  # a sign of life at least so often
                heard_at = time.monotonic()
                if body["state"]["status"] == "stale":
                    break
            assert time.monotonic() - silent_at < STALE_WITHIN_S
            async with publishing(own_store):
                async for _, _, body in events:
                    if body["state"]["status"] == "complete":
                        break
            async for _, name, _ in events_of(http, url, **{"last-event-id": last_id}):
                assert name == "change"
                break
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
            state = await until_status(url, "unreachable", STALE_WITHIN_S)
            assert f"127.0.0.1:{own_store.port}" in state["text"]
            async with httpx.AsyncClient() as http:
                assert (await http.get(f"{url}/api/v1/health")).status_code == 503
                assert (await http.get(f"{url}/api/v1/results")).status_code == 503
                async for _, name, body in events_of(http, url):
                    assert body["state"]["status"] == "unreachable"
                    assert name == "snapshot"
                    break
            await own_store.start_async()
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
