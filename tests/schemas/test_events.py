"""Reading events: strict for a collector, clear about reasons, silent about values."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from schemas.dead_letters import ErrorCode, InvalidRecord
from schemas.events import EVENT, MODEL_OF_TYPE, PageView, SurveyAnswer, encode_event, parse_event
from schemas.topics import TOPIC_OF_TYPE

VIEW: dict[str, Any] = {
    "type": "page_view",
    "event_id": "e-1",
    "visitor_id": "v-1",
    "occurred_at": "2026-11-22T11:19:58.123456+01:00",
    "url": "/",
}


def refused(data: bytes | str | dict[str, Any], *, forbid_extra: bool = False) -> InvalidRecord:
    with pytest.raises(InvalidRecord) as caught:
        parse_event(data, forbid_extra=forbid_extra)
    return caught.value


def test_bytes_text_and_object_are_the_same() -> None:
    event = parse_event(VIEW)
    assert isinstance(event, PageView)
    assert parse_event(json.dumps(VIEW)) == parse_event(json.dumps(VIEW).encode()) == event


def test_unknown_fields_are_ignored_or_refused_by_name() -> None:
    assert parse_event(VIEW | {"colour": "red"}) == parse_event(VIEW)
    error = refused(VIEW | {"colour": "red"}, forbid_extra=True)
    assert error.code is ErrorCode.INVALID_EVENT
    assert error.message == "colour: Extra inputs are not permitted"


def test_every_field_at_fault_is_named_with_its_reason() -> None:
    error = refused(VIEW | {"url": "", "occurred_at": 5, "plan": 1})
    assert error.message == (
        "occurred_at: must be an RFC 3339 string; numbers and other types are not read as times; "
        "plan: Input should be a valid string; url: String should have at least 1 character"
    )


def test_many_reasons_are_cut() -> None:
    error = refused({"type": "click", "channel": 1, "campaign": 1, "device": 1})
    assert error.message.endswith("; and 2 more")


def test_a_rule_over_several_fields_is_named() -> None:
    answer = VIEW | {"type": "survey_answer", "survey_id": "s", "survey_kind": "nps", "score": 11}
    assert refused(answer).message == "score must be between 0 and 10"


@pytest.mark.parametrize("name", ["a\r\nb", "\x1b[31m", "x" * 5000, "ключ", "\ud800", "a b", ""])
def test_a_hostile_field_name_cannot_break_the_line(name: str) -> None:
    message = refused(VIEW | {name: 1}, forbid_extra=True).message
    assert message.isprintable()
    assert message.isascii()
    assert len(message) < 500


def test_a_value_never_shows_in_the_message() -> None:
    secret = "ana@example.org"
    error = refused(VIEW | {"consent": secret, "plan": [secret], "occurred_at": secret, "url": {secret: 1}})
    assert secret not in error.message


@pytest.mark.parametrize("text", ["\ud800", '{"type": "page_view", "url": "\ud800"}'])
def test_a_lone_surrogate_in_text_is_refused(text: str) -> None:
    assert refused(text).code is ErrorCode.INVALID_JSON


def test_a_lone_surrogate_in_an_object_is_refused() -> None:
    assert refused(VIEW | {"url": "/\ud800"}).code is ErrorCode.INVALID_EVENT


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"type": "scroll"}, ErrorCode.UNKNOWN_TYPE),
        ({"type": None}, ErrorCode.UNKNOWN_TYPE),
        ({"type": ["page_view"]}, ErrorCode.UNKNOWN_TYPE),
        ({"event_id": ""}, ErrorCode.INVALID_EVENT),
    ],
)
def test_an_object_is_refused_with_the_code_of_the_record(change: dict[str, Any], code: ErrorCode) -> None:
    assert refused(VIEW | change).code is code


def test_an_event_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        parse_event(VIEW).event_id = "other"  # type: ignore[misc]


def test_a_program_builds_an_event_without_naming_its_type() -> None:
    answer = SurveyAnswer(
        event_id="e",
        visitor_id="v",
        occurred_at=parse_event(VIEW).occurred_at,
        survey_id="post-buy",
        survey_kind="nps",
        score=9,
    )
    assert json.loads(encode_event(answer))["type"] == "survey_answer"
    assert parse_event(encode_event(answer)) == answer


def test_the_offset_and_the_microseconds_survive() -> None:
    assert json.loads(encode_event(parse_event(VIEW)))["occurred_at"] == VIEW["occurred_at"]


def test_the_union_and_the_maps_know_the_same_types() -> None:
    assert MODEL_OF_TYPE.keys() == TOPIC_OF_TYPE.keys()
    assert EVENT.validate_python(VIEW) == parse_event(VIEW)
