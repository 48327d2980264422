"""The dashboard as a process: uvicorn around `app`, with one reader of the board behind it."""

from __future__ import annotations

import asyncio
import contextlib
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

log = structlog.get_logger(__name__)

OTHER_CONNECTIONS: Final = 200
"""Beside the open streams; more are refused."""
DRAIN_S: Final = 1
"""Streams never end by themselves: nothing is worth waiting for longer."""


async def serve(config: DashboardConfig, board: Board) -> int:
    """Serve until SIGTERM (returns 0) or SIGINT (130); prints the address. Raises CannotListen."""
    listener = listen(config.host, config.port)
    reader = BoardReader(board, config.namespace, config.viewers)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await reader.read()
        reading = asyncio.create_task(reader.run())
        try:
            yield
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    server = Server(
        uvicorn.Config(
            create_app(reader, board, config, lifespan),
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=config.viewers + OTHER_CONNECTIONS,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=DRAIN_S,
            backlog=BACKLOG,
            ws="none",
        )
    )
    print(f"{url_of(listener)}/", flush=True)
    return await serve_until_stopped(server, listener)
