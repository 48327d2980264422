"""The examples are complete, true, and fit the exported JSON Schemas."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from pydantic import BaseModel, ValidationError

from schemas.alerts import Alert
from schemas.churn import ChurnSignal
from schemas.dead_letters import DeadLetter, ErrorCode, InvalidRecord
from schemas.events import MODEL_OF_TYPE, encode_event, event_time_ms, parse_event, parse_record
from schemas.export import json_schemas
from schemas.results import KpiResult
from schemas.sessions import Session
from schemas.snapshots import KpiSnapshot
from schemas.topics import (
    ALERTS,
    CHURN_SIGNALS,
    INPUT_TOPICS,
    KPI_RESULTS,
    KPI_SNAPSHOTS,
    OUTPUT_TOPICS,
    SESSIONS,
    TOPIC_OF_TYPE,
)
from tests.schemas.examples import FOLDER, Example, examples, invalid_events, valid_events

DEAD_LETTER = "dead-letter"
MODEL_OF_OUTPUT: dict[str, type[BaseModel]] = {
    SESSIONS: Session,
    KPI_SNAPSHOTS: KpiSnapshot,
    KPI_RESULTS: KpiResult,
    CHURN_SIGNALS: ChurnSignal,
    ALERTS: Alert,
    DEAD_LETTER: DeadLetter,
}
VALIDATORS = {
    name.removesuffix(".json"): Draft202012Validator(schema) for name, schema in json_schemas().items()
}
RECORD_CODES = {"null_value", "future_timestamp", "late"}
"""Codes that a value alone cannot earn."""

# What JSON Schema cannot say: calendar and clock; 1.0 is an integer there; a score's own scale;
# in Python `$` also matches before a last line break.
BEYOND_JSON_SCHEMA = (
    "time-no-such-day", "time-month-13", "time-hour-24", "time-leap-second", "time-year-0",
    "time-offset-hour-24", "time-offset-minute-60", "time-first-day-of-year-1", "time-beyond-year-9999",
    "time-newline-after", "impression-position-float", "page-ping-engaged-exponent", "nps-float",
    "csat-0-of", "csat-6-of", "csat-scale-upside-down", "csat-scale-of-one-point",
    "csat-skipped-scale-of-one-point",
)  # fmt: skip


def test_every_folder_is_known_and_has_both_kinds() -> None:
    folders = {path.name for path in FOLDER.iterdir() if path.is_dir()}
    assert folders == {*INPUT_TOPICS, *OUTPUT_TOPICS, CHURN_SIGNALS, DEAD_LETTER}
    for folder in folders:
        assert examples(folder, valid=True)
        assert examples(folder, valid=False)


@pytest.mark.parametrize("kind", MODEL_OF_TYPE)
def test_the_valid_examples_show_every_field_of_every_type_with_and_without_a_value(kind: str) -> None:
    shown = [one.json() for one in examples(TOPIC_OF_TYPE[kind], valid=True) if one.json()["type"] == kind]
    for name, field in MODEL_OF_TYPE[kind].model_fields.items():
        assert any(event.get(name) is not None for event in shown), name
        if not field.is_required() and name != "type":
            assert any(name not in event for event in shown), name


def test_the_invalid_examples_show_every_code_a_value_can_earn() -> None:
    assert {one.code for one in invalid_events()} == {code.value for code in ErrorCode} - RECORD_CODES


@pytest.mark.parametrize("one", valid_events(), ids=str)
def test_a_valid_event_survives_writing_and_reading(one: Example) -> None:
    event = parse_event(one.value)
    again = parse_event(encode_event(event), forbid_extra=True)
    assert again == event
    assert event_time_ms(again) == event_time_ms(event)
    assert parse_event(one.json()) == event


@pytest.mark.parametrize("one", invalid_events(), ids=str)
def test_an_invalid_event_is_refused_with_its_code_in_one_printable_line(one: Example) -> None:
    try:
        key = str(one.json()["visitor_id"]).encode()
    except (ValueError, TypeError, KeyError, RecursionError):
        key = b"v"
    with pytest.raises(InvalidRecord) as caught:
        parse_record(one.topic, key, one.value)
    assert caught.value.code == one.code
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 600
    assert str(caught.value) == f"{one.code}: {caught.value.message}"


@pytest.mark.parametrize("one", valid_events(), ids=str)
def test_a_valid_event_fits_the_json_schema(one: Example) -> None:
    assert list(VALIDATORS[one.topic].iter_errors(one.json())) == []


@pytest.mark.parametrize(
    "one", [one for one in invalid_events() if one.code in ("invalid_event", "unknown_type")], ids=str
)
def test_the_json_schema_refuses_an_invalid_event_unless_it_cannot_know(one: Example) -> None:
    what = one.name.split("--")[1]
    fits = VALIDATORS[one.topic].is_valid(one.json())
    assert fits is what.startswith(BEYOND_JSON_SCHEMA)


@pytest.mark.parametrize("one", examples(*MODEL_OF_OUTPUT, valid=True), ids=str)
def test_a_valid_output_is_taken_and_fits_the_json_schema(one: Example) -> None:
    model = MODEL_OF_OUTPUT[one.topic]
    record = model.model_validate_json(one.value)
    assert model.model_validate_json(record.model_dump_json()) == record
    assert list(VALIDATORS[one.topic].iter_errors(one.json())) == []


@pytest.mark.parametrize("one", examples(*MODEL_OF_OUTPUT, valid=False), ids=str)
def test_an_invalid_output_is_refused(one: Example) -> None:
    with pytest.raises(ValidationError):
        MODEL_OF_OUTPUT[one.topic].model_validate_json(one.value)


def test_an_output_written_by_the_model_says_what_the_example_says() -> None:
    def without_nulls(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: without_nulls(one) for name, one in value.items() if one is not None}
        return value

    for topic in (SESSIONS, KPI_SNAPSHOTS, KPI_RESULTS, CHURN_SIGNALS, ALERTS):
        for one in examples(topic, valid=True):
            record = MODEL_OF_OUTPUT[topic].model_validate_json(one.value)
            written = json.loads(record.model_dump_json(exclude_unset=True))
            assert without_nulls(written) == without_nulls(one.json())
