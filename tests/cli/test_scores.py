"""`latido scores`, and what `latido replay` prints of answers and KPIs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.topics import SURVEY_ANSWERS
from stream.core.policy import Policy
from stream.demo.servers import EmbeddedStore
from stream.pipeline.batch import Batch
from stream.pipeline.partition import Partition
from stream.tables.redis import RedisTables
from stream.tables.redis_client import connect
from tests.builders import event, item
from tests.cli.conftest import Run
from tests.cli.publishing import publish

HOSTILE = "[red]*\x1b[31m\u202e|@"


async def answer(store: EmbeddedStore, namespace: str, partition: int, *bodies: dict[str, Any]) -> None:
    """What a worker would have committed."""
    client = connect(store.url)
    tables = RedisTables(client, namespace)
    opened = await Partition.open(tables, await tables.claim(partition, "test", 1, 0), Policy())
    opened.begin(SURVEY_ANSWERS, 0)
    records = [item(body, offset) for offset, body in enumerate(bodies)]
    await opened.process(Batch(SURVEY_ANSWERS, partition, records, 0, len(records), len(records)), 0)
    await tables.close()
    await client.aclose()


async def test_scores_of_a_customer_come_from_every_partition(latido: Run, store: EmbeddedStore) -> None:
    variables = {"LATIDO_REDIS": store.url, "LATIDO_NAMESPACE": "cli-scores"}
    await publish(store, "cli-scores")  # of four partitions
    ana = {"customer_id": "ana"}
    await answer(
        store, "cli-scores", 0, event("S", 5000, "b", score=3, **ana), event("S", 0, "a", score=9, **ana)
    )
    await answer(store, "cli-scores", 3, event("S", 2000, "c", "other", score=8, site_id="shop", **ana))
    shown = latido("scores", "ana", **variables)
    assert shown.returncode == 0
    assert [line.split()[-1] for line in shown.stdout.splitlines()[2:]] == [
        "promoter",
        "passive",
        "detractor",
    ]
    as_json = [
        json.loads(line) for line in latido("scores", "ana", "--json", **variables).stdout.splitlines()
    ]
    assert [(one["score"], one["site_id"]) for one in as_json] == [
        (9, "default"),
        (8, "shop"),
        (3, "default"),
    ]
    one_site = latido("scores", "ana", "--site", "shop", "--json", **variables)
    assert json.loads(one_site.stdout)["score"] == 8


async def test_names_out_of_events_move_no_cursor(latido: Run, store: EmbeddedStore) -> None:
    variables = {"LATIDO_REDIS": store.url, "LATIDO_NAMESPACE": "cli-scores-2"}
    await publish(store, "cli-scores-2")
    await answer(
        store, "cli-scores-2", 1, event("S", 0, "a", customer_id=HOSTILE, survey_id=HOSTILE, site_id=HOSTILE)
    )
    for arguments in ((), ("--json",)):
        done = latido("scores", HOSTILE, *arguments, **variables)
        assert done.returncode == 0
        assert not {"\x1b", "\u202e"} & set(done.stdout)
        assert "[red]" in done.stdout
    nobody = latido("scores", f"{HOSTILE}x", **variables)
    assert (nobody.returncode, len(nobody.stderr.splitlines())) == (1, 1)
    assert "no answer of [red]*\\x1b[31m\\u202e|@x is known" in nobody.stderr


def test_where_nothing_is_published_scores_says_so(latido: Run, store: EmbeddedStore) -> None:
    done = latido("scores", "ana", LATIDO_REDIS=store.url, LATIDO_NAMESPACE="cli-scores-none")
    assert done.returncode == 1
    assert "nothing is published in namespace cli-scores-none" in done.stderr


LOG = "\n".join(
    json.dumps(one)
    for one in (
        event("V", 0, "a", channel="Email"),
        event("S", 1000, "b", customer_id="ana", score=9, channel="Email"),
        event("S", 2000, "c", customer_id="ana", score=3, site_id="shop"),
    )
)


def test_replay_prints_the_table_of_kpi(latido: Run) -> None:
    done = latido("replay", "-", "--print", "kpi", "--window", "all", "--window", "5m", stdin=LOG)
    assert done.returncode == 0
    assert [line for line in done.stdout.splitlines() if line.startswith("●")][1].split()[5:7] == [
        "site",
        "shop",
    ]
    assert "last 5m" in done.stdout
    assert "all time" in done.stdout
    assert "last 1h" not in done.stdout
    email = latido("replay", "-", "--print", "kpi", "--segment", "channel=Email", stdin=LOG)
    rows = [line.split()[:2] for line in email.stdout.splitlines()]
    assert ["NPS", "+100"] in rows


def test_replay_chooses_of_a_snapshot(latido: Run) -> None:
    done = latido("replay", "-", "--window", "7d", "--segment", "channel=Email", stdin=LOG)
    [record] = [json.loads(line) for line in done.stdout.splitlines()]
    assert (record["window"]["name"], record["kpis"]["nps"]["n"]) == ("7d", 1)


def test_replay_prints_scores(latido: Run) -> None:
    done = latido("replay", "-", "--print", "scores", stdin=LOG)
    assert [json.loads(line)["score"] for line in done.stdout.splitlines()] == [9, 3]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--print", "kpi", "--segment", "channel=Emial"), "segments: all, channel=Email, survey=s"),
        (("--print", "kpi", "--segment", "*"), "needs --print snapshot"),
        (("--print", "sessions", "--window", "5m"), "of --print kpi and snapshot"),
        (("--window", "6m"), "windows: 1m, 5m"),
    ],
)
def test_a_choice_that_leaves_nothing_is_named(latido: Run, arguments: tuple[str, ...], said: str) -> None:
    done = latido("replay", "-", *arguments, stdin=LOG)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
