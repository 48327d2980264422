"""The events of the input topics: one JSON object per Kafka record, keyed by the visitor.

The worker does not use these models per record (stream/core/events.py holds its faster structs); one
test suite holds both equal, record by record. Lengths are in characters (Unicode code points).
"""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from schemas.dead_letters import ErrorCode, InvalidRecord
from schemas.json_text import MAX_RECORD_BYTES, parse_json
from schemas.times import EventTime, to_ms
from schemas.topics import TOPIC_OF_TYPE

__all__ = [
    "MAX_RECORD_BYTES",
    "Click",
    "Event",
    "FormSubmission",
    "Impression",
    "PagePing",
    "PageView",
    "SurveyAnswer",
    "encode_event",
    "event_time_ms",
    "parse_event",
    "parse_record",
]

NPS_MAX: Final = 10
SCALE_LIMIT: Final = 1000
MAX_ENGAGED_MS: Final = 24 * 60 * 60 * 1000
MAX_POSITION: Final = 2**31 - 1
REASONS_SHOWN: Final = 5

EventId = Annotated[str, Field(min_length=1, max_length=64)]
Name = Annotated[str, Field(min_length=1, max_length=128)]
Dimension = Annotated[str, Field(max_length=64)]
Url = Annotated[str, Field(min_length=1, max_length=2048)]
UserAgent = Annotated[str, Field(max_length=512)]
Text = Annotated[str, Field(max_length=2048)]
Position = Annotated[int, Field(ge=0, le=MAX_POSITION)]
ScalePoint = Annotated[int, Field(ge=-SCALE_LIMIT, le=SCALE_LIMIT)]
Surface = Literal["page", "mail", "ad", "push"]


class _Common(BaseModel):
    """Fields of every event. An optional field may be absent or null; one with a default may be absent."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", use_attribute_docstrings=True)

    event_id: EventId
    """Unique per event; a client's retry repeats it."""
    site_id: Annotated[str, Field(min_length=1, max_length=64)] = "default"
    visitor_id: Name
    """The record's Kafka key, as UTF-8."""
    customer_id: Name | None = None
    occurred_at: EventTime
    received_at: EventTime | None = None
    channel: Dimension | None = None
    """By default derived from the referrer and the page's address (docs/channels.md)."""
    campaign: Dimension | None = None
    """By default `utm_campaign` of the page's address."""
    device: Dimension | None = None
    """By default derived from the user agent."""
    country: Dimension | None = None
    plan: Dimension | None = None
    user_agent: UserAgent | None = None
    """As the browser sends it. Never published: it says the device, and whether this is a bot."""
    consent: Literal["granted", "denied"] | None = None
    """`denied`: counted as such and forgotten."""


class PageView(_Common):
    """A page was opened."""

    type: Literal["page_view"] = "page_view"
    url: Url
    title: Text | None = None
    referrer: Text | None = None
    """Empty where the page had none: a direct visit. null where nobody looked: nothing is concluded."""


class Impression(_Common):
    """Something that can be clicked was shown, on a page or in a mail, an ad, a push message."""

    model_config = ConfigDict(
        json_schema_extra={
            "if": {"properties": {"surface": {"const": "page"}}},
            "then": {"required": ["url"], "properties": {"url": {"type": "string"}}},
        }
    )

    type: Literal["impression"] = "impression"
    element_id: Name
    surface: Surface = "page"
    url: Url | None = None
    position: Position | None = None
    variant: Dimension | None = None
    opened: bool | None = None
    """For mail: the message was opened, not only delivered."""

    @model_validator(mode="after")
    def _page_has_url(self) -> Self:
        if self.surface == "page" and self.url is None:
            raise ValueError("url is required when surface is page")
        return self


class PagePing(_Common):
    """A heartbeat while the page is in front."""

    type: Literal["page_ping"] = "page_ping"
    url: Url
    engaged_ms: Annotated[int, Field(ge=0, le=MAX_ENGAGED_MS)]


class Click(_Common):
    """An element was clicked."""

    type: Literal["click"] = "click"
    element_id: Name
    surface: Surface = "page"
    url: Url | None = None
    target_url: Text | None = None
    position: Position | None = None
    variant: Dimension | None = None


class FormSubmission(_Common):
    """A form was sent."""

    type: Literal["form_submission"] = "form_submission"
    form_id: Name
    url: Url
    fields: Annotated[list[Name], Field(max_length=100)] | None = None
    """Names of the fields filled in, never their values."""


class SurveyAnswer(_Common):
    """One survey was answered or skipped."""

    model_config = ConfigDict(
        json_schema_extra={
            "if": {"required": ["skipped"], "properties": {"skipped": {"const": True}}},
            "then": {"properties": {"score": {"type": "null"}}},
            "else": {
                "required": ["score"],
                "properties": {"score": {"type": "integer"}},
                "if": {"properties": {"survey_kind": {"const": "nps"}}},
                "then": {"properties": {"score": {"minimum": 0, "maximum": NPS_MAX}}},
            },
        }
    )

    type: Literal["survey_answer"] = "survey_answer"
    survey_id: Name
    survey_kind: Literal["nps", "csat"]
    score: ScalePoint | None = None
    """nps: 0 to 10. csat: scale_min to scale_max. Never clamped. Absent or null iff skipped."""
    scale_min: ScalePoint = 1
    scale_max: ScalePoint = 5
    """The scale of csat; without meaning for nps."""
    respondent_id: Annotated[str, Field(max_length=128)] | None = None
    """Who answered; default the customer, else the visitor. Empty: an unknown respondent of its own."""
    skipped: bool = False
    comment: Annotated[str, Field(max_length=4096)] | None = None

    @model_validator(mode="after")
    def _score_is_on_its_scale(self) -> Self:
        low, high = (0, NPS_MAX) if self.survey_kind == "nps" else (self.scale_min, self.scale_max)
        if low >= high:
            raise ValueError("scale_min must be below scale_max")
        if self.skipped:
            if self.score is not None:
                raise ValueError("score must be absent when skipped is true")
        elif self.score is None:
            raise ValueError("score is required unless skipped is true")
        elif not low <= self.score <= high:
            raise ValueError(f"score must be between {low} and {high}")
        return self


Event = PageView | Impression | PagePing | Click | FormSubmission | SurveyAnswer
EVENT: Final[TypeAdapter[Event]] = TypeAdapter(Annotated[Event, Field(discriminator="type")])
MODEL_OF_TYPE: Final[dict[str, type[Event]]] = {
    "page_view": PageView,
    "impression": Impression,
    "page_ping": PagePing,
    "click": Click,
    "form_submission": FormSubmission,
    "survey_answer": SurveyAnswer,
}


def parse_event(data: bytes | str | dict[str, Any], *, forbid_extra: bool = False) -> Event:
    """Return the event in a JSON text or an already parsed object.

    forbid_extra: refuse fields the event does not have; otherwise they are ignored.
    Raises InvalidRecord: `too_large`, `invalid_json`, `unknown_type`, or `invalid_event` with each
    field and its reason.
    """
    return _read_event(data, topic=None, forbid_extra=forbid_extra)


def parse_record(topic: str, key: bytes | None, value: bytes | None) -> Event:
    """Return the event in one Kafka record of an input topic.

    Raises InvalidRecord as `parse_event` does, `null_value` without a value, `invalid_event` if the type
    belongs to another topic or the key is not the visitor.
    """
    if value is None:
        raise InvalidRecord(ErrorCode.NULL_VALUE, "the record has no value")
    event = _read_event(value, topic=topic, forbid_extra=False)
    if key != event.visitor_id.encode():
        raise InvalidRecord(ErrorCode.INVALID_EVENT, "the Kafka key must be the visitor id")
    return event


def _read_event(data: bytes | str | dict[str, Any], *, topic: str | None, forbid_extra: bool) -> Event:
    value = data if isinstance(data, dict) else parse_json(_as_bytes(data))
    if not isinstance(value, dict):
        raise InvalidRecord(ErrorCode.INVALID_EVENT, "must be a JSON object")
    model = _model_for(value.get("type"), topic)
    try:
        return model.model_validate(value, strict=True, extra="forbid" if forbid_extra else "ignore")
    except ValidationError as error:
        raise InvalidRecord(ErrorCode.INVALID_EVENT, _reasons(error)) from None


def _as_bytes(text: bytes | str) -> bytes:
    # A lone surrogate in a Python string becomes bytes that parse_json refuses as not UTF-8.
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text


def _model_for(kind: object, topic: str | None) -> type[Event]:
    known = ", ".join(MODEL_OF_TYPE)
    if kind is None:
        raise InvalidRecord(ErrorCode.UNKNOWN_TYPE, f"type is missing; known types: {known}")
    if not isinstance(kind, str):
        raise InvalidRecord(ErrorCode.UNKNOWN_TYPE, f"type must be a string; known types: {known}")
    if kind not in MODEL_OF_TYPE:
        raise InvalidRecord(ErrorCode.UNKNOWN_TYPE, f"type {_shown(kind)} is not known; known types: {known}")
    if topic is not None and TOPIC_OF_TYPE[kind] != topic:
        message = f"type {kind} belongs to {TOPIC_OF_TYPE[kind]}"
        raise InvalidRecord(ErrorCode.INVALID_EVENT, message)
    return MODEL_OF_TYPE[kind]


def _reasons(error: ValidationError) -> str:
    """Return `field: reason; field: reason` in one line, without any value of the record."""
    errors = error.errors(include_url=False, include_input=False, include_context=False)
    reasons = [_reason(one["loc"], one["msg"]) for one in errors[:REASONS_SHOWN]]
    if len(errors) > REASONS_SHOWN:
        reasons.append(f"and {len(errors) - REASONS_SHOWN} more")
    return "; ".join(reasons)


def _reason(place: tuple[int | str, ...], message: str) -> str:
    where = ".".join(part if _is_plain(part) else _shown(part) for part in map(str, place))
    what = message.removeprefix("Value error, ")
    return f"{where}: {what}" if where else what


def _is_plain(name: str) -> bool:
    """Tell whether a name, which may come from the record, can be shown as it is."""
    return name.isascii() and name.replace("_", "").isalnum() and len(name) <= 64


def _shown(text: str) -> str:
    """Return text of a record for a message: quoted, escaped to ASCII, cut."""
    return ascii(text if len(text) <= 64 else text[:64] + "...")


def event_time_ms(event: Event) -> int:
    """Return when the event happened, in ms since the epoch, rounded down."""
    return to_ms(event.occurred_at)


def encode_event(event: Event) -> bytes:
    """Return the event as the value of a Kafka record: compact JSON, UTF-8, absent fields left out."""
    return event.model_dump_json(exclude_none=True).encode()
