"""Connections that hold a place and do nothing with it are cut off."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Final

from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_WITHIN_S: Final = 10.0
"""From the connection, or the first byte of a further request, to its last header."""
READ_WITHIN_S: Final = 10.0
"""Who has not read on after so long is gone, or means ill."""
UNREAD_BYTES: Final = 64 * 1024
"""What may wait in this process for a caller to read it. What the kernel holds comes in addition."""
NO_LINGER: Final = struct.pack("ii", 1, 0)


class ImpatientProtocol(H11Protocol):
    """HTTP/1.1 as uvicorn speaks it; uvicorn itself waits without end, both for a request and for a reader.

    It cannot be left to the application: closing a connection waits until what was written is read.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=UNREAD_BYTES)
        self._arrival = Limit(self.loop, REQUEST_WITHIN_S, self._cut_off)
        self._reading = Limit(self.loop, READ_WITHIN_S, self._cut_off)
        self._arrival.start()

    def _cut_off(self) -> None:
        """Without lingering: else the kernel keeps what was not read, and goes on offering it."""
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._arrival.stop()
        else:
            self._arrival.start()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._reading.start()

    def resume_writing(self) -> None:
        self._reading.stop()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._arrival.stop()
        self._reading.stop()
        super().connection_lost(exc)


class Limit:
    """A time within which `stop` must follow `start`, or else something is done."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, act: Callable[[], None]) -> None:
        self._loop, self._seconds, self._act = loop, seconds, act
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Does nothing while it runs."""
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._act)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
