"""Records latido refuses: why (a closed list), and how they are kept and listed."""

import base64
from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from schemas.times import OutputTime


class ErrorCode(StrEnum):
    """Why a record was refused. A closed list: alert rules and filters name these."""

    INVALID_JSON = "invalid_json"
    """The value is not UTF-8, not JSON, or beyond the limits of depth and digits."""
    INVALID_EVENT = "invalid_event"
    """JSON, but not a valid event of this topic, or the key is not the visitor."""
    TOO_LARGE = "too_large"
    """The value is larger than 64 KiB."""
    FUTURE_TIMESTAMP = "future_timestamp"
    """The event time is further ahead of the record's arrival than allowed."""
    LATE = "late"
    """The event time is further behind than gap and grace allow."""
    UNKNOWN_TYPE = "unknown_type"
    """`type` is missing or not one this version knows."""
    NULL_VALUE = "null_value"
    """The record has no value (a tombstone)."""


class InvalidRecord(ValueError):
    """A record that is not valid: `code` says which rule, `message` is one line for a person.

    The message holds no line break and no control character, whatever the record held.
    """

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(f"{code.value}: {message}")
        self.code = code
        self.message = message


HEADER_TOPIC: Final = "__connect.errors.topic"
HEADER_PARTITION: Final = "__connect.errors.partition"
HEADER_OFFSET: Final = "__connect.errors.offset"
HEADER_MESSAGE: Final = "__connect.errors.exception.message"
HEADER_CODE: Final = "error-code"
"""Headers added to a dead letter; names of Kafka Connect, so that its tools show them. Values are text,
numbers in decimal. Key, value and the record's own headers are left as they were."""
DEAD_LETTER_HEADERS: Final = (HEADER_TOPIC, HEADER_PARTITION, HEADER_OFFSET, HEADER_MESSAGE, HEADER_CODE)


def dead_letter_headers(
    topic: str, partition: int, offset: int, code: str, message: str
) -> list[tuple[str, bytes]]:
    """Return the headers to add to a dead letter, in a fixed order; the place is the input record's."""
    values = (topic, str(partition), str(offset), message, code)
    return [(name, value.encode()) for name, value in zip(DEAD_LETTER_HEADERS, values, strict=True)]


class Content(BaseModel):
    """Bytes of a refused record: as text if they are UTF-8, else base64."""

    model_config = ConfigDict(strict=True, frozen=True, use_attribute_docstrings=True)

    encoding: Literal["utf-8", "base64"]
    data: str

    @classmethod
    def of(cls, data: bytes) -> Self:
        """Return the content of a record's key or value."""
        try:
            return cls(encoding="utf-8", data=data.decode())
        except UnicodeDecodeError:
            return cls(encoding="base64", data=base64.b64encode(data).decode())

    def to_bytes(self) -> bytes:
        """Return the bytes that were refused. Raises ValueError if `data` is not base64 though it says so."""
        if self.encoding == "utf-8":
            return self.data.encode()
        return base64.b64decode(self.data, validate=True)


class DeadLetter(BaseModel):
    """One refused record as it is listed. (topic, partition, offset) of the input record identify it."""

    model_config = ConfigDict(strict=True, frozen=True, use_attribute_docstrings=True)

    topic: str
    partition: Annotated[int, Field(ge=0)]
    offset: Annotated[int, Field(ge=0)]
    error_code: ErrorCode
    message: str
    key: Content | None
    value: Content | None
    arrived_at: OutputTime
