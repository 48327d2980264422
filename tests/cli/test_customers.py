"""`latido customer` and `latido churn list`, over customers that a worker would have kept."""

from __future__ import annotations

import json

import pytest

from stream.demo.servers import EmbeddedStore
from stream.pipeline.ports import CUSTOMERS
from stream.tables.redis import RedisTables
from stream.tables.redis_client import connect
from tests.churn.keeping import keep
from tests.churn.lives import Life, lives
from tests.cli.conftest import Run
from tests.cli.publishing import publish

NAMESPACE = "cli-customers"
HOSTILE = "[red]*\x1b[31m\u202e|@"


@pytest.fixture
async def kept(store: EmbeddedStore) -> dict[str, str]:
    """Customers of known behaviour in two partitions, one with a hostile name; returns the variables."""
    await publish(store, NAMESPACE)
    hostile = Life(HOSTILE, "v", plan=HOSTILE, site_id="shop")
    for day in range(0, 60, 3):
        hostile.visit(day)
    client = connect(store.url)
    tables = RedisTables(client, NAMESPACE, stage=CUSTOMERS)
    events = [event for life in lives(2) for _, event in life.events]
    await keep(tables, NAMESPACE, events, 85)
    await keep(tables, NAMESPACE, [event for _, event in hostile.events], 70, partition=3)
    await tables.close()
    await client.aclose()
    return {"LATIDO_REDIS": store.url, "LATIDO_NAMESPACE": NAMESPACE}


async def test_a_customer_is_explained(latido: Run, kept: dict[str, str]) -> None:
    shown = latido("customer", "unhappy-0", **kept)
    assert shown.returncode == 0, shown.stderr
    assert "unhappy-0 on default: at_risk, health" in shown.stdout
    assert "Latest NPS answer is 3 (9 before)" in shown.stdout
    found = json.loads(latido("customer", "unhappy-0", "--json", **kept).stdout)
    assert [one["score"] for one in found["nps"]] == [9, 3]
    assert (found["state"], found["plan"]) == ("at_risk", "premium")
    assert found["next_crossing"]["state"] == "lost"


async def test_customers_are_listed_by_state(latido: Run, kept: dict[str, str]) -> None:
    lost = latido("churn", "list", "--state", "lost", "--json", **kept)
    found = [json.loads(line) for line in lost.stdout.splitlines()]
    assert {one["state"] for one in found} == {"lost"}
    assert {"lapsing-2-0", "returning-2-1"} <= {one["customer_id"] for one in found}
    assert [one["health_score"] for one in found] == sorted(one["health_score"] for one in found)
    few = latido("churn", "list", "--state", "lost", "--limit", "2", **kept).stdout
    assert f"{len(found)} customers are lost, 2 shown (--limit)" in few
    assert "unhappy" not in few
    whole = latido("churn", "list", "--state", "at_risk", "--site", "default", **kept, COLUMNS="80").stdout
    assert "Latest NPS answer" in whole
    assert "…" not in whole, "no reason is cut off in a narrow terminal"


async def test_a_hostile_name_is_only_shown(latido: Run, kept: dict[str, str]) -> None:
    for command in (("customer", HOSTILE), ("churn", "list", "--site", "shop")):
        shown = latido(*command, **kept)
        assert shown.returncode == 0, shown.stderr
        assert "[red]*" in shown.stdout
        assert not {"\x1b", "\u202e"} & set(shown.stdout)


async def test_what_is_missing_is_said_in_a_line(latido: Run, kept: dict[str, str]) -> None:
    nobody = latido("customer", "nobody", **kept)
    assert nobody.returncode == 1
    assert "no customer nobody is known" in nobody.stderr
    await_namespace = {**kept, "LATIDO_NAMESPACE": "cli-nobody-kept"}
    assert "nothing is published" in latido("customer", "x", **await_namespace).stderr
    assert latido("churn", "list", "--state", "gone", **kept).returncode == 2
    others = latido("churn", "list", **kept, LATIDO_CONFIG="/dev/null")
    assert "another [churn]" not in others.stderr
