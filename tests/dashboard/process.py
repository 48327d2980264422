"""`latido dashboard` as the process people start, and a publisher that feeds its store."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import httpx

from stream.demo.servers import EmbeddedStore
from stream.pipeline.ports import StoreUnreachable
from stream.tables.redis_board import RedisBoard
from stream.tables.redis_client import connect
from tests.dashboard.feeding import Publisher, record

ROOT: Final = Path(__file__).resolve().parents[2]
LIMIT_S: Final = 30.0


@contextmanager
def dashboard(
    store: str, folder: Path, *arguments: str, **variables: str
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run it; yields the process and the address it prints. Its log is `folder`/log."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LATIDO_")}
    environment |= {"PYTHONPATH": str(ROOT), "LATIDO_REDIS": store, **variables}
    command = [sys.executable, "-m", "stream", "dashboard", "--port", "0", *arguments]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, env=environment, cwd=folder, text=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert url.startswith("http://"), (folder / "log").read_text()
            yield process, url.rstrip("/")
        finally:
            process.kill()


@asynccontextmanager
async def publishing(
    store: EmbeddedStore, pause_s: float = 0.1, records: int = 1, namespace: str = "default"
) -> AsyncIterator[None]:
    """A publisher that changes all its records at every tick, through outages of the store.

    It is told to stop, not cancelled: `asyncio.wait_for` of Python 3.11, through which the client sends, may
    swallow a cancellation.
    """
    stopped = asyncio.Event()

    async def publish() -> None:
        client = connect(store.url)
        board = RedisBoard(client, namespace)
        publisher = Publisher(board)
        names = [("all", None), *(("channel", f"c{number}") for number in range(1, records))]
        try:
            for number in itertools.takewhile(lambda _: not stopped.is_set(), itertools.count()):
                changed = [record("shop-es", "5m", *name, sessions=number) for name in names]
                try:
                    await publisher.publish(*changed, at_ms=_now_ms())
                except (StoreUnreachable, AssertionError):
                    publisher = Publisher(board)  # a publisher that failed takes over anew
                with suppress(TimeoutError):
                    await asyncio.wait_for(stopped.wait(), pause_s)
        finally:
            await client.aclose()

    task = asyncio.create_task(publish())
    try:
        yield
    finally:
        stopped.set()
        await task


async def until_status(url: str, wanted: str) -> dict[str, Any]:
    """Ask until the state is that; returns it."""
    deadline = time.monotonic() + LIMIT_S
    async with httpx.AsyncClient() as http:
        while True:
            state: dict[str, Any] = (await http.get(f"{url}/api/v1/kpis")).json()["state"]
            if state["status"] == wanted:
                return state
            assert time.monotonic() < deadline, state
            await asyncio.sleep(0.05)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
