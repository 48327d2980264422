"""What comes out of a fetch, and where the next one begins."""

from __future__ import annotations

import msgspec
from faust.types import TP

from stream.pipeline.batch import Batch


class Fetched(msgspec.Struct, frozen=True):
    """One batch, and the ticket of the placement it was read under."""

    batch: Batch
    ticket: int


class Place(msgspec.Struct):
    """Where a topic-partition is read. `position` is the end of the last hand-out."""

    position: int
    ticket: int
    ahead: int = 0  # batches handed out and not applied yet


class Reply(msgspec.Struct, frozen=True):
    """The newest fetch reply of a topic-partition, empty ones too."""

    arrived_ms: int
    log_end: int


class OutOfRange(msgspec.Struct, frozen=True):
    """The broker has nothing at our position: before the log's start, or beyond its end."""

    tp: TP
    ticket: int
