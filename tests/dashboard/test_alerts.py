"""GET /api/v1/alerts: what fires, and what will if it lasts."""

from __future__ import annotations

import pytest

from schemas.alerts import Alert
from stream.pipeline.ports import AlertsWrite
from tests.alerts.standing import HOSTILE, kept_of
from tests.dashboard.feeding import Stage, record


@pytest.fixture
async def firing(stage: Stage) -> Stage:
    """One series that fires, one that waits, one that is resolved."""
    await stage.publish(record())
    epoch = await stage.board.take_alerts_token(0)
    assert await stage.board.write_alerts(epoch, AlertsWrite(kept_of()))
    return stage


async def test_what_fires_comes_first_with_the_record_that_told_it(firing: Stage) -> None:
    alerts = (await firing.get("alerts")).json()["alerts"]
    assert [one["standing"] for one in alerts] == ["firing", "pending", "resolved"]
    assert [one["site_id"] for one in alerts] == ["shop-es", "shop-es", "shop"]
    assert Alert.model_validate(alerts[0]["alert"]).fired_at == alerts[0]["since"]
    assert (alerts[1]["alert"], alerts[1]["segment"]["value"]) == (None, HOSTILE)
    of_one = (await firing.get("alerts?site=shop")).json()["alerts"]
    assert [one["standing"] for one in of_one] == ["resolved"]


async def test_the_same_as_a_table(firing: Stage) -> None:
    answer = await firing.get("alerts.csv")
    heading, *rows = answer.text.splitlines()
    assert heading == "standing,since,severity,site,segment,rule,what"
    assert rows[0].startswith(
        '"firing","2026-09-21T14:14:20.000Z","critical","shop-es","channel=Email","ctr-low","Cl'
    )
    assert len(rows) == 3


async def test_nothing_fires_where_nothing_was_judged(stage: Stage) -> None:
    assert (await stage.get("alerts")).json() == {"alerts": []}


async def test_what_another_version_left_is_no_answer(firing: Stage) -> None:
    firing.board.store.board.alerts["k"] = b"?"
    answer = await firing.get("alerts")
    assert answer.status_code == 503
    assert "use the version of the worker" in answer.json()["error"]
