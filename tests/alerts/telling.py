"""A receiver of webhooks on this machine, and news for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

from aiohttp import web

from schemas.topics import ALERTS, CHURN_SIGNALS
from stream.alerts.news import News, Receiver, read_news
from tests.schemas.examples import FOLDER

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
FIRING = (FOLDER / ALERTS / "valid/firing-by-the-interval.json").read_bytes()
RESOLVED = (FOLDER / ALERTS / "valid/resolved.json").read_bytes()
AT_RISK = (FOLDER / CHURN_SIGNALS / "valid/at-risk-by-silence.json").read_bytes()

Answer = Callable[[web.Request], Awaitable[web.Response]]


class Heard(NamedTuple):
    path: str
    body: bytes
    headers: dict[str, str]


class Listener:
    """Answers each request as told, the last answer for ever. A number is a status."""

    def __init__(self, answers: Sequence[int | web.Response | Answer]) -> None:
        self.answers = list(answers)
        self.heard: list[Heard] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.heard.append(Heard(request.path, await request.read(), headers))
        told = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(told, int):
            return web.Response(status=told)
        return told if isinstance(told, web.Response) else await told(request)


@asynccontextmanager
async def listening(*answers: int | web.Response | Answer) -> AsyncIterator[Listener]:
    listener = Listener(answers or [204])
    app = web.Application()
    app.router.add_route("*", "/{anything:.*}", listener.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        listener.url = f"http://{host}:{port}"
        yield listener
    finally:
        await runner.cleanup()


def webhook(url: str, **values: object) -> Receiver:
    settings: dict[str, object] = {"name": "ops", "kind": "webhook", "secret": SECRET, "allow_private": True}
    return Receiver(url=url, **(settings | values))  # type: ignore[arg-type]


def news(value: bytes = FIRING, topic: str = ALERTS, told_ms: int = 0) -> News:
    return read_news(topic, value, told_ms)
