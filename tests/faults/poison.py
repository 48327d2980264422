"""Records that must be refused, each kind with the code its dead letter must carry."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from schemas.times import rfc3339
from schemas.topics import CLICKS, FORM_SUBMISSIONS, PAGE_VIEWS, SURVEY_ANSWERS

VISITOR = b"poisoner"
KIB = 1024
LIMIT_BYTES = 64 * KIB
HOUR_MS = 3_600_000
NPS: dict[str, Any] = {"type": "survey_answer", "survey_id": "s", "survey_kind": "nps", "url": ...}

Headers = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True)
class Poison:
    """One bad record."""

    kind: str
    code: str
    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


def kinds(now_ms: int) -> list[Poison]:
    """One of every kind. Nothing of a visitor with this key ever counts."""
    return [*_no_json(now_ms), *_no_event(now_ms), *_bad_fields(now_ms)]


def _event(now_ms: int, **fields: Any) -> dict[str, Any]:
    common = {"event_id": "p1", "type": "page_view", "visitor_id": VISITOR.decode(), "url": "/"}
    event = {**common, "occurred_at": rfc3339(now_ms), **fields}
    return {name: value for name, value in event.items() if value is not ...}


def _json(now_ms: int, **fields: Any) -> bytes:
    return json.dumps(_event(now_ms, **fields)).encode()


def _with(now_ms: int, name: str, text: bytes) -> bytes:
    """An event with one more field, its value written as it is."""
    return _json(now_ms)[:-1] + b', "' + name.encode() + b'": ' + text + b"}"


def _no_json(now_ms: int) -> list[Poison]:
    """Bytes that are no JSON text within the limits."""
    texts = {
        "not JSON": b"hello",
        "empty": b"",
        "cut off": _json(now_ms)[:-5],
        "two values": _json(now_ms) * 2,
        "not UTF-8": _with(now_ms, "title", b'"\xff\xfe"'),
        "binary": bytes(range(256)),
        "NaN": _with(now_ms, "x", b"NaN"),
        "minus infinity": _with(now_ms, "x", b"-Infinity"),
        "depth 30 000": b"[" * 30_000 + b"]" * 30_000,
        "deep in a field": _with(now_ms, "x", b"[" * 30_000 + b"]" * 30_000),
        "5000 digits": _with(now_ms, "x", b"9" * 5000),
        "lone surrogate, escaped": _with(now_ms, "title", b'"\\ud800"'),
        "lone surrogate, as bytes": _with(now_ms, "title", b'"\xed\xa0\x80"'),
        "UTF-16": _json(now_ms).decode().encode("utf-16"),
    }
    sizes = {
        "depth 100 000": b"[" * 100_000 + b"]" * 100_000,
        "one byte too large": _sized(now_ms, LIMIT_BYTES + 1),
        "almost 1 MiB": _sized(now_ms, 1000 * KIB),
    }
    return [
        *(Poison(kind, "invalid_json", PAGE_VIEWS, VISITOR, value) for kind, value in texts.items()),
        *(Poison(kind, "too_large", PAGE_VIEWS, VISITOR, value) for kind, value in sizes.items()),
    ]


def _sized(now_ms: int, size: int) -> bytes:
    return _json(now_ms, title="x").ljust(size)


def _no_event(now_ms: int) -> list[Poison]:
    """JSON that is no event of this topic, or not under this key."""
    good = _json(now_ms)
    own_names = (("error-code", b"mine"), ("__connect.errors.topic", b"mine"), ("trace", b"\x00\xff"))
    return [
        Poison("tombstone", "null_value", PAGE_VIEWS, VISITOR, None),
        Poison("tombstone without key", "null_value", CLICKS, None, None),
        Poison("null", "invalid_event", PAGE_VIEWS, VISITOR, b"null"),
        Poison("array", "invalid_event", PAGE_VIEWS, VISITOR, b"[]"),
        Poison("number", "invalid_event", PAGE_VIEWS, VISITOR, b"7"),
        Poison("null key", "invalid_event", PAGE_VIEWS, None, good),
        Poison("another key", "invalid_event", PAGE_VIEWS, b"another", good),
        Poison("binary key", "invalid_event", PAGE_VIEWS, b"\xff\x00", good),
        Poison("wrong topic", "invalid_event", CLICKS, VISITOR, good),
        Poison("no type", "unknown_type", PAGE_VIEWS, VISITOR, _json(now_ms, type=...)),
        Poison("unknown type", "unknown_type", PAGE_VIEWS, VISITOR, _json(now_ms, type="page_wiew")),
        Poison("type is a list", "unknown_type", PAGE_VIEWS, VISITOR, _json(now_ms, type=["page_view"])),
        Poison("with headers of our names", "invalid_json", FORM_SUBMISSIONS, VISITOR, b"{", own_names),
        Poison("no fields", "unknown_type", SURVEY_ANSWERS, VISITOR, b"{}"),
    ]


def _bad_fields(now_ms: int) -> list[Poison]:
    """Events with one field missing or wrong."""
    views: dict[str, dict[str, Any]] = {
        "no url": {"url": ...},
        "url of 2049": {"url": "/" + "x" * 2048},
        "url is a number": {"url": 5},
        "no event id": {"event_id": ...},
        "event id too long": {"event_id": "x" * 65},
        "visitor id too long": {"visitor_id": "x" * 129},
        "no time": {"occurred_at": ...},
        "time without offset": {"occurred_at": "2026-11-22T10:00:00"},
        "time as a number": {"occurred_at": now_ms},
        "a day that is none": {"occurred_at": "2026-02-30T10:00:00Z"},
        "year 0": {"occurred_at": "0000-01-01T00:00:00Z"},
        "empty site": {"site_id": ""},
        "channel of 65": {"channel": "x" * 65},
        "consent of a new kind": {"consent": "maybe"},
    }
    answers: dict[str, dict[str, Any]] = {
        "score 11": {"score": 11},
        "score -1": {"score": -1},
        "score 9.5": {"score": 9.5},
        "score as text": {"score": "9"},
        "score true": {"score": True},
        "no score": {},
        "skipped with a score": {"score": 3, "skipped": True},
        "csat 6 of 5": {"score": 6, "survey_kind": "csat"},
        "scale upside down": {"score": 3, "survey_kind": "csat", "scale_min": 5, "scale_max": 1},
    }
    return [
        *(
            Poison(kind, "invalid_event", PAGE_VIEWS, VISITOR, _json(now_ms, **bad))
            for kind, bad in views.items()
        ),
        *(
            Poison(kind, "invalid_event", SURVEY_ANSWERS, VISITOR, _json(now_ms, **{**NPS, **bad}))
            for kind, bad in answers.items()
        ),
        *_bad_times(now_ms),
    ]


def _bad_times(now_ms: int) -> list[Poison]:
    """Valid events of a time that does not count any more, or not yet."""
    click = _json(now_ms, type="click", element_id="x", occurred_at="2999-01-01T00:00:00Z")
    year_1 = _json(now_ms, occurred_at="0001-01-02T00:00:00Z")
    months_ago = _json(now_ms, **NPS, score=9, occurred_at="2020-01-01T00:00:00Z")
    return [
        Poison("from the future", "future_timestamp", PAGE_VIEWS, VISITOR, _json(now_ms + HOUR_MS)),
        Poison("from 2999", "future_timestamp", CLICKS, VISITOR, click),
        Poison("an hour late", "late", PAGE_VIEWS, VISITOR, _json(now_ms - HOUR_MS)),
        Poison("from 1970", "late", PAGE_VIEWS, VISITOR, _json(0)),
        Poison("from year 1", "late", PAGE_VIEWS, VISITOR, year_1),
        Poison("answered months ago", "late", SURVEY_ANSWERS, VISITOR, months_ago),
    ]
