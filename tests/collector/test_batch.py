"""One request body: what is an event of it, and what becomes of each."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import MAX_RECORD_BYTES, parse_event
from schemas.times import parse_time
from schemas.topics import INPUT_TOPICS
from stream.collector.batch import MAX_EVENTS, BadBody, read_batch, split_body

EXAMPLES = Path(__file__).resolve().parents[2] / "schemas/examples"
RECEIVED = datetime(2026, 11, 22, 10, 20, tzinfo=UTC)


def event(number: int = 0, **more: Any) -> dict[str, Any]:
    common = {"type": "page_view", "event_id": f"e{number}", "visitor_id": "v", "url": "/"}
    return {**common, "occurred_at": "2026-11-22T10:19:58Z", **more}


@pytest.mark.parametrize(
    "body",
    [event(), [event()], {"events": [event()]}],
    ids=["one object", "an array", "an envelope"],
)
def test_three_shapes_of_a_body(body: Any) -> None:
    accepted, rejected = read_batch(json.dumps(body, indent=1).encode(), RECEIVED)
    assert [(one.index, one.event.event_id) for one in accepted] == [(0, "e0")]
    assert rejected == []


def test_received_at_is_ours_whatever_the_caller_says() -> None:
    body = [event(), event(received_at="2001-01-01T00:00:00Z")]
    accepted, _ = read_batch(json.dumps(body).encode(), RECEIVED)
    assert [one.event.received_at for one in accepted] == [RECEIVED, RECEIVED]


def test_each_event_is_judged_by_itself() -> None:
    bodies = [
        event(1), {"type": "page_view"}, 3, event(2, extra=1), event(3, type="nonsense"), None, event(4),
        event(5, title="x" * MAX_RECORD_BYTES),
    ]  # fmt: skip
    accepted, rejected = read_batch(json.dumps(bodies).encode(), RECEIVED)
    assert [one.index for one in accepted] == [0, 6]
    assert [(one.index, one.code) for one in rejected] == [
        (1, "invalid_event"), (2, "invalid_event"), (3, "invalid_event"), (4, "unknown_type"),
        (5, "invalid_event"), (7, "too_large"),
    ]  # fmt: skip
    assert all(one.reason and one.reason.isprintable() for one in rejected)


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"", 400, "must be an event"), (b"  ", 400, "must be an event"), (b"3", 400, "must be an event"),
        (b"nonsense", 400, "must be an event"), (b"[1", 400, "not JSON"), (b"{", 400, "not JSON"),
        (b"[]", 400, "no event"), (b'{"events": []}', 400, "no event"),
        (b'{"events": 3}', 400, "must be an array"),
        (b'{"events": [1], "x": 1}', 400, "nothing else"), (b"[1] 2", 400, "not JSON"),
        (b"\xff\xfe[\0]\0", 400, "must be an event"), (b"\xef\xbb\xbf[1]", 400, "must be an event"),
        (b"[" * 100_000, 400, "too deeply"), (b'{"a":' * 100_000, 400, "too deeply"),
        (b"[" + b"1," * MAX_EVENTS + b"1]", 413, "1001 events"),
    ],
)  # fmt: skip
def test_a_body_that_cannot_be_read(body: bytes, status: int, reason: str) -> None:
    with pytest.raises(BadBody, match=reason) as bad:
        split_body(body)
    assert bad.value.status == status


def test_the_limit_of_events_is_what_is_said() -> None:
    assert len(split_body(b"[" + b"1," * (MAX_EVENTS - 1) + b"1]")) == MAX_EVENTS


@pytest.mark.parametrize("topic", INPUT_TOPICS)
def test_the_examples_of_the_contract_are_judged_as_by_the_schema(topic: str) -> None:
    files = sorted((EXAMPLES / topic).glob("*/*.json"))
    assert len(files) > 10
    for file in files:
        raw = file.read_bytes()
        try:
            parse_event(raw, forbid_extra=True)
            is_valid = True
        except ValueError:
            is_valid = False
        try:
            accepted, _ = read_batch(b"[" + raw + b"]", RECEIVED)
        except BadBody:
            accepted = []
        assert bool(accepted) is is_valid, file.name


@given(st.binary(max_size=200) | st.text().map(lambda text: json.dumps([text]).encode()))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        accepted, rejected = read_batch(body, parse_time("2026-11-22T10:20:00Z"))
    except BadBody:
        return
    assert accepted or rejected
