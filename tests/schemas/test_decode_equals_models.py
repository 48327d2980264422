"""The worker's structs and the contract's models take and refuse the same records, and read the same.

One suite for both: every example, and what Hypothesis makes of the examples. Outside it, on purpose:
a record with the same name twice in one object (last test).
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas import events as models
from schemas.dead_letters import ErrorCode, InvalidRecord
from schemas.events import MODEL_OF_TYPE, parse_record
from schemas.json_text import MAX_DEPTH, MAX_DIGITS, MAX_RECORD_BYTES
from schemas.times import MAX_TIME_MS, MIN_TIME_MS
from schemas.topics import CLICKS, INPUT_TOPICS, PAGE_VIEWS, SURVEY_ANSWERS
from stream.core import events as structs
from stream.pipeline.decode import BadRecord, decode
from tests.schemas.examples import Example, invalid_events, valid_events

STRUCT_OF_TYPE: dict[str, type[structs.Event]] = {
    kind.type: kind
    for kind in (
        structs.PageView,
        structs.Impression,
        structs.PagePing,
        structs.Click,
        structs.FormSubmission,
        structs.SurveyAnswer,
    )
}
VALID = [one for one in valid_events() if len(one.value) < 4096]


def key_of(value: bytes) -> bytes:
    """Return the key that belongs to a record, as far as there is one."""
    try:
        found = json.loads(value)["visitor_id"]
        return found.encode() if isinstance(found, str) else b"v"
    except (ValueError, KeyError, TypeError, RecursionError):
        return b"v"


def verdict(topic: str, key: bytes | None, value: bytes | None) -> models.Event | InvalidRecord:
    try:
        return parse_record(topic, key, value)
    except InvalidRecord as invalid:
        return invalid


def assert_same(topic: str, key: bytes | None, value: bytes | None) -> bool:
    """Assert that both sides agree about a record; return whether they take it."""
    fast, slow = decode(topic, key, value), verdict(topic, key, value)
    if isinstance(slow, InvalidRecord):
        assert fast == BadRecord(slow.code, slow.message)
        return False
    assert not isinstance(fast, BadRecord), f"only the worker refuses: {fast.message}"
    assert fast.type == slow.type
    for field in fast.__struct_fields__:
        ours, theirs = getattr(fast, field), getattr(slow, field)
        assert ours == theirs, field
        assert type(ours) is type(theirs) or isinstance(ours, datetime), field
        if isinstance(ours, datetime):
            assert ours.utcoffset() == theirs.utcoffset(), field
    assert structs.event_time_ms(fast) == models.event_time_ms(slow)
    assert MIN_TIME_MS <= structs.event_time_ms(fast) <= MAX_TIME_MS
    return True


@pytest.mark.parametrize("kind", MODEL_OF_TYPE)
def test_a_struct_has_the_fields_and_defaults_of_its_model(kind: str) -> None:
    struct, model = STRUCT_OF_TYPE[kind], MODEL_OF_TYPE[kind]
    assert struct.__struct_config__.tag == kind
    assert set(struct.__struct_fields__) == model.model_fields.keys() - {"type"}
    required = {name: field.is_required() for name, field in model.model_fields.items() if name != "type"}
    minimal = {"event_id": "e", "visitor_id": "v", "occurred_at": datetime(2026, 1, 1, tzinfo=UTC)}
    own: dict[str, Any] = {"url": "/", "element_id": "e", "engaged_ms": 0, "form_id": "f"}
    own |= {"survey_id": "s", "survey_kind": "nps"}
    given_fields = {name: value for name, value in {**minimal, **own}.items() if required.get(name)}
    event = struct(**given_fields)
    for name, field in model.model_fields.items():
        if name != "type" and not required[name]:
            assert getattr(event, name) == field.default, name


@pytest.mark.parametrize("one", valid_events(), ids=str)
def test_both_take_every_valid_example(one: Example) -> None:
    assert assert_same(one.topic, key_of(one.value), one.value)


@pytest.mark.parametrize("one", invalid_events(), ids=str)
def test_both_refuse_every_invalid_example_with_its_code(one: Example) -> None:
    refused = decode(one.topic, key_of(one.value), one.value)
    assert isinstance(refused, BadRecord)
    assert refused.code == one.code
    assert not assert_same(one.topic, key_of(one.value), one.value)


@pytest.mark.parametrize("one", VALID[:3], ids=str)
@pytest.mark.parametrize(
    "make_key", [lambda _: None, lambda _: b"", lambda key: key + b" ", lambda _: b"\xff"]
)
def test_both_refuse_a_key_that_is_not_the_visitor(one: Example, make_key: Callable[[bytes], bytes]) -> None:
    key = make_key(key_of(one.value))
    refused = decode(one.topic, key, one.value)
    assert refused == BadRecord(ErrorCode.INVALID_EVENT, "the Kafka key must be the visitor id")
    assert not assert_same(one.topic, key, one.value)


def test_a_tombstone_is_refused() -> None:
    assert decode(PAGE_VIEWS, b"v", None) == BadRecord(ErrorCode.NULL_VALUE, "the record has no value")


# --- what Hypothesis makes of the examples

TIMES = st.one_of(
    st.datetimes(
        min_value=datetime(1, 1, 2),
        max_value=datetime(9999, 12, 30),
        timezones=st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes))),
    ).map(datetime.isoformat),
    st.from_regex(r"[0-9]{4}-[01][0-9]-[0-3][0-9][Tt _][0-2][0-9]:[0-6][0-9]:[0-6][0-9]"
                  r"([.,][0-9]{0,12})?([Zz]|[+-][0-2][0-9]:?[0-6][0-9])?", fullmatch=True),
    st.sampled_from(["0001", "0002", "9998", "9999"]).flatmap(
        lambda year: st.from_regex(
            year + r"-(01-0[12]|12-31)T(00|23):(00|59):(00|59)(\.9{1,8})?(Z|[+-](00|14|23):(00|59))",
            fullmatch=True,
        )
    ),
)  # fmt: skip
NUMBERS = st.one_of(
    st.integers(-3, 12),
    st.sampled_from([1000, 1001, -1000, -1001, 86_400_000, 86_400_001, 2**31 - 1, 2**31, -(2**31), 2**53]),
    st.sampled_from([2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**30, 10**400]),
    st.sampled_from([0.0, -0.0, 1.0, 9.0, 0.5, 1e300, float("nan"), float("inf"), 5e-324]),
    st.floats(),
    st.integers(),
)
TEXTS = st.one_of(
    st.text(alphabet=st.characters(exclude_categories=[]), max_size=8),
    st.tuples(st.sampled_from("xñ😀\x00"), st.sampled_from([0, 1, 64, 65, 128, 129, 2048, 2049, 4096, 4097]))
    .map(lambda pair: pair[0] * pair[1]),
    st.sampled_from(["page", "mail", "ad", "push", "nps", "csat", "granted", "denied", "9", "true", ""]),
    st.sampled_from([*MODEL_OF_TYPE, "Page_view", "page_view ", "pageview"]),
    TIMES,
)  # fmt: skip
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
VALUES = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=3),
    st.lists(st.just("n"), min_size=99, max_size=101),
    st.dictionaries(TEXTS, SCALARS, max_size=2),
)
ALL_FIELDS = sorted({field for model in MODEL_OF_TYPE.values() for field in model.model_fields} | {"x", ""})


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, bytes]:
    """A topic and a valid example with up to three fields dropped, replaced or added."""
    one = draw(st.sampled_from(VALID))
    event: dict[str, Any] = dict(one.json())
    for _ in range(draw(st.integers(0, 3))):
        if draw(st.integers(0, 3)) == 0:
            event.pop(draw(st.sampled_from(sorted(event) or [""])), None)
        else:
            # mostly fields of this type: others are ignored and tell less
            own = sorted(MODEL_OF_TYPE.get(str(event.get("type")), models.PageView).model_fields)
            event[draw(st.sampled_from(own if draw(st.booleans()) else ALL_FIELDS))] = draw(VALUES)
    topic = one.topic if draw(st.integers(0, 9)) else draw(st.sampled_from(INPUT_TOPICS))
    text = json.dumps(event, ensure_ascii=draw(st.booleans()))
    return topic, text.encode("utf-8", "surrogatepass")


@settings(max_examples=1500, deadline=None)
@given(mutated())
def test_both_agree_about_changed_fields(record: tuple[str, bytes]) -> None:
    topic, value = record
    assert_same(topic, key_of(value), value)


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(VALID), st.data())
def test_both_agree_about_changed_bytes(one: Example, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(one.value)))
    cut = data.draw(st.sampled_from([0, 1, 1, 2, 8, len(one.value)]))
    put = data.draw(st.one_of(st.binary(max_size=3), st.sampled_from(JSON_PIECES)))
    value = one.value[:start] + put + one.value[start + cut :]
    assert_same(one.topic, key_of(value), value)


JSON_PIECES = [
    b"{", b"}", b"[", b"]", b'"', b",", b":", b"\\", b"\\u", b"\\ud83d", b"\\ude00", b"null", b"true", b"NaN",
    b"-", b"0", b".", b"e5", b"E+", b"1e999", b"\x00", b"\x1f", b"\x7f", b"\xc3", b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80", b"\xef\xbb\xbf", b"/**/", b"\t", b"\xc2\xa0",
]  # fmt: skip


@settings(max_examples=600, deadline=None)
@given(TIMES)
@example("2026-11-22T10:19:58.0009995Z")
@example("2026-11-22T10:19:58.00099949999Z")
@example("1969-12-31T23:59:59.9999995Z")
@example("9999-12-31T23:59:59.9999994Z")
@example("9999-12-31T23:59:59.9999995Z")
@example("0001-01-02T00:00:00+00:01")
@example("0001-01-02T00:00:00-00:01")
@example("0001-01-01T23:59:00-00:01")
def test_both_agree_about_times(text: str) -> None:
    event = {"type": "page_view", "event_id": "e", "visitor_id": "v", "url": "/", "occurred_at": text}
    taken = assert_same(PAGE_VIEWS, b"v", json.dumps(event).encode())
    event |= {"occurred_at": "2026-11-22T10:19:58Z", "received_at": text}
    assert assert_same(PAGE_VIEWS, b"v", json.dumps(event).encode()) is taken


@settings(max_examples=800, deadline=None)
@given(
    kind=st.sampled_from(["nps", "csat"]),
    score=st.one_of(st.none(), st.integers(-2, 12), st.sampled_from([True, 9.0, "9", 1000, 1001])),
    scale=st.dictionaries(st.sampled_from(["scale_min", "scale_max"]), st.integers(-3, 12)),
    skipped=st.sampled_from([None, False, True]),
)
def test_both_agree_about_scores(
    kind: str, score: object, scale: dict[str, int], skipped: bool | None
) -> None:
    event: dict[str, Any] = {"type": "survey_answer", "event_id": "e", "visitor_id": "v", **scale}
    event |= {"survey_id": "s", "survey_kind": kind, "score": score, "occurred_at": "2026-11-22T10:19:58Z"}
    if skipped is not None:
        event["skipped"] = skipped
    taken = assert_same(SURVEY_ANSWERS, b"v", json.dumps(event).encode())
    low, high = (0, 10) if kind == "nps" else (scale.get("scale_min", 1), scale.get("scale_max", 5))
    fits = type(score) is int and low <= score <= high
    assert taken is (low < high and (score is None if skipped else fits))


# --- poison


def _with(piece: bytes) -> bytes:
    event = {"type": "click", "event_id": "e", "visitor_id": "v", "occurred_at": "2026-11-22T10:19:58Z"}
    return json.dumps({**event, "element_id": "cta"}).encode()[:-1] + piece + b"}"


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"[" * 100_000 + b"]" * 100_000, ErrorCode.TOO_LARGE),
        (b"[" * 32_000 + b"]" * 32_000, ErrorCode.INVALID_JSON),
        (b'{"a":' * 13_000, ErrorCode.INVALID_JSON),
        (_with(b', "x": ' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH), ErrorCode.INVALID_JSON),
        (_with(b', "x": ' + b"9" * 5000), ErrorCode.INVALID_JSON),
        (_with(b', "position": ' + b"9" * 5000), ErrorCode.INVALID_JSON),
        (_with(b', "x": 0.' + b"9" * (MAX_DIGITS + 1)), ErrorCode.INVALID_JSON),
        (_with(b', "position": ' + b"9" * 400), ErrorCode.INVALID_EVENT),
        (_with(b', "position": NaN'), ErrorCode.INVALID_JSON),
        (_with(b', "x": "\\ud800"'), ErrorCode.INVALID_JSON),
        (_with(b', "\\udfff": 1'), ErrorCode.INVALID_JSON),
        (_with(b', "x": "\xed\xa0\x80"'), ErrorCode.INVALID_JSON),
        (b"\x00" * MAX_RECORD_BYTES, ErrorCode.INVALID_JSON),
        (b'"' * MAX_RECORD_BYTES, ErrorCode.INVALID_JSON),
        (b'"\\' * (MAX_RECORD_BYTES // 2), ErrorCode.INVALID_JSON),
        (b"9" * MAX_RECORD_BYTES, ErrorCode.INVALID_JSON),
    ],
    ids=lambda value: value[:30] if isinstance(value, bytes) else str(value),
)  # fmt: skip
def test_poison_is_refused_not_raised(value: bytes, code: ErrorCode) -> None:
    refused = decode(CLICKS, b"v", value)
    assert isinstance(refused, BadRecord)
    assert refused.code == code
    assert not assert_same(CLICKS, b"v", value)


@pytest.mark.parametrize(
    "piece",
    [
        b', "x": ' + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1),
        b', "x": "' + b"[{" * 1000 + b'"',
        b', "x": "\\"' + b"[{" * 1000 + b'"',
        b', "x": ' + b"9" * MAX_DIGITS,
        b', "x": "' + b"9" * 5000 + b'"',
        b', "x": [' + b"{}," * 1000 + b"{}]",
        b', "x": 1e999',
    ],
    ids=lambda piece: piece[:20],
)
def test_the_limits_themselves_are_taken(piece: bytes) -> None:
    assert assert_same(CLICKS, b"v", _with(piece))


def test_the_verdict_does_not_depend_on_the_depth_of_the_stack() -> None:
    value = _with(b', "x": ' + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1))

    def deeper(levels: int) -> structs.Event | BadRecord:
        return deeper(levels - 1) if levels else decode(CLICKS, b"v", value)

    assert isinstance(deeper(500), structs.Click)


@pytest.mark.parametrize(
    ("value", "taken"),
    [
        (_with(b', "element_id": "other"'), True),
        (_with(b', "element_id": ""'), False),
        (_with(b', "position": "3", "position": 3'), False),
        (_with(b', "type": "page_view"'), False),
    ],
)
def test_a_name_twice_is_never_an_exception_and_the_last_one_counts(value: bytes, taken: bool) -> None:
    """The one place where the two may differ: the worker wants each occurrence valid, the model the last."""
    result = decode(CLICKS, b"v", value)
    assert isinstance(result, structs.Click) is taken
    if isinstance(result, structs.Click):
        assert result.element_id == "other"
