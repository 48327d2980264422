"""Logs: one line each, nothing unescaped, nothing secret, no flood."""

from __future__ import annotations

import io
import json
import logging

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from stream import telemetry
from stream.telemetry import LONGEST_VALUE, REPEATS_PER_PERIOD, RepeatFilter, escape

HOSTILE = "a\n2026 [info] fake\r\x1b[2J\u202e\u2028\x85</script>\x00😀"


pytestmark = pytest.mark.usefixtures("logging_restored")


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_hostile_value_stays_in_its_line(log_format: telemetry.LogFormat) -> None:
    out = io.StringIO()
    telemetry.configure("info", log_format, out)
    structlog.get_logger("x").warning("seen", title=HOSTILE, nested={HOSTILE: [HOSTILE]}, raw=b"\xff\n")
    logging.getLogger("library").error("it said %s", HOSTILE)
    lines = out.getvalue().splitlines()
    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)
    assert "\\x1b[2J" in lines[0].replace("\\\\", "\\")


def test_json_lines_are_json() -> None:
    out = io.StringIO()
    telemetry.configure("info", "auto", out)
    structlog.get_logger("x").info("counted", events=3, ok=True, none=None)
    line = json.loads(out.getvalue())
    assert (line["event"], line["events"], line["ok"], line["none"], line["level"]) == (
        "counted",
        3,
        True,
        None,
        "info",
    )


def test_an_exception_is_one_line_without_a_password() -> None:
    out = io.StringIO()
    telemetry.configure("info", "json", out)
    try:
        raise ValueError("cannot connect to redis://user:pa/ss@wo:rd@host:1/0\nsecond line")
    except ValueError:
        structlog.get_logger("x").exception("failed")
    assert len(out.getvalue().splitlines()) == 1
    assert "redis://user:***@host:1/0" in out.getvalue()
    assert "test_telemetry.py" in out.getvalue()


def test_the_level_is_obeyed() -> None:
    out = io.StringIO()
    telemetry.configure("warning", "text", out)
    structlog.get_logger("x").info("quiet")
    logging.getLogger("aiokafka.consumer").info("quiet")
    assert out.getvalue() == ""


def test_a_long_value_is_cut_and_says_so() -> None:
    assert escape("x" * 10_000) == "x" * LONGEST_VALUE + "... (10000 characters)"


@given(st.text())
def test_escaped_text_is_printable(text: str) -> None:
    assert escape(text).isprintable()


def test_a_library_may_repeat_itself_a_few_times_only() -> None:
    now = 0.0
    gate = RepeatFilter(lambda: now)

    def passes(name: str, message: str) -> str | None:
        record = logging.LogRecord(name, logging.ERROR, "", 0, message, (), None)
        return record.msg if gate.filter(record) else None

    said = [passes("aiokafka.conn", "no connection to %s") for _ in range(100)]
    assert len([one for one in said if one]) == REPEATS_PER_PERIOD
    assert passes("aiokafka.conn", "another") == "another"
    assert [passes("stream.kafka", "ours") for _ in range(100)] == ["ours"] * 100
    now = 10.0
    assert (
        passes("aiokafka.conn", "no connection to %s")
        == "no connection to %s (95 repeats of this kind not shown)"
    )
