"""The published snapshot, on every implementation of the board."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec

from stream.pipeline.ports import (
    CHANGES_KEPT,
    CUSTOMERS,
    NOTHING_SEEN,
    Change,
    Partial,
    Seen,
    SnapshotBoard,
    Standing,
    Table,
    Token,
)
from tests.contracts.backends import Backend, Writer

NOW_MS = 1_790_000_000_000
LIMIT_S = 10.0


async def test_an_empty_board_has_nothing(backend: Backend) -> None:
    board = backend.board()
    assert await board.read_header() is None
    assert await board.read_records() == {}
    assert await board.read_clock() is None


async def test_what_was_written_is_read_by_others(backend: Backend) -> None:
    board = backend.board()
    token = await board.take_token(NOW_MS)
    changed = {"shop-es|5m|all": b'{"a": 1}', "😀|\0|{x}": b"\0\xff"}
    assert await board.write(token, NOW_MS + 1, b"header", changed, [])
    reader = backend.board()
    assert await reader.read_header() == b"header"
    assert await reader.read_records() == changed


async def test_changed_records_replace_and_gone_ones_disappear(backend: Backend) -> None:
    board = backend.board()
    token = await board.take_token(0)
    first = token.sequence + 1
    assert await board.write(token, first, b"1", {"a": b"1", "b": b"1", "c": b"1"}, [])
    assert await board.write(token, first + 1, b"2", {"b": b"2"}, ["a", "nobody"])
    assert await board.read_records() == {"b": b"2", "c": b"1"}
    assert await board.write(token, first + 2, b"3", {}, [])
    assert await board.read_header() == b"3"


async def test_heads_name_the_owner_of_each_partition(backend: Backend) -> None:
    board = backend.board()
    assert await board.read_heads(2) == [Standing(0, "", None), Standing(1, "", None)]
    writer = Writer(backend.tables(), "one", partition=1)
    claim = await writer.claim()
    assert await board.read_heads(2) == [Standing(0, "", None), Standing(1, str(claim.owner), None)]
    await writer.tables.commit(writer.following("", head=b"\0head"))
    assert await board.read_heads(2) == [Standing(0, "", None), Standing(1, str(claim.owner), b"\0head")]
    assert await board.read_heads(0) == []


async def test_a_field_of_the_answers_is_read_in_every_partition(backend: Backend) -> None:
    board = backend.board()
    assert await board.read_answers(2, "!shop") == [None, None]
    for number, value in ((0, b"\0zero"), (2, b"two")):
        writer = Writer(backend.tables(), "one", partition=number)
        await writer.claim()
        fields = {"!shop": value, "!\U0001f600\0{x}": b"other"}
        await writer.tables.commit(writer.following("", puts={Table.ANSWERS: fields}))
    assert await board.read_answers(3, "!shop") == [b"\0zero", None, b"two"]
    assert await board.read_answers(1, "!\U0001f600\0{x}") == [b"other"]
    assert await board.read_answers(0, "!shop") == []


async def test_a_site_s_signals_are_those_of_the_stage_that_keeps_customers(backend: Backend) -> None:
    board = backend.board()
    assert await board.read_signals(2, "shop") == [None, None]
    for stage, number, value in (("", 0, b"of events"), (CUSTOMERS, 0, b"\0zero"), (CUSTOMERS, 2, b"two")):
        writer = Writer(backend.tables(stage=stage), "one", partition=number)
        await writer.claim()
        fields = {"shop": value, "\U0001f600\0{x}": b"other"}
        await writer.tables.commit(writer.following("", puts={Table.SIGNALS: fields}))
    assert await board.read_signals(3, "shop") == [b"\0zero", None, b"two"]
    assert await board.read_signals(1, "\U0001f600\0{x}") == [b"other"]
    kept = await backend.snapshot()
    await writer.tables.commit(writer.following("one-1", drops={Table.SIGNALS: ["shop"]}))
    assert await board.read_signals(3, "shop") == [b"\0zero", None, None]
    await backend.restore(kept)
    assert await board.read_signals(3, "shop") == [b"\0zero", None, b"two"]
    await backend.flush()
    assert await board.read_signals(3, "shop") == [None, None, None]


async def test_a_large_snapshot_is_written_whole(backend: Backend) -> None:
    board = backend.board()
    token = await board.take_token(0)
    records = {f"shop|1m|element={number}": b"%d" % number for number in range(20_000)}
    assert await board.write(token, token.sequence + 1, b"1", records, [])
    assert await board.read_records() == records
    assert await board.write(token, token.sequence + 2, b"2", {}, list(records)[1:])
    assert list(await board.read_records()) == ["shop|1m|element=0"]


async def test_the_newest_publisher_wins(backend: Backend) -> None:
    old, new = backend.board(), backend.board()
    old_token = await old.take_token(NOW_MS)
    assert await old.write(old_token, NOW_MS + 1, b"old", {"a": b"old"}, [])
    new_token = await new.take_token(0)
    assert new_token.epoch > old_token.epoch
    assert not await old.write(old_token, NOW_MS + 2, b"late", {"a": b"late"}, ["a"])
    assert await new.read_records() == {"a": b"old"}
    assert await new.write(new_token, new_token.sequence + 1, b"new", {"a": b"new"}, [])
    assert not await old.write(old_token, NOW_MS + 99, b"late", {"a": b"late"}, ["a"])
    assert (await new.read_header(), await new.read_records()) == (b"new", {"a": b"new"})


async def test_a_token_brings_the_highest_sequence(backend: Backend) -> None:
    board = backend.board()
    first = await board.take_token(NOW_MS)
    assert first.sequence == NOW_MS
    assert await board.write(first, NOW_MS + 7, b"", {}, [])
    assert (await board.take_token(NOW_MS)).sequence == NOW_MS + 7
    assert (await board.take_token(NOW_MS + 50)).sequence == NOW_MS + 50


async def test_a_sequence_is_published_once(backend: Backend) -> None:
    """A write whose reply was lost may still arrive after the next one: it must not win."""
    board = backend.board()
    token = await board.take_token(0)
    assert await board.write(token, token.sequence + 2, b"second", {"a": b"2"}, [])
    assert not await board.write(token, token.sequence + 1, b"first", {"a": b"1"}, [])
    assert not await board.write(token, token.sequence + 2, b"again", {"a": b"3"}, [])
    assert await board.read_records() == {"a": b"2"}


async def test_an_emptied_store_refuses_the_publisher_until_it_takes_a_new_token(backend: Backend) -> None:
    board = backend.board()
    token = await board.take_token(NOW_MS)
    await backend.flush()
    assert not await board.write(token, NOW_MS + 1, b"", {"a": b"1"}, [])
    again = await board.take_token(NOW_MS + 5)
    assert again.sequence == NOW_MS + 5
    assert await board.write(again, NOW_MS + 6, b"", {"a": b"1"}, [])


async def test_two_publishers_never_hold_the_same_token_after_a_rollback(backend: Backend) -> None:
    snapshot = await backend.snapshot()
    living = await backend.board().take_token(NOW_MS)
    await backend.restore(snapshot)
    newcomer = await backend.board().take_token(NOW_MS + 250)
    assert newcomer.epoch > living.epoch
    assert not await backend.board().write(living, NOW_MS + 999, b"", {}, [])


async def test_a_token_nobody_took_is_refused(backend: Backend) -> None:
    assert not await backend.board().write(Token(1, 1), 2, b"", {"a": b"1"}, [])
    assert await backend.board().read_records() == {}


async def test_partials_come_with_their_own_head(backend: Backend) -> None:
    for number in (0, 2):
        writer = Writer(backend.tables(), f"w{number}", number)
        await writer.claim()
        windows = {"shop|5m": b"%d" % number, "\0😀": b""}
        await writer.tables.commit(writer.following("", head=b"h%d" % number, puts={Table.WINDOWS: windows}))
    partials = await backend.board().read_partials(range(4))
    assert [partial.partition for partial in partials] == [0, 1, 2, 3]
    assert [partial.head for partial in partials] == [b"h0", None, b"h2", None]
    assert partials[2].windows == {"shop|5m": b"2", "\0😀": b""}
    assert partials[1].windows == {}
    assert await backend.board().read_partials(range(0)) == []


def change(number: int, *fields: str, run: str = "run") -> dict[str, bytes]:
    """The note of a write, in its place in the ring."""
    return {str(number % CHANGES_KEPT): msgspec.msgpack.encode(Change(run, number, list(fields)))}


async def test_changes_are_followed_write_by_write(backend: Backend) -> None:
    writer, board = Writer(backend.tables()), backend.board()
    await writer.claim()
    puts = {Table.WINDOWS: {"a": b"1", "b": b"1"}, Table.CHANGED: change(1, "a", "b")}
    await writer.tables.commit(writer.following("", head=b"h1", puts=puts))
    (first,) = await board.read_changes([Seen("run", 0)])
    assert first == Partial(0, b"h1", {"a": b"1", "b": b"1"}, Seen("run", 1))
    assert await board.read_changes([Seen("run", 1)]) == [Partial(0, b"h1", {}, Seen("run", 1))]
    puts = {Table.WINDOWS: {"a": b"2"}, Table.CHANGED: change(2, "a")}
    await writer.tables.commit(writer.following("one-1", head=b"h2", puts=puts))
    puts = {Table.WINDOWS: {"c😀": b"3"}, Table.CHANGED: change(3, "b", "c😀")}
    commit = writer.following("one-2", head=b"h3", puts=puts, drops={Table.WINDOWS: ["b"]})
    await writer.tables.commit(commit)
    (both,) = await board.read_changes([Seen("run", 1)])
    assert both == Partial(0, b"h3", {"a": b"2", "b": None, "c😀": b"3"}, Seen("run", 3))


async def test_changes_of_another_run_or_too_long_ago_lead_nowhere(backend: Backend) -> None:
    writer, board = Writer(backend.tables()), backend.board()
    await writer.claim()
    slots = change(CHANGES_KEPT + 1, "a") | change(2, "a")
    await writer.tables.commit(
        writer.following("", head=b"h", puts={Table.WINDOWS: {"a": b"1"}, Table.CHANGED: slots})
    )
    for seen in (Seen("run", 0), Seen("other", 1), NOTHING_SEEN):
        assert await board.read_changes([seen]) == [Partial(0, b"h", {}, seen)]
    assert (await board.read_changes([NOTHING_SEEN] * 2))[1] == Partial(1, None, {}, NOTHING_SEEN)


async def test_many_changes_come_whole(backend: Backend) -> None:
    writer, board = Writer(backend.tables()), backend.board()
    await writer.claim()
    windows = {f"field {number}": b"%d" % number for number in range(20_000)}
    puts = {Table.WINDOWS: windows, Table.CHANGED: change(1, *windows)}
    await writer.tables.commit(writer.following("", head=b"h", puts=puts))
    (partial,) = await board.read_changes([Seen("run", 0)])
    assert partial.windows == windows


async def test_the_clock_is_what_was_written_last(backend: Backend) -> None:
    await backend.board().write_clock(NOW_MS)
    assert await backend.board().read_clock() == NOW_MS
    await backend.board().write_clock(-5)
    assert await backend.board().read_clock() == -5


async def test_announcements_wake_every_reader(backend: Backend) -> None:
    async with (
        aclosing(_generator(backend.board())) as first,
        aclosing(_generator(backend.board())) as second,
    ):
        heard = [asyncio.create_task(anext(first)), asyncio.create_task(anext(second))]
        await _publish_until(backend.board(), heard)
        assert all(task.result() > NOW_MS for task in heard)


async def test_announcements_come_in_order(backend: Backend) -> None:
    board = backend.board()
    async with aclosing(_generator(backend.board())) as reader:
        heard = asyncio.create_task(anext(reader))
        await _publish_until(board, [heard])
        token = await board.take_token(0)
        sequences = [token.sequence + step for step in (1, 2, 3)]
        for sequence in sequences:
            await board.write(token, sequence, b"", {}, [])
        got: list[int] = []
        while not got or got[-1] != sequences[-1]:
            got.append(await asyncio.wait_for(anext(reader), LIMIT_S))
        assert got[-3:] == sequences


async def test_a_refused_write_is_not_announced(backend: Backend) -> None:
    board = backend.board()
    async with aclosing(_generator(backend.board())) as reader:
        heard = asyncio.create_task(anext(reader))
        last = await _publish_until(board, [heard])
        await board.write(Token(1, 1), last + 1000, b"", {}, [])
        token = await board.take_token(0)
        await board.write(token, token.sequence + 1, b"", {}, [])
        got = heard.result()
        while got <= last:
            got = await asyncio.wait_for(anext(reader), LIMIT_S)
        assert got == token.sequence + 1


def _generator(board: SnapshotBoard) -> AsyncGenerator[int, None]:
    announcements = board.announcements()
    assert isinstance(announcements, AsyncGenerator)
    return announcements


async def _publish_until(board: SnapshotBoard, tasks: list[asyncio.Task[int]]) -> int:
    """Publish again and again until all tasks are done (a subscription takes a moment); the last sequence."""
    token = await board.take_token(NOW_MS)
    sequence = token.sequence
    async with asyncio.timeout(LIMIT_S):
        while not all(task.done() for task in tasks):
            sequence += 1
            assert await board.write(token, sequence, b"", {}, [])
            await asyncio.wait(tasks, timeout=0.05)
    return sequence
