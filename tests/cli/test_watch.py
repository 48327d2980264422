"""`latido watch` in a terminal: it moves, obeys keys, outlives the store and ends cleanly."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager

from schemas.snapshots import KpiSnapshot
from stream.demo import note
from stream.demo.servers import EmbeddedStore
from stream.tables.redis_client import TIMEOUT_S
from tests.cli.conftest import ROOT
from tests.cli.publishing import publish

LIMIT_S = 20.0


class Terminal:
    """A command in a terminal of its own."""

    def __init__(self, master: int, process: subprocess.Popen[bytes]) -> None:
        self._master = master
        self.process = process
        self.text = ""

    async def shows(self, wanted: str) -> None:
        """Wait until the text has been written since the last call."""
        deadline = time.monotonic() + LIMIT_S
        while wanted not in self.text:
            assert time.monotonic() < deadline, self.text[-500:]
            await self._read_on()
        self.text = self.text.partition(wanted)[2]

    async def ended(self) -> int:
        """The exit code."""
        deadline = time.monotonic() + LIMIT_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline, self.text[-500:]
            await self._read_on()
        return self.process.returncode

    async def _read_on(self) -> None:
        await asyncio.sleep(0.02)
        while select.select([self._master], [], [], 0)[0]:
            try:
                self.text += os.read(self._master, 65536).decode("utf-8", "replace")
            except OSError:  # the other end is closed
                return

    def press(self, key: bytes) -> None:
        os.write(self._master, key)

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.process.send_signal(signal.SIGWINCH)  # what the kernel does for a controlling terminal


@contextmanager
def terminal(*arguments: str, **variables: str) -> Iterator[Terminal]:
    master, slave = pty.openpty()
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    own = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        [sys.executable, "-m", "stream", *arguments],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**own, "PYTHONPATH": str(ROOT), "TERM": "xterm", **variables},
        start_new_session=True,
    )
    os.close(slave)
    with process:
        try:
            yield Terminal(master, process)
        finally:
            process.kill()
            os.close(master)


async def test_watch_moves_and_obeys_keys(store: EmbeddedStore) -> None:
    with terminal("watch", LATIDO_REDIS=store.url, LATIDO_NAMESPACE="cli-watch") as shown:
        await shown.shows("nothing is published in namespace cli-watch yet")
        await publish(store, "cli-watch")
        await shown.shows("complete")
        await publish(store, "cli-watch", site_id="another")
        await shown.shows("(2 of 2)")
        shown.press(b"s")
        await shown.shows("another")
        shown.press(b"q")
        assert await shown.ended() == 0


async def test_watch_fits_the_terminal_when_it_changes(store: EmbeddedStore) -> None:
    await publish(store, "cli-size", age_ms=60_000)  # nobody publishes: nothing but the size changes
    with terminal("watch", LATIDO_REDIS=store.url, LATIDO_NAMESPACE="cli-size") as shown:
        await shown.shows("CSAT")
        shown.resize(60, 9)
        await shown.shows("... ")
        await shown.shows(" more")
        shown.press(b"\x1b[A")
        shown.resize(120, 40)
        await shown.shows("CSAT")
        shown.press(b"\x1b")
        assert await shown.ended() == 0


async def test_q_ends_it_while_the_store_does_not_answer() -> None:
    with EmbeddedStore() as own, terminal("watch", LATIDO_REDIS=own.url) as shown:
        await publish(own, "default")
        await shown.shows("complete")
        os.kill(own.pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(1.5)  # a reading is under way
            shown.press(b"q")
            pressed_at = time.monotonic()
            assert await shown.ended() == 0
            assert time.monotonic() - pressed_at < TIMEOUT_S - 1.5
        finally:
            os.kill(own.pid, signal.SIGCONT)


async def test_the_demo_keeps_its_addresses_at_the_foot(store: EmbeddedStore) -> None:
    about = {"LATIDO_REDIS": store.url, "LATIDO_NAMESPACE": "cli-note"}
    with terminal(
        "watch", **about, **{note.VARIABLE: "events: POST http://h:1\nlatido kpi \x1b[2J"}
    ) as shown:
        await shown.shows("events: POST http://h:1")
        await publish(store, "cli-note")
        await shown.shows("complete")
        await shown.shows("partitions 4 of 4")
        await shown.shows("events: POST http://h:1")
        await shown.shows("latido kpi \\x1b[2J")
        shown.press(b"q")
        assert await shown.ended() == 0


async def test_watch_outlives_the_store_and_ctrl_c_ends_it() -> None:
    with EmbeddedStore() as own, terminal("watch", LATIDO_REDIS=own.url) as shown:
        await publish(own, "default")
        await shown.shows("complete")
        own.kill()
        await shown.shows("store at 127.0.0.1")
        await own.start_async()
        await shown.shows("q quits")
        shown.process.send_signal(signal.SIGINT)
        assert await shown.ended() == 130
        assert "Traceback" not in shown.text


async def test_watch_as_json_prints_what_changes(store: EmbeddedStore) -> None:
    snapshot = await publish(store, "cli-lines")
    variables = {"PYTHONPATH": str(ROOT), "LATIDO_REDIS": store.url, "LATIDO_NAMESPACE": "cli-lines"}
    command = [sys.executable, "-m", "stream", "watch", "--json"]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, env={**os.environ, **variables}
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(LIMIT_S):
            first = KpiSnapshot.model_validate_json(await process.stdout.readline())
            await publish(store, "cli-lines", sequence=snapshot.sequence + 1)
            second = KpiSnapshot.model_validate_json(await process.stdout.readline())
            assert [first.sequence, second.sequence] == [snapshot.sequence, snapshot.sequence + 1]
            process.send_signal(signal.SIGINT)
            assert await process.wait() == 130
    finally:
        if process.returncode is None:
            process.kill()
