"""`latido kpis` and `latido explain`, and the page that is generated from the registry."""

from __future__ import annotations

import json

from stream.commands.catalogue import as_markdown
from stream.core.registry import KPIS
from stream.demo.servers import EmbeddedStore
from tests.cli.conftest import ROOT, Run
from tests.cli.publishing import publish, publish_results


def test_the_page_of_kpis_is_what_the_registry_says() -> None:
    written = (ROOT / "docs/kpis.md").read_text(encoding="utf-8")
    assert written == as_markdown(), "write it anew: latido kpis --markdown > docs/kpis.md"


def test_kpis_lists_every_one(latido: Run) -> None:
    shown = latido("kpis")
    listed = [json.loads(line) for line in latido("kpis", "--json").stdout.splitlines()]
    assert shown.returncode == 0
    assert [one["id"] for one in listed] == list(KPIS)
    assert all(one["id"] in shown.stdout and one["meaning"].endswith(".") for one in listed)


async def test_explain_puts_the_counts_in(latido: Run, store: EmbeddedStore) -> None:
    await publish(store, "cli-explain")
    variables = {"LATIDO_REDIS": store.url, "LATIDO_NAMESPACE": "cli-explain"}
    shown = latido("explain", "bounce_rate", **variables)
    assert shown.returncode == 0
    assert "12 / 38 ended sessions = 31.58 %" in shown.stdout
    assert "4 of 4 partitions are current" in shown.stdout
    as_json = json.loads(latido("explain", "nps", "--json", **variables).stdout)
    assert (as_json["kpi"], as_json["value"]) == ("nps", "+40.0")


async def test_a_number_that_is_not_there_is_named_with_those_that_are(
    latido: Run, store: EmbeddedStore
) -> None:
    await publish(store, "cli-explain-2")
    variables = {"LATIDO_REDIS": store.url, "LATIDO_NAMESPACE": "cli-explain-2"}
    wrong = latido("explain", "bounce_rat", **variables)
    elsewhere = latido("explain", "bounce_rate", "--window", "24h", **variables)
    nowhere = latido("explain", "conversions", **variables)
    assert [one.returncode for one in (wrong, elsewhere, nowhere)] == [2, 2, 2]
    assert "did you mean bounce_rate" in wrong.stderr
    assert "windows: 5m, hour, day; segments: all" in elsewhere.stderr
    assert "no such event was counted" in nowhere.stderr


def test_explain_before_anything_is_published(latido: Run, store: EmbeddedStore) -> None:
    done = latido("explain", "ctr", LATIDO_REDIS=store.url, LATIDO_NAMESPACE="cli-explain-none")
    assert (done.returncode, done.stdout) == (1, "")
    assert "nothing" in done.stderr


async def test_explain_an_hour_and_a_day(latido: Run, store: EmbeddedStore) -> None:
    await publish_results(store, "cli-explain-settled", "day-of-23-hours-running", "survey-corrected")
    variables = {"LATIDO_REDIS": store.url, "LATIDO_NAMESPACE": "cli-explain-settled"}
    day = latido("explain", "bounce_rate", "--window", "day", "--at", "2026-03-29", **variables)
    assert day.returncode == 0, day.stderr
    assert "12 / 38 ended sessions = 31.58 %" in day.stdout
    assert "running: it may still move" in day.stdout
    assert "site shop-es; no segment; sessions cut by the profile latido; bots left out" in day.stdout
    newest = latido(
        "explain", "nps", "--window", "hour", "--segment", "survey=post-buy", "--json", **variables
    )
    assert json.loads(newest.stdout)["before"] == "+39.8, until it was corrected"


async def test_a_settled_number_that_is_not_there(latido: Run, store: EmbeddedStore) -> None:
    await publish_results(store, "cli-explain-settled-2", "survey-corrected")
    variables = {"LATIDO_REDIS": store.url, "LATIDO_NAMESPACE": "cli-explain-settled-2"}
    # An hour after it began in Madrid, and so before it in UTC.
    elsewhere = latido("explain", "nps", "--window", "hour", "--at", "2026-11-22T09:30", **variables)
    whole_site = latido("explain", "nps", "--window", "hour", **variables)
    no_day = latido("explain", "nps", "--window", "day", **variables)
    rolling = latido("explain", "nps", "--at", "2026-11-22", **variables)
    assert [one.returncode for one in (elsewhere, whole_site, no_day, rolling)] == [2, 2, 1, 2]
    assert "no hour of shop-es that holds 2026-11-22T09:30:00 is published" in elsewhere.stderr
    assert "not published for segment all; segments: survey=post-buy" in whole_site.stderr
    assert "no day is published yet" in no_day.stderr
    assert "--at goes with --window hour or --window day" in rolling.stderr
