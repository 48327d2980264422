"""The dashboard as a process: uvicorn around `app`, with one reader of the board behind it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Final

import structlog
import uvicorn
from starlette.applications import Starlette

from stream.dashboard.app import create_app
from stream.dashboard.config import DashboardConfig
from stream.dashboard.reader import BoardReader
from stream.pipeline.ports import Board
from stream.serving.listening import BACKLOG, Server, listen, serve_until_stopped, url_of
from stream.serving.patience import UNREAD_BYTES, ImpatientProtocol

log = structlog.get_logger(__name__)

OTHER_CONNECTIONS: Final = 200
"""Beside the open streams; more are refused."""
DRAIN_S: Final = 2


class _Server(Server):
    """Ends the streams before it waits for all connections to end."""

    def __init__(self, config: uvicorn.Config, reader: BoardReader) -> None:
        super().__init__(config)
        self._reader = reader

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._reader.close()
        await super().shutdown(sockets)


async def serve(config: DashboardConfig, board: Board) -> int:
    """Serve until SIGTERM (returns 0) or SIGINT (130); prints the address. Raises CannotListen."""
    listener = listen(config.host, config.port)
    # What accepts inherits it. Left alone the kernel takes megabytes for each viewer that does not read.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNREAD_BYTES)
    reader = BoardReader(board, config.namespace, config.viewers)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await reader.read()
        reading = asyncio.create_task(reader.run())
        reading.add_done_callback(stop_if_failed)
        try:
            yield
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    failed: list[BaseException] = []

    def stop_if_failed(reading: asyncio.Task[None]) -> None:
        """A defect: nothing would move any more, and nobody would see why."""
        if not reading.cancelled() and (error := reading.exception()) is not None:
            log.error("the reader failed", exc_info=error)
            failed.append(error)
            server.should_exit = True

    server = _Server(
        uvicorn.Config(
            create_app(reader, board, config, lifespan),
            http=ImpatientProtocol,
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=config.viewers + OTHER_CONNECTIONS,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=DRAIN_S,
            backlog=BACKLOG,
            ws="none",
        ),
        reader,
    )
    print(f"{url_of(listener)}/", flush=True)
    return await serve_until_stopped(server, listener) or len(failed)
