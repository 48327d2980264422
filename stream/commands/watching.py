"""Reading the board: once for `kpi`, again and again for `watch`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import TYPE_CHECKING, Final

import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from stream.commands.board_view import LABEL_WIDTH, WINDOW_WIDTH, View, screen
from stream.commands.failures import DONE, Failed, WrongUse
from stream.commands.figures import Published, windows_in_order
from stream.commands.keyboard import terminal_events
from stream.demo import note
from stream.pipeline.ports import SnapshotBoard, StoreMisconfigured, StoreUnreachable
from stream.pipeline.take_snapshot import Header, decode_header
from stream.tables.layout import PREFIX
from stream.tables.redis_board import RedisBoard
from stream.tables.redis_client import address, ask, connect, translated
from stream.telemetry import escape

if TYPE_CHECKING:
    from stream.settings import Settings

SHORTEST_PAUSE_S: Final = 0.1
"""Ten screens a second are as many as anybody sees."""
LONGEST_PAUSE_S: Final = 1.0
"""Without news the age still moves, and a lost announcement is made up for."""
SCANS: Final = 20
KEYS_PER_SCAN: Final = 1000
"""The store looks at so many keys per round trip; there are a dozen of them in each partition."""
SHOWN_NAMESPACES: Final = 4
KEYS: Final = "q quits   s next site"
QUIT: Final = "qQ\x03"

_decode = msgspec.json.Decoder(Published).decode


class Choice(msgspec.Struct, frozen=True):
    """Which records to show. segment `all`, such as `channel=email`, or `*` for every one (JSON only)."""

    site: str | None = None
    windows: tuple[str, ...] = ()
    segment: str = "all"

    def wants(self, record: Published) -> bool:
        return (
            self.site in (None, record.site_id)
            and (not self.windows or record.window.name in self.windows)
            and self.segment in ("*", record.segment_name)
        )


class Typed:
    """What was typed and not obeyed yet."""

    keys = ""
    quit = False


class Reading(msgspec.Struct, frozen=True):
    """The board at one moment. `raw`: key -> JSON as published."""

    header: Header
    raw: dict[str, bytes]
    records: list[Published]

    def chosen(self, choice: Choice) -> list[tuple[str, Published]]:
        """Keys and records that the choice wants, in order of site, window and segment."""
        windows = windows_in_order({record.window.name for record in self.records})
        found = [(key, one) for key, one in zip(self.raw, self.records, strict=True) if choice.wants(one)]
        return sorted(
            found,
            key=lambda item: (item[1].site_id, windows.index(item[1].window.name), item[1].segment_name),
        )

    def view(self, choice: Choice) -> View:
        return View(self.header, self.records, choice.site, choice.windows, choice.segment)


async def read_board(board: SnapshotBoard) -> Reading | None:
    """The published snapshot, None before the first. Raises StoreUnreachable, Failed."""
    header, raw = await board.read_header(), await board.read_records()
    if header is None:
        return None
    try:
        return Reading(decode_header(header), raw, [_decode(value) for value in raw.values()])
    except msgspec.MsgspecError as error:
        raise Failed(
            f"what is published cannot be read ({error}): it is of another version of latido; "
            "use the same version as the worker, or another --namespace"
        ) from None


@contextlib.asynccontextmanager
async def opened_board(settings: Settings) -> AsyncIterator[RedisBoard]:
    """The board of the settings' namespace. Raises StoreMisconfigured."""
    client = connect(settings.redis_url)
    try:
        yield RedisBoard(client, settings.namespace)
    finally:
        await client.aclose()


async def print_once(settings: Settings, choice: Choice, *, as_json: bool) -> int:
    """`latido kpi`, `latido watch --once`.

    Raises Failed when nothing is published, WrongUse when nothing of it is chosen.
    """
    async with opened_board(settings) as board:
        reading = await read_board(board)
    if reading is None:
        raise Failed(nothing_yet(settings, await other_namespaces(settings)))
    _check_choice(reading, choice)
    if as_json:
        for key, _ in reading.chosen(choice):
            print(as_line(reading.raw[key]))
        return DONE
    wide = LABEL_WIDTH + WINDOW_WIDTH * len(reading.records)  # a file or a pipe has room for every window
    console = Console(width=None if sys.stdout.isatty() else min(wide, 260), highlight=False)
    with console.capture() as shown:
        console.print(screen(reading.view(choice), _now_ms(), console.width))
    print("\n".join(line.rstrip() for line in shown.get().splitlines()))
    return DONE


async def print_changes(settings: Settings, choice: Choice) -> None:
    """`latido watch --json`: each record when it is new or changed, until stopped."""
    seen: dict[str, int] = {}
    async with opened_board(settings) as board:
        async for reading in readings(board):
            for key, record in reading.chosen(choice) if reading else []:
                if seen.get(key) != record.sequence:
                    seen[key] = record.sequence
                    print(as_line(reading.raw[key]) if reading else "", flush=True)


async def watch(settings: Settings, choice: Choice) -> int:
    """The live screen, until q or Ctrl-C."""
    news, typed = asyncio.Event(), Typed()
    showing = asyncio.ensure_future(_show(settings, choice, typed, news))

    def pressed(keys: str) -> None:
        typed.keys += keys
        # An escape alone is the key; with more behind it an arrow or the like. Nothing: the terminal is gone.
        typed.quit = typed.quit or keys in ("\x1b", "") or any(key in QUIT for key in keys)
        if typed.quit:
            showing.cancel()  # also while the store does not answer
        news.set()

    with terminal_events(pressed, news.set):
        try:
            await showing
        except asyncio.CancelledError:
            if not typed.quit:  # Ctrl-C
                raise
    return DONE


async def _show(settings: Settings, choice: Choice, typed: Typed, news: asyncio.Event) -> None:
    """Draw at every announcement, every second, and when `news` is set."""
    console = Console(highlight=False)
    others: tuple[str, ...] | None = None
    async with opened_board(settings) as board:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            async for reading, problem in _survived(board, news):
                choice = _obeying(typed, reading, _pinned(reading, choice))
                if reading is None and problem is None and others is None:
                    others = await other_namespaces(settings)
                nothing = nothing_yet(settings, others or ())
                live.update(_shown(reading, choice, problem, console, nothing), refresh=True)


def _shown(
    reading: Reading | None, choice: Choice, problem: str | None, console: Console, nothing: str
) -> Group:
    """`nothing`: what to say before the first snapshot."""
    foot = [_one_line(escape(line), "cyan") for line in os.environ.get(note.VARIABLE, "").splitlines()]
    if problem or sys.stdin.isatty():  # without a keyboard no key does anything
        foot.append(_one_line(problem or KEYS, "red" if problem else "dim"))
    if reading is None:
        return Group(Text(nothing, style="yellow"), Text(""), *foot)
    shown = screen(reading.view(choice), _now_ms(), console.width, console.height - len(foot))
    return Group(shown, *foot)


def _one_line(text: str, style: str) -> Text:
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")


def _obeying(typed: Typed, reading: Reading | None, choice: Choice) -> Choice:
    """The choice after the keys pressed since the last screen."""
    keys, typed.keys = typed.keys, ""
    for key in keys:
        if key in "sS" and reading is not None:
            choice = msgspec.structs.replace(choice, site=_next_site(reading, choice))
    return choice


def _pinned(reading: Reading | None, choice: Choice) -> Choice:
    """Stay with the first site shown: another one that appears must not take its place."""
    if reading is None or choice.site is not None:
        return choice
    return msgspec.structs.replace(choice, site=reading.view(choice).shown_site())


def _next_site(reading: Reading, choice: Choice) -> str | None:
    view = reading.view(choice)
    sites, shown = view.sites, view.shown_site()
    return sites[(sites.index(shown) + 1) % len(sites)] if shown in sites else choice.site


async def readings(board: SnapshotBoard, news: asyncio.Event | None = None) -> AsyncGenerator[Reading | None]:
    """The board at every announcement, each second, and when `news` is set. Raises StoreUnreachable."""
    news = news or asyncio.Event()

    async def listen() -> None:
        async for _ in board.announcements():
            news.set()

    listener = asyncio.create_task(listen())
    try:
        while True:
            yield await read_board(board)
            await asyncio.sleep(SHORTEST_PAUSE_S)
            await _news_or_pause(news)
    finally:
        listener.cancel()
        await asyncio.gather(listener, return_exceptions=True)


async def _survived(
    board: SnapshotBoard, news: asyncio.Event
) -> AsyncIterator[tuple[Reading | None, str | None]]:
    """Readings through outages of the store: the last one stays, with the reason why it is old."""
    last: Reading | None = None
    while True:
        try:
            async with contextlib.aclosing(readings(board, news)) as stream:
                async for last in stream:
                    yield last, None
        except StoreUnreachable as error:
            yield last, str(error)
            await asyncio.sleep(SHORTEST_PAUSE_S)
            await _news_or_pause(news)


async def _news_or_pause(news: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(news.wait(), LONGEST_PAUSE_S)
    news.clear()


def _check_choice(reading: Reading, choice: Choice) -> None:
    """Raises WrongUse when a filter leaves nothing, with what there is."""
    if reading.chosen(choice):
        return
    for name, wanted, there in (
        ("--site", choice.site, sorted({one.site_id for one in reading.records})),
        (
            "--window",
            ",".join(choice.windows),
            windows_in_order({one.window.name for one in reading.records}),
        ),
        ("--segment", choice.segment, sorted({one.segment_name for one in reading.records})),
    ):
        if wanted and not set(wanted.split(",")) & set(there):
            shown = ", ".join(there[:8]) + (" ..." if len(there) > 8 else "")
            raise WrongUse(f"nothing is published for {name} {wanted}; there is {shown or 'nothing at all'}")
    raise WrongUse("nothing is published for this choice; leave out --site, --window or --segment")


async def other_namespaces(settings: Settings) -> tuple[str, ...]:
    """Namespaces of the same store in which something is published, some of them at most.

    Looks at a bounded part of the keys: the store may be large and somebody else's. Never raises for the
    store, since this is only a hint. Raises StoreMisconfigured for a URL that is none.
    """
    found: set[str] = set()
    client = connect(settings.redis_url)
    pattern = f"{PREFIX}:{{*:board}}:header"
    try:
        with contextlib.suppress(StoreUnreachable, StoreMisconfigured), translated(address(client)):
            cursor = 0
            for _ in range(SCANS):
                command = ("SCAN", cursor, "MATCH", pattern, "COUNT", KEYS_PER_SCAN)
                cursor, keys = await ask(client, command)
                found.update(_namespace_of(key) for key in keys)
                if not int(cursor):
                    break
    finally:
        await client.aclose()
    return tuple(sorted(found - {settings.namespace}))


def _namespace_of(header_key: bytes) -> str:
    return header_key.decode("utf-8", "replace").removeprefix(f"{PREFIX}:{{").removesuffix(":board}:header")


def nothing_yet(settings: Settings, others: Sequence[str] = ()) -> str:
    """`others`: namespaces in which something is published."""
    if others:
        names = ", ".join(escape(name) for name in others[:SHOWN_NAMESPACES])
        more = f" and {len(others) - SHOWN_NAMESPACES} more" if len(others) > SHOWN_NAMESPACES else ""
        return (
            f"nothing is published in namespace {settings.namespace} yet; "
            f"there is {names}{more}: --namespace {escape(others[0])}"
        )
    return (
        f"nothing is published in namespace {settings.namespace} yet: start 'latido worker', "
        "then send an event, such as: latido send page_view --visitor v1 --url /"
    )


def as_line(raw: bytes) -> str:
    """A record as one line of JSON in ASCII: nothing in it can move a terminal's cursor."""
    return json.dumps(json.loads(raw), ensure_ascii=True, separators=(",", ":"))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


__all__ = ["Choice", "Reading", "print_changes", "print_once", "read_board", "readings", "watch"]
