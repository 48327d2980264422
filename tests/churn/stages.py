"""Both stages in memory: partitions of events feed partitions of customers through a log."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any
from zlib import crc32

from schemas.topics import CHURN_SIGNALS, CUSTOMER_ACTIVITY, INPUT_TOPICS
from stream.core.churn_settings import ChurnSettings
from stream.core.policy import Policy
from stream.pipeline.batch import Batch, Output
from stream.pipeline.customer_feed import FeedSettings
from stream.pipeline.customer_partition import CustomerPartition, CustomerSettings
from stream.pipeline.partition import Partition
from stream.tables.memory import MemoryStore
from tests.builders import FlakyTables, Item, Lane, now

NAMESPACE = "shop"


class FedLane(Lane):
    """A partition of events that tells of customers."""

    def __init__(self, number: int, policy: Policy, feed: FeedSettings) -> None:
        self.number, self.feed_settings = number, feed
        super().__init__(policy)

    def open(self) -> None:
        self.tables = FlakyTables(self.store)
        claim = now(self.tables.claim(self.number, "test", 1, 0))
        self.partition = now(Partition.open(self.tables, claim, self.policy, self.feed_settings))
        for topic in INPUT_TOPICS:
            self.partition.begin(topic, 0)


class CustomerLane:
    """A partition of customers with its log."""

    def __init__(self, number: int, settings: CustomerSettings) -> None:
        self.number, self.settings = number, settings
        self.store = MemoryStore()
        self.log: list[Item] = []
        self.released: dict[int, list[Output]] = {}
        self.open()

    def open(self) -> None:
        """Claim and load, as after a restart."""
        self.tables = FlakyTables(self.store)
        claim = now(self.tables.claim(self.number, "test", 1, 0))
        self.partition = now(CustomerPartition.open(self.tables, claim, self.settings))
        self.partition.begin(CUSTOMER_ACTIVITY, 0)

    def append(self, output: Output) -> None:
        self.log.append(Item(len(self.log), 0, output.key, output.value))

    def fetch(self, count: int = 10**9, back: int = 0) -> None:
        """Apply the next records, delivering some of those before them again."""
        position = self.partition.positions[CUSTOMER_ACTIVITY]
        start, end = max(0, position - back), min(position + count, len(self.log))
        batch = Batch(CUSTOMER_ACTIVITY, self.number, self.log[start:end], start, end, len(self.log))
        now(self.partition.process(batch, 0))
        self.release()

    def tick(self) -> None:
        now(self.partition.tick(0, None))
        self.release()

    def release(self) -> None:
        for entry, outputs in list(self.partition.outbox):
            assert self.released.setdefault(entry, outputs) == outputs, "an outbox entry changed"
            self.partition.produced(entry)

    @property
    def signals(self) -> list[dict[str, Any]]:
        outputs = [output for _, several in sorted(self.released.items()) for output in several]
        assert {output.topic for output in outputs} <= {CHURN_SIGNALS}
        return [json.loads(output.value) for output in outputs if output.value is not None]


class Stages:
    """`partitions` of both."""

    def __init__(self, partitions: int, policy: Policy, churn: ChurnSettings) -> None:
        self.partitions = partitions
        feed = FeedSettings(NAMESPACE, partitions, policy.gap_ms, churn.order_within_ms, churn.anonymous)
        settings = CustomerSettings(NAMESPACE, partitions, churn)
        self.events = [FedLane(number, policy, feed) for number in range(partitions)]
        self.customers = [CustomerLane(number, settings) for number in range(partitions)]
        self._carried = [0] * partitions

    def append(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Each to the partition of its visitor."""
        for event in events:
            self.events[crc32(event["visitor_id"].encode()) % self.partitions].append(dict(event))

    def carry(self, number: int, again: int = 0) -> None:
        """Write what a partition of events has told to the log; `again`: so many of the last ones twice."""
        told = [one for one in self.events[number].outputs if one.topic == CUSTOMER_ACTIVITY]
        begin = max(0, self._carried[number] - again)
        self._carried[number] = len(told)
        for output in told[begin:]:
            partition = output.partition
            if partition is None:
                partition = crc32(output.key or b"") % self.partitions
            self.customers[partition].append(output)

    @property
    def signals(self) -> list[dict[str, Any]]:
        return [one for lane in self.customers for one in lane.signals]
