"""Headers of outputs: the fast way equals the contract's."""

from __future__ import annotations

from schemas.headers import OUTPUT_HEADERS, output_headers
from stream import __version__
from stream.kafka.producer import OutputHeaders
from stream.pipeline.batch import Output


def test_headers_equal_those_of_the_contract() -> None:
    headers = OutputHeaders("shop")
    for record_id, time_ms in (("s-1/1", 0), ("s-ñ/2", 1_795_319_877_074)):
        output = Output("t", 0, b"k", b"v", record_id, "session/1", time_ms)
        expected = output_headers(
            schema="session/1", record_id=record_id, version=__version__, namespace="shop", time_ms=time_ms
        )
        assert headers.of(output) == expected
        assert tuple(name for name, _ in headers.of(output)) == OUTPUT_HEADERS


def test_a_dead_letter_keeps_its_own_headers() -> None:
    own = [("trace", b"1"), ("trace", b"2")]
    assert OutputHeaders("shop").of(Output("t.dlq", 0, None, b"v", "t:0:1", "", 0, own)) == own
