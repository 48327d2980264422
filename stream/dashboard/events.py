"""GET /api/v1/kpis/stream: server-sent events to one viewer.

`snapshot` is everything, `change` what is new or gone, `state` how old it is: one of them every second at
least. The `id` of an event is where a viewer goes on after a broken connection.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from stream.dashboard.feed import Feed
from stream.dashboard.guard import refusal
from stream.dashboard.reader import BoardReader, TooManyViewers
from stream.dashboard.selection import Selection

RETRY_MS: Final = 1000
PIECE_BYTES: Final = 32 * 1024
"""What is written to a connection at a time: who does not read holds no more than a few of these."""
_RETRY: Final = b"retry: %d\n\n" % RETRY_MS


class EventStream(Response):
    """The events of a selection, until the viewer goes or the process ends; 503 when all places are taken."""

    def __init__(self, reader: BoardReader, selection: Selection, last_id: str | None) -> None:
        self._reader = reader
        self._selection = selection
        self._last_id = last_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer: Response
        try:
            with self._reader.viewing(self._selection) as feed:
                pieces = events(self._reader, feed, self._last_id)
                answer = Response() if scope["method"] == "HEAD" else StreamingResponse(pieces)
                answer.headers["Content-Type"] = "text/event-stream"
                answer.headers["X-Accel-Buffering"] = "no"  # proxies collect what must arrive at once
                await answer(scope, receive, send)
        except TooManyViewers:
            answer = refusal(503, "all places for viewers are taken; try again later", {"Retry-After": "5"})
            await answer(scope, receive, send)


async def events(reader: BoardReader, feed: Feed, last_id: str | None) -> AsyncIterator[bytes]:
    """The events for one viewer, in pieces, until the reader is closed."""
    run = reader.run_id
    told = _version_of(last_id, run)
    yield _RETRY
    while not reader.closed:
        tick = reader.tick  # taken first: what happens while we send is not missed
        now = reader.told
        if told is None or not feed.follows(told, now):
            name, data = b"snapshot", feed.snapshot(now)
        else:
            name, data = b"change" if feed.has_news(told) else b"state", feed.change(told, now)
        told = now.version
        frame = b"id: %s-%d\nevent: %s\ndata: %s\n\n" % (run.encode(), told, name, data)
        for start in range(0, len(frame), PIECE_BYTES):
            yield frame[start : start + PIECE_BYTES]
        await tick.wait()


def _version_of(event_id: str | None, run: str) -> int | None:
    """The version of an id that `events` wrote in this run, else None."""
    of, _, version = (event_id or "").partition("-")
    if of != run or not (version.isascii() and version.isdigit() and len(version) <= 18):
        return None
    return int(version)
