"""The HTTP interface: the page, and under /api/v1 the same numbers for machines. Everything is GET.

Errors are {"error": one line}: 400 a filter that cannot be, 401 no token, 403 a page of another origin, 404
no such number now, 421 a foreign Host, 503 the store cannot be read (with `state`) or no place for a viewer.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from schemas.keys import ALL
from stream.dashboard import csv_table
from stream.dashboard.config import DashboardConfig
from stream.dashboard.docs_page import as_html
from stream.dashboard.events import EventStream
from stream.dashboard.explaining import explained
from stream.dashboard.feed import Now, whole
from stream.dashboard.guard import SECURITY_HEADERS, Guard, refusal
from stream.dashboard.health import Health, health_of
from stream.dashboard.openapi import document
from stream.dashboard.reader import BoardReader
from stream.dashboard.selection import BadQuery, check_names, read_selection
from stream.dashboard.settled import settled
from stream.dashboard.state import UNREACHABLE
from stream.pipeline.catalogue import entries
from stream.pipeline.latest_signals import LatestSignal, latest_signals_of
from stream.pipeline.ports import Board, StoreMisconfigured, StoreUnreachable
from stream.pipeline.read_alerts import StandingAlert, standing_alerts
from stream.pipeline.read_results import NotPublished
from stream.pipeline.scores import LatestScore, latest_scores_of
from stream.serving.middleware import AccessLog, SecurityHeaders

STATIC: Final = Path(__file__).parent / "static"
DOCS_STYLE: Final = Path(__file__).parent / "docs.css"
HEALTH_KEPT_S: Final = 1.0
"""One look at the partitions answers all questions of this time."""
QUESTIONS_TO_STORE: Final = 2
"""Readings of settled results, scores, signals and explanations at a time; others wait."""

MOST_ALERTS: Final = 1000
"""The newest of what fires before the rest; nobody reads more."""


class Unreachable(Exception):
    """The store cannot be read: the last figures are not shown as if they were new."""


class Monitor:
    """The handlers and what they share."""

    def __init__(self, reader: BoardReader, board: Board, config: DashboardConfig) -> None:
        self._reader = reader
        self._config = config
        self._board = board
        self._registry = Fixed(msgspec.json.encode(list(entries())), "application/json")
        self._openapi = Fixed(msgspec.json.encode(document()), "application/json")
        self._docs = Fixed(as_html().encode(), "text/html; charset=utf-8")
        self._style = Fixed(DOCS_STYLE.read_bytes(), "text/css; charset=utf-8")
        self._health: tuple[float, Health] | None = None
        self._health_lock = asyncio.Lock()
        self._questions = asyncio.Semaphore(QUESTIONS_TO_STORE)

    async def kpis(self, request: Request) -> Response:
        """GET /api/v1/kpis."""
        selection = read_selection(request.query_params.multi_items())
        now = self._known()
        tag = f'W/"{self._reader.run_id}-{now.version}-{now.state.status}"'
        if _is_same(request, tag):
            return Response(status_code=304, headers={"ETag": tag})
        return json(200, whole(selection, now), {"ETag": tag})

    async def csv(self, request: Request) -> Response:
        """GET /api/v1/kpis.csv."""
        selection = read_selection(request.query_params.multi_items())
        now = self._known()
        rows = csv_table.kpi_rows(selection, selection.chosen(now.records), now.state.status)
        return _csv("kpis", csv_table.COLUMNS, rows)

    async def stream(self, request: Request) -> Response:
        """GET /api/v1/kpis/stream."""
        selection = read_selection(request.query_params.multi_items())
        return EventStream(self._reader, selection, request.headers.get("last-event-id"))

    async def history(self, request: Request) -> Response:
        """GET /api/v1/history."""
        query = request.query_params
        check_names(query, ("site", "segment"))
        site = query.get("site") or next(iter(self._reader.now().records.sites()), "")
        return json(200, self._reader.history(site, query.get("segment", ALL)))

    async def explain(self, request: Request) -> Response:
        """GET /api/v1/explain."""
        bots, now = self._config.exclude_bots, self._known()
        async with self._questions:
            return json(200, await explained(request.query_params, now, self._board, exclude_bots=bots))

    async def results(self, request: Request) -> Response:
        """GET /api/v1/results."""
        return json(200, await self._results(request))

    async def results_csv(self, request: Request) -> Response:
        """GET /api/v1/results.csv."""
        records = (await self._results(request))["records"]
        return _csv("results", csv_table.RESULT_COLUMNS, csv_table.result_rows(records))

    async def _results(self, request: Request) -> dict[str, Any]:
        async with self._questions:
            return await settled(self._board, request.query_params.multi_items(), self._reader.wall_ms())

    async def scores(self, request: Request) -> Response:
        """GET /api/v1/scores."""
        site, found = await self._scores(request)
        return tagged(request, {"site": site, "scores": found})

    async def scores_csv(self, request: Request) -> Response:
        """GET /api/v1/scores.csv."""
        return _csv("scores", csv_table.SCORE_COLUMNS, csv_table.score_rows(*await self._scores(request)))

    async def _scores(self, request: Request) -> tuple[str, list[LatestScore]]:
        site, now = self._one_site(request)
        async with self._questions:
            return site, await latest_scores_of(self._board, _partitions(now), site)

    async def signals(self, request: Request) -> Response:
        """GET /api/v1/churn/signals."""
        site, now = self._one_site(request)
        counts, signals = now.records.customers(site), await self._signals(site, now)
        return tagged(request, {"site": site, "customers": counts, "signals": signals})

    async def signals_csv(self, request: Request) -> Response:
        """GET /api/v1/churn/signals.csv."""
        site, now = self._one_site(request)
        rows = csv_table.signal_rows(site, await self._signals(site, now))
        return _csv("churn-signals", csv_table.SIGNAL_COLUMNS, rows)

    async def _signals(self, site: str, now: Now) -> list[LatestSignal]:
        async with self._questions:
            return await latest_signals_of(self._board, _partitions(now), site)

    async def alerts(self, request: Request) -> Response:
        """GET /api/v1/alerts."""
        return tagged(request, {"alerts": await self._alerts(request)})

    async def alerts_csv(self, request: Request) -> Response:
        """GET /api/v1/alerts.csv."""
        return _csv("alerts", csv_table.ALERT_COLUMNS, csv_table.alert_rows(await self._alerts(request)))

    async def _alerts(self, request: Request) -> list[StandingAlert]:
        check_names(request.query_params, ("site",))
        async with self._questions:
            return (await standing_alerts(self._board, request.query_params.get("site")))[:MOST_ALERTS]

    async def health(self, request: Request) -> Response:
        """GET /api/v1/health."""
        found, now = await self._health_now(), self._known()
        return json(200, {"state": now.state, "header": now.header, **msgspec.structs.asdict(found)})

    async def health_csv(self, request: Request) -> Response:
        """GET /api/v1/health.csv: its partitions."""
        rows = csv_table.partition_rows((await self._health_now()).partitions)
        return _csv("partitions", csv_table.PARTITION_COLUMNS, rows)

    async def _health_now(self) -> Health:
        async with self._health_lock:
            now_s = asyncio.get_running_loop().time()
            if self._health is None or now_s - self._health[0] > HEALTH_KEPT_S:
                standings = await self._board.read_heads(_partitions(self._known()))
                self._health = (now_s, health_of(standings, self._reader.wall_ms()))
            return self._health[1]

    def _one_site(self, request: Request) -> tuple[str, Now]:
        """The site asked for, else the first one; what is known. Raises BadQuery for any other filter."""
        check_names(request.query_params, ("site",))
        now = self._known()
        return request.query_params.get("site") or next(iter(now.records.sites()), ""), now

    def _known(self) -> Now:
        """What is known. Raises Unreachable rather than show it when the store cannot be read."""
        now = self._reader.now()
        if now.state.status == UNREACHABLE:
            raise Unreachable
        return now

    async def unreachable(self, request: Request, error: Exception) -> Response:
        """503, and since when nothing is known."""
        state = self._reader.now().state
        reason = state.text if isinstance(error, Unreachable) else f"The store cannot be read: {error}"
        return json(503, {"error": reason, "state": state}, {"Retry-After": "1"})

    async def registry(self, request: Request) -> Response:
        """GET /api/v1/registry."""
        return self._registry.answer(request)

    async def openapi(self, request: Request) -> Response:
        """GET /openapi.json."""
        return self._openapi.answer(request)

    async def docs(self, request: Request) -> Response:
        """GET /docs: the same for people."""
        return self._docs.answer(request)

    async def style(self, request: Request) -> Response:
        """GET /docs.css."""
        return self._style.answer(request)


class Fixed:
    """An answer that is the same as long as its bytes are; a browser asks each time."""

    def __init__(self, body: bytes, media_type: str) -> None:
        self._body = body
        self._tag = f'"{hashlib.blake2b(body, digest_size=8).hexdigest()}"'
        self._media_type = media_type

    def answer(self, request: Request) -> Response:
        headers = {"ETag": self._tag, "Cache-Control": "no-cache"}
        if _is_same(request, self._tag):
            return Response(status_code=304, headers=headers)
        return Response(self._body, 200, headers, self._media_type)


class Page(StaticFiles):
    """The page's files; a browser asks each time whether they are still the same."""

    def file_response(self, *arguments: Any, **options: Any) -> Response:
        answer = super().file_response(*arguments, **options)
        answer.headers["Cache-Control"] = "no-cache"
        return answer

    async def index(self, request: Request) -> Response:
        """GET /."""
        return await self.get_response("index.html", request.scope)


def create_app(reader: BoardReader, board: Board, config: DashboardConfig, lifespan: Any = None) -> Starlette:
    """The ASGI application over a reader that is run by `lifespan` or the caller."""
    monitor, page = Monitor(reader, board, config), Page(directory=STATIC)
    routes = [
        Route("/", page.index),
        Route("/docs", monitor.docs),
        Route("/docs.css", monitor.style),
        Route("/openapi.json", monitor.openapi),
        Route("/api/v1/kpis", monitor.kpis),
        Route("/api/v1/kpis.csv", monitor.csv),
        Route("/api/v1/kpis/stream", monitor.stream),
        Route("/api/v1/history", monitor.history),
        Route("/api/v1/results", monitor.results),
        Route("/api/v1/results.csv", monitor.results_csv),
        Route("/api/v1/scores", monitor.scores),
        Route("/api/v1/scores.csv", monitor.scores_csv),
        Route("/api/v1/churn/signals", monitor.signals),
        Route("/api/v1/churn/signals.csv", monitor.signals_csv),
        Route("/api/v1/alerts", monitor.alerts),
        Route("/api/v1/alerts.csv", monitor.alerts_csv),
        Route("/api/v1/explain", monitor.explain),
        Route("/api/v1/registry", monitor.registry),
        Route("/api/v1/health", monitor.health),
        Route("/api/v1/health.csv", monitor.health_csv),
    ]
    files = (f"/static/{one.relative_to(STATIC)}" for one in STATIC.rglob("*"))
    paths = frozenset((*files, *(route.path for route in routes)))
    return Starlette(
        routes=[*routes, Mount("/static", page)],
        middleware=[
            Middleware(AccessLog, "dashboard", paths, paths),
            Middleware(SecurityHeaders, SECURITY_HEADERS),
            Middleware(Guard, config),
        ],
        exception_handlers={
            HTTPException: _refused,
            BadQuery: _bad_query,
            NotPublished: _not_published,
            Unreachable: monitor.unreachable,
            StoreUnreachable: monitor.unreachable,
            StoreMisconfigured: monitor.unreachable,
        },
        lifespan=lifespan,
    )


def _partitions(now: Now) -> int:
    return 0 if now.header is None else now.header.completeness.partitions


def json(status: int, content: Any, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(content), status, headers, "application/json")


def tagged(request: Request, content: Any) -> Response:
    """200, or 304 for who has it already."""
    return Fixed(msgspec.json.encode(content), "application/json").answer(request)


def _is_same(request: Request, tag: str) -> bool:
    """Whether the caller has it already."""
    known = [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]
    return tag.removeprefix("W/") in known or "*" in known


def _csv(name: str, columns: Sequence[str], rows: Iterable[csv_table.Row]) -> Response:
    async def pieces() -> AsyncIterator[str]:
        for piece in csv_table.table(columns, rows):
            yield piece
            await asyncio.sleep(0)  # a large table leaves the others their turn

    named = {"Content-Disposition": f'attachment; filename="latido-{name}.csv"'}
    return StreamingResponse(pieces(), 200, named, "text/csv; charset=utf-8")


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return refusal(error.status_code, error.detail, error.headers)


async def _bad_query(request: Request, error: Exception) -> Response:
    return refusal(400, str(error))


async def _not_published(request: Request, error: Exception) -> Response:
    return refusal(404, str(error))
