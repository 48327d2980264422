"""How far what is shown can be trusted, in one word and one sentence."""

from __future__ import annotations

from typing import Final

import msgspec

from schemas.times import parse_time, rfc3339, to_ms
from stream.pipeline.explain import completeness_text
from stream.pipeline.take_snapshot import Completeness, Header, decode_header

STALE_AFTER_MS: Final = 3_000
"""The publisher announces itself at least once a second; silent for longer, nobody counts."""
EMPTY, STALE, UNREACHABLE = "empty", "stale", "unreachable"

_START_WORKER: Final = "Start 'latido worker', or look into its log."
_SEND_EVENT: Final = "Send an event, such as: latido send page_view --visitor v1 --url /"


class State(msgspec.Struct, frozen=True):
    """`status` is one of complete, catching_up, partial, stale, unreachable, empty."""

    status: str
    age_ms: int | None  # of what is shown; None before anything was published
    as_of: str | None
    text: str
    what_to_do: str | None
    now: str  # the server's clock


class Sight(msgspec.Struct, frozen=True):
    """What the reader last saw, and when."""

    header: Header | None = None
    records: int = 0
    silent_since_ms: int = 0  # wall clock at which the publisher was last heard
    problem: str | None = None  # why the store cannot be read


def state_of(sight: Sight, namespace: str, now_ms: int) -> State:
    """The state as of `now_ms`, milliseconds of the wall clock."""
    header = sight.header
    age_ms = None if header is None else max(0, now_ms - sight.silent_since_ms)
    status, text, what_to_do = _judged(sight, namespace, age_ms or 0)
    as_of = None if header is None else header.as_of
    return State(status, age_ms, as_of, text, what_to_do, rfc3339(now_ms))


def _judged(sight: Sight, namespace: str, age_ms: int) -> tuple[str, str, str | None]:
    header = sight.header
    if sight.problem is not None:
        return UNREACHABLE, f"The store cannot be read: {sight.problem}", "It is tried again every second."
    if header is None:
        text = f"Nothing is published in namespace {namespace} yet."
        return EMPTY, text, f"Start 'latido worker'. {_SEND_EVENT}"
    if age_ms > STALE_AFTER_MS:
        text = f"No worker has published for {age_ms // 1000} s: the figures stand still."
        return STALE, text, _START_WORKER
    if not sight.records:
        return EMPTY, "The worker runs, and no event has been counted yet.", _SEND_EVENT
    found = header.completeness
    return found.status, completeness_text(found), _what_to_do(found)


def _what_to_do(found: Completeness) -> str | None:
    if found.status == STALE:
        return _START_WORKER
    if found.lost_records:
        return "Count the topics anew with 'latido rebuild', if they still hold the lost records."
    if found.status == "partial":
        return "Look whether every worker runs: some partitions have no owner."
    return None


def parse_header(data: bytes) -> Header:
    """Raises msgspec.MsgspecError or ValueError for what this version does not write."""
    header = decode_header(data)
    for time in (header.published_at, header.as_of):
        if time is not None:
            parse_time(time)
    return header


def published_ms(header: Header) -> int:
    """When the publisher wrote it, by its own clock."""
    return to_ms(parse_time(header.published_at))
