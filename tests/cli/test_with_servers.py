"""Commands against real servers: topics, send, ingest, dead letters, kpi, watch, doctor."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from redis import Redis

from schemas.dead_letters import HEADER_CODE, HEADER_MESSAGE, HEADER_OFFSET, HEADER_PARTITION, HEADER_TOPIC
from schemas.snapshots import KpiSnapshot
from schemas.topics import CLICKS, INPUT_TOPICS, PAGE_VIEWS, dead_letter_topic, topic_specs
from stream.collector.producer import EventProducer
from stream.demo.servers import EmbeddedBroker, EmbeddedStore
from stream.tables.layout import Layout
from tests.cli.conftest import ROOT, Run
from tests.cli.publishing import publish
from tests.cli.test_access_log import LOG, views_by_splitting
from tests.kafka_reading import read_records


def test_topics_are_created_once_and_then_in_order(latido: Run, own_broker: EmbeddedBroker) -> None:
    variables = {"LATIDO_BROKER": own_broker.address}
    first = latido("topics", "create", "--partitions", "3", **variables)
    assert first.returncode == 0
    assert {line.split()[1] for line in first.stdout.splitlines()} == {spec.name for spec in topic_specs()}
    again = latido("topics", "create", **variables)
    assert {line.split()[0] for line in again.stdout.splitlines()} == {"exists"}
    assert again.returncode == 0
    other = latido("topics", "create", "--partitions", "8", **variables)
    assert other.returncode == 1
    assert f"exists  {CLICKS} (3 partitions, not 8: left as it is)" in other.stdout.splitlines()
    same = latido("topics", "create", "--partitions", "3", **variables)
    assert (same.returncode, same.stdout) == (0, again.stdout)
    check = latido("topics", "check", **variables)
    assert (check.returncode, check.stdout) == (0, "the topics are as they should be\n")


async def test_flags_become_an_event_in_its_topic(latido: Run, own_broker: EmbeddedBroker) -> None:
    flags = ["--visitor", "v1", "--element", "cta", "--surface", "mail", "--position", "2", "--site", "shop"]
    done = latido("send", "click", *flags, "--broker", own_broker.address)
    assert (done.returncode, done.stderr) == (0, "")
    printed = json.loads(done.stdout)
    assert printed | {"event_id": "", "occurred_at": ""} == {
        "type": "click", "visitor_id": "v1", "element_id": "cta", "surface": "mail", "position": 2,
        "site_id": "shop", "event_id": "", "occurred_at": "",
    }  # fmt: skip
    [record] = await read_records(own_broker.address, [CLICKS], 1)
    assert (json.loads(record.value), record.key) == (printed, b"v1")


@pytest.mark.parametrize(
    "flags",
    [
        ["page_view", "--url", "/", "--title", "T", "--referrer", "r", "--at", "2026-11-22T10:00:00Z"],
        ["impression", "--url", "/", "--element", "e", "--opened", "--surface", "mail", "--variant", "b"],
        ["page_ping", "--url", "/", "--engaged", "15s"],
        ["form_submission", "--form", "f", "--url", "/", "--field", "email", "--field", "name"],
        ["survey_answer", "--survey", "s", "--kind", "csat", "--score", "7", "--scale-max", "7"],
        ["survey_answer", "--survey", "s", "--skipped", "--customer", "c", "--id", "the-id"],
    ],
    ids=lambda flags: flags[0],
)  # fmt: skip
def test_every_type_can_be_sent(latido: Run, own_broker: EmbeddedBroker, flags: list[str]) -> None:
    done = latido("send", flags[0], "--visitor", "v2", *flags[1:], LATIDO_BROKER=own_broker.address)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["type"] == flags[0]


def test_lines_that_are_not_valid_are_named_and_the_others_sent(
    latido: Run, own_broker: EmbeddedBroker
) -> None:
    click = {"type": "click", "visitor_id": "v3", "element_id": "e"}
    text = "\n".join([json.dumps(click), "nonsense", "", json.dumps(click | {"x\x1b": 1}), json.dumps(click)])
    text += "\n" + "x" * 200_000
    done = latido("send", stdin=text, LATIDO_BROKER=own_broker.address)
    assert done.returncode == 1
    assert len({json.loads(line)["event_id"] for line in done.stdout.splitlines()}) == 2
    assert [line.split(":")[:2] for line in done.stderr.splitlines()] == [
        ["line 2", " invalid_json"],
        ["line 4", " invalid_event"],
        ["line 6", " too_large"],
    ]
    assert done.stderr.endswith("line 6: too_large: more than 65536 bytes\n")
    assert "\x1b" not in done.stderr


async def test_an_access_log_is_sent_and_again_with_the_same_ids(
    latido: Run, own_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    variables = {"LATIDO_BROKER": own_broker.address, "LATIDO_SALT": "a secret"}
    (tmp_path / "access.log").write_bytes(LOG.read_bytes())
    expected = len(views_by_splitting(LOG.read_text(encoding="utf-8")))
    for rate in ([], ["--rate", "1000/s"]):
        done = latido("ingest", "access.log", "--site", "log", *rate, **variables)
        assert done.returncode == 0
        assert done.stderr.splitlines() == [
            f"218 lines: {expected} page views sent, {218 - expected} other requests, 0 not readable",
            f"{expected:,} are older than 35m: a worker that has seen newer ones refuses them as late; "
            "'latido replay' counts them, and so does another namespace on a broker without newer events",
        ]
    read = await read_records(own_broker.address, [PAGE_VIEWS], 2 * expected)
    ids = [event["event_id"] for one in read if (event := json.loads(one.value))["site_id"] == "log"]
    assert len(ids) == 2 * expected
    assert len(set(ids)) == expected


async def test_dead_letters_are_listed_without_their_content(latido: Run, own_broker: EmbeddedBroker) -> None:
    producer = EventProducer({"bootstrap_servers": own_broker.address})
    await producer.start()
    assert producer._producer is not None
    for offset, code in ((7, "late"), (8, "invalid_json")):
        headers = {
            HEADER_TOPIC: CLICKS, HEADER_PARTITION: "0", HEADER_OFFSET: str(offset),
            HEADER_MESSAGE: "why\x1b[2J", HEADER_CODE: code,
        }  # fmt: skip
        pairs = [(name, text.encode()) for name, text in headers.items()]
        await producer._producer.send_and_wait(dead_letter_topic(CLICKS), b"geheim\xff", b"v", headers=pairs)
    await producer.stop()
    variables = {"LATIDO_BROKER": own_broker.address}
    every = latido("dead-letters", "list", **variables)
    assert every.returncode == 0
    assert len(every.stdout.splitlines()) == 2
    assert "geheim" not in every.stdout
    assert "\x1b" not in every.stdout
    late = latido("dead-letters", "list", "--code", "late", "--json", "--topic", CLICKS, **variables)
    [found] = [json.loads(line) for line in late.stdout.splitlines()]
    assert (found["offset"], found["error_code"], found["value"]["encoding"]) == (7, "late", "base64")
    assert len(latido("dead-letters", "list", "--limit", "1", **variables).stdout.splitlines()) == 1
    nothing = latido("dead-letters", "list", "--topic", INPUT_TOPICS[3], **variables)
    assert nothing.stdout == "no dead letters\n"


def test_before_the_first_snapshot_one_line_says_what_to_do(latido: Run, own_store: EmbeddedStore) -> None:
    for arguments in (["kpi"], ["kpi", "--json"], ["watch", "--once"], ["watch"]):
        done = latido(*arguments, LATIDO_REDIS=own_store.url, LATIDO_NAMESPACE="cli-nothing")
        assert done.returncode == 1
        assert done.stderr == (
            "latido: nothing is published in namespace cli-nothing yet: start 'latido worker', "
            "then send an event, such as: latido send page_view --visitor v1 --url /\n"
        )


async def test_kpi_prints_what_is_published(latido: Run, store: EmbeddedStore) -> None:
    variables = {"LATIDO_REDIS": store.url, "LATIDO_NAMESPACE": "cli-kpi"}
    snapshot = await publish(store, "cli-kpi")
    done = latido("kpi", **variables)
    assert done.returncode == 0
    assert "NPS +40 +33 to +47 500" in " ".join(done.stdout.split())
    as_json = latido("kpi", "--json", "--window", "5m", "--site", snapshot.site_id, **variables)
    assert KpiSnapshot.model_validate_json(as_json.stdout) == snapshot
    for flags, reason in (
        (["--site", "x"], "nothing is published for --site x; there is shop-es"),
        (["--window", "1h"], "nothing is published for --window 1h; there is 5m"),
        (["--segment", "channel=x"], "nothing is published for --segment channel=x; there is all"),
    ):
        none = latido("kpi", *flags, **variables)
        assert (none.returncode, none.stderr) == (2, f"latido: {reason}\n")


async def test_an_old_snapshot_is_called_stale(latido: Run, store: EmbeddedStore) -> None:
    await publish(store, "cli-stale", age_ms=60_000)
    done = latido("watch", "--once", LATIDO_REDIS=store.url, LATIDO_NAMESPACE="cli-stale")
    assert done.stdout.startswith("● stale: no worker publishes  published 1m")


async def test_a_record_of_another_version_is_refused_in_one_line(latido: Run, store: EmbeddedStore) -> None:
    await publish(store, "cli-other")
    with Redis.from_url(store.url) as client:
        client.set(Layout("cli-other").header, b'{"sequence": "x"}')
    done = latido("kpi", LATIDO_REDIS=store.url, LATIDO_NAMESPACE="cli-other")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "it is of another version of latido" in done.stderr


def test_the_doctor_is_content_with_good_servers(
    latido: Run, own_broker: EmbeddedBroker, store: EmbeddedStore
) -> None:
    variables = {"LATIDO_BROKER": own_broker.address, "LATIDO_REDIS": store.url}
    latido("topics", "create", **variables)
    done = latido("doctor", **variables)
    assert done.returncode == 0
    assert {line.split()[0] for line in done.stdout.splitlines()} == {"ok"}
    found = [json.loads(line) for line in latido("doctor", "--json", **variables).stdout.splitlines()]
    assert {one["about"] for one in found} == {"python", "settings", "broker", "topics", "redis"}


def test_the_doctor_says_what_to_change(latido: Run, store: EmbeddedStore) -> None:
    with EmbeddedBroker() as empty:
        variables = {
            "LATIDO_BROKER": empty.address,
            "LATIDO_REDIS": "redis://127.0.0.1:1/0",
            "LATIDO_BROKERS": "x",
        }
        done = latido("doctor", **variables)
    assert done.returncode == 1
    assert (
        "warning  settings  variable LATIDO_BROKERS sets nothing; did you mean LATIDO_BROKER?" in done.stdout
    )
    assert done.stderr == ""
    assert "is missing; run: latido topics create" in done.stdout
    assert "error    redis     store at 127.0.0.1:1: " in done.stdout
    assert "start it, or name another with --redis (LATIDO_REDIS)" in done.stdout
    assert store.url not in done.stdout


def test_send_says_that_nobody_reads_what_was_sent(
    latido: Run, own_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    latido("topics", "create", LATIDO_BROKER=own_broker.address)
    click = json.dumps({"type": "click", "visitor_id": "v4", "element_id": "e"})
    (tmp_path / "events").write_text(f"{click}\n" * 5000, encoding="utf-8")
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"'{sys.executable}' -m stream send < events | head -1"],
        capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "LATIDO_BROKER": own_broker.address},
    )  # fmt: skip
    assert (done.returncode, len(done.stdout.splitlines())) == (1, 1)
    assert done.stderr.startswith("latido: nobody reads what was sent any more; stopped behind line ")
    assert len(done.stderr.splitlines()) == 1
