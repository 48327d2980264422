"""The collector as a process: uvicorn around `app`, with a producer behind it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Final

import structlog
import uvicorn
from starlette.applications import Starlette

from stream.collector.app import create_app
from stream.collector.config import CollectorConfig
from stream.collector.producer import EventProducer

log = structlog.get_logger(__name__)

DRAIN_S: Final = 10
"""After SIGTERM or Ctrl-C, requests being handled get this long."""
CONNECTIONS: Final = 1000
"""Open connections beside the requests being handled; more are refused."""
BACKLOG: Final = 512
INTERRUPTED: Final = 130


class CannotListen(Exception):
    """The address is taken or not ours."""


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers, which end the process by the signal instead of an exit code."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(config: CollectorConfig, kafka_options: Mapping[str, Any]) -> int:
    """Serve until SIGTERM (returns 0) or SIGINT (130). Raises CannotListen."""
    listener = _listen(config)
    producer = EventProducer(kafka_options, config.acknowledge_within_s)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        producer.start_in_background()
        try:
            yield
        finally:
            await producer.stop()

    server = _Server(
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
    caught = _stop_at_signals(server)
    host, port = listener.getsockname()[:2]
    log.info("listening", url=f"http://{f'[{host}]' if ':' in host else host}:{port}/v1/events")
    with listener:
        await server.serve(sockets=[listener])
    return INTERRUPTED if caught[:1] == [signal.SIGINT] else 0


def _stop_at_signals(server: uvicorn.Server) -> list[int]:
    """Let SIGINT and SIGTERM end the server; returns the list of those that came."""
    caught: list[int] = []

    def stop(number: int) -> None:
        caught.append(number)
        server.force_exit = len(caught) > 1  # the second Ctrl-C does not wait
        server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    return caught


def _listen(config: CollectorConfig) -> socket.socket:
    """Bind before anything else starts, so that the error is ours and port 0 is known."""
    host = config.host.strip("[]")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise CannotListen(
            f"cannot listen on {config.host}: {error.strerror or error}; check --host"
        ) from None
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise CannotListen(
            f"cannot listen on {config.host}:{config.port} ({error.strerror}); choose another --port"
        ) from None
    listener.listen(BACKLOG)  # from here on callers wait instead of being refused
    listener.setblocking(False)
    return listener
