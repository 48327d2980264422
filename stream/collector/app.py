"""The HTTP interface: `POST /v1/events` and `GET /health`.

Answers of POST /v1/events, all JSON:

202  every accepted event is acknowledged by the broker: {"accepted": n, "rejected": [{index, code, reason}]}
400  the body is not JSON, or none of its events is valid (then with the same two fields)
401  the token is missing or wrong · 403 a page of another origin calls · 408 the body does not arrive
413  more than 1 MiB or 1000 events (an event above 64 KiB is rejected by itself) · 415 not application/json
429  too many requests are being handled: Retry-After says when to try again
503  the broker did not acknowledge: `retry` lists the indexes to send again, with the same event_id
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import msgspec
import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from schemas.events import Event
from stream.collector.batch import MAX_BODY_BYTES, NOT_ACKNOWLEDGED, Accepted, BadBody, Rejected, read_batch
from stream.collector.config import CollectorConfig
from stream.collector.producer import BrokerUnavailable
from stream.serving.access import has_token
from stream.serving.middleware import AccessLog, SecurityHeaders

log = structlog.get_logger(__name__)

BODY_WITHIN_S: Final = 20.0
"""A body that takes longer than this holds a place that others wait for."""
RETRY_AFTER_S: Final = 1
HEALTH_KEPT_S: Final = 2.0
"""One question to the broker answers all health checks of this time."""


class Sink(Protocol):
    """Where accepted events go: `producer.EventProducer`."""

    async def deliver(self, events: Sequence[Event]) -> list[str | None]: ...

    async def check(self) -> None: ...


class Collector:
    """The handlers and what they share."""

    def __init__(self, sink: Sink, config: CollectorConfig) -> None:
        self._sink = sink
        self._config = config
        self._busy = 0
        self._health: tuple[float, str | None] | None = None
        self._health_lock = asyncio.Lock()

    async def events(self, request: Request) -> Response:
        """POST /v1/events."""
        self._admit(request)
        with self._place():
            body = await _read_body(request)
            try:
                accepted, rejected = read_batch(body, datetime.now(UTC))
            except BadBody as error:
                raise HTTPException(error.status, str(error)) from None
            if not accepted:
                return _json(400, {"accepted": 0, "rejected": rejected})
            return await self._deliver(accepted, rejected)

    async def _deliver(self, accepted: list[Accepted], rejected: list[Rejected]) -> Response:
        answers = await self._sink.deliver([one.event for one in accepted])
        unsent = [
            Rejected(one.index, NOT_ACKNOWLEDGED, reason)
            for one, reason in zip(accepted, answers, strict=True)
            if reason is not None
        ]
        result: dict[str, Any] = {
            "accepted": len(accepted) - len(unsent),
            "rejected": sorted([*rejected, *unsent], key=lambda one: one.index),
        }
        if not unsent:
            return _json(202, result)
        log.warning("not acknowledged", events=len(unsent), of=len(accepted), reason=unsent[0].reason)
        result["error"] = "the broker did not acknowledge the events in `retry`; send them again as they are"
        result["retry"] = [one.index for one in unsent]
        return _json(503, result, retry=True)

    def _admit(self, request: Request) -> None:
        """Raises HTTPException 401, 403 or 415: who may call, and with what."""
        origin = request.headers.get("origin")
        if origin is not None and origin not in self._config.cors_origins:
            raise HTTPException(
                403, "pages of this origin may not call; add it to cors_origins of [collector]"
            )
        if self._config.token is not None and not has_token(request, self._config.token):
            raise HTTPException(
                401, "send the token as 'Authorization: Bearer TOKEN'", {"WWW-Authenticate": "Bearer"}
            )
        kind, _, parameters = request.headers.get("content-type", "").lower().partition(";")
        charset = parameters.strip().removeprefix("charset=").strip('"')
        if kind.strip() != "application/json" or charset not in ("", "utf-8"):
            raise HTTPException(415, "send JSON in UTF-8 as 'Content-Type: application/json'")
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            raise HTTPException(415, "send the body uncompressed", {"Accept-Encoding": "identity"})

    @contextlib.contextmanager
    def _place(self) -> Iterator[None]:
        """One of the places for requests. Raises HTTPException 429 when all are taken."""
        if self._busy >= self._config.in_flight:
            raise HTTPException(429, "too many requests at a time", {"Retry-After": str(RETRY_AFTER_S)})
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1

    async def health(self, request: Request) -> Response:
        """GET /health: 200 when the broker answers and has the input topics."""
        async with self._health_lock:
            now = asyncio.get_running_loop().time()
            if self._health is None or now - self._health[0] > HEALTH_KEPT_S:
                self._health = (now, await self._problem())
        problem = self._health[1]
        if problem is None:
            return _json(200, {"status": "ok"})
        return _json(503, {"status": "unavailable", "reason": problem}, retry=True)

    async def _problem(self) -> str | None:
        try:
            await self._sink.check()
        except BrokerUnavailable as error:
            return str(error)
        return None


def create_app(sink: Sink, config: CollectorConfig, lifespan: Any = None) -> Starlette:
    """The ASGI application over a sink that is started and stopped by `lifespan` or the caller."""
    collector = Collector(sink, config)
    log_lines = Middleware(AccessLog, "collector", paths=("/v1/events", "/health"), quiet=("/health",))
    middleware = [log_lines, Middleware(SecurityHeaders)]
    if config.cors_origins:
        middleware.append(
            Middleware(
                CORSMiddleware,
                allow_origins=list(config.cors_origins),
                allow_methods=["POST"],
                allow_headers=["authorization", "content-type"],
                expose_headers=["retry-after"],
                max_age=600,
            )
        )
    return Starlette(
        routes=[
            Route("/v1/events", collector.events, methods=["POST"]),
            Route("/health", collector.health, methods=["GET"]),
        ],
        middleware=middleware,
        exception_handlers={HTTPException: _refused},
        lifespan=lifespan,
    )


async def _read_body(request: Request) -> bytes:
    """The body. Raises HTTPException 400, 408 or 413, as early as it can."""
    announced = request.headers.get("content-length", "0")
    if not announced.isascii() or not announced.isdecimal() or int(announced[:20]) > MAX_BODY_BYTES:
        raise HTTPException(413, f"the body is larger than {MAX_BODY_BYTES} bytes")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_WITHIN_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise HTTPException(413, f"the body is larger than {MAX_BODY_BYTES} bytes")
    except TimeoutError:
        raise HTTPException(408, f"the body did not arrive within {BODY_WITHIN_S:.0f} s") from None
    except ClientDisconnect:
        raise HTTPException(400, "the connection ended inside the body") from None
    return bytes(body)


def _json(status: int, content: Any, retry: bool = False, headers: dict[str, str] | None = None) -> Response:
    extra = {**(headers or {}), **({"Retry-After": str(RETRY_AFTER_S)} if retry else {})}
    return Response(msgspec.json.encode(content), status, extra, "application/json")


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _json(error.status_code, {"error": error.detail}, headers=dict(error.headers or {}))
