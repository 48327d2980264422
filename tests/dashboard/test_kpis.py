"""GET /api/v1/kpis: which records, which KPIs of them, in which order; and what is refused."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from schemas.snapshots import KpiSnapshot
from stream.core.registry import KPIS
from tests.dashboard.feeding import Stage, places, record


async def filled(stage: Stage) -> Stage:
    await stage.publish(
        record("shop-es", "1h"), record("shop-es", "5m"), record("shop-de", "5m"), record("shop-es", "all"),
        record("shop-es", "5m", "channel", "Email", sessions=5),
        record("shop-es", "5m", "channel", "Direct", sessions=50),
        record("shop-es", "5m", "channel", "(other)", sessions=500),
        record("shop-es", "5m", "channel", "Referral", sessions=7),
        record("shop-es", "5m", "device", "mobile"),
    )  # fmt: skip
    return stage


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["shop-de|5m|all", "shop-es|5m|all", "shop-es|1h|all", "shop-es|all|all"]),
        ("site=shop-es", ["shop-es|5m|all", "shop-es|1h|all", "shop-es|all|all"]),
        ("window=5m&window=1h&site=shop-es", ["shop-es|5m|all", "shop-es|1h|all"]),
        ("site=nobody", []),
        ("segment=channel%3DEmail", ["shop-es|5m|channel=Email"]),
        ("segment=channel%3DEmail&segment=all&window=5m&site=shop-es",
         ["shop-es|5m|all", "shop-es|5m|channel=Email"]),
        ("dimension=channel", ["shop-es|5m|channel=Direct", "shop-es|5m|channel=Referral",
                               "shop-es|5m|channel=Email", "shop-es|5m|channel=(other)"]),
        ("dimension=channel&limit=1", ["shop-es|5m|channel=Direct", "shop-es|5m|channel=(other)"]),
        ("dimension=channel&limit=1&segment=channel%3DEmail",
         ["shop-es|5m|channel=Direct", "shop-es|5m|channel=Email", "shop-es|5m|channel=(other)"]),
        ("dimension=device&dimension=channel&limit=1",
         ["shop-es|5m|channel=Direct", "shop-es|5m|channel=(other)", "shop-es|5m|device=mobile"]),
        ("dimension=channel%2Bdevice", []),
    ],
)  # fmt: skip
async def test_filters(stage: Stage, query: str, expected: list[str]) -> None:
    answer = await (await filled(stage)).get(f"kpis?{query}")
    assert answer.status_code == 200
    assert places(answer) == expected


async def test_the_body_says_what_else_there_is(stage: Stage) -> None:
    body = (await (await filled(stage)).get("kpis?site=shop-de")).json()
    assert body["sites"] == ["shop-de", "shop-es"]
    assert body["windows"] == ["5m", "1h", "all"]
    assert body["dimensions"] == ["channel", "device"]
    assert body["header"]["completeness"]["status"] == body["state"]["status"] == "complete"


async def test_records_are_those_of_the_contract_whole_or_with_some_kpis(stage: Stage) -> None:
    await stage.publish(record(sessions=31))
    [whole] = (await stage.get("kpis")).json()["records"]
    assert KpiSnapshot.model_validate_json(json.dumps(whole)).kpis["sessions"].value == 31
    [some] = (await stage.get("kpis?kpi=nps&kpi=sessions")).json()["records"]
    assert set(some["kpis"]) == {"nps", "sessions"}
    assert some == whole | {"kpis": {name: whole["kpis"][name] for name in ("nps", "sessions")}}


@pytest.mark.parametrize(
    ("query", "there_is"),
    [
        ("kpi=nsp", ", ".join(KPIS)), ("window=6m", "1m, 5m, 30m"), ("dimension=chanel", "campaign, channel"),
        ("sites=a", "site, kpi, window, dimension, segment, limit"), ("limit=0", "from 1 to"),
        ("limit=1.5", "from 1 to"), ("limit=%D9%A1", "from 1 to"), ("limit=99999999999", "from 1 to"),
        ("&".join(["site=x"] * 101), "more than 100 filters"),
    ],
)  # fmt: skip
async def test_a_filter_that_cannot_be_is_refused_with_what_there_is(
    stage: Stage, query: str, there_is: str
) -> None:
    for path in ("kpis", "kpis.csv", "kpis/stream"):
        answer = await stage.get(f"{path}?{query}")
        assert answer.status_code == 400
        assert there_is in answer.json()["error"]


async def test_an_etag_lasts_until_something_is_published_or_falls_silent(stage: Stage) -> None:
    await stage.publish(record())
    first = await stage.get("kpis")
    tag = first.headers["etag"]
    stage.now_ms += 1000
    again = await stage.get("kpis", **{"if-none-match": f'"other", {tag}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    stage.now_ms += 3000
    silent = await stage.get("kpis", **{"if-none-match": tag})
    assert (silent.status_code, silent.json()["state"]["status"]) == (200, "stale")
    await stage.publish(record(sessions=1))
    assert (await stage.get("kpis", **{"if-none-match": tag})).status_code == 200


async def test_whatever_events_say_comes_back_as_text(stage: Stage) -> None:
    hostile = [
        "</script><script>alert(1)</script>",
        "javascript:alert(1)",
        "\u202egnp.exe",
        "x" * 10_000,
        "=1+1",
    ]
    await stage.publish(*(record(text, "5m", "channel", text) for text in hostile))
    answer = await stage.get("kpis?dimension=channel")
    assert answer.headers["content-type"] == "application/json"
    assert {one["segment"]["value"] for one in answer.json()["records"]} == set(hostile)
    one = await stage.get(f"kpis?site={quote(hostile[0])}&segment={quote('channel=' + hostile[0])}")
    assert len(places(one)) == 1
    refused = await stage.get(f"kpis?kpi={quote(hostile[0])}")
    assert refused.headers["content-type"] == "application/json"
    assert "..." in (await stage.get(f"kpis?kpi={hostile[3]}")).json()["error"]


async def test_the_site_of_events_that_name_none_is_shown_first(stage: Stage) -> None:
    await stage.publish(*(record(site, "5m", "all") for site in ("!", "default", "<b>")))
    assert (await stage.get("kpis")).json()["sites"] == ["default", "!", "<b>"]
    assert (await stage.get("explain?kpi=bounce_rate&window=5m")).json()["site"] == "default"


async def test_a_record_that_is_gone_is_not_shown(stage: Stage) -> None:
    await filled(stage)
    await stage.publish(gone=["shop-de|5m|all"])
    assert (await stage.get("kpis?window=5m")).json()["sites"] == ["shop-es"]
