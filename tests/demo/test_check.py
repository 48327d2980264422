"""The verdict: what counts as a figure, what as a difference, and what is printed."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from schemas.times import rfc3339
from stream.demo.check import Published, compare, ends_of, moment_ms
from stream.demo.compare import Comparison
from stream.demo.plain_log import Accounting, Rules
from stream.demo.run import report
from stream.demo.truth import recompute
from stream.pipeline.take_snapshot import Completeness, Header
from tests.demo.logs import MINUTE_MS, NOON_MS, LogWriter

RULES = Rules()


def header(as_of_ms: int, late: int = 0, refused: int = 0) -> Header:
    completeness = Completeness("complete", 4, 4, None, 0, late, refused)
    return Header(1, rfc3339(as_of_ms), rfc3339(as_of_ms), True, completeness, {})


def published(log: LogWriter, record_at_ms: int, as_of_ms: int) -> Published:
    """What an exact product would publish: all records at one moment, the tick at another."""
    records = {
        key: {"as_of": rfc3339(record_at_ms), "kpis": kpis}
        for key, kpis in recompute(log.records, RULES, record_at_ms).items()
    }
    return Published(header(as_of_ms), records)


def some_log() -> LogWriter:
    log = LogWriter()
    log.view(0)
    log.seen(1000, "a")
    log.click(2000, "a")
    log.nps(3000, 9)
    return log


def test_equal_figures_are_exact(capsys: pytest.CaptureFixture[str]) -> None:
    log = some_log()
    at_ms = NOON_MS + 5000
    comparison, accounting = compare(log.records, RULES, published(log, at_ms, at_ms), at_ms)
    assert comparison.differences == []
    assert report(comparison, accounting, header(at_ms)) == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"exact: {comparison.figures} of {comparison.figures} figures, 0 differ"
    )


@pytest.mark.parametrize(
    ("kpi", "field", "wrong"),
    [("page_views", "value", 2), ("ctr", "low", 0.5), ("nps", "value", None), ("ctr", "method", "wald")],
)
def test_a_wrong_figure_is_named(
    kpi: str, field: str, wrong: object, capsys: pytest.CaptureFixture[str]
) -> None:
    log = some_log()
    at_ms = NOON_MS + 5000
    found = published(log, at_ms, at_ms)
    right = found.records["default|5m|all"]["kpis"][kpi][field]
    found.records["default|5m|all"]["kpis"][kpi][field] = wrong
    comparison, accounting = compare(log.records, RULES, found, at_ms)
    assert report(comparison, accounting, found.header) == 1
    lines = capsys.readouterr().out.splitlines()
    assert f"  default|5m|all  {kpi}.{field}: expected {right}, got {wrong}" in lines
    assert lines[-1].endswith(" figures, 1 differ")


def test_missing_and_surplus_records_differ() -> None:
    log = some_log()
    at_ms = NOON_MS + 5000
    found = published(log, at_ms, at_ms)
    records: dict[str, Any] = dict(found.records)
    records["default|5m|element=b"] = records.pop("default|5m|element=a")
    comparison, _ = compare(log.records, RULES, Published(found.header, records), at_ms)
    assert {difference.key for difference in comparison.differences} == {
        "default|5m|element=a",
        "default|5m|element=b",
    }


def test_a_record_that_did_not_change_is_compared_where_all_was_counted() -> None:
    log = some_log()
    old_ms, counted_ms, end_ms = NOON_MS + 3000, NOON_MS + 9000, NOON_MS + 15_000
    comparison, _ = compare(log.records, RULES, published(log, old_ms, end_ms), counted_ms)
    assert comparison.differences == []
    behind = published(log, old_ms, end_ms)
    log.view(4000, "v2")
    comparison, _ = compare(log.records, RULES, behind, counted_ms)
    assert "default|all|all  page_views.value: expected 2, got 1" in map(str, comparison.differences)


def test_a_record_published_later_is_compared_at_its_own_moment() -> None:
    log = some_log()
    counted_ms, end_ms = NOON_MS + 9000, NOON_MS + 10 * MINUTE_MS  # by then its windows are empty
    comparison, _ = compare(log.records, RULES, published(log, end_ms, end_ms), counted_ms)
    assert comparison.differences == []


def test_whole_numbers_must_be_equal_and_fractions_nearly() -> None:
    comparison = Comparison()
    big = 10**12
    comparison.add("k", {"a": {"value": big, "low": 0.1 + 0.2}}, {"a": {"value": big + 1, "low": 0.3}})
    assert [difference.field for difference in comparison.differences] == ["value"]
    assert str(comparison) == "exact: 1 of 2 figures, 1 differ"


def test_nothing_compared_is_not_exact() -> None:
    assert report(Comparison(), Accounting(), header(NOON_MS)) == 1


def test_what_another_topic_made_late_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    report(Comparison(figures=1), Accounting(late=2), header(NOON_MS, late=5, refused=1))
    out = capsys.readouterr().out
    assert "late: 5 in the run, 2 by their own topic's clock" in out
    assert "refused: expected 0, got 1" in out


def test_the_ends_of_a_log_and_a_time_on_the_wire() -> None:
    assert ends_of(some_log().records)["engagement.page-views.v1"] == {0: 2}
    assert moment_ms("2026-11-25T12:00:00.001Z") == NOON_MS + 1
    assert msgspec.json.decode(msgspec.json.encode(header(NOON_MS)), type=Header).as_of is not None
