"""The collector as a process: uvicorn around `app`, with a producer behind it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import structlog
import uvicorn
from starlette.applications import Starlette

from stream.collector.app import create_app
from stream.collector.config import CollectorConfig
from stream.collector.producer import EventProducer
from stream.serving.listening import BACKLOG, Server, listen, serve_until_stopped, url_of

log = structlog.get_logger(__name__)

DRAIN_S: Final = 10
"""After SIGTERM or Ctrl-C, requests being handled get this long."""
CONNECTIONS: Final = 1000
"""Open connections beside the requests being handled; more are refused."""


async def serve(config: CollectorConfig, kafka_options: Mapping[str, Any]) -> int:
    """Serve until SIGTERM (returns 0) or SIGINT (130). Raises CannotListen."""
    listener = listen(config.host, config.port)
    producer = EventProducer(kafka_options, config.acknowledge_within_s)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        producer.start_in_background()
        try:
            yield
        finally:
            await producer.stop()

    server = Server(
        uvicorn.Config(
            create_app(producer, config, lifespan),
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=CONNECTIONS + config.in_flight,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=DRAIN_S,
            backlog=BACKLOG,
            ws="none",
        )
    )
    log.info("listening", url=f"{url_of(listener)}/v1/events")
    return await serve_until_stopped(server, listener)
