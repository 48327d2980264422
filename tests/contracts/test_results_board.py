"""Settled results in the store, on every implementation of the board."""

from __future__ import annotations

from stream.pipeline.ports import ResultsWrite, Table
from tests.contracts.backends import Backend, Writer

NOW_MS = 1_790_000_000_000


async def test_an_empty_board_has_no_results(backend: Backend) -> None:
    board = backend.board()
    assert await board.result_windows() == []
    assert await board.read_results(["hour|0|shop"]) == [None]
    assert await board.read_results_outbox() == {}
    assert await board.take_results_token(NOW_MS) == (NOW_MS, None)


async def test_what_a_step_wrote_is_read_by_the_next_publisher(backend: Backend) -> None:
    board = backend.board()
    epoch, _ = await board.take_results_token(NOW_MS)
    windows = {"hour|0|shop": b"\0\xff", "day|0|😀": b"d"}
    write = ResultsWrite(b"state", windows, outbox={"a|b": b"{}", "c": b"{1}"})
    assert await board.write_results(epoch, write)
    again = backend.board()
    assert await again.take_results_token(0) == (epoch + 1, b"state")
    assert sorted(await again.result_windows()) == sorted(windows)
    assert await again.read_results([*windows, "nothing"]) == [*windows.values(), None]
    assert await again.read_results_outbox() == {"a|b": b"{}", "c": b"{1}"}


async def test_what_left_and_what_is_too_old_goes(backend: Backend) -> None:
    board = backend.board()
    epoch, _ = await board.take_results_token(NOW_MS)
    many = {f"hour|{number}|shop": b"x" for number in range(9_000)}
    assert await board.write_results(epoch, ResultsWrite(b"1", many, outbox=dict(many)))
    rest = [*many][1:]
    assert await board.write_results(epoch, ResultsWrite(b"2", gone=rest, produced=rest))
    assert await board.result_windows() == ["hour|0|shop"] == list(await board.read_results_outbox())


async def test_an_older_publisher_is_refused_and_writes_nothing(backend: Backend) -> None:
    board = backend.board()
    old, _ = await board.take_results_token(NOW_MS)
    new, _ = await backend.board().take_results_token(0)
    assert not await board.write_results(old, ResultsWrite(b"old", {"w": b"old"}, outbox={"k": b"old"}))
    assert await board.result_windows() == []
    assert await board.write_results(new, ResultsWrite(b"new"))
    await backend.flush()
    assert not await board.write_results(new, ResultsWrite(b"new"))


async def test_partitions_come_with_their_own_head(backend: Backend) -> None:
    for number in (0, 2):
        writer = Writer(backend.tables(), f"w{number}", number)
        await writer.claim()
        puts = {
            Table.SETTLING: {"s": b"%d" % number},
            Table.CLOSED: {"\0😀": b"c"},
            Table.SETTLED: {"f": b"x"},
        }
        await writer.tables.commit(writer.following("", head=b"h%d" % number, puts=puts))
    partials = await backend.board().read_settled(3)
    assert [(one.partition, one.head) for one in partials] == [(0, b"h0"), (1, None), (2, b"h2")]
    assert (partials[2].settling, partials[2].closed) == ({"s": b"2"}, {"\0😀": b"c"})
    assert partials[1].settling == {}
    assert await backend.board().read_closed(2, ["f", "g"]) == [b"x", None]
    assert await backend.board().read_closed(2, []) == []
