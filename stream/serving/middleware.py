"""Around every request: one log line without user data, and headers that keep browsers from guessing."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import Final

import structlog
from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger(__name__)

KNOWN_METHODS: Final = frozenset({"GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE"})
SECURITY_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""Of answers that are data, not pages."""


class SecurityHeaders:
    """Adds headers to every response that does not set them itself."""

    def __init__(self, app: ASGIApp, headers: Mapping[str, str] = SECURITY_HEADERS) -> None:
        self.app = app
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    answer.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, with_headers if scope["type"] == "http" else send)


class AccessLog:
    """One line per request: method, route, status, time, size. No address, no query, no header, no body."""

    def __init__(self, app: ASGIApp, what: str, paths: Collection[str], quiet: Collection[str]) -> None:
        """what: the process's name in an answer. paths: logged as they are. quiet: those of debug level."""
        self.app = app
        self._paths, self._quiet = paths, quiet
        self._failed = Response(
            f'{{"error":"the {what} failed; its log says where"}}', 500, SECURITY_HEADERS, "application/json"
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 0
        size = 0

        async def count(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        async def measure() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            return message

        try:
            await self.app(scope, measure, count)
        except Exception as error:
            # Its message may hold what the user sent; the type and the place do not.
            log.error("request failed", error=type(error).__name__, where=_place(error))
            if status == 0:
                await self._failed(scope, measure, count)
        finally:
            known = scope["path"] in self._paths
            write = log.debug if scope["path"] in self._quiet and status < 400 else log.info
            write(
                "request",
                method=scope["method"] if scope["method"] in KNOWN_METHODS else "(other)",
                path=scope["path"] if known else "(other)",
                status=status,
                ms=round((time.perf_counter() - started) * 1000, 1),
                bytes_in=size,
            )


def _place(error: Exception) -> str:
    """File and line where an exception was raised."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    return f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place else "?"
