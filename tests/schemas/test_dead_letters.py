"""How a refused record is kept and listed."""

from hypothesis import example, given
from hypothesis import strategies as st

from schemas.dead_letters import DEAD_LETTER_HEADERS, Content, ErrorCode, dead_letter_headers


@given(st.binary())
@example(b"\xed\xa0\x80")
@example("ñ".encode())
def test_refused_bytes_are_listed_whole(data: bytes) -> None:
    listed = Content.model_validate_json(Content.of(data).model_dump_json())
    assert listed.to_bytes() == data


def test_text_stays_readable() -> None:
    assert Content.of(b"poison") == Content(encoding="utf-8", data="poison")
    assert Content.of(b"\xff") == Content(encoding="base64", data="/w==")


def test_headers_of_a_dead_letter() -> None:
    built = dead_letter_headers(
        "engagement.clicks.v1", 2, 4711, ErrorCode.INVALID_JSON, "not UTF-8 at byte 3"
    )
    assert built == [
        ("__connect.errors.topic", b"engagement.clicks.v1"),
        ("__connect.errors.partition", b"2"),
        ("__connect.errors.offset", b"4711"),
        ("__connect.errors.exception.message", b"not UTF-8 at byte 3"),
        ("error-code", b"invalid_json"),
    ]
    assert tuple(name for name, _ in built) == DEAD_LETTER_HEADERS


def test_the_list_of_codes_is_closed() -> None:
    assert {code.value for code in ErrorCode} == {
        "invalid_json",
        "invalid_event",
        "too_large",
        "future_timestamp",
        "late",
        "unknown_type",
        "null_value",
    }
