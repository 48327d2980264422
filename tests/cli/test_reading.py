"""Input: lines as they arrive, bounded; a thread that never holds up the end."""

from __future__ import annotations

import asyncio
import io
import os
import threading
from collections.abc import Iterator
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.commands.reading import beside, line_chunks

LIMIT_S = 10.0


class Pieces:
    """A source that hands out its pieces one by one, as a slow pipe does."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = list(pieces)

    def read1(self, size: int = -1, /) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""


@given(st.lists(st.binary(min_size=1, max_size=20).map(lambda one: one.replace(b"\0", b"\n"))))
def test_lines_do_not_depend_on_how_they_arrive(pieces: list[bytes]) -> None:
    lines = [line for chunk in line_chunks(Pieces(pieces), 1000) for line in chunk]
    expected = b"".join(pieces).split(b"\n")
    assert lines == (expected if expected[-1] else expected[:-1])


def test_a_line_without_end_takes_no_memory() -> None:
    long = Pieces([b"x" * 50] * 1000 + [b"\nnext\n"])
    assert [line for chunk in line_chunks(long, 100) for line in chunk] == [b"x" * 101, b"next"]


def test_lines_that_are_there_are_not_held_back() -> None:
    read, write = os.pipe()
    with open(read, "rb") as source, open(write, "wb", buffering=0) as sink:
        assert isinstance(source, io.BufferedReader)
        chunks = line_chunks(source, 1000)
        sink.write(b"one\ntw")
        assert next(chunks) == [b"one"]
        sink.write(b"o\n")
        assert next(chunks) == [b"two"]


async def test_items_come_in_order_and_errors_too() -> None:
    def source() -> Iterator[int]:
        yield from range(100)
        raise ValueError("at the end")

    seen: list[object] = []

    async def read() -> None:
        async for item in beside(source()):
            seen.append(item)

    with pytest.raises(ValueError, match="at the end"):
        await read()
    assert seen == list(range(100))


async def test_a_source_that_never_ends_holds_nobody_up() -> None:
    never = threading.Event()

    def source() -> Iterator[int]:
        yield 1
        never.wait(LIMIT_S)

    async with asyncio.timeout(LIMIT_S / 2), aclosing(beside(source())) as items:
        assert await anext(items) == 1
    never.set()
