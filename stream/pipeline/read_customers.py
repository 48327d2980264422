"""Customers as the tables hold them: one of them explained, or all in a state."""

from __future__ import annotations

import heapq
import math
from collections.abc import AsyncIterator, Mapping

import msgspec

from schemas.times import rfc3339
from stream.core.churn import STATES, Key, health_of, silence_leads_to
from stream.core.churn_reasons import parts_of
from stream.core.churn_rules import NOTHING, high_value, levels
from stream.core.churn_settings import ChurnSettings
from stream.core.customer_codec import decode
from stream.core.customers import Answered, Customer
from stream.pipeline.churn_record import Crossing, PartRecord, part_record
from stream.pipeline.customer_partition import (
    CustomersHead,
    decode_customers_head,
    parse_customer_field,
)
from stream.pipeline.partition_state import visitor_field
from stream.pipeline.ports import PartitionTables, StoreMisconfigured, Table

_PAGE = 5_000


class GivenAnswer(msgspec.Struct, frozen=True):
    survey_id: str
    score: int
    answered_at: str


class CustomerRecord(msgspec.Struct, frozen=True):
    """One customer as of `as_of`: up to then everything they did is in, and time was taken into account."""

    site_id: str
    customer_id: str
    state: str
    health_score: int
    is_high_value: bool
    as_of: str
    visits: int
    first_visit_at: str | None
    last_visit_at: str | None  # last sign of life in a visit
    typical_gap_ms: int | None  # between visits; None below one gap
    gaps: int
    engaged_ms: int
    conversions: int
    plan: str | None
    nps: tuple[GivenAnswer, ...]
    csat: tuple[GivenAnswer, ...]
    signals: int  # told so far
    parts: tuple[PartRecord, ...]
    next_crossing: Crossing | None
    rules_version: str


def customer_record(key: Key, customer: Customer, settings: ChurnSettings, now_ms: int) -> CustomerRecord:
    """By the limits in the settings, at a time that is not before the customer was judged last."""
    limits = settings.of(key[0], customer.plan)
    ahead = silence_leads_to(customer, limits, now_ms)
    came, rhythm = customer.visits > 0, customer.rhythm
    return CustomerRecord(
        site_id=key[0],
        customer_id=key[1],
        state=STATES[customer.standing.state],
        health_score=health_of(customer, limits, levels(customer, limits, now_ms)),
        is_high_value=high_value(customer, limits, now_ms) > NOTHING,
        as_of=rfc3339(now_ms),
        visits=customer.visits,
        first_visit_at=rfc3339(customer.first_ms) if came else None,
        last_visit_at=rfc3339(customer.last_ms) if came else None,
        typical_gap_ms=round(math.exp(rhythm.mean)) if rhythm.gaps else None,
        gaps=rhythm.gaps,
        engaged_ms=customer.engaged_ms,
        conversions=customer.conversions,
        plan=customer.plan,
        nps=tuple(map(_given, customer.nps)),
        csat=tuple(map(_given, customer.csat)),
        signals=customer.standing.transition,
        parts=tuple(map(part_record, parts_of(customer, limits, now_ms))),
        next_crossing=None if ahead is None else Crossing(STATES[ahead[0]], rfc3339(ahead[1])),
        rules_version=limits.version,
    )


def _given(answer: Answered) -> GivenAnswer:
    return GivenAnswer(answer.survey_id, answer.score, rfc3339(answer.at_ms))


def _decode(value: bytes) -> Customer:
    try:
        return decode(value)
    except ValueError as error:
        raise StoreMisconfigured(f"{error}, or the version of the worker") from None


class Kept:
    """The customers of all partitions. Every method raises StoreUnreachable and StoreMisconfigured."""

    def __init__(self, tables: PartitionTables, settings: ChurnSettings, heads: Mapping[int, CustomersHead]):
        self._tables = tables
        self._settings = settings
        self._heads = heads

    @classmethod
    async def read(cls, tables: PartitionTables, partitions: int, settings: ChurnSettings) -> Kept:
        found = await tables.heads(partitions)
        heads = {n: decode_customers_head(head) for n, head in enumerate(found) if head is not None}
        return cls(tables, settings, heads)

    @property
    def anybody(self) -> bool:
        """Whether any customer is kept."""
        return any(head.states for head in self._heads.values())

    @property
    def other_rules(self) -> bool:
        """Whether the workers judge by other limits than these settings."""
        return any(head.rules != self._settings.version for head in self._heads.values())

    async def find(self, customer_id: str, site_id: str | None) -> list[CustomerRecord]:
        """Who has this id, on this site or on each."""
        found = []
        for number, head in self._heads.items():
            keys = [(site, customer_id) for site in sorted(head.states) if site_id in (None, site)]
            fields = [visitor_field(*key) for key in keys]
            values = await self._tables.read(number, Table.CUSTOMERS, fields)
            found += [
                customer_record(key, _decode(value), self._settings, head.clock_ms)
                for key, value in zip(keys, values, strict=True)
                if value is not None
            ]
        return sorted(found, key=lambda one: one.site_id)

    async def worst(
        self, states: frozenset[int], site_id: str | None, count: int
    ) -> tuple[int, list[CustomerRecord]]:
        """How many customers are in one of these states, and so many of them: of high value first, then by
        health, then by who was there last."""
        total, ranked = 0, list[tuple[tuple[object, ...], Key, Customer, int]]()
        async for key, customer, now_ms in self._all():
            if customer.standing.state not in states or site_id not in (None, key[0]):
                continue
            total += 1
            limits = self._settings.of(key[0], customer.plan)
            health = health_of(customer, limits, levels(customer, limits, now_ms))
            is_high = high_value(customer, limits, now_ms) > NOTHING
            ranked.append(((not is_high, health, -customer.last_ms, key), key, customer, now_ms))
            if len(ranked) >= 2 * count + 1000:
                ranked = heapq.nsmallest(count, ranked, key=lambda one: one[0])
        best = heapq.nsmallest(count, ranked, key=lambda one: one[0])
        return total, [customer_record(key, one, self._settings, now_ms) for _, key, one, now_ms in best]

    async def _all(self) -> AsyncIterator[tuple[Key, Customer, int]]:
        """Each customer, and up to when they were judged. One who is met twice was changed meanwhile."""
        for number, head in self._heads.items():
            cursor, met = "", set[str]()
            while True:
                cursor, page = await self._tables.browse(number, Table.CUSTOMERS, cursor, _PAGE)
                for field in page.keys() - met:
                    yield parse_customer_field(field), _decode(page[field]), head.clock_ms
                met.update(page)
                if not cursor:
                    break
