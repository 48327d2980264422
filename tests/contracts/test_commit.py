"""One commit: who may, what it answers, what it leaves, on every implementation of the tables."""

from __future__ import annotations

from typing import Any

import pytest

from stream.pipeline.ports import CommitAnswer, StateTorn, Stored, Table
from tests.contracts.backends import Backend, Writer, visitors


async def _stored(writer: Writer) -> Stored:
    """What is stored now, read by a new claim of the same process."""
    return await writer.tables.load(await writer.claim())


async def test_commits_follow_each_other(one: Writer) -> None:
    await one.claim()
    previous = ""
    for number in range(5):
        commit = one.following(previous, puts=visitors(**{f"v{number}": b"%d" % number}))
        assert await one.tables.commit(commit) is CommitAnswer.STORED
        previous = commit.id
    stored = await _stored(one)
    assert stored.tables[Table.VISITORS] == {f"v{number}": b"%d" % number for number in range(5)}
    assert stored.head == previous.encode()


async def test_the_same_commit_again_is_stored_but_not_written_again(backend: Backend, one: Writer) -> None:
    await one.claim()
    commit = one.following("", puts=visitors(a=b"1"), outbox={1: b"x"})
    assert await one.tables.commit(commit) is CommitAnswer.STORED
    before = await backend.snapshot()
    for _ in range(3):
        assert await one.tables.commit(commit) is CommitAnswer.STORED
    assert _same(before, await backend.snapshot())


async def test_the_same_commit_from_a_new_connection_is_stored(backend: Backend, one: Writer) -> None:
    await one.claim()
    commit = one.following("", puts=visitors(a=b"1"))
    await one.tables.commit(commit)
    assert await backend.tables().commit(commit) is CommitAnswer.STORED


async def test_a_zombie_is_told_and_changes_nothing(backend: Backend, one: Writer, two: Writer) -> None:
    await one.claim()
    first = one.following("", puts=visitors(a=b"1"))
    await one.tables.commit(first)
    zombie = one.following(first.id, puts=visitors(a=b"zombie"), outbox={1: b"zombie"}, produced_through=9)
    claim = await two.claim()
    before = await backend.snapshot()
    assert await one.tables.commit(zombie) is CommitAnswer.NEWER_OWNER
    assert await one.tables.commit(first) is CommitAnswer.NEWER_OWNER
    assert _same(before, await backend.snapshot())
    assert (await two.tables.load(claim)).tables[Table.VISITORS] == {"a": b"1"}


async def test_a_zombie_stays_out_after_the_new_owner_committed(one: Writer, two: Writer) -> None:
    await one.claim()
    first = one.following("")
    await one.tables.commit(first)
    await two.claim()
    assert await two.tables.commit(two.following(first.id, puts=visitors(a=b"2"))) is CommitAnswer.STORED
    assert await one.tables.commit(one.following(first.id)) is CommitAnswer.NEWER_OWNER
    assert (await _stored(two)).tables[Table.VISITORS] == {"a": b"2"}


async def test_the_same_process_in_an_older_assignment_is_a_zombie(one: Writer) -> None:
    await one.claim()
    late = one.following("")
    await one.claim()
    assert await one.tables.commit(late) is CommitAnswer.NEWER_OWNER


async def test_an_emptied_store_went_back(backend: Backend, one: Writer) -> None:
    await one.claim()
    first = one.following("")
    await one.tables.commit(first)
    await backend.flush()
    assert await one.tables.commit(one.following(first.id, puts=visitors(a=b"1"))) is CommitAnswer.WENT_BACK
    assert await one.tables.commit(first) is CommitAnswer.WENT_BACK
    assert await one.tables.read(0, Table.VISITORS, ["a"]) == [None]


async def test_a_lost_commit_is_noticed_at_the_next_one(backend: Backend, one: Writer) -> None:
    await one.claim()
    first = one.following("", puts=visitors(a=b"1"))
    await one.tables.commit(first)
    snapshot = await backend.snapshot()
    second = one.following(first.id, puts=visitors(a=b"2"))
    await one.tables.commit(second)
    await backend.restore(snapshot)
    assert await one.tables.commit(one.following(second.id)) is CommitAnswer.WENT_BACK
    assert (await _stored(one)).tables[Table.VISITORS] == {"a": b"1"}


async def test_a_lost_claim_is_noticed(backend: Backend, one: Writer, two: Writer) -> None:
    """The store went back to before our claim, so an older owner stands there."""
    await one.claim()
    first = one.following("")
    await one.tables.commit(first)
    snapshot = await backend.snapshot()
    await two.claim()
    mine = two.following(first.id)
    await two.tables.commit(mine)
    await backend.restore(snapshot)
    assert await two.tables.commit(two.following(mine.id)) is CommitAnswer.WENT_BACK
    with pytest.raises(StateTorn):
        await two.tables.load(two.claimed)
    assert (await two.claim()).owner.epoch == 3, "the own last epoch counts where the stored one was lost"


async def test_equal_epochs_are_told_apart(backend: Backend, one: Writer, two: Writer) -> None:
    """After a rollback two processes can hold the same epoch: only one of them is the owner."""
    snapshot = await backend.snapshot()
    await one.claim()
    await backend.restore(snapshot)
    await two.claim()
    assert one.claimed.owner.epoch == two.claimed.owner.epoch
    assert await one.tables.commit(one.following("")) is CommitAnswer.WENT_BACK
    assert await two.tables.commit(two.following("")) is CommitAnswer.STORED


async def test_a_retry_survives_the_rollback_of_its_own_commit(backend: Backend, one: Writer) -> None:
    await one.claim()
    snapshot = await backend.snapshot()
    commit = one.following("", puts=visitors(a=b"1"))
    await one.tables.commit(commit)
    await backend.restore(snapshot)
    assert await one.tables.commit(commit) is CommitAnswer.STORED
    assert (await _stored(one)).tables[Table.VISITORS] == {"a": b"1"}


async def test_drops_come_before_puts(one: Writer) -> None:
    await one.claim()
    first = one.following("", puts=visitors(a=b"1", b=b"1", c=b"1"))
    await one.tables.commit(first)
    second = one.following(first.id, drops={Table.VISITORS: ["a", "b", "nobody"]}, puts=visitors(b=b"2"))
    await one.tables.commit(second)
    assert (await _stored(one)).tables[Table.VISITORS] == {"b": b"2", "c": b"1"}


async def test_drops_reach_every_table(one: Writer) -> None:
    await one.claim()
    first = one.following("", puts={table: {"keep": b"1", "drop": b"1"} for table in Table})
    await one.tables.commit(first)
    await one.tables.commit(one.following(first.id, drops={table: ["drop"] for table in Table}))
    for table in Table:
        assert await one.tables.read(0, table, ["keep", "drop"]) == [b"1", None], table


async def test_the_outbox_is_kept_in_id_order_and_cut_where_produced(one: Writer) -> None:
    await one.claim()
    first = one.following("", outbox={number: b"%d" % number for number in (9, 10, 2, 100)})
    await one.tables.commit(first)
    assert [output_id for output_id, _ in (await _stored(one)).outbox] == [2, 9, 10, 100]
    second = one.following(first.id, outbox={101: b"101"}, produced_through=10)
    await one.tables.commit(second)
    assert list((await _stored(one)).outbox) == [(100, b"100"), (101, b"101")]
    third = one.following(second.id, produced_through=1000)
    await one.tables.commit(third)
    assert list((await _stored(one)).outbox) == []


async def test_the_outbox_is_cut_by_the_connection_that_filled_it(one: Writer) -> None:
    await one.claim()
    first = one.following("", outbox={1: b"a", 2: b"b"})
    second = one.following(first.id, outbox={3: b"c"}, produced_through=1)
    third = one.following(second.id, outbox={4: b"d"}, produced_through=3)
    for commit in (first, second, third):
        assert await one.tables.commit(commit) is CommitAnswer.STORED
    assert list((await _stored(one)).outbox) == [(4, b"d")]


async def test_the_outbox_is_cut_by_whoever_owns_it(one: Writer, two: Writer) -> None:
    """The next owner cuts what the former one wrote, and the former one's connection does not remember it."""
    large = 1_790_000_000_000
    await one.claim()
    first = one.following("", outbox={large: b"a", large + 1: b"b"})
    await one.tables.commit(first)
    await two.claim()
    second = two.following(first.id, produced_through=large, outbox={large + 2: b"c"})
    await two.tables.commit(second)
    await one.claim()
    third = one.following(second.id, produced_through=large + 1)
    await one.tables.commit(third)
    assert list((await _stored(one)).outbox) == [(large + 2, b"c")]


async def test_a_new_entry_that_is_already_produced_is_not_kept(one: Writer) -> None:
    await one.claim()
    await one.tables.commit(one.following("", outbox={1: b"a", 2: b"b"}, produced_through=1))
    assert list((await _stored(one)).outbox) == [(2, b"b")]


@pytest.mark.parametrize("fields", [5_000, 120_000])
async def test_a_large_commit_is_written_whole(one: Writer, fields: int) -> None:
    await one.claim()
    values = {f"visitor {number}": b"%d" % number for number in range(fields)}
    first = one.following("", puts={Table.VISITORS: values}, outbox=dict.fromkeys(range(1, fields), b""))
    assert await one.tables.commit(first) is CommitAnswer.STORED
    stored = await _stored(one)
    assert stored.tables[Table.VISITORS] == values
    assert len(stored.outbox) == fields - 1
    second = one.following(first.id, drops={Table.VISITORS: list(values)[1:]}, produced_through=fields)
    assert await one.tables.commit(second) is CommitAnswer.STORED
    stored = await _stored(one)
    assert (stored.tables[Table.VISITORS], list(stored.outbox)) == ({"visitor 0": b"0"}, [])


async def test_an_empty_commit_moves_the_head_only(one: Writer) -> None:
    await one.claim()
    commit = one.following("", head=b"h", puts={Table.SEEN: {}}, drops={Table.SEEN: []})
    assert await one.tables.commit(commit) is CommitAnswer.STORED
    stored = await _stored(one)
    assert (stored.head, stored.tables[Table.VISITORS]) == (b"h", {})


async def test_waiting_for_durability_ends(one: Writer) -> None:
    await one.tables.wait_durable()
    await one.claim()
    await one.tables.commit(one.following(""))
    await one.tables.wait_durable()
    await one.tables.wait_durable()


def _same(before: Any, after: Any) -> bool:
    """Whether two snapshots hold the same (memory compares the objects' contents)."""
    if isinstance(before, dict):
        return bool(before == after)
    left, right = (
        {number: _plain(part) for number, part in side.partitions.items()} for side in (before, after)
    )
    return bool(left == right)


def _plain(part: Any) -> tuple[Any, ...]:
    return (part.held, part.head, part.tables, part.outbox)
