"""Viewers of whom most do not read: memory stays as it is, the others are served, the dead are cut off."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

from stream.demo.servers import EmbeddedStore
from stream.serving.patience import READ_WITHIN_S
from tests.dashboard.process import LIMIT_S, dashboard, publishing, until_status

READERS, DEAD = 50, 200
RECORDS = 60
"""About 170 kB in each change: what a kernel and a process keep for one connection is soon full."""
MOST_PER_VIEWER_MB = 0.4
MOST_GROWTH_MB = 8


def request(query: str) -> bytes:
    return f"GET /api/v1/kpis/stream?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


@contextmanager
def never_reading(port: int) -> Iterator[list[socket.socket]]:
    """Viewers who ask for everything and read nothing; some ask nothing at all, or not to the end."""
    whole = request("dimension=channel&segment=all")
    with ExitStack() as stack:
        viewers = []
        for said in (b"", whole[:30], *[whole] * DEAD):
            one = stack.enter_context(socket.socket())
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.connect(("127.0.0.1", port))
            one.sendall(said)
            viewers.append(one)
        yield viewers


@asynccontextmanager
async def reading(port: int) -> AsyncIterator[list[float]]:
    """Viewers who read; yields when each of them last heard anything, monotonic clock."""
    heard_s = [0.0] * READERS

    async def read(number: int) -> None:
        source, sink = await asyncio.open_connection("127.0.0.1", port)
        sink.write(request("kpi=sessions"))
        try:
            while await source.read(65536):
                heard_s[number] = time.monotonic()
        finally:
            sink.close()

    tasks = [asyncio.create_task(read(number)) for number in range(READERS)]
    try:
        yield heard_s
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def was_cut_off(viewer: socket.socket) -> bool:
    """Tells so once: asking takes the error away."""
    return viewer.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0


def memory_mb(pid: int) -> float:
    done = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True)
    return int(done.stdout) / 1024


async def test_who_does_not_read_costs_the_others_nothing(store: EmbeddedStore, tmp_path: Path) -> None:
    with dashboard(store.url, tmp_path, "--namespace", "viewers") as (process, url):
        port = int(url.rpartition(":")[2])
        async with publishing(store, 0.25, RECORDS, namespace="viewers"):
            await until_status(url, "complete")
            alone_mb = memory_mb(process.pid)
            async with reading(port) as heard_s:
                with never_reading(port) as dead:
                    await asyncio.sleep(READ_WITHIN_S / 4)  # every buffer is full
                    early_mb = memory_mb(process.pid)
                    await asyncio.sleep(READ_WITHIN_S / 2)
                    late_mb = memory_mb(process.pid)
                    deadline = time.monotonic() + LIMIT_S
                    while dead := [one for one in dead if not was_cut_off(one)]:
                        assert time.monotonic() < deadline, f"{len(dead)} that never read are still served"
                        await asyncio.sleep(0.1)
                assert time.monotonic() - min(heard_s) < READ_WITHIN_S / 2
    assert early_mb - alone_mb < MOST_PER_VIEWER_MB * (READERS + DEAD)
    assert late_mb - early_mb < MOST_GROWTH_MB
    print(f"{alone_mb:.0f} MB alone, {early_mb:.0f} with all viewers, {late_mb:.0f} MB later")
