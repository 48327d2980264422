"""Input without waiting for more than there is: lines in chunks, files read beside the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import io
import sys
import threading
import zlib
from collections.abc import AsyncGenerator, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, Protocol, TypeVar, cast

from stream.commands.failures import Failed

Item = TypeVar("Item")

CHUNK_BYTES: Final = 64 * 1024
GZIP_MAGIC: Final = b"\x1f\x8b"
STANDARD_INPUT: Final = "-"


class _ReadsWhatIsThere(Protocol):
    def read1(self, size: int = ..., /) -> bytes: ...


def line_chunks(source: _ReadsWhatIsThere, longest: int) -> Iterator[list[bytes]]:
    """Yield the lines that have arrived, without waiting for others (a pipe may be slow for ever).

    Of a line longer than `longest` bytes its first `longest` + 1 are kept: enough to be refused as too long.
    """
    rest = b""
    while chunk := source.read1(CHUNK_BYTES):
        *lines, rest = (rest + chunk).split(b"\n")
        rest = rest[: longest + 1]
        if lines:
            yield [line[: longest + 1] for line in lines]
    if rest:
        yield [rest]


def standard_input() -> io.BufferedReader:
    """Standard input under a lock of its own: ending while a thread waits in a read of sys.stdin, Python
    aborts, because it cannot close that."""
    return io.BufferedReader(io.FileIO(sys.stdin.fileno(), closefd=False))


@contextlib.contextmanager
def opened(name: str) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Open a file or `-`; yields (content, file): the file's position is how far reading has come.

    Gzip is found by its first bytes, whatever the name. Raises Failed when the file cannot be opened.
    """
    try:
        file = standard_input() if name == STANDARD_INPUT else Path(name).open("rb")  # noqa: SIM115 (closed below)
    except OSError as error:
        raise Failed(f"{name}: cannot be read ({error.strerror})") from None
    try:
        packed = file.peek(2)[:2] == GZIP_MAGIC
        content = cast(BinaryIO, gzip.GzipFile(fileobj=file)) if packed else file
        yield content, file
    except (gzip.BadGzipFile, EOFError, zlib.error, IsADirectoryError) as error:
        raise Failed(f"{name}: cannot be read to its end ({error})") from None
    finally:
        if name != STANDARD_INPUT:
            file.close()


async def beside(source: Iterable[Item], ahead: int = 2) -> AsyncGenerator[Item]:
    """Run a blocking iterator in a thread, at most `ahead` items in front of the reader.

    The thread is a daemon: Ctrl-C does not wait for a pipe that never ends.
    """
    loop = asyncio.get_running_loop()
    items: asyncio.Queue[tuple[Item] | BaseException | None] = asyncio.Queue()
    room = threading.Semaphore(ahead)
    stopped = threading.Event()

    def hand_over(item: tuple[Item] | BaseException | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody wants it any more
            loop.call_soon_threadsafe(items.put_nowait, item)

    def read() -> None:
        try:
            for one in source:
                room.acquire()
                if stopped.is_set():
                    return
                hand_over((one,))
            hand_over(None)
        except BaseException as error:
            hand_over(error)

    threading.Thread(target=read, name="reader", daemon=True).start()
    try:
        while (item := await items.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item[0]
            room.release()
    finally:
        stopped.set()
        room.release()
