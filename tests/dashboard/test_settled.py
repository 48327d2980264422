"""GET /api/v1/results: hours and days as the publisher of results left them."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from schemas.results import KpiResult
from stream.core.policy import HOUR_MS
from stream.dashboard import settled
from stream.pipeline.publish_results import ResultsState, next_step
from tests.builders import BASE_MS
from tests.dashboard.feeding import Stage
from tests.pipeline.test_results import at, happen, live

NIGHT = "2001-09-09T0{hour}:00:00.000Z"


@pytest.fixture
async def settled_stage(stage: Stage) -> Stage:
    """Hours of one site: visits at 00:10 and 02:10 of a day, of which the first two hours are final."""
    lane = live()
    happen(lane, "V", 10, channel="Email")
    happen(lane, "V", 130, visitor="w")
    at(lane, 131)
    stage.board.store.partitions[0] = lane.store.partition(0)
    epoch, _ = await stage.board.take_results_token(BASE_MS)
    step = await next_step(stage.board, ResultsState(), [], 1, BASE_MS)
    assert await stage.board.write_results(epoch, step.write)
    stage.now_ms = BASE_MS + 3 * HOUR_MS
    return stage


async def shown(stage: Stage, query: str) -> list[dict[str, Any]]:
    answer = await stage.get(f"results?{query}")
    assert answer.status_code == 200
    found: list[dict[str, Any]] = answer.json()["records"]
    return found


async def test_hours_as_the_contract_has_them(settled_stage: Stage) -> None:
    records = await shown(settled_stage, "")
    assert [(one["window"]["start"], one["state"]) for one in records] == [
        (NIGHT.format(hour=0), "final"), (NIGHT.format(hour=2), "running")
    ]  # fmt: skip
    for one in records:
        KpiResult.model_validate_json(json.dumps(one))
    assert records[0]["kpis"]["sessions"]["value"] == 1


@pytest.mark.parametrize(
    ("query", "starts"),
    [
        ("since=1h", [2]), ("since=3h", [0, 2]), ("since=2001-09-09T01:30:00Z", [2]),
        ("since=2001-09-09T03:30:00%2B02:00", [2]), ("since=2001-09-09", [0, 2]), ("since=2001-09-10", []),
        ("site=default", [0, 2]), ("site=nobody", []), ("segment=channel%3DEmail", [0]),
    ],
)  # fmt: skip
async def test_filters(settled_stage: Stage, query: str, starts: list[int]) -> None:
    found = await shown(settled_stage, query)
    assert [one["window"]["start"] for one in found] == [NIGHT.format(hour=hour) for hour in starts]


async def test_days_every_segment_and_some_kpis(settled_stage: Stage) -> None:
    records = await shown(settled_stage, "kind=day&segment=*&kpi=sessions&kpi=bounce_rate")
    segments = {one["segment"]["value"] for one in records}
    assert {None, "Email"} <= segments
    assert {one["window"]["kind"] for one in records} == {"day"}
    assert {tuple(one["kpis"]) for one in records} == {("sessions", "bounce_rate")}


async def test_as_a_table(settled_stage: Stage) -> None:
    answer = await settled_stage.get("results.csv?kpi=sessions&kpi=bounce_rate&segment=*")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    records = await shown(settled_stage, "kpi=sessions&kpi=bounce_rate&segment=*")
    assert [(row["start"], row["kpi"], row["value"]) for row in rows] == [
        (one["window"]["start"], name, "" if kpi["value"] is None else str(kpi["value"]))
        for one in records for name, kpi in one["kpis"].items()
    ]  # fmt: skip
    assert rows[0] | {"n": "", "reason": ""} == rows[0]
    assert [rows[0][name] for name in ("site", "kind", "zone", "segment", "state", "revision")] == [
        "default", "hour", "UTC", "all", "final", str(records[0]["revision"])
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("kind=week", "hour or day"), ("since=yesterday", "24h, 30d"), ("since=99999h", "24h, 30d"),
        ("since=10000-01-01", "24h, 30d"), ("kpi=x", "there is no KPI 'x'"), ("window=5m", "kind, since"),
    ],
)  # fmt: skip
async def test_what_is_refused(settled_stage: Stage, query: str, reason: str) -> None:
    answer = await settled_stage.get(f"results?{query}")
    assert answer.status_code == 400
    assert reason in answer.json()["error"]


async def test_too_many_are_refused(settled_stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settled, "MOST_RESULTS", 1)
    answer = await settled_stage.get("results")
    assert answer.status_code == 400
    assert "later since" in answer.json()["error"]


async def test_what_another_version_wrote_is_no_result(settled_stage: Stage) -> None:
    results = settled_stage.board.store.board.results
    results |= dict.fromkeys(results, b"x")
    answer = await settled_stage.get("results")
    assert answer.status_code == 503
    assert "the version of the worker" in answer.json()["error"]


async def test_nothing_is_an_empty_list(stage: Stage) -> None:
    assert await shown(stage, "kind=day") == []


@pytest.mark.parametrize(
    ("query", "hour", "state"),
    [
        ("window=hour", 2, "running"), ("window=hour&at=2001-09-09T00:59:59Z", 0, "final"),
        ("window=hour&at=2001-09-09T02:30:00%2B02:00", 0, "final"),
        ("window=hour&at=2001-09-09T02:30", 2, "running"), ("window=day&at=2001-09-09", 0, "running"),
        ("window=hour&at=2001-09-09&site=default&segment=channel%3DEmail", 0, "final"),
    ],
)  # fmt: skip
async def test_a_settled_number_is_explained(settled_stage: Stage, query: str, hour: int, state: str) -> None:
    answer = await settled_stage.get(f"explain?kpi=sessions&{query}")
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert f"from {NIGHT.format(hour=hour)}" in said["window"]
    assert said["state"].startswith(f"{state}: ")
    assert said["counts"].endswith(f" = {2 if 'day' in query else 1}")


@pytest.mark.parametrize(
    ("query", "status", "reason"),
    [
        ("window=hour&at=2001-09-09T01:00Z", 404, "no hour of default that holds 2001-09-09T01:00:00+00:00"),
        ("window=hour&at=0001-01-01", 404, "no hour of default that holds"),
        ("window=hour&at=9999-12-31T23:59-23:00", 404, "no hour of default that holds"),
        ("window=day&site=nobody%0A", 404, "no day of site nobody\\n is published yet"),
        ("window=hour&segment=channel%3Dx%1B", 404, "for segment channel=x\\x1b; segments: all"),
        ("window=hour&at=tomorrow", 400, "at must be such as 2026-11-22"),
        ("window=5m&at=2001-09-09", 400, "at goes with window=hour or window=day"),
    ],
)  # fmt: skip
async def test_a_settled_number_that_is_not_there(
    settled_stage: Stage, query: str, status: int, reason: str
) -> None:
    answer = await settled_stage.get(f"explain?kpi=sessions&{query}")
    assert answer.status_code == status
    assert reason in answer.json()["error"]


async def test_a_kpi_without_hours_says_so(settled_stage: Stage) -> None:
    answer = await settled_stage.get("explain?kpi=mau&window=hour")
    assert (answer.status_code, "this KPI has no hours" in answer.json()["error"]) == (404, True)
