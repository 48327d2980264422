"""Which event it is, and what it says, as two numbers that are the same in every process."""

from __future__ import annotations

import msgspec
import xxhash

from stream.core.events import Event

_encode_event = msgspec.msgpack.Encoder().encode


def content_key(event: Event) -> int:
    """64-bit digest of what an event says; when it was received and how it was written are no part of it."""
    if event.received_at is not None:
        event = msgspec.structs.replace(event, received_at=None)
    return xxhash.xxh3_64_intdigest(_encode_event(event))


def event_key(topic: int, event: Event) -> int:
    """64-bit id of (site, visitor, topic, event id), the same in every process."""
    site, visitor = event.site_id, event.visitor_id
    text = f"{len(site)}|{len(visitor)}|{site}{visitor}{event.event_id}"
    return xxhash.xxh3_64_intdigest(text.encode(), topic)
