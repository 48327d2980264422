"""The HTTP interface: the page, and under /api/v1 the same numbers for machines. Everything is GET."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from stream.dashboard.config import DashboardConfig
from stream.dashboard.events import events
from stream.dashboard.feed import whole
from stream.dashboard.guard import SECURITY_HEADERS, Guard, refusal
from stream.dashboard.reader import BoardReader, TooManyViewers
from stream.dashboard.registry import entries
from stream.dashboard.selection import BadQuery, read_selection
from stream.dashboard.state import UNREACHABLE
from stream.pipeline.ports import Board
from stream.serving.middleware import AccessLog, SecurityHeaders

STATIC: Final = Path(__file__).parent / "static"


class Monitor:
    """The handlers and what they share."""

    def __init__(self, reader: BoardReader, board: Board) -> None:
        self._reader = reader
        self._board = board
        self._registry = msgspec.json.encode(list(entries()))

    async def kpis(self, request: Request) -> Response:
        """GET /api/v1/kpis."""
        selection = read_selection(request.query_params.multi_items())
        now = self._reader.now()
        if now.state.status == UNREACHABLE:
            return json(503, {"state": now.state, "error": now.state.text})
        return json(200, whole(selection, now))

    async def stream(self, request: Request) -> Response:
        """GET /api/v1/kpis/stream."""
        selection = read_selection(request.query_params.multi_items())
        last_id = request.headers.get("last-event-id")
        return StreamingResponse(
            self._viewer(selection, last_id),
            media_type="text/event-stream",
            headers={"X-Accel-Buffering": "no"},
        )

    async def _viewer(self, selection: Any, last_id: str | None) -> Any:
        with self._reader.viewing(selection) as feed:
            async for piece in events(self._reader, feed, last_id):
                yield piece

    async def registry(self, request: Request) -> Response:
        """GET /api/v1/registry."""
        return Response(self._registry, media_type="application/json")

    async def health(self, request: Request) -> Response:
        """GET /api/v1/health."""
        now = self._reader.now()
        return json(200, {"state": now.state, "header": now.header})

    async def page(self, request: Request) -> Response:
        return FileResponse(STATIC / "index.html")


def create_app(reader: BoardReader, board: Board, config: DashboardConfig, lifespan: Any = None) -> Starlette:
    """The ASGI application over a reader that is run by `lifespan` or the caller."""
    monitor = Monitor(reader, board)
    routes = [
        Route("/", monitor.page),
        Route("/api/v1/kpis", monitor.kpis),
        Route("/api/v1/kpis/stream", monitor.stream),
        Route("/api/v1/registry", monitor.registry),
        Route("/api/v1/health", monitor.health),
    ]
    paths = frozenset(route.path for route in routes)
    return Starlette(
        routes=[*routes, Mount("/static", StaticFiles(directory=STATIC))],
        middleware=[
            Middleware(AccessLog, "dashboard", paths, paths),
            Middleware(SecurityHeaders, SECURITY_HEADERS),
            Middleware(Guard, config),
        ],
        exception_handlers={HTTPException: _refused, BadQuery: _bad_query, TooManyViewers: _full},
        lifespan=lifespan,
    )


def json(status: int, content: Any) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return refusal(error.status_code, error.detail, error.headers)


async def _bad_query(request: Request, error: Exception) -> Response:
    return refusal(400, str(error))


async def _full(request: Request, error: Exception) -> Response:
    return refusal(503, "all places for viewers are taken; try again later", {"Retry-After": "5"})
