"""One Kafka record -> one event, or the reason why it is refused. Never raises for a record's content."""

from typing import Final

from msgspec import MsgspecError, Struct
from msgspec.json import Decoder

from schemas.dead_letters import ErrorCode, InvalidRecord
from schemas.events import parse_record
from schemas.json_text import SMALL_RECORD_BYTES, exceeds_limits
from schemas.topics import TOPIC_OF_TYPE
from stream.core.events import (
    Click,
    Event,
    FormSubmission,
    Impression,
    PagePing,
    PageView,
    SurveyAnswer,
    is_usable_time,
    keeps_rules,
)

__all__ = ["BadRecord", "Event", "decode"]


class BadRecord(Struct, frozen=True):
    """A refused record as a value: the code of the dead letter and one line that says why."""

    code: str
    message: str


_EVENT_CLASSES: Final = (PageView, Impression, PagePing, Click, FormSubmission, SurveyAnswer)
_TOPIC_OF_CLASS: Final[dict[type[Event], str]] = {kind: TOPIC_OF_TYPE[kind.type] for kind in _EVENT_CLASSES}
_RULED: Final = frozenset({Impression, SurveyAnswer})
"""Classes for which `keeps_rules` has something to check; the rest is spared the call."""
_decoder: Final[Decoder[Event]] = Decoder(Event)
_decode_json: Final = _decoder.decode


def decode(topic: str, key: bytes | None, value: bytes | None) -> Event | BadRecord:
    """Return the event in one record of the input topic `topic`, or why the record is refused.

    Codes: null_value, too_large, invalid_json, unknown_type, invalid_event. This path only tells good
    from bad, as fast as it can; the contract's own reader then names the code and the reason.
    """
    if value is None or (len(value) > SMALL_RECORD_BYTES and exceeds_limits(value)):
        return _refusal(topic, key, value)
    try:
        if not value.isascii():
            value.decode()  # msgspec does not look at the bytes of strings it skips
        event = _decode_json(value)
    except (MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return _refusal(topic, key, value, type(error).__name__)
    kind = event.__class__
    if (
        _TOPIC_OF_CLASS[kind] == topic
        and event.visitor_id.encode() == key
        and (1 < event.occurred_at.year < 9999 or is_usable_time(event.occurred_at))
        and ((received := event.received_at) is None or is_usable_time(received))
        and (kind not in _RULED or keeps_rules(event))
    ):
        return event
    return _refusal(topic, key, value)


def _refusal(topic: str, key: bytes | None, value: bytes | None, seen: str = "a rule is broken") -> BadRecord:
    try:
        parse_record(topic, key, value)
    except InvalidRecord as invalid:
        return BadRecord(invalid.code, invalid.message)
    # Only a name that occurs twice in one object gets here: each occurrence must be valid for the
    # worker, while the contract's reader looks at the last one.
    return BadRecord(ErrorCode.INVALID_EVENT, f"is ambiguous, does a field name occur twice? ({seen})")
