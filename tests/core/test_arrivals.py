"""Activities of several sources come in one order of time, however sources overtake each other and repeat."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from stream.core.arrivals import Arrivals, Source, Told
from stream.core.customers import VisitStarted
from stream.core.event_time import NEVER_MS

Log = list[Told]


def did(number: int, at_ms: int) -> Told:
    return Told(number, at_ms, ("shop", "anna"), VisitStarted(at_ms))


def released(arrivals: Arrivals, count: int = 100) -> list[int]:
    """Times of what may be taken now."""
    return [arrivals.release(place).known_ms for place in arrivals.upcoming(arrivals.clock_ms, count)]


def test_nothing_is_taken_before_every_source_has_come_that_far() -> None:
    arrivals = Arrivals(2)
    arrivals.take(0, did(1, 10))
    arrivals.take(0, Told(2, 50))
    assert (arrivals.clock_ms, released(arrivals)) == (NEVER_MS, [])
    arrivals.take(1, did(1, 5))
    arrivals.take(1, Told(2, 9))
    assert released(arrivals) == [5]
    arrivals.take(1, Told(3, 10))
    assert released(arrivals) == [10]


def test_a_repeat_is_dropped() -> None:
    arrivals = Arrivals(1)
    assert arrivals.take(0, did(1, 10)) == (10, 0, 1)
    assert arrivals.take(0, did(1, 10)) is None
    arrivals.take(0, Told(2, 10))
    assert released(arrivals) == [10]
    assert arrivals.take(0, did(1, 10)) is None
    assert arrivals.take(7, did(1, 10)) is None, "no source of ours"


@st.composite
def logs(draw: st.DrawFn) -> list[Log]:
    """What each of some sources tells: after a clock nothing earlier than it."""
    found = []
    for _ in range(draw(st.integers(1, 3))):
        log, clock_ms = Log(), 0
        for number, (late_ms, is_clock) in enumerate(
            draw(st.lists(st.tuples(st.integers(1, 30), st.booleans()), max_size=12)), 1
        ):
            if is_clock:
                clock_ms += late_ms
            log.append(Told(number, clock_ms) if is_clock else did(number, clock_ms + late_ms))
        found.append([*log, Told(len(log) + 1, 1000)])
    return found


def restarted(arrivals: Arrivals) -> Arrivals:
    """Nothing survives but what is stored."""
    sources = msgspec.msgpack.decode(msgspec.msgpack.encode(arrivals.sources), type=dict[int, Source])
    return Arrivals(len(sources), sources, dict(reversed(arrivals.waiting.items())))


@given(logs(), st.data())
def test_the_order_is_the_same_however_sources_interleave_repeat_and_restart(
    told: list[Log], data: st.DataObject
) -> None:
    expected = sorted(one.known_ms for log in told for one in log if one.key is not None)
    arrivals, heard, found = Arrivals(len(told)), [0] * len(told), list[int]()
    while open_sources := [n for n, log in enumerate(told) if heard[n] < len(log)]:
        source = data.draw(st.sampled_from(open_sources))
        happens = data.draw(st.sampled_from(["", "", "restart", "again", "take"]))
        if happens == "restart":
            arrivals = restarted(arrivals)
        if happens == "again":
            heard[source] = data.draw(st.integers(0, heard[source]))
        if happens == "take":
            found += released(arrivals, data.draw(st.integers(1, 3)))
        arrivals.take(source, told[source][heard[source]])
        heard[source] += 1
    assert found + released(arrivals) == expected
    assert arrivals.waiting == {}
