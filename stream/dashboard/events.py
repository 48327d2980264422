"""GET /api/v1/kpis/stream: server-sent events to one viewer.

`snapshot` is everything, `change` what is new or gone, `state` how old it is: one of them every second at
least. The `id` of an event is where a viewer goes on after a broken connection.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from typing import Final

import msgspec

from stream.dashboard.feed import Feed
from stream.dashboard.reader import BoardReader

RETRY_MS: Final = 1000
PIECE_BYTES: Final = 32 * 1024
"""What is written to a connection at a time: a viewer that does not read holds no more than about that."""
_RUN: Final = secrets.token_hex(4)
"""Versions count from the start of this process: another one's mean nothing here."""
_encode = msgspec.json.Encoder().encode


async def events(reader: BoardReader, feed: Feed, last_id: str | None) -> AsyncIterator[bytes]:
    """The events for one viewer, without end."""
    told: int | None = _version_of(last_id)
    yield b"retry: %d\n\n" % RETRY_MS
    while True:
        tick = reader.tick  # taken first: what happens while we send is not missed
        now = reader.now()
        if told is None or not feed.follows(told, now):
            name, data = b"snapshot", feed.snapshot(now)
        elif feed.has_news(told):
            name, data = b"change", feed.change(told, now)
        else:
            name, data = b"state", _encode({"state": now.state})
        told = now.version
        frame = b"id: %s-%d\nevent: %s\ndata: %s\n\n" % (_RUN.encode(), told, name, data)
        for start in range(0, len(frame), PIECE_BYTES):
            yield frame[start : start + PIECE_BYTES]
        await tick.wait()


def _version_of(event_id: str | None) -> int | None:
    """The version of an id that `events` wrote in this process, else None."""
    run, _, version = (event_id or "").partition("-")
    if run != _RUN or not (version.isascii() and version.isdigit() and len(version) <= 18):
        return None
    return int(version)
