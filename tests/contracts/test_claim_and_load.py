"""Claims, loads, and what is stored in between, on every implementation of the tables."""

from __future__ import annotations

import pytest

from stream.pipeline.ports import HOT_TABLES, CommitAnswer, Owner, StateTorn, Table
from tests.contracts.backends import Backend, Writer, visitors

ODD_FIELDS = [
    "",
    " ",
    "\0",
    "\0\r\n$5\r\n",
    "{tag}",
    "a:b:{c}",
    "*?[x]",
    "😀 ñ 漢",
    "\ud800 alone",
    "é",
    "e\u0301",
    "x" * 10_000,
]
ODD_VALUES = [b"", b"\0", b"\r\n", b"$-1\r\n", bytes(range(256)), b"\xff" * 100_000]


async def test_the_first_claim_finds_nothing(one: Writer) -> None:
    claim = await one.claim()
    assert claim.owner == Owner(1, "one", 1)
    assert claim.commit_id == ""
    stored = await one.tables.load(claim)
    assert stored.head is None
    assert stored.tables == {table: {} for table in HOT_TABLES}
    assert list(stored.outbox) == []


async def test_every_claim_is_newer_than_the_stored_one_and_the_own_last(one: Writer, two: Writer) -> None:
    assert (await one.claim()).owner.epoch == 1
    assert (await two.claim()).owner.epoch == 2
    assert (await one.claim()).owner.epoch == 3
    assert (await one.tables.claim(0, "one", 9, 41)).owner == Owner(42, "one", 9)


async def test_a_claim_brings_the_id_of_the_last_commit(one: Writer, two: Writer) -> None:
    await one.claim()
    commit = one.following("")
    assert await one.tables.commit(commit) is CommitAnswer.STORED
    assert (await two.claim()).commit_id == commit.id


async def test_what_was_committed_is_loaded(one: Writer, two: Writer) -> None:
    await one.claim()
    puts = {table: {f"{table.value}-field": table.value.encode()} for table in Table}
    await one.tables.commit(one.following("", head=b"the head", puts=puts, outbox={7: b"out"}))
    stored = await two.tables.load(await two.claim())
    assert stored.head == b"the head"
    assert stored.tables == {table: puts[table] for table in HOT_TABLES}
    assert list(stored.outbox) == [(7, b"out")]


async def test_fields_and_values_of_any_kind_survive(one: Writer) -> None:
    await one.claim()
    values = {field: ODD_VALUES[number % len(ODD_VALUES)] for number, field in enumerate(ODD_FIELDS)}
    commit = one.following("", puts={Table.VISITORS: values, Table.SEEN: values}, head=b"\0\xff")
    assert await one.tables.commit(commit) is CommitAnswer.STORED
    stored = await one.tables.load(await one.claim())
    assert stored.tables[Table.VISITORS] == values
    assert stored.head == b"\0\xff"
    assert await one.tables.read(0, Table.SEEN, ODD_FIELDS) == list(values.values())


async def test_odd_fields_can_be_dropped(one: Writer) -> None:
    await one.claim()
    first = one.following("", puts={Table.VISITORS: dict.fromkeys(ODD_FIELDS, b"1")})
    await one.tables.commit(first)
    await one.tables.commit(one.following(first.id, drops={Table.VISITORS: ODD_FIELDS[1:]}))
    stored = await one.tables.load(await one.claim())
    assert stored.tables[Table.VISITORS] == {ODD_FIELDS[0]: b"1"}


async def test_a_read_answers_in_the_order_asked_and_none_for_the_missing(one: Writer) -> None:
    await one.claim()
    await one.tables.commit(one.following("", puts={Table.ANSWERS: {"a": b"1", "b": b"", "c": b"3"}}))
    fields = ["c", "nobody", "a", "c", "b"]
    assert await one.tables.read(0, Table.ANSWERS, fields) == [b"3", None, b"1", b"3", b""]
    assert await one.tables.read(0, Table.ANSWERS, []) == []
    assert await one.tables.read(0, Table.SEEN, ["a"]) == [None]


@pytest.mark.parametrize("number", [0, 1, 3000])
async def test_browsing_meets_every_field_once_at_least(one: Writer, number: int) -> None:
    await one.claim()
    values = {f"{n}{ODD_FIELDS[n % 11]}": b"%d" % n for n in range(number)}
    await one.tables.commit(one.following("", puts={Table.SEEN: values, Table.ANSWERS: {"a": b"1"}}))
    found: dict[str, bytes] = {}
    cursor, pages = "", 0
    while True:
        cursor, page = await one.tables.browse(0, Table.SEEN, cursor, 500)
        found, pages = found | page, pages + 1
        if not cursor:
            break
        assert len(page) <= 1500
    assert found == values
    assert pages >= number // 1500


async def test_what_is_removed_while_browsing_costs_no_other_field(one: Writer) -> None:
    await one.claim()
    values = {f"field {n}": b"%d" % n for n in range(3000)}
    last = one.following("", puts={Table.SEEN: values})
    await one.tables.commit(last)
    met: set[str] = set()
    cursor = ""
    while True:
        cursor, page = await one.tables.browse(0, Table.SEEN, cursor, 500)
        met |= page.keys()
        last = one.following(last.id, drops={Table.SEEN: [*page][::2]})
        assert await one.tables.commit(last) is CommitAnswer.STORED
        if not cursor:
            break
    assert met == values.keys()


async def test_partitions_and_tables_do_not_touch_each_other(backend: Backend) -> None:
    writers = [Writer(backend.tables(), f"w{number}", number) for number in range(12)]
    for writer in writers:
        await writer.claim()
        commit = writer.following("", puts=visitors(me=writer.nonce.encode()), outbox={1: b"x"})
        assert await writer.tables.commit(commit) is CommitAnswer.STORED
    for writer in writers:
        stored = await writer.tables.load(await writer.claim())
        assert stored.tables[Table.VISITORS] == {"me": writer.nonce.encode()}
        assert stored.tables[Table.BUCKETS] == {}


async def test_a_loaded_state_is_a_copy(one: Writer) -> None:
    await one.claim()
    first = one.following("", puts=visitors(a=b"1"))
    await one.tables.commit(first)
    stored = await one.tables.load(await one.claim())
    await one.tables.commit(one.following(first.id, puts=visitors(a=b"2")))
    assert stored.tables[Table.VISITORS] == {"a": b"1"}


async def test_a_load_is_torn_when_another_claimed(one: Writer, two: Writer) -> None:
    claim = await one.claim()
    await two.claim()
    with pytest.raises(StateTorn):
        await one.tables.load(claim)


async def test_a_load_is_torn_when_the_store_was_emptied(backend: Backend, one: Writer) -> None:
    await one.claim()
    await one.tables.commit(one.following("", puts=visitors(a=b"1")))
    claim = await one.claim()
    await backend.flush()
    with pytest.raises(StateTorn):
        await one.tables.load(claim)
    assert (await one.tables.load(await one.claim())).tables[Table.VISITORS] == {}


async def test_a_load_is_torn_when_a_commit_came_since_the_claim(one: Writer) -> None:
    claim = await one.claim()
    await one.tables.commit(one.following(""))
    with pytest.raises(StateTorn):
        await one.tables.load(claim)


async def test_the_holder_is_what_is_stored(backend: Backend, one: Writer) -> None:
    assert await one.tables.holder(0) == ("", "")
    claim = await one.claim()
    assert await one.tables.holder(0) == (str(claim.owner), "")
    commit = one.following("")
    await one.tables.commit(commit)
    assert await one.tables.holder(0) == (str(claim.owner), commit.id)
    await backend.flush()
    assert await one.tables.holder(0) == ("", "")


async def test_epochs_stay_exact_when_they_are_large(one: Writer) -> None:
    epoch = 1_790_000_000_123_456
    assert (await one.tables.claim(0, "one", 1, epoch)).owner.epoch == epoch + 1
    assert (await one.tables.claim(0, "one", 2, 0)).owner.epoch == epoch + 2
