"""A TCP proxy that loses what a network can lose."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self


class ReplyThief:
    """Passes everything on to `port`, until told to keep replies for itself and hang up."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()
        self.stealing = False
        self.stolen = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/0"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for link in self._links:
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        back, forth = await asyncio.open_connection("127.0.0.1", self._target)
        requests = asyncio.create_task(self._pass(reader, forth))
        try:
            while data := await back.read(65536):
                if self.stealing:
                    self.stolen += 1
                    break
                writer.write(data)
        finally:
            self._links.discard(task)
            requests.cancel()
            forth.close()
            writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()
