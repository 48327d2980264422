"""A TCP proxy in front of one server, whose network can be cut, left half open, or made slow."""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Final, Self

from stream.demo.child_process import HOST

_CHUNK_BYTES: Final = 65_536


class Proxy:
    """`address` leads to the port `target`. Cuts and delays hold for all connections, old and new."""

    def __init__(self, port: int, target: int) -> None:
        self.address = f"{HOST}:{port}"
        self._port, self._target = port, target
        self._server: asyncio.Server | None = None
        self._passes = asyncio.Event()
        self._passes.set()
        self._delay_s = 0.0
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def cut(self) -> None:
        """Every connection breaks, and no new one is taken."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def mend(self) -> None:
        """All is well again. What was held back while half open goes on its way."""
        self._delay_s = 0.0
        self._passes.set()
        if self._server is None:
            await self._listen()

    def half_open(self) -> None:
        """Connections stand and are taken, but nothing gets through, in either direction."""
        self._passes.clear()

    def slow(self, delay_s: float) -> None:
        """Whatever is sent arrives this much later, in either direction."""
        self._delay_s = delay_s

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._take, HOST, self._port)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(HOST, self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._pump(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(_CHUNK_BYTES):
                if self._delay_s:
                    await asyncio.sleep(self._delay_s)
                await self._passes.wait()
                sink.write(data)
                await sink.drain()
        self._writers.discard(sink)
        sink.close()
