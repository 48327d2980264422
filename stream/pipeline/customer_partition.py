"""One owned partition of the customer stage: activities in, signals out, customers read through.

Nothing here looks at the wall clock: time is what the stage before has told, and told in the same log as the
activities. So the state follows from the log alone, and a log that is read again gives the same signals.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from sys import intern

import msgspec

from schemas.headers import CHURN_SCHEMA, churn_identity
from schemas.keys import churn_key
from schemas.topics import CHURN_SIGNALS, CUSTOMER_ACTIVITY
from stream.core.arrivals import Arrivals, Source, Told, Waiting
from stream.core.churn import STATES, Book, Key, Outcome, Signal
from stream.core.churn_settings import ChurnSettings
from stream.core.customer_codec import decode, decode_due_ms, encode
from stream.core.event_time import NEVER_MS
from stream.pipeline.batch import Batch, Output, Record, decode_outputs
from stream.pipeline.churn_record import SignalRecord, signal_record
from stream.pipeline.claimed import Claimed
from stream.pipeline.customer_feed import decode_message
from stream.pipeline.fold import fingerprint
from stream.pipeline.latest_signals import LatestSignals
from stream.pipeline.partition_state import Fingerprint, LostRange, visitor_field
from stream.pipeline.ports import Claim, PartitionTables, Stored, Table

# Customers judged between two commits: bounds memory, and how long all else in the worker waits (0.03 s); a
# batch of events waits so long each time that it waits for anything.
_PAGE = 100
_PAGES_AT_ONCE = 20
_LOADED_AT_ONCE = 5_000


class CustomersHead(msgspec.Struct):
    """The small part of the state that every commit writes whole."""

    position: int
    outbox_next: int
    produced_through: int
    rules: str  # digest of the limits by which deadlines were found
    clock_ms: int  # everybody was judged up to here
    sources: dict[int, Source]
    states: dict[str, list[int]]  # site -> customers in each of STATES
    fingerprint: Fingerprint | None = None
    lost: list[LostRange] = []
    refused: int = 0  # records that are none of ours


_encode_head = msgspec.msgpack.Encoder().encode
_encode_told = msgspec.msgpack.Encoder().encode
_decode_told = msgspec.msgpack.Decoder(Told).decode
decode_customers_head = msgspec.msgpack.Decoder(CustomersHead).decode


class CustomerSettings(msgspec.Struct, frozen=True):
    """partitions: how many sources there are."""

    namespace: str
    partitions: int
    churn: ChurnSettings


class CustomerPartition(Claimed[CustomersHead]):
    """One partition of the customers."""

    def __init__(
        self, tables: PartitionTables, claim: Claim, settings: CustomerSettings, head: CustomersHead | None,
        deadlines: dict[Key, int], waiting: Mapping[Waiting, Told],
    ) -> None:  # fmt: skip
        positions = {CUSTOMER_ACTIVITY: head.position if head else -1}
        super().__init__(tables, claim, head, positions, list(head.lost) if head else [])
        self._settings = settings
        self._arrivals = Arrivals(settings.partitions, head.sources if head else None, waiting)
        self._book = Book(settings.churn, {}, head.clock_ms if head else NEVER_MS, deadlines)
        self._states: defaultdict[str, list[int]] = defaultdict(lambda: [0] * len(STATES))
        self._states.update(head.states if head else {})
        self._fingerprint = head.fingerprint if head else None
        self._refused = head.refused if head else 0
        self._rules = head.rules if head else settings.churn.version
        self._judged_anew_ms = self._book.clock_ms  # by new rules, when all deadlines up to here are over
        self._latest = LatestSignals()
        self._puts: dict[Table, dict[str, bytes]] = {Table.CUSTOMERS: {}, Table.ARRIVALS: {}}
        self._drops: dict[Table, list[str]] = {Table.CUSTOMERS: [], Table.ARRIVALS: []}
        self._outputs: list[Output] = []

    @classmethod
    async def open(
        cls, tables: PartitionTables, claim: Claim, settings: CustomerSettings
    ) -> CustomerPartition:
        """Load what the last commit left, of each customer only the deadline. Raises StateTorn,
        StoreUnreachable, and ValueError when another version kept them."""
        stored = await tables.load(claim)
        head = None if stored.head is None else decode_customers_head(stored.head)
        anew_ms = head.clock_ms if head and head.rules != settings.churn.version else None
        deadlines: dict[Key, int] = {}
        cursor = "" if head else None
        while cursor is not None:
            cursor, page = await tables.browse(claim.partition, Table.CUSTOMERS, cursor, _LOADED_AT_ONCE)
            for field, value in page.items():
                # By other rules everybody is judged again, at the time that has come.
                deadlines[parse_customer_field(field)] = decode_due_ms(value) if anew_ms is None else anew_ms
            cursor = cursor or None
        partition = cls(tables, claim, settings, head, deadlines, _waiting(stored))
        partition.outbox.extend((entry, decode_outputs(data)) for entry, data in stored.outbox)
        return partition

    @property
    def fingerprints(self) -> dict[str, Fingerprint]:
        return {} if self._fingerprint is None else {CUSTOMER_ACTIVITY: self._fingerprint}

    async def process(self, batch: Batch, wall_ms: int | None) -> None:
        """Take one batch: what is new waits for its time, and whose time has come is judged."""
        untaken = self._untaken(batch)
        if untaken is None:
            return
        for record in untaken.records:
            self._take(record)
        if untaken.records:
            self._fingerprint = fingerprint(untaken.records[-1])
        self.positions[batch.topic] = untaken.end
        await self._go_on()

    async def tick(self, wall_ms: int | None, shared_live_ms: int | None) -> None:
        """Go on with what a batch left over, and let go of outputs that have left."""
        await self._go_on()

    @property
    def behind(self) -> bool:
        """Whether there are customers to judge whose time has come."""
        clock_ms = self._arrivals.clock_ms
        waits = self._arrivals.upcoming(clock_ms, 1) or self._book.upcoming(clock_ms, 1)
        return bool(waits) or self._book.clock_ms < clock_ms

    def _take(self, record: Record) -> None:
        try:
            message = decode_message(record.value or b"")
        except msgspec.MsgspecError:
            self._refused += 1
            return
        if message.namespace != self._settings.namespace:
            return
        place = self._arrivals.take(message.source, message.told)
        if place is not None:
            self._puts[Table.ARRIVALS][_field_of(place)] = _encode_told(message.told)

    async def _go_on(self) -> None:
        for _ in range(_PAGES_AT_ONCE):
            more = await self._judge_page()
            await self._commit()
            if not more:
                return

    async def _judge_page(self) -> bool:
        """Judge the next customers whose time has come; whether there are more."""
        clock_ms = self._arrivals.clock_ms
        if clock_ms <= NEVER_MS:
            return False
        places, due, limit_ms, through = self._next_page(clock_ms)
        keys = {key for _, key in due}
        keys.update(key for place in places if (key := self._arrivals.waiting[place].key) is not None)
        before = await self._load(keys)
        await self._latest.load(self._tables, self.number, {site_id for site_id, _ in keys})
        self._book.customers = {key: decode(value) for key, value in before.items()}
        was = {key: one.standing.state for key, one in self._book.customers.items()}
        for place in places:
            told = self._arrivals.release(place)
            self._done_with(place)
            if told.key is not None and told.activity is not None:
                self._publish(self._book.apply(told.key, told.activity, told.known_ms))
        self._publish(self._book.advance(limit_ms, through))
        self._store(keys, was)
        if self._rules != self._settings.churn.version and not self._book.upcoming(self._judged_anew_ms, 1):
            self._rules = self._settings.churn.version
        return self.behind

    def _next_page(self, clock_ms: int) -> tuple[list[Waiting], list[tuple[int, Key]], int, Key | None]:
        """The activities and deadlines to take next, in order of time; at the same instant deadlines first.

        Also says where it ends: at an instant, and, if more deadlines fall on it, at which customer.
        """
        places = self._arrivals.upcoming(clock_ms, _PAGE)
        due = self._book.upcoming(clock_ms, _PAGE)
        if len(due) >= _PAGE and (len(places) < _PAGE or due[-1][0] <= places[-1][0]):
            limit_ms, through = due[-1]
            return [place for place in places if place[0] < limit_ms], due, limit_ms, through
        limit_ms = places[-1][0] if len(places) >= _PAGE else clock_ms
        return places, [one for one in due if one[0] <= limit_ms], limit_ms, None

    async def _load(self, keys: Collection[Key]) -> dict[Key, bytes]:
        """Those of the customers that are known."""
        fields = {visitor_field(*key): key for key in keys}
        values = await self._tables.read(self.number, Table.CUSTOMERS, list(fields))
        return {key: value for key, value in zip(fields.values(), values, strict=True) if value is not None}

    def _store(self, keys: Iterable[Key], was: Mapping[Key, int]) -> None:
        """Note for the commit how the customers of a page stand now; `was`: state of those known before."""
        customers, self._book.customers = self._book.customers, {}
        for key in keys:
            states = self._states[key[0]]
            if key in was:
                states[was[key]] -= 1
            customer = customers.get(key)
            if customer is not None:
                states[customer.standing.state] += 1
                self._puts[Table.CUSTOMERS][visitor_field(*key)] = encode(customer)
            elif key in was:
                self._drops[Table.CUSTOMERS].append(visitor_field(*key))

    def _done_with(self, place: Waiting) -> None:
        field = _field_of(place)
        if self._puts[Table.ARRIVALS].pop(field, None) is None:
            self._drops[Table.ARRIVALS].append(field)

    def _publish(self, outcome: Outcome) -> None:
        for one in outcome.told:
            if isinstance(one, Signal):
                record = signal_record(one)
                self._latest.take(record)
                self._outputs.append(_signal_output(record, one.changed_ms))
            elif one.transition:
                self._latest.forget(one)
                self._outputs.append(_tombstone(one.key, self._book.clock_ms))

    async def _commit(self) -> None:
        puts, drops, outputs = self._puts, self._drops, self._outputs
        puts[Table.SIGNALS], drops[Table.SIGNALS] = self._latest.changes()
        moved = self.head is None or self.head.position != self.positions[CUSTOMER_ACTIVITY]
        changed = outputs or any(puts.values()) or any(drops.values()) or self._rules != self._written_rules
        if not (moved or changed or self._produced != self._last_produced):
            return
        self._puts = {Table.CUSTOMERS: {}, Table.ARRIVALS: {}}
        self._drops = {Table.CUSTOMERS: [], Table.ARRIVALS: []}
        self._outputs = []
        await self._write(uuid.uuid4().hex, 0, puts, drops, outputs)

    @property
    def _written_rules(self) -> str:
        return self.head.rules if self.head else self._rules

    def _make_head(self, wall_ms: int) -> tuple[CustomersHead, bytes]:
        head = CustomersHead(
            position=self.positions[CUSTOMER_ACTIVITY],
            outbox_next=self._outbox_next,
            produced_through=self._produced,
            rules=self._rules,
            clock_ms=self._book.clock_ms,
            sources=self._arrivals.sources,
            states={site: states for site, states in self._states.items() if any(states)},
            fingerprint=self._fingerprint,
            lost=self.lost,
            refused=self._refused,
        )
        return head, _encode_head(head)


def customers_by_state(heads: Iterable[bytes | None]) -> dict[str, dict[str, int]]:
    """Site -> name of the state -> how many customers, over all partitions."""
    found: dict[str, dict[str, int]] = {}
    for head in heads:
        for site_id, states in (decode_customers_head(head).states if head is not None else {}).items():
            site = found.setdefault(site_id, dict.fromkeys(STATES, 0))
            for name, count in zip(STATES, states, strict=True):
                site[name] += count
    return found


def parse_customer_field(field: str) -> Key:
    """(site, customer) of a field that `visitor_field` made."""
    length, _, rest = field.partition("|")
    return intern(rest[: int(length)]), rest[int(length) :]  # millions of customers have few sites


def _field_of(place: Waiting) -> str:
    return "|".join(map(str, place))


def _waiting(stored: Stored) -> dict[Waiting, Told]:
    found: dict[Waiting, Told] = {}
    for field, value in stored.tables.get(Table.ARRIVALS, {}).items():
        known_ms, source, number = map(int, field.split("|"))
        found[known_ms, source, number] = _decode_told(value)
    return found


def _signal_output(record: SignalRecord, changed_ms: int) -> Output:
    key = churn_key(record.site_id, record.customer_id)
    return Output(
        CHURN_SIGNALS, None, key.encode(), msgspec.json.encode(record),
        churn_identity(key, record.transition), CHURN_SCHEMA, changed_ms,
    )  # fmt: skip


def _tombstone(key: Key, at_ms: int) -> Output:
    """Removes a forgotten customer from the compacted topic."""
    name = churn_key(*key)
    return Output(CHURN_SIGNALS, None, name.encode(), None, f"{name}/gone", CHURN_SCHEMA, at_ms)
