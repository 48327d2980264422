"""An address, a uvicorn server on it, and an end by signal with an exit code of ours."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import signal
import socket
from collections.abc import Iterator
from typing import Final

import uvicorn

BACKLOG: Final = 512
INTERRUPTED: Final = 130


class CannotListen(Exception):
    """The address is taken or not ours."""


class NeedsToken(Exception):
    """Other machines could call without being asked for a token."""


class Server(uvicorn.Server):
    """uvicorn without its signal handlers, which end the process by the signal instead of an exit code."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve_until_stopped(server: Server, listener: socket.socket) -> int:
    """Serve until SIGTERM (returns 0) or SIGINT (130), then close the listener."""
    caught = _stop_at_signals(server)
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


def listen(address: str, number: int) -> socket.socket:
    """Bind before anything else starts: the error is ours and port 0 is known. Raises CannotListen."""
    host = address.strip("[]")
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            host, number, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise CannotListen(f"cannot listen on {address}: {error.strerror or error}; check --host") from None
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(place)
    except OSError as error:
        listener.close()
        raise CannotListen(
            f"cannot listen on {address}:{number} ({error.strerror}); choose another --port"
        ) from None
    listener.listen(BACKLOG)  # from here on callers wait instead of being refused
    listener.setblocking(False)
    return listener


def url_of(listener: socket.socket) -> str:
    """`http://HOST:PORT` of a bound socket."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def is_local(host: str) -> bool:
    """Tell whether only this machine can reach what listens on `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:  # a name: it may resolve to anything
        return False
