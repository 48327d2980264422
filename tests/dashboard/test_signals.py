"""GET /api/v1/churn/signals: how many customers stand how, and whose state changed last."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from stream.pipeline.ports import CUSTOMERS, Table
from stream.tables.memory import MemoryTables
from tests.builders import now
from tests.churn.keeping import keep
from tests.churn.lives import Life, happened
from tests.dashboard.feeding import Stage, record

HOSTILE = '<script>alert(1)</script>\u202e"'
COUNTS = {"healthy": 3, "watch": 0, "at_risk": 2, "lost": 1}


def told(stage: Stage, *customers: str) -> None:
    """Of each customer one signal, a day after the other, in partitions of their own."""
    tables = MemoryTables(stage.board.store, stage=CUSTOMERS)
    for number, customer in enumerate(customers):
        life = Life(customer)
        life.answer(number, 2)
        now(keep(tables, "shop", [event for _, event in life.events], number + 1, partition=number))


def of_customers(site: str = "default") -> dict[str, Any]:
    return record(site, "all") | {"customers": COUNTS}


@pytest.fixture
async def signalled(stage: Stage) -> Stage:
    told(stage, "ana", HOSTILE)
    await stage.publish(of_customers(), record("shop-es"))
    return stage


async def signals(stage: Stage, query: str = "") -> Any:
    answer = await stage.get(f"churn/signals{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_the_newest_first_of_the_first_site_or_the_one_named(signalled: Stage) -> None:
    body = await signals(signalled)
    assert (body["site"], body["customers"]) == ("default", COUNTS)
    assert [one["customer_id"] for one in body["signals"]] == [HOSTILE, "ana"]
    assert body["signals"][1] == {
        "changed_at": happened(0), "customer_id": "ana", "transition": 1, "previous_state": "healthy",
        "state": "at_risk", "cause": "answer", "health_score": 10, "is_high_value": False,
        "reason": "Latest NPS answer is 2",
    }  # fmt: skip
    assert body == await signals(signalled, "?site=default")
    nobody: dict[str, Any] = {"site": "shop-es", "customers": None, "signals": []}
    assert await signals(signalled, "?site=shop-es") == nobody


async def test_who_has_it_already_is_told_so(signalled: Stage) -> None:
    for path in ("churn/signals", "scores", "alerts"):
        tag = (await signalled.get(path)).headers["etag"]
        again = await signalled.get(path, **{"If-None-Match": tag})
        assert (again.status_code, again.content) == (304, b"")
    await signalled.publish(of_customers() | {"customers": COUNTS | {"lost": 2}})
    changed = await signalled.get("churn/signals", **{"If-None-Match": tag})
    assert changed.json()["customers"]["lost"] == 2


async def test_as_a_table_that_computes_nothing(stage: Stage) -> None:
    told(stage, "=1+1")
    await stage.publish(of_customers())
    answer = await stage.get("churn/signals.csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="latido-churn-signals.csv"'
    [row] = csv.DictReader(io.StringIO(answer.text, newline=""))
    assert [row[name] for name in ("site", "customer_id", "state", "is_high_value")] == [
        "default", "'=1+1", "at_risk", "false"
    ]  # fmt: skip


async def test_before_anything_is_published_there_are_none(stage: Stage) -> None:
    assert await signals(stage) == {"site": "", "customers": None, "signals": []}


async def test_a_filter_that_means_nothing_is_refused(stage: Stage) -> None:
    answer = await stage.get("churn/signals?customer=ana")
    assert answer.status_code == 400
    assert "there is no filter 'customer'; there are site" in answer.json()["error"]


async def test_what_another_version_left_is_no_answer(signalled: Stage) -> None:
    signalled.board.store.stage(CUSTOMERS).partition(0).tables[Table.SIGNALS]["default"] = b"?"
    answer = await signalled.get("churn/signals")
    assert answer.status_code == 503
    assert "use the version of the worker" in answer.json()["error"]
