"""Customers survive packing to the last bit, in few bytes."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.core.churn import Book
from stream.core.churn_settings import ChurnSettings
from stream.core.customer_codec import decode, decode_due_ms, encode
from stream.core.customers import Activity, Answered, Customer, Rhythm, Standing, VisitStarted
from tests.core.churn_cases import LIVES, START_MS, WITH_MODEL, after, csat, ms, nps

FEW = settings().max_examples // 3
KEY = ("shop", "c-0000000001")
TIMES = st.integers(-62_135_510_400_000, 253_402_300_799_999)
COUNTS = st.integers(0, 2**63)
NUMBERS = st.floats(allow_nan=False)
RHYTHMS = st.just(Rhythm()) | st.builds(Rhythm, st.integers(1, 2**40), NUMBERS, NUMBERS, NUMBERS)
SURVEYS = st.sampled_from(["post-buy", "Zürich", "x" * 128, ""])
NPS = st.builds(Answered, TIMES, SURVEYS, st.just("nps"), st.integers(0, 10))
CSAT = st.builds(Answered, TIMES, SURVEYS, st.just("csat"), st.integers(-3, 3), st.just(-1000), st.just(1000))
CUSTOMERS = st.builds(
    Customer,
    COUNTS, TIMES, TIMES, TIMES, RHYTHMS, NUMBERS, NUMBERS, COUNTS, COUNTS,
    st.none() | st.text(min_size=1, max_size=64).filter(str.isprintable),
    st.lists(NPS, max_size=4).map(tuple), st.lists(CSAT, max_size=4).map(tuple),
    st.builds(Standing, st.integers(0, 3), COUNTS, st.lists(st.integers(-1, 3), max_size=9).map(tuple)),
    st.integers(-(2**61), 2**61),
)  # fmt: skip


@settings(max_examples=FEW)
@given(CUSTOMERS)
def test_any_customer_survives_packing(customer: Customer) -> None:
    packed = encode(customer)
    assert decode(packed) == customer
    assert decode_due_ms(packed) == customer.due_ms


@given(life=LIVES)
def test_who_did_something_survives_packing(life: list[Activity]) -> None:
    customer = after(*life)
    assert decode(encode(customer)) == customer


def test_every_bit_of_a_float_survives() -> None:
    rhythm = Rhythm(3, math.nextafter(20.0, 21), 5e-324, -0.0)
    packed = encode(Customer(rhythm=rhythm, short=math.pi, long=1e300))
    assert msgspec.msgpack.encode(decode(packed).rhythm) == msgspec.msgpack.encode(rhythm)
    assert (decode(packed).short, decode(packed).long) == (math.pi, 1e300)


def test_a_packed_customer_is_small() -> None:
    """Somebody known for a year with a plan and eight answers; redis-server adds some 80 to 90 bytes."""
    steps: list[Activity] = [VisitStarted(ms(day), "premium") for day in range(0, 360, 2)]
    steps += [one for day in (50.3, 140.7, 230.1, 320.9) for one in (nps(day, 9), csat(day + 1, 4))]
    book = Book(ChurnSettings(WITH_MODEL))
    for activity in sorted(steps, key=lambda one: one.at_ms):
        book.apply(KEY, activity, activity.at_ms)
    assert len(encode(book.customers[KEY])) <= 188
    once = Book(ChurnSettings(WITH_MODEL))
    once.apply(KEY, VisitStarted(START_MS), START_MS)
    assert len(encode(once.customers[KEY])) <= 50


def test_what_another_version_packed_is_refused() -> None:
    for packed in (b"", b"\x9f\x01", b"\x02" + encode(Customer())[1:]):
        with pytest.raises(ValueError, match="another version: use another namespace"):
            decode(packed)
