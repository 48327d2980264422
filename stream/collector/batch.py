"""One request body: its events, the valid ones apart from the refused ones. No I/O."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from schemas.dead_letters import ErrorCode, InvalidRecord
from schemas.events import Event, parse_event

MAX_BODY_BYTES: Final = 1024 * 1024
MAX_EVENTS: Final = 1000

_RAW_LIST: Final = msgspec.json.Decoder(list[msgspec.Raw])
_RAW_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ENVELOPE: Final = "events"
_SPACE: Final = b" \t\r\n"


class BadBody(Exception):
    """The body as a whole cannot be read. `status` is 400 or 413, the message one line."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Rejected(msgspec.Struct, frozen=True):
    """One event that was not taken: its place in the batch, a code for programs, a reason for people."""

    index: int
    code: str
    reason: str


class Accepted(msgspec.Struct, frozen=True):
    """A valid event and its place in the batch."""

    index: int
    event: Event


def split_body(body: bytes) -> list[bytes]:
    """Return each event's own bytes: of one object, an array, or {"events": [...]}. Raises BadBody."""
    try:
        events = _split(body)
    except RecursionError:
        raise BadBody(400, "the body is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadBody(400, f"the body is not JSON: {error}") from None
    if not events:
        raise BadBody(400, "the body holds no event")
    if len(events) > MAX_EVENTS:
        raise BadBody(413, f"{len(events)} events; send at most {MAX_EVENTS} in one request")
    return events


def _split(body: bytes) -> list[bytes]:
    first = body.lstrip(_SPACE)[:1]
    if first == b"[":
        return [bytes(raw) for raw in _RAW_LIST.decode(body)]
    if first != b"{":
        raise BadBody(400, 'the body must be an event, an array of events or {"events": [...]}')
    fields = _RAW_OBJECT.decode(body)
    if _ENVELOPE not in fields or "type" in fields:
        return [body.strip(_SPACE)]
    if len(fields) > 1:
        raise BadBody(400, 'beside "events" the body may hold nothing else')
    raw = bytes(fields[_ENVELOPE])
    if not raw.startswith(b"["):
        raise BadBody(400, '"events" must be an array')
    return [bytes(one) for one in _RAW_LIST.decode(raw)]


def read_batch(body: bytes, received_at: datetime) -> tuple[list[Accepted], list[Rejected]]:
    """Validate each event by itself; the valid ones are stamped with `received_at`. Raises BadBody."""
    accepted: list[Accepted] = []
    rejected: list[Rejected] = []
    for index, raw in enumerate(split_body(body)):
        try:
            event = parse_event(raw, forbid_extra=True)
        except InvalidRecord as error:
            rejected.append(Rejected(index, error.code.value, error.message))
            continue
        stamped = event.model_copy(update={"received_at": received_at})
        accepted.append(Accepted(index, stamped))
    return accepted, rejected


NOT_ACKNOWLEDGED: Final = "not_acknowledged"
"""Beside the codes of ErrorCode: the event is valid, send it again with the same event_id."""
CODES: Final = (*(code.value for code in ErrorCode), NOT_ACKNOWLEDGED)
