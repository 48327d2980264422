"""Writing a backlog to Kafka, and the floor: the least that reading it back can cost."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from tests.benchmarks.processes import ROOT
from tests.benchmarks.workload import PARTITIONS, Message

FLUSH_LIMIT_S = 120.0
_READ_AT_ONCE = 10_000
_READ_LIMIT_S = 60.0


class BrokerFailed(RuntimeError):
    """The broker did not take or give the records."""


def producer(broker: str, *, linger_ms: int) -> Producer:
    """An idempotent producer: each record once and in order. Raises KafkaException."""
    return Producer({
        "bootstrap.servers": broker, "linger.ms": linger_ms, "enable.idempotence": True,
        "batch.size": 512 * 1024,
        "queue.buffering.max.kbytes": 256 * 1024, "queue.buffering.max.messages": 1_000_000,
    })  # fmt: skip


def produce(broker: str, messages: Iterable[Message]) -> int:
    """Write all; returns how many, when the broker has every one. Raises BrokerFailed."""
    writer = producer(broker, linger_ms=50)
    failed: Counter[str] = Counter()

    def delivered(error: object, _message: object) -> None:
        if error is not None:
            failed[str(error)] += 1

    count = 0
    for count, (topic, partition, key, value) in enumerate(messages, 1):
        while True:
            try:
                writer.produce(topic, value, key, partition, on_delivery=delivered)
                break
            except BufferError:
                writer.poll(0.05)
        if count % 10_000 == 0:
            writer.poll(0)
    if writer.flush(FLUSH_LIMIT_S) or failed:
        raise BrokerFailed(f"not every record was taken: {dict(failed) or 'timeout'}")
    return count


def measure_floor(broker: str, topic: str, events: int) -> tuple[float, float]:
    """(CPU seconds, wall seconds) of reading `events` records, decoding each and counting by one field.

    In a process of its own, from the first record to the last.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.load", broker, topic, str(events)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise BrokerFailed(f"the floor failed:\n{done.stderr[-2000:]}")
    cpu_s, wall_s, counted = json.loads(done.stdout)
    if counted != events:
        raise BrokerFailed(f"the floor counted {counted} of {events} records")
    return cpu_s, wall_s


def _floor(broker: str, topic: str, events: int) -> tuple[float, float, int]:
    import orjson

    counts: Counter[str] = Counter()
    reader = consumer(broker)
    reader.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
    loads, got, before = orjson.loads, 0, 0
    cpu_s = wall_s = 0.0
    deadline = time.monotonic() + _READ_LIMIT_S
    while got < events and time.monotonic() < deadline:
        records = reader.consume(_READ_AT_ONCE, 0.1)
        for record in records:
            if record.error():
                raise KafkaException(record.error())
            counts[loads(record.value() or b"")["visitor_id"]] += 1
        if records and not got and len(records) < events:  # connecting is paid for: the clock starts here
            cpu_s, wall_s, before = time.process_time(), time.monotonic(), len(records)
        got += len(records)
    share = events / (events - before)
    cpu_s, wall_s = (time.process_time() - cpu_s) * share, (time.monotonic() - wall_s) * share
    reader.close()
    return cpu_s, wall_s, sum(counts.values())


def consumer(broker: str, **options: str | int | bool) -> Consumer:
    """A consumer that is assigned by hand and commits nothing."""
    return Consumer({
        "bootstrap.servers": broker, "group.id": "latido-bench", "enable.auto.commit": False,
        "auto.offset.reset": "earliest", "isolation.level": "read_committed", "fetch.wait.max.ms": 10,
        **options,
    })  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(_floor(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
