"""The steps of the pipeline that own partitions: which topics each reads, and where its state is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from schemas.topics import CUSTOMER_ACTIVITY
from stream.kafka.worker_settings import WorkerSettings
from stream.pipeline.claimed import Claimed, Head
from stream.pipeline.customer_feed import FeedSettings
from stream.pipeline.customer_partition import CustomerPartition, CustomerSettings
from stream.pipeline.partition import Partition
from stream.pipeline.ports import CUSTOMERS, Claim, PartitionTables


class Stage(msgspec.Struct, frozen=True):
    """`open` loads what the last commit of a claimed partition left."""

    name: str  # part of transactional ids and of the marks' keys; '' of the first one
    topics: tuple[str, ...]
    tables: PartitionTables
    open: Callable[[Claim], Awaitable[Claimed[Head]]]

    @property
    def named(self) -> dict[str, str]:
        """For a line of the log."""
        return {"stage": self.name} if self.name else {}


def events_stage(settings: WorkerSettings, tables: PartitionTables, partitions: int) -> Stage:
    """Reads events; tells of customers where the settings say so."""
    policy, churn = settings.policy, settings.churn
    feed = None
    if churn.live:
        feed = FeedSettings(
            settings.namespace, partitions, policy.gap_ms, churn.order_within_ms, churn.anonymous
        )
    return Stage("", settings.topics, tables, lambda claim: Partition.open(tables, claim, policy, feed))


def customers_stage(settings: WorkerSettings, tables: PartitionTables, partitions: int) -> Stage:
    """Keeps customers; tells signals."""
    chosen = CustomerSettings(settings.namespace, partitions, settings.churn)
    return Stage(
        CUSTOMERS, (CUSTOMER_ACTIVITY,), tables, lambda claim: CustomerPartition.open(tables, claim, chosen)
    )
