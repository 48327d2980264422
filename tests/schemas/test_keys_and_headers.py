"""Keys and headers of output records."""

from hypothesis import given
from hypothesis import strategies as st

from schemas import headers
from schemas.keys import join_key, segment_name, session_key, snapshot_key, split_key

PARTS = st.lists(st.text(), min_size=1, max_size=4)


def test_the_keys_of_the_contract() -> None:
    assert session_key("shop-es", "v-7f3a", "s-9c2e41") == "shop-es|v-7f3a|s-9c2e41"
    assert snapshot_key("shop-es", "5m", segment_name("all", None)) == "shop-es|5m|all"
    assert snapshot_key("shop-es", "all", segment_name("channel", "email")) == "shop-es|all|channel=email"


def test_only_what_is_ambiguous_or_unreadable_is_encoded() -> None:
    plain = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) not in "%|")
    assert join_key(plain) == plain
    assert join_key("a|b%\x00\x7f\n", "ñ") == "a%7Cb%25%00%7F%0A|%C3%B1"


@given(PARTS)
def test_a_key_is_ascii_and_gives_its_parts_back(parts: list[str]) -> None:
    key = join_key(*parts)
    assert key.isascii()
    assert key.isprintable()
    assert split_key(key) == tuple(parts)


@given(PARTS, PARTS)
def test_different_parts_have_different_keys(one: list[str], other: list[str]) -> None:
    assert (join_key(*one) == join_key(*other)) is (one == other)


def test_the_headers_of_a_session() -> None:
    built = headers.output_headers(
        schema=headers.SESSION_SCHEMA,
        record_id=headers.session_identity("s-9c2e41", 2),
        version="0.1.0",
        namespace="default",
        time_ms=1795342798120,
    )
    assert tuple(name for name, _ in built) == headers.OUTPUT_HEADERS
    assert dict(built) == {
        "schema": b"session/1",
        "producer": b"latido/0.1.0",
        "id": b"s-9c2e41/2",
        "content-type": b"application/json",
        "ce_id": b"s-9c2e41/2",
        "ce_type": b"latido.session.v1",
        "ce_source": b"/latido/default",
        "ce_specversion": b"1.0",
        "ce_time": b"2026-11-22T10:19:58.120Z",
    }


def test_the_identity_of_a_snapshot() -> None:
    assert headers.snapshot_identity("shop-es|5m|all", 48211) == "shop-es|5m|all/48211"
