"""Customers as a worker would have kept them, from events."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from schemas.topics import CUSTOMER_ACTIVITY
from stream.core.arrivals import Told
from stream.core.churn_settings import ChurnSettings
from stream.core.policy import DAY_MS
from stream.pipeline.batch import Batch
from stream.pipeline.customer_feed import Message
from stream.pipeline.customer_partition import CustomerPartition, CustomerSettings
from stream.pipeline.ports import PartitionTables
from tests.builders import Item
from tests.churn.lives import START_MS
from tests.churn.plain import Event, known_activities

GAP_MS = 30 * 60_000


async def keep(
    tables: PartitionTables, namespace: str, events: Iterable[Event], until: float,
    churn: ChurnSettings = ChurnSettings(),  # noqa: B008 (frozen)
    partition: int = 0,
) -> CustomerPartition:  # fmt: skip
    """Judge everybody up to this day, and commit."""
    told = [
        Told(number, one.known_ms, one.key, one.activity)
        for number, one in enumerate(known_activities(events, GAP_MS), 1)
    ]
    told.append(Told(len(told) + 1, START_MS + round(until * DAY_MS)))
    log = [
        Item(offset, 0, None, msgspec.msgpack.encode(Message(namespace, 0, one)))
        for offset, one in enumerate(told)
    ]
    claim = await tables.claim(partition, "test", 1, 0)
    opened = await CustomerPartition.open(tables, claim, CustomerSettings(namespace, 1, churn))
    opened.begin(CUSTOMER_ACTIVITY, 0)
    await opened.process(Batch(CUSTOMER_ACTIVITY, partition, log, 0, len(log), len(log)), 0)
    while opened.behind:
        await opened.tick(0, None)
    return opened
