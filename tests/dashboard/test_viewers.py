"""Viewers of whom most do not read: memory stays as it is, the others are served, the dead are cut off."""

from __future__ import annotations

import asyncio
import select
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

from stream.demo.servers import EmbeddedStore
from tests.dashboard.process import LIMIT_S, dashboard, publishing, until_status

READERS, DEAD = 50, 200
RECORDS = 60
"""About 170 kB in each change: what a kernel and a process keep for one connection is full after two."""
FULL_AFTER, WATCHED_FOR = 4, 12
"""Counted in changes that every reader heard: time would be stretched by a busy machine."""
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
async def reading(port: int) -> AsyncIterator[list[int]]:
    """Viewers who read; yields how many changes each of them has heard."""
    heard = [0] * READERS

    async def read(number: int) -> None:
        source, sink = await asyncio.open_connection("127.0.0.1", port)
        sink.write(request("kpi=sessions"))
        try:
            while some := await source.read(65536):
                heard[number] += some.count(b"event: change")
        finally:
            sink.close()

    tasks = [asyncio.create_task(read(number)) for number in range(READERS)]
    try:
        yield heard
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not true():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.05)


async def until_further(changes: int, heard: list[int]) -> None:
    """Until every reader has heard so many more."""
    enough = min(heard) + changes
    await until(lambda: min(heard) >= enough, f"only {min(heard)} of {enough} changes reached every reader")


def answered(viewers: list[socket.socket]) -> bool:
    return len(select.select(viewers, [], [], 0)[0]) == len(viewers)


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
            async with reading(port) as heard:
                with never_reading(port) as dead:
                    await until(lambda: answered(dead[-DEAD:]), "not all who ask are answered")
                    await until_further(FULL_AFTER, heard)
                    full_mb = memory_mb(process.pid)
                    await until_further(WATCHED_FOR, heard)
                    later_mb = memory_mb(process.pid)
                    print(f"{alone_mb:.0f} MB alone, {full_mb:.0f} with all viewers, {later_mb:.0f} MB later")
                    assert full_mb - alone_mb < MOST_PER_VIEWER_MB * (READERS + DEAD)
                    assert later_mb - full_mb < MOST_GROWTH_MB
                    still: list[socket.socket] = list(dead)

                    def all_gone() -> bool:
                        still[:] = [one for one in still if not was_cut_off(one)]
                        return not still

                    await until(all_gone, "some that never read are still served")
                await until_further(1, heard)
