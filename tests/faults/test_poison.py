"""Poison: one dead letter each, the original untouched, and the good events go on being counted."""

from __future__ import annotations

import gzip
import random
import time
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from schemas.times import rfc3339
from schemas.topics import INPUT_TOPICS, PAGE_VIEWS
from stream.demo.plain_log import Rules
from stream.kafka.topics import describe_topics
from tests.faults.cluster import Cluster, wait_until
from tests.faults.oracle import Place
from tests.faults.poison import VISITOR, Poison, kinds
from tests.faults.readback import read_letters
from tests.faults.sending import one_by_one, producing, send
from tests.faults.traffic import ODD_VISITORS, Sent, encode
from tests.faults.verdict import check

pytestmark = pytest.mark.real

# The limit above which the worker stops: more refused records than this, one after another.
REFUSED_IN_A_ROW = 10_000


def good_events(now_ms: int, visitor: str = "good") -> list[Sent]:
    """One event for every input topic."""
    about: dict[str, Any] = {"visitor_id": visitor, "url": "/", "occurred_at": rfc3339(now_ms)}
    own: tuple[dict[str, Any], ...] = (
        {"type": "page_view"},
        {"type": "click", "element_id": "x"},
        {"type": "form_submission", "form_id": "f"},
        {"type": "survey_answer", "survey_id": "s", "survey_kind": "nps", "score": 9},
    )  # fmt: skip
    return [
        Sent(topic, visitor.encode(), encode({**about, **fields, "event_id": f"{now_ms}-{fields['type']}"}))
        for topic, fields in zip(INPUT_TOPICS, own, strict=True)
    ]


async def poison(producer: AIOKafkaProducer, one: Poison, partition: int) -> Place:
    """Send it to that partition, and say where it landed. A batch of its own may lack key and value."""
    batch = producer.create_batch()
    batch.append(key=one.key, value=one.value, timestamp=None, headers=list(one.headers))
    batch.close()
    sent = await (await producer.send_batch(batch, one.topic, partition=partition))
    return one.topic, sent.partition, sent.offset


async def test_every_kind_gets_one_dead_letter_and_the_worker_goes_on(cluster: Cluster) -> None:
    now_ms = time.time_ns() // 1_000_000
    bad = kinds(now_ms)
    places: dict[Place, Poison] = {}
    worker = cluster.worker()
    async with producing(cluster.broker) as producer:
        partition = (await one_by_one(producer, good_events(now_ms, VISITOR.decode())))[0]
        for number, one in enumerate(bad):
            places[await poison(producer, one, partition)] = one
            await send(producer, good_events(now_ms + number, "good-beside"), 1000)
    await cluster.wait_for_read(4 + 5 * len(bad))
    await cluster.wait_for_drained()
    letters = await read_letters(cluster.broker)
    wrong = [
        f"{one.kind}: {letter and letter.code}, should be {one.code}"
        for place, one in places.items()
        if (letter := letters.by_place.get(place)) is None or letter.code != one.code
    ]
    assert not wrong, "\n".join(wrong)
    assert letters.by_place.keys() == places.keys()
    for place, one in places.items():
        letter = letters.by_place[place]
        assert (letter.key, letter.value, letter.headers) == (one.key, one.value, one.headers), one.kind
        assert letter.message.isprintable(), one.kind
    assert letters.repeats == 0
    assert await worker.terminate() == 0
    verdict = await check(cluster, Rules())
    assert verdict.truth.accounting["counted"] == 4 + 4 * len(bad)
    assert verdict.truth.accounting["refused"] + verdict.truth.accounting["late"] == len(bad)


async def test_a_record_that_is_large_only_when_unpacked_stops_nothing(cluster: Cluster) -> None:
    """The broker limits the packed size: what comes out may be larger than any record it would take."""
    now_ms = time.time_ns() // 1_000_000
    worker = cluster.worker()
    huge = b'{"type": "page_view", "title": "' + b"a" * 6 * 1024 * 1024 + b'"}'
    assert len(gzip.compress(huge)) < 100_000
    async with producing(
        cluster.broker, compression_type="gzip", max_request_size=8 * 1024 * 1024
    ) as producer:
        place = await poison(producer, Poison("packed", "too_large", PAGE_VIEWS, VISITOR, huge), 0)
        for number in range(20):
            await send(producer, good_events(now_ms + number, f"v{number}"), 1000)
    await cluster.wait_for_read(81)
    await cluster.wait_for_drained()
    letters = await read_letters(cluster.broker)
    assert {one.place: one.code for one in letters.by_place.values()} == {place: "too_large"}
    assert letters.by_place[place].value == huge
    assert await worker.terminate() == 0
    await check(cluster, Rules())


async def test_a_dead_letter_that_its_topic_refuses_is_cut(cluster: Cluster) -> None:
    """An operator may let in more than the dead-letter topic takes: then the outputs do not wait for ever."""
    now_ms = time.time_ns() // 1_000_000
    noise = random.Random(1).randbytes(3 * 1024 * 1024)  # nothing packs it
    await _let_in(cluster.broker, PAGE_VIEWS, 4 * 1024 * 1024)
    worker = cluster.worker()
    async with producing(cluster.broker, max_request_size=8 * 1024 * 1024) as producer:
        place = await poison(producer, Poison("noise", "too_large", PAGE_VIEWS, VISITOR, noise), 0)
        await send(producer, good_events(now_ms), 1000)
    await cluster.wait_for_read(5)
    await cluster.wait_for_drained()
    letter = (await read_letters(cluster.broker)).by_place[place]
    assert letter.code == "too_large"
    assert letter.value == noise[: 64 * 1024]
    assert f"the first 65536 of its {len(noise)} bytes" in letter.message
    assert await worker.terminate() == 0


async def _let_in(broker: str, topic: str, limit: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    try:
        settings = {"max.message.bytes": str(limit), "message.timestamp.type": "LogAppendTime"}
        (answer,) = await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, settings)])
        assert answer.resources[0][0] == 0, answer
    finally:
        await admin.close()

    async def known() -> bool:
        found = await describe_topics({"bootstrap_servers": broker})
        return found[topic].settings["max.message.bytes"] == str(limit)

    await wait_until(known, 10.0, "the new limit")


@pytest.mark.parametrize("pad", [0, 300], ids=["all in one fetch", "over many fetches"])
async def test_a_poisoned_topic_stops_the_worker_and_says_why(cluster: Cluster, pad: int) -> None:
    """Then the code or the topic is wrong, not the data, however well the other topics are.

    What stopped it can be read, and started again it goes on behind it: also when one fetch brought all.
    """
    now_ms = time.time_ns() // 1_000_000
    bad = [Sent(PAGE_VIEWS, VISITOR, b'{"n": %d}' % n + b" " * pad) for n in range(REFUSED_IN_A_ROW + 2_000)]
    worker = cluster.worker()
    async with producing(cluster.broker) as producer:
        await send(producer, good_events(now_ms, VISITOR.decode()), 1000)
        await cluster.wait_for_read(4)
        assert await worker.terminate() == 0
        await send(producer, bad, 20_000)
        healthy = good_events(now_ms + 1, VISITOR.decode())[1:]
        await send(producer, healthy, 1000)
        worker.start()
        assert await worker.exit_code(60.0) == 1
        (line,) = [line for line in worker.log().splitlines() if "records in a row were refused" in line]
        assert f"latido dead-letters list --topic {PAGE_VIEWS} --limit 20" in line
        assert "Traceback" not in worker.log()
        letters = await read_letters(cluster.broker)
        assert len(letters.by_place) > REFUSED_IN_A_ROW, "they can be looked at"
        worker.start()
        await send(producer, good_events(now_ms + 2, VISITOR.decode())[:1], 1000)
        await cluster.wait_for_read(len(bad) + 8)
    await cluster.wait_for_drained()
    assert await worker.terminate() == 0
    verdict = await check(cluster, Rules())
    assert verdict.letters.repeats == 0, "what left before the stop is not sent again"
    assert verdict.truth.accounting["refused"] == len(bad)
    assert verdict.truth.accounting["counted"] == 8


async def test_odd_visitor_ids_are_ordinary_visitors(cluster: Cluster) -> None:
    """Separators of keys and patterns, NUL, emoji, 128 characters: no id becomes part of a key name."""
    now_ms = time.time_ns() // 1_000_000
    visitors = [*ODD_VISITORS, "a", "b", "b|c", "1|a", "%7C", "*", "\\", "\u202e", "\U0010ffff" * 128]
    worker = cluster.worker()
    async with producing(cluster.broker) as producer:
        for visitor in visitors:
            await send(producer, good_events(now_ms - 3 * 3_600_000, visitor), 1000)
        await send(producer, good_events(now_ms), 1000)
    await cluster.wait_for_read(4 * len(visitors) + 4)
    await cluster.wait_for_drained()
    assert await worker.terminate() == 0
    verdict = await check(cluster, Rules())
    assert verdict.truth.accounting["counted"] == 4 * len(visitors) + 4
    assert sum(verdict.states.values()) == len(visitors) + 1
    assert verdict.states["final"] >= 1, verdict.states
