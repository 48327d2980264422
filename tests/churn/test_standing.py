"""How many customers stand how: counted as they change, published beside the KPIs of everything."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection
from typing import Any

import msgspec
import pytest

from schemas.snapshots import KpiSnapshot
from schemas.topics import CUSTOMER_ACTIVITY
from stream.core.churn import POSITIVE, STATES, Key
from stream.core.churn_settings import ChurnSettings, Limits
from stream.core.customer_codec import decode
from stream.core.policy import DAY_MS, Policy
from stream.pipeline.batch import Batch, Output
from stream.pipeline.customer_partition import CustomerPartition, CustomerSettings, customers_by_state
from stream.pipeline.latest_signals import KEPT
from stream.pipeline.ports import StoreMisconfigured, Table
from stream.pipeline.read_customers import Kept
from stream.pipeline.renew_records import Records
from stream.pipeline.sums import ALL_WINDOWS, Followed
from stream.pipeline.take_snapshot import encode_record, look_at_heads
from stream.tables.memory import MemoryBoard, MemoryTables
from tests.builders import Item, Lane, now
from tests.churn.keeping import keep
from tests.churn.lives import Life, happened, lives

EVENTS = [event for life in lives(2) for _, event in life.events]


def kept(until: float, churn: ChurnSettings = ChurnSettings()) -> tuple[MemoryTables, CustomerPartition]:  # noqa: B008 (frozen)
    tables = MemoryTables()
    return tables, now(keep(tables, "shop", EVENTS, until, churn))


def stored(tables: MemoryTables) -> Counter[str]:
    values = tables.store.partitions[0].tables[Table.CUSTOMERS].values()
    return Counter(STATES[decode(value).standing.state] for value in values)


def test_the_counts_are_those_of_the_customers() -> None:
    for day in (30, 85, 120):
        tables, _ = kept(day)
        [site] = customers_by_state(now(tables.heads(2))).values()
        assert Counter(site) - Counter() == stored(tables)
        assert sum(site.values()) == sum(stored(tables).values()) > 0


def test_a_customer_takes_less_than_300_bytes() -> None:
    tables, _ = kept(80)
    sizes = [len(value) for value in tables.store.partitions[0].tables[Table.CUSTOMERS].values()]
    assert max(sizes) < 300


def test_who_is_forgotten_counts_no_more_and_leaves_the_tables() -> None:
    tables, partition = kept(300, ChurnSettings(remember_ms=30 * DAY_MS))
    assert customers_by_state(now(tables.heads(1))) == {}
    assert tables.store.partitions[0].tables[Table.CUSTOMERS] == {}
    assert tables.store.partitions[0].tables[Table.SIGNALS] == {}
    gone = [one for _, outputs in partition.outbox for one in outputs if one.value is None]
    told = {one.key for _, outputs in partition.outbox for one in outputs}
    assert {one.key for one in gone} == told, "all that was told is taken back"


def test_a_site_s_latest_signals_are_kept_in_short() -> None:
    tables, partition = kept(120)
    told = [json.loads(one.value) for _, outputs in partition.outbox for one in outputs if one.value]
    found = msgspec.msgpack.decode(tables.store.partitions[0].tables[Table.SIGNALS]["default"])
    assert len(told) > len(found) == KEPT
    for one in found:
        [signal] = (
            signal for signal in told
            if (signal["customer_id"], signal["transition"]) == (one["customer_id"], one["transition"])
        )  # fmt: skip
        reasons = [part["reason"] for part in signal["parts"]]
        is_well = one["state"] == "healthy" and one["cause"] not in POSITIVE
        assert one["reason"] in ([None] if is_well else reasons)
        assert {name: signal.get(name, one["reason"]) for name in one} == one


def test_who_comes_back_after_being_forgotten_has_their_new_signals_only() -> None:
    again = Life("again")
    for day in (0, 40):
        again.answer(day, 2)
    tables = MemoryTables()
    events = [event for _, event in again.events]
    partition = now(keep(tables, "shop", events, 41, ChurnSettings(remember_ms=30 * DAY_MS)))
    told = [one.value is None for _, outputs in partition.outbox for one in outputs]
    assert told == [False, True, False]
    [signal] = msgspec.msgpack.decode(tables.store.partitions[0].tables[Table.SIGNALS]["default"])
    assert (signal["changed_at"], signal["reason"]) == (happened(40), "Latest NPS answer is 2")


def test_the_main_reason_is_what_costs_most_also_where_no_limit_is_reached() -> None:
    lukewarm = Life("lukewarm")
    lukewarm.answer(0, 7)
    tables = MemoryTables()
    now(keep(tables, "shop", [event for _, event in lukewarm.events], 1))
    [signal] = msgspec.msgpack.decode(tables.store.partitions[0].tables[Table.SIGNALS]["default"])
    assert (signal["state"], signal["reason"]) == ("watch", "Latest NPS answer is 7")


def test_by_other_limits_everybody_is_judged_again() -> None:
    tables, _ = kept(85)
    before = stored(tables)
    strict = CustomerSettings("shop", 1, ChurnSettings(Limits(overdue=(0.01, 0.02, 0.03))))
    claim = now(tables.claim(0, "next", 1, 0))
    partition = now(CustomerPartition.open(tables, claim, strict))
    now(partition.tick(0, None))
    assert stored(tables) != before
    fresh, _ = kept(85, strict.churn)
    assert stored(tables)["lost"] == stored(fresh)["lost"]
    assert partition.head is not None
    assert partition.head.rules == strict.churn.version
    [site] = customers_by_state(now(tables.heads(1))).values()
    assert Counter(site) - Counter() == stored(tables)


def test_customers_that_another_version_kept_are_refused_in_a_line() -> None:
    tables, _ = kept(30)
    customers = tables.store.partitions[0].tables[Table.CUSTOMERS]
    for field in customers:
        customers[field] = b"\x9f" + customers[field]
    with pytest.raises(ValueError, match="kept by another version: use another namespace"):
        now(keep(tables, "shop", [], 30))
    reader = now(Kept.read(tables, 1, ChurnSettings()))
    with pytest.raises(StoreMisconfigured, match="another namespace, or the version of the worker"):
        now(reader.worst(frozenset(range(4)), None, 5))


def lockstep() -> list[dict[str, Any]]:
    """Twenty customers who do everything at the same time, and one who comes alone."""
    crowd = [Life(f"c-{number:02d}") for number in range(20)]
    for life in crowd:
        for day in range(0, 20, 4):
            life.visit(day)
        life.answer(12.5, 3)
    alone = Life("alone")
    for day in (3, 4, 12, 30, 60):
        alone.visit(day)
    return [event for life in (*crowd, alone) for _, event in life.events]


def paged() -> tuple[MemoryTables, list[Output]]:
    tables = MemoryTables()
    partition = now(keep(tables, "shop", lockstep(), 300))
    outputs = [one for _, several in partition.outbox for one in several]
    return tables, sorted(outputs, key=lambda one: one.id)


def test_a_page_is_small_however_many_are_due_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, expected = paged()
    loaded, load = list[int](), CustomerPartition._load

    async def noting(self: CustomerPartition, keys: Collection[Key]) -> dict[Key, bytes]:
        loaded.append(len(keys))
        return await load(self, keys)

    monkeypatch.setattr(CustomerPartition, "_load", noting)
    monkeypatch.setattr("stream.pipeline.customer_partition._PAGE", 3)
    tables, outputs = paged()
    assert max(loaded) <= 6, "so many deadlines, and so many who did something"
    assert len(expected) > 20
    assert outputs == expected
    assert stored_bytes(tables) == stored_bytes(whole)


def stored_bytes(tables: MemoryTables) -> dict[str, bytes]:
    return dict(tables.store.partitions[0].tables[Table.CUSTOMERS])


@pytest.mark.parametrize(
    "told",
    [
        [1, 0, ["shop", "ana"], ["started", 10**17, None]],
        [1, 10**17, ["shop", "ana"], ["ended", 0, 0]],
        [1, 10**17, None, None],
        [1, 0, ["shop", "ana"], ["answered", 0, "s", "nps", 11, 1, 5]],
        [1, 0, ["shop", "ana"], ["answered", 0, "s", "csat", 1, 1, 1]],
        [1, 0, ["shop", "a" * 10**6], ["ended", 0, 0]],
        [0, 0, None, None],
        [2**70, 0, None, None],
    ],
)
def test_records_that_are_none_of_ours_are_counted_and_change_nothing(told: Any) -> None:
    try:
        rubbish = msgspec.msgpack.encode(["shop", 0, told])
    except OverflowError:
        rubbish = b"\xc1 none of it"
    tables, partition = kept(30)
    before = stored_bytes(tables)
    position = partition.positions[CUSTOMER_ACTIVITY]
    others = [
        msgspec.msgpack.encode(["another", 0, [10**6, 0, None, None]]),
        msgspec.msgpack.encode(["shop", 77, [10**6, 0, None, None]]),
    ]
    log = [Item(position + n, 0, None, value) for n, value in enumerate([rubbish, *others])]
    now(partition.process(Batch(CUSTOMER_ACTIVITY, 0, log, position, position + 3, position + 3), 0))
    assert partition.head is not None
    assert (partition.head.refused, partition.head.position) == (1, position + 3)
    assert stored_bytes(tables) == before


def test_they_are_published_with_everything_and_anew_when_they_change() -> None:
    lane = Lane(Policy())
    lane.feed("V", 0)
    lane.tick()
    followed = Followed(1)
    followed.take(now(MemoryBoard(lane.store).read_partials([0])))
    records = Records(followed, 1000)
    snapshot = look_at_heads(followed.heads, 1, 0)
    without = records.renew(snapshot, ALL_WINDOWS, 0).records.values()
    assert all(record.customers is msgspec.UNSET for record in without)
    for counts in ({"healthy": 2, "watch": 0, "at_risk": 1, "lost": 0}, dict.fromkeys(STATES, 3)):
        snapshot.customers = {"default": counts}
        renewed = records.renew(snapshot, ALL_WINDOWS, 0).records
        assert list(renewed) == ["default|all|all"]
        record = KpiSnapshot.model_validate_json(encode_record(renewed["default|all|all"], 1, 0))
        assert record.customers is not None
        assert record.customers.model_dump() == counts
        assert records.renew(snapshot, ALL_WINDOWS, 0).records == {}
