"""GET /api/v1/kpis.csv: a table that a spreadsheet opens, and computes nothing of."""

from __future__ import annotations

import csv
import io

import pytest

from stream.dashboard.csv_table import text_cell
from tests.dashboard.feeding import Stage, record


async def rows(stage: Stage, query: str = "") -> list[dict[str, str]]:
    answer = await stage.get(f"kpis.csv?{query}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"].startswith("attachment")
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


async def test_a_row_for_each_kpi_with_its_counts(stage: Stage) -> None:
    one = record()
    await stage.publish(one)
    found = {row["kpi"]: row for row in await rows(stage)}
    assert list(found) == list(one["kpis"])
    nps, bounce = one["kpis"]["nps"], one["kpis"]["bounce_rate"]
    assert found["nps"] == {
        "site": "shop-es", "window": "5m", "segment": "all", "kpi": "nps", "value": str(nps["value"]),
        "low": str(nps["low"]), "high": str(nps["high"]), "n": str(nps["n"]), "numerator": "",
        "denominator": "", "previous": "", "status": "complete", "as_of": one["as_of"],
    }  # fmt: skip
    assert (found["bounce_rate"]["numerator"], found["bounce_rate"]["denominator"]) == (
        str(bounce["numerator"]), str(bounce["denominator"])
    )  # fmt: skip


async def test_the_same_filters_and_order_as_the_records(stage: Stage) -> None:
    await stage.publish(
        record(),
        record(window="1h"),
        record("shop-es", "5m", "channel", "a", sessions=0),
        record("shop-es", "5m", "channel", "b", sessions=1),
    )
    assert [(row["window"], row["kpi"]) for row in await rows(stage, "kpi=nps&kpi=ctr&window=5m")] == [
        ("5m", "ctr"), ("5m", "nps")
    ]  # fmt: skip
    found = await rows(stage, "dimension=channel&kpi=sessions")
    assert [row["segment"] for row in found] == ["channel=b", "channel=a"]


async def test_an_old_table_says_so(stage: Stage) -> None:
    await stage.publish(record())
    stage.now_ms += 60_000
    assert {row["status"] for row in await rows(stage)} == {"stale"}


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1", "=cmd|'/C calc'!A0"]
)
async def test_what_a_spreadsheet_would_compute_is_text(stage: Stage, text: str) -> None:
    assert text_cell(text) == f"'{text}"
    await stage.publish(record(text))
    assert {row["site"] for row in await rows(stage)} == {f"'{text}"}


@pytest.mark.parametrize("text", ['a"b', "a,b", "a;=1+1", "a\nb", 'x","=1+1', "\u202eb", "x" * 10_000])
async def test_no_text_leaves_its_cell(stage: Stage, text: str) -> None:
    await stage.publish(record(text))
    answer = (await stage.get("kpis.csv")).text
    assert {row["site"] for row in await rows(stage)} == {text}
    quoted = text.replace('"', '""')
    assert f'"{quoted}","5m"' in answer


async def test_negative_numbers_stay_numbers(stage: Stage) -> None:
    await stage.publish(record(nps=-40))
    [row] = await rows(stage, "kpi=nps")
    assert row["value"] == "-40"


async def test_an_empty_board_is_a_heading(stage: Stage) -> None:
    await stage.reader.read()
    assert await rows(stage) == []
